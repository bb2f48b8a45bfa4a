"""What is in lists, tuples, sets and dicts: elements by literal key or index, and what iterating over a value gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codeintel.analysis.attributes import Attributes, is_class_like
from codeintel.analysis.values import INSTANCES, Handler, Kind

_PAIRS = ("list", "tuple")


class Containers(Attributes):
    """Elements of containers as slots: one for each known key, one for those of unknown key, one for all."""

    elements: dict[int, dict[str, int]]
    unknown: dict[int, int]
    all_of: dict[int, int]
    lengths: dict[int, int]
    container_at: dict[int, int]
    readers: dict[int, list[tuple[Handler, tuple[Any, ...]]]]
    unopened: dict[int, list[tuple[int, str | None, int]]]

    def start_containers(self) -> None:
        given = self.program["container"]
        for slot, name in zip(given.target, given.name, strict=True):
            self.put(slot, self.container(name or "list", slot))
        counted: dict[int, int] = {}
        given = self.program["element"]
        for slot, name in zip(given.target, given.name, strict=True):
            counted[slot] = counted.get(slot, 0) + 1 if name is not None and counted.get(slot, 0) >= 0 else -1
        for slot in self.program["merge"].target:
            counted[slot] = -1
        self.lengths = {
            self.container_at[slot]: n for slot, n in counted.items() if n > 0 and slot in self.container_at
        }
        for slot, source, name, other in zip(given.target, given.source, given.name, given.other, strict=True):
            if (container := self.container_at.get(slot)) is not None:
                self.unopened.setdefault(container, []).append((source, name, other))
        given = self.program["merge"]
        for slot, source in zip(given.target, given.source, strict=True):
            if (container := self.container_at.get(slot)) is not None:
                self.watch(source, self.merge, container)

    def container(self, type_name: str, slot: int) -> int:
        """The container that is made at a slot."""
        value = self.value(Kind.CONTAINER, type_name, slot)
        if slot not in self.container_at:
            self.container_at[slot] = value
        return value

    def elements_of(self, container: int) -> dict[str, int]:
        """Slots of elements by key. What a display holds gets slots only once somebody looks into it."""
        slots = self.elements.get(container)
        if slots is None:
            slots = self.elements[container] = {}
        for source, name, other in self.unopened.pop(container, ()):
            if name is None and other >= 0:
                self.watch(other, self._element_at, container, source)
                self.flow(other, self.keys_of(container))
            self.flow(source, self.element(container, name))
        return slots

    def unknown_of(self, container: int) -> int:
        """The slot of the elements of unknown key, which are at every key."""
        slot = self.unknown.get(container)
        if slot is None:
            slot = self.unknown[container] = self.slot()
            for element in (*self.elements_of(container).values(), self.all_of.get(container, slot)):
                self.flow(slot, element)
        return slot

    def all_in(self, container: int) -> int:
        """The slot of all elements."""
        slot = self.all_of.get(container)
        if slot is None:
            elements = self.elements_of(container)
            slot = self.all_of[container] = self.slot()
            for element in (*elements.values(), self.unknown.get(container, slot)):
                self.flow(element, slot)
        return slot

    def held_in(self, container: int) -> list[int]:
        """Slots of all that a container holds, without looking into a display that nobody has looked into."""
        waiting = self.unopened.get(container)
        return [source for source, *_ in waiting] if waiting else [self.all_in(container)]

    def element(self, container: int, key: str | None) -> int:
        """The slot of the element of a container at a key; None for elements of unknown key."""
        if key is None:
            return self.unknown_of(container)
        slots = self.elements_of(container)
        if key.startswith("-"):
            length = self.lengths.get(container)
            if length is None or int(key) + length < 0:
                return self.all_in(container)
            key = str(int(key) + length)
        slot = slots.get(key)
        if slot is None:
            slot = slots[key] = self.slot()
            if (everything := self.all_of.get(container)) is not None:
                self.flow(slot, everything)
            if (anywhere := self.unknown.get(container)) is not None:
                self.flow(anywhere, slot)
            for function, given in self.readers.get(container, ()):  # not now: containers may read one another
                self.jobs.append((function, (slot, *given), [key]))
        return slot

    def each_element(self, container: int, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function` with the key and slot of each element that has a key, now or later, and the arguments."""
        slots = self.elements_of(container)
        self.readers.setdefault(container, []).append((function, arguments))
        for key, slot in sorted(slots.items()):
            function(key, slot, *arguments)

    def _element_at(self, key: int, container: int, source: int) -> None:
        if (text := self.key(key)) is not None:
            self.flow(source, self.element(container, text))

    def key(self, value: int) -> str | None:
        return self.parts[value][1] if self.kinds[value] == Kind.CONSTANT else None

    def keys_of(self, container: int) -> int:
        """The slot of the keys of a dict that are no literals."""
        return self.stored_on(-2 - container, "keys")

    def merge(self, value: int, container: int, site: int = -1) -> None:
        """All elements of `value` become elements of `container`; a dict gets those of a dict, or what pairs say."""
        is_dict = self.kinds[value] == Kind.CONTAINER and self.parts[value][0] == "dict"
        if self.parts[container][0] != "dict":
            self.iterate(value, self.unknown_of(container), site)
        elif is_dict:
            self.flow(self.unknown_of(value), self.unknown_of(container))
            self.flow(self.keys_of(value), self.keys_of(container))
            if value != container:
                self.each_element(value, self.merge_element, container)
        else:
            pair = self.slot()
            self.iterate(value, pair, site)
            self.watch(pair, self._set_pair, container)

    def _set_pair(self, pair: int, container: int) -> None:
        if self.kinds[pair] == Kind.CONTAINER and self.parts[pair][0] in _PAIRS:
            self.set_at(self.element(pair, "0"), container, self.element(pair, "1"))

    def merge_element(self, key: str, slot: int, container: int) -> None:
        self.flow(slot, self.element(container, key))

    def iterate(self, value: int, target: int, site: int) -> None:
        """What one step of iterating over a value gives; what that calls is called at `site`."""
        raise NotImplementedError

    def item(self, value: int, target: int, key: str | None, other: int) -> None:
        """`target` gets the element of `value` at a literal key, or at the key in the slot `other`."""
        kind, parts = self.kinds[value], self.parts[value]
        if kind == Kind.CONTAINER:
            if key is not None:
                self.flow(self.element(value, key), target)
            elif other >= 0:
                self.at_key(other, value, target)
            else:
                self.flow(self.all_in(value), target)
        elif kind in INSTANCES:
            self.call_method(value, "__getitem__", target, target, self._key_given(key, other))
        elif kind == Kind.CLASS:
            self.put(target, value)  # Generic[T]
        elif kind == Kind.EXTERNAL and (
            is_class_like(parts[0]) or parts[0].startswith(("builtins.", "typing.", "collections."))
        ):
            self.put(target, value)

    keyed: list[tuple[int, int, int, bool]]  # slots of keys, containers, slots of elements, whether those are stored

    def at_key(self, key: int, container: int, target: int) -> None:
        """`target` gets the element of a container at the key in a slot."""
        self.keyed.append((key, container, target, False))
        self.watch(key, self._item_at, container, target)

    def set_at(self, key: int, container: int, source: int) -> None:
        """The element of a container at the key in a slot gets what `source` holds."""
        self.keyed.append((key, container, source, True))
        self.watch(key, self._set_item_at, container, source)
        self.flow(key, self.keys_of(container))

    def assume_keys(self) -> None:
        """A key without a value is any key."""
        for key, container, slot, is_stored in self.keyed:
            if not self.held(key):
                if is_stored:
                    self.flow(slot, self.unknown_of(container))
                elif (whole := self.all_in(container)) not in self.wide:
                    self.flow(whole, slot)

    def _item_at(self, key: int, container: int, target: int) -> None:
        text = self.key(key)
        self.flow(self.all_in(container) if text is None else self.element(container, text), target)

    def set_item(self, value: int, source: int, key: str | None, other: int) -> None:
        """The element of `value` at a key gets what `source` holds."""
        kind = self.kinds[value]
        if kind == Kind.CONTAINER:
            if key is not None:
                self.flow(source, self.element(value, key))
            elif other >= 0:
                self.set_at(other, value, source)
            else:
                self.flow(source, self.unknown_of(value))
        elif kind in INSTANCES:
            self.call_method(value, "__setitem__", source, -1, [*self._key_given(key, other, -1), source])

    def _key_given(self, key: str | None, other: int, *nothing: int) -> Sequence[int]:
        """The argument that a method gets for a key."""
        if key is not None:
            return [self.holding(self.constant(key))]
        return [other] if other >= 0 else nothing

    def holding(self, value: int) -> int:
        """A slot that holds one value."""
        slot = self.stored_on(-2 - value, "itself")
        self.put(slot, value)
        return slot

    def constant(self, key: str) -> int:
        """The value of a constant, by its key."""
        return self.value(Kind.CONSTANT, "str" if key.startswith("'") else "int", key)

    def _set_item_at(self, key: int, container: int, source: int) -> None:
        self.flow(source, self.element(container, self.key(key)))

    def slice(self, value: int, target: int, span: str | None) -> None:
        """`target` gets a container of the elements of `value` in `span`."""
        if self.kinds[value] in INSTANCES:
            self.call_method(value, "__getitem__", target, target, [])
            return
        if self.kinds[value] != Kind.CONTAINER:
            if self.kinds[value] in (Kind.CONSTANT, Kind.BUILTIN):
                self.put(target, self.value(Kind.BUILTIN, self.parts[value][0]))
            return
        part = self.container(self.parts[value][0], target)
        self.put(target, part)
        length = self.lengths.get(value)
        if span is None or length is None:
            if part != value:
                self.flow(self.all_in(value), self.unknown_of(part))
            return
        lower, _, upper = span.partition(":")
        kept = range(length)[slice(int(lower) if lower else None, int(upper) if upper else None)]
        for index in kept:
            self.flow(self.element(value, str(index)), self.element(part, str(index - kept.start)))
        self.flow(self.unknown_of(value), self.unknown_of(part))

    def unpack(self, value: int, target: int, key: str, site: int) -> None:
        if self.kinds[value] == Kind.CONTAINER and self.parts[value][0] in ("list", "tuple"):
            self.flow(self.element(value, key), target)
        else:
            self.iterate(value, target, site)

    def call_method(self, value: int, name: str, site: int, result: int, arguments: Sequence[int]) -> None:
        raise NotImplementedError

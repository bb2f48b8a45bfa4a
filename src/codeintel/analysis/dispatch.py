"""Functions that are chosen by the class of an argument: `functools.singledispatch` and `singledispatchmethod`.

A dispatching function is a value of the kind *partial* at the slot it is made at. Which of the registered functions a
call chooses is decided between rounds, when all that register themselves are known: the one for the nearest class in
the method resolution order of what is given, every one that may fit where that is not known.
"""

from __future__ import annotations

import builtins
import collections.abc
import numbers
from abc import ABCMeta
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from codeintel.analysis.calls import Call
from codeintel.analysis.iterable_models import IterableModels
from codeintel.analysis.values import INSTANCES, Kind

_DISPATCHING = {"functools.singledispatch": 0, "functools.singledispatchmethod": 1}
_DATA = (Kind.CONSTANT, Kind.BUILTIN, Kind.CONTAINER, Kind.GENERATOR)
_TYPES = (Kind.CLASS, Kind.EXTERNAL, Kind.ALIAS, Kind.QUOTED)
_UNIONS = ("Union", "Optional")
_ABSTRACT = {"collections.abc": collections.abc, "typing": collections.abc, "numbers": numbers}


@dataclass(eq=False, slots=True)
class Dispatcher:
    """`place` of the parameter that decides; slots of types (-1: nobody knows) and functions; what calls came to."""

    place: int
    base: int
    all: int
    registered: list[tuple[int, int]] = field(default_factory=list)
    calls: list[tuple[Call, int, dict[int, Call]]] = field(default_factory=list)  # with receivers


class Dispatch(IterableModels):
    """`dispatchers` by the slot they are made at; `types_in` by slot of types, that of those in it, taken apart."""

    dispatchers: dict[int, Dispatcher]
    types_in: dict[int, int]

    def decorate(self, value: int, target: int, source: int) -> None:
        if self.kinds[value] == Kind.EXTERNAL and self.parts[value][0] in _DISPATCHING:
            self.note(Call(target, -1, "decorator"), value)
            self._dispatch_from(source, target, _DISPATCHING[self.parts[value][0]])
        else:
            super().decorate(value, target, source)

    def model_dispatch(self, call: Call) -> None:
        self._dispatches(call, 0)

    def model_dispatch_method(self, call: Call) -> None:
        self._dispatches(call, 1)

    def _dispatches(self, call: Call, place: int) -> None:
        if call.positional and call.positional[0] >= 0 and call.result >= 0:
            self._dispatch_from(call.positional[0], call.result, place)

    def _dispatch_from(self, base: int, target: int, place: int) -> None:
        if target not in self.dispatchers:
            self.dispatchers[target] = Dispatcher(place, base, self.slot())
            self.flow(base, self.dispatchers[target].all)
            self.partial_methods.add(target)  # it is bound as functions are
        self.put(target, self.value(Kind.PARTIAL, target))

    def new_attribute(self, value: int, name: str) -> int:
        slot = super().new_attribute(value, name)
        if name in ("register", "dispatch") and self.kinds[value] == Kind.PARTIAL:
            made = self.parts[value][0]
            if made in self.dispatchers:
                self.put(slot, self.value(Kind.GETTER, name, made))
        return slot

    # --- registering

    def register(self, what: str, made: int, types: Sequence[int], call: Call) -> None:
        """Call what has a function registered: `f.register`, `f.register(type)`, or `f.dispatch`."""
        known = self.dispatchers[made]
        if what == "dispatch":
            self._hands_on(call, known.all)
        elif types and call.positional:
            self._registered(known, types[0], call.positional[0], call)
        elif len(call.positional) > 1:
            self._registered(known, self._types_in(call.positional[0]), call.positional[1], call)
        elif call.positional and call.positional[0] >= 0:
            self.watch(call.positional[0], self._register, made, call)

    def _register(self, value: int, made: int, call: Call) -> None:
        if self.kinds[value] in _TYPES:
            types = self._types_in(call.positional[0])
            self._gives(call, self.value(Kind.GETTER, "registers", made, types))
        else:
            self._registered(self.dispatchers[made], self._annotated(value, made), self.holding(value), call)

    def _registered(self, made: Dispatcher, types: int, function: int, call: Call) -> None:
        if function >= 0:
            made.registered.append((types, function))
            self.flow(function, made.all)
            self._hands_on(call, function)

    def _annotated(self, value: int, made: int) -> int:
        """The slot of the types that the deciding parameter of a function is annotated with."""
        if self.kinds[value] != Kind.FUNCTION:
            return -1
        positional = self.functions[self.parts[value][0]].positional
        place = self.dispatchers[made].place
        rows = self.program["annotated"]
        sources = dict(zip(rows.target, rows.source, strict=True)) if place < len(positional) else {}
        source = sources.get(positional[place], -1) if sources else -1
        return self._types_in(source) if source >= 0 else -1

    def _types_in(self, slot: int) -> int:
        types = self.types_in.get(slot)
        if types is not None:
            return types
        types = self.types_in[slot] = self.slot()
        if slot >= 0:
            self.watch(slot, self._type_in, types)
        return types

    def _type_in(self, value: int, types: int) -> None:
        kind, parts = self.kinds[value], self.parts[value]
        if kind in (Kind.CLASS, Kind.EXTERNAL):
            self.put(types, value)
        elif kind == Kind.QUOTED:
            self.watch(self._quoted(*parts), self._type_in, types)
        elif kind == Kind.CONTAINER:
            self.watch(self.all_in(value), self._type_in, types)
        elif kind == Kind.ALIAS and parts[0].rpartition(".")[2] in _UNIONS:
            self.watch(parts[1], self._type_in, types)
        elif kind == Kind.ALIAS:
            self.put(types, self.external(parts[0]))

    # --- calling

    def _call_partial(self, site: int, call: Call, receiver: int = -1) -> None:
        made = self.dispatchers.get(site)
        if made is None:
            super()._call_partial(site, call, receiver)
        else:
            made.calls.append((call, receiver, {}))

    def ask(self) -> bool:
        asked = super().ask()
        new = [self._decide(made) for made in self.dispatchers.values()]
        return asked or any(new)

    def _decide(self, made: Dispatcher) -> bool:
        """Call what each call chooses by now; whether any is new."""
        by_type, new = self._by_type(made), False
        for call, receiver, called in made.calls:
            by_receiver = made.place == 0 and receiver >= 0
            at = call.positional[0] if call.positional else -1
            values = [receiver] if by_receiver else sorted(self.held(at)) if at >= 0 else []
            for value in values or ([-1] if self.assumed else []):
                for slot in self._chosen(made, by_type, value):
                    for function in sorted(self.held(slot)):
                        if (given := called.get(function)) is None:
                            new = True
                            given = called[function] = call if by_receiver or at < 0 else Call(
                                call.site, call.result, call.origin, [self.slot(), *call.positional[1:]],
                                call.keywords, call.starred, call.double_starred, call.through)  # fmt: skip
                            self.call(function, given, receiver)
                        if value >= 0 and given is not call:
                            self.put(given.positional[0], value)
        return new

    def _by_type(self, made: Dispatcher) -> dict[int | str, list[int]]:
        """Slots of functions by the class they are registered for; by an empty text if nobody knows it."""
        found: dict[int | str, list[int]] = {}
        for types, function in made.registered:
            for each in [self.parts[v][0] for v in sorted(self.held(types))] if types >= 0 else []:
                found.setdefault(each, []).append(function)
            if types < 0 or not self.held(types):
                found.setdefault("", []).append(function)
        return found

    def _chosen(self, made: Dispatcher, by_type: Mapping[int | str, Sequence[int]], value: int) -> Iterable[int]:
        kind = self.kinds[value] if value >= 0 else Kind.OUTSIDE
        order = self._classes_of(value) if value >= 0 else None
        if order is None:
            return [made.base, *(slot for slots in by_type.values() for slot in slots)]
        at, nearest = next(((at, each) for at, each in enumerate(order) if each in by_type), (-1, ""))
        chosen = [*by_type[nearest]] if at >= 0 else []
        if at != 0:
            for each in by_type.keys() - {*order, ""}:
                if self._may_be(value, kind, each):
                    chosen += by_type[each]
        if not chosen or (at < 0 and kind not in _DATA):
            chosen.append(made.base)
        if kind == Kind.OPEN:
            for below in self.below[self.parts[value][0]]:
                chosen += by_type.get(below, ())
        return chosen

    def _classes_of(self, value: int) -> Sequence[int | str] | None:
        """The classes that a value is an instance of, the nearest first; None if nobody knows."""
        kind, parts = self.kinds[value], self.parts[value]
        if kind in INSTANCES:
            return [*self.order(parts[0]), *self.outside(self.order(parts[0])), "builtins.object"]
        if kind == Kind.CLASS:
            return ["builtins.type", "builtins.object"]
        if kind in _DATA:
            own = vars(builtins).get(self.type_name(value))
            if isinstance(own, type):
                return [f"builtins.{each.__name__}" for each in own.__mro__]
            return [self.type_name(value), "builtins.object"]
        return [parts[0], "builtins.object"] if kind == Kind.RESULT else None

    def _may_be(self, value: int, kind: int, each: int | str) -> bool:
        """Whether a value may be an instance of a class that is none of those it is known to inherit from."""
        if isinstance(each, int):
            return kind in INSTANCES and self._is_structural(each)
        home, _, name = each.rpartition(".")
        if kind == Kind.RESULT:
            return home != "builtins"
        abstract = getattr(_ABSTRACT[home], name, None) if home in _ABSTRACT else None
        if not isinstance(abstract, ABCMeta):
            return False
        if kind in _DATA:
            own = vars(builtins).get(self.type_name(value))
            return isinstance(own, type) and issubclass(own, abstract)
        return "__subclasshook__" in vars(abstract) and all(self.has(value, m) for m in abstract.__abstractmethods__)

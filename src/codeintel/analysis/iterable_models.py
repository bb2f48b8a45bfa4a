"""What functions over iterables, and the containers of `collections`, do with values."""

from __future__ import annotations

from collections.abc import Sequence

from codeintel.analysis.builtin_models import Models
from codeintel.analysis.calls import Call
from codeintel.analysis.values import INSTANCES, Kind


class IterableModels(Models):
    """Iterables and containers; `type_names` are those of containers that are no builtin ones."""

    type_names: dict[int, str]
    factories: dict[int, list[int]]  # by container: slots of what makes elements that are missing

    def _list_of(self, call: Call, *slots: int) -> None:
        """The result is a list of what is in slots."""
        if call.result >= 0:
            made = self.container("list", call.result)
            for slot in slots:
                self.flow(slot, self.unknown_of(made))
            self.put(call.result, made)

    def model_chain(self, call: Call) -> None:
        self._list_of(call, *[self.each(call, slot) for slot in call.positional],
                      *[self._each_of_each(call, slot) for slot, _ in call.starred])  # fmt: skip

    def model_chain_of(self, call: Call) -> None:
        if call.positional:
            self._list_of(call, self._each_of_each(call, call.positional[0]))

    def _each_of_each(self, call: Call, slot: int) -> int:
        inner, step = self.each(call, slot), self.slot()
        self.watch(inner, self.iterate, step, call.site)
        return step

    def model_same_elements(self, call: Call) -> None:
        if call.positional:
            self._list_of(call, self.each(call, call.positional[0]))

    def model_chosen(self, call: Call) -> None:
        if len(call.positional) > 1:
            step = self.each(call, call.positional[1])
            self.call_back(call, call.positional[0], [step], -1)
            self._list_of(call, step)

    def model_starmap(self, call: Call) -> None:
        if len(call.positional) > 1 and call.positional[0] >= 0:
            row, result = self.each(call, call.positional[1]), self.slot()
            self.watch(call.positional[0], self.call, self.called_back(call, result, starred=[(row, 0)]))
            self._list_of(call, result)

    def model_accumulate(self, call: Call) -> None:
        if call.positional:
            step, result = self.each(call, call.positional[0]), self.slot()
            self.flow(step, result)
            function = call.positional[1] if len(call.positional) > 1 else call.keywords.get("func", -1)
            self.call_back(call, function, [result, step], result)
            self._list_of(call, result)

    def model_group(self, call: Call) -> None:
        if not call.positional or call.result < 0:
            return
        step, key = self.each(call, call.positional[0]), self.slot()
        function = call.positional[1] if len(call.positional) > 1 else call.keywords.get("key", -1)
        self.call_back(call, function, [step], key)
        pair = self.container("tuple", self.stored_on(-2 - call.result, "group"))
        group = self.container("list", self.stored_on(-2 - call.result, "members"))
        self.flow(step, self.unknown_of(group))
        self.flow(key, self.element(pair, "0"))
        self.put(self.element(pair, "1"), group)
        made = self.container("list", call.result)
        self.put(self.unknown_of(made), pair)
        self.put(call.result, made)

    def model_combined(self, call: Call) -> None:
        """Tuples of elements of one iterable."""
        if call.positional and call.result >= 0:
            row = self.container("tuple", self.stored_on(-2 - call.result, "row"))
            self.flow(self.each(call, call.positional[0]), self.unknown_of(row))
            made = self.container("list", call.result)
            self.put(self.unknown_of(made), row)
            self.put(call.result, made)

    def model_repeat(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0:
            self._list_of(call, call.positional[0])

    def model_iterates(self, call: Call) -> None:
        if call.positional:
            self.each(call, call.positional[0])

    def model_sum(self, call: Call) -> None:
        if call.positional:
            step = self.each(call, call.positional[0])
            total = self.slot()
            for slot in (step, *call.positional[1:2]):
                if slot >= 0:
                    self.flow(slot, total)
            for name in ("__add__", "__radd__"):
                self.watch(total, self._added, name, call, total, step)
            self._hands_on(call, total)

    def _added(self, value: int, name: str, call: Call, total: int, step: int) -> None:
        if self.has(value, name):
            self.call_method(value, name, call.site, total, [step])

    def model_reversed(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0:
            self.watch(call.positional[0], self._reversed, call)

    def _reversed(self, value: int, call: Call) -> None:
        if self.kinds[value] in INSTANCES:
            self.call_first(value, "__reversed__", call.site, call.result)
        else:
            self._gives(call, value)

    def model_print(self, call: Call) -> None:
        for slot in call.positional:
            if slot >= 0:
                self.watch(slot, self._printed, call.site)
        if (file := call.keywords.get("file", -1)) >= 0:
            self.watch(file, self.call_method, "write", call.site, -1, [])

    def _printed(self, value: int, site: int) -> None:
        if self.kinds[value] in INSTANCES:
            self.call_first(value, "__str__", site, -1)

    def model_largest(self, call: Call) -> None:
        if len(call.positional) > 1:
            step = self.each(call, call.positional[1])
            self.compare(call, step)
            self._list_of(call, step)

    def model_merged(self, call: Call) -> None:
        steps = [self.each(call, slot) for slot in call.positional]
        steps += [self._each_of_each(call, slot) for slot, _ in call.starred]
        together = self.slot()
        for step in steps:
            self.flow(step, together)
        self.compare(call, together)
        self._list_of(call, together)

    def model_ordered_in_place(self, call: Call) -> None:
        """`heapq.heapify(x)`, `heapq.heappop(x)`, `bisect.bisect(x, …)`, `heapq.heappush(x, new)` and their like."""
        for slot in call.positional[:1]:
            step = self.each(call, slot)
            self.compare(call, step)
            self._hands_on(call, step)

    def model_put_in_order(self, call: Call) -> None:
        self.model_ordered_in_place(call)
        if len(call.positional) > 1 and min(call.positional[:2]) >= 0:
            self.watch(call.positional[0], self._put_in, call.positional[1])

    def _put_in(self, value: int, source: int) -> None:
        if self.kinds[value] == Kind.CONTAINER:
            self.flow(source, self.unknown_of(value))

    # --- containers of other names

    def _named(self, type_name: str, path: str, call: Call) -> int:
        slot = call.result if call.result >= 0 else self.slot()
        made = self.container(type_name, slot)
        self.type_names[made] = path
        self.put(slot, made)
        return made

    def model_deque(self, call: Call) -> None:
        made = self._named("list", "collections.deque", call)
        for slot in call.positional[:1]:
            if slot >= 0:
                self.watch(slot, self.merge, made, call.site)

    def model_queue(self, call: Call, path: str) -> None:
        """What is put into a queue, or set as a context variable, comes out of it."""
        made = self._named("list", path, call)
        if (default := call.keywords.get("default", -1)) >= 0:
            self.flow(default, self.unknown_of(made))

    def model_ordered(self, call: Call) -> None:
        self._fill(self._named("dict", "collections.OrderedDict", call), call, call.positional)

    def model_counter(self, call: Call) -> None:
        self._fill(self._named("dict", "collections.Counter", call), call, [])
        self.model_iterates(call)

    def model_chain_map(self, call: Call) -> None:
        self._fill(self._named("dict", "collections.ChainMap", call), call, call.positional)

    def model_defaultdict(self, call: Call) -> None:
        made = self._named("dict", "collections.defaultdict", call)
        self._fill(made, call, call.positional[1:])
        self.make_missing(made, call.positional[:1])

    def make_missing(self, container: int, factories: Sequence[int]) -> None:
        """What is missing in a container is made by what slots hold."""
        for slot in factories:
            if slot >= 0:
                self.factories.setdefault(container, []).append(slot)
                self.watch(slot, self._make_missing, container, -1)

    def _make_missing(self, value: int, container: int, site: int) -> None:
        """The factory makes what is missing; one from outside is not told of, as nobody calls it by name."""
        at = -1 if self.kinds[value] in (Kind.EXTERNAL, Kind.ALIAS) else site
        self.call(value, Call(at, self.unknown_of(container), "callback"))

    def item(self, value: int, target: int, key: str | None, other: int) -> None:
        super().item(value, target, key, other)
        for factory in self.factories.get(value, ()):
            self.watch(factory, self._make_missing, value, target)

    def _fill(self, made: int, call: Call, slots: Sequence[int]) -> None:
        for slot in slots:
            if slot >= 0:
                self.watch(slot, self.merge, made, call.site)
        for key, slot in call.keywords.items() if self.parts[made][0] == "dict" else ():
            self.flow(slot, self.element(made, f"'{key}"))

    def type_name(self, value: int) -> str:
        return self.type_names.get(value) or super().type_name(value)

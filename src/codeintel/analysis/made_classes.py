"""Classes that a call makes: `type(name, bases, members)`.

One whose bases are known by names alone is a class of its own without a definition: it inherits, its members are what
the dict holds by literal keys, and nothing is told of it by name. Any other one is taken for its bases.
"""

from __future__ import annotations

from codeintel.analysis.calls import Call
from codeintel.analysis.dynamic_names import DynamicNames
from codeintel.analysis.mro import linearised
from codeintel.analysis.values import Kind


class MadeClasses(DynamicNames):
    """`made_at` are the numbers of such classes by call site; they are slots, but none of the program's."""

    made_at: dict[int, int]

    def find_generated(self) -> None:
        super().find_generated()
        for site, source in self.callee_of.items():
            call = self.sites[site]
            if len(call.positional) == 3 and "builtins.type" in self._paths(source):
                self._find_made(call)

    def _find_made(self, call: Call) -> None:
        bases = [
            [self.parts[v][0] for v in self.held(slot) if self.kinds[v] in (Kind.CLASS, Kind.EXTERNAL)]
            for slot in self._listed(call.positional[1])
        ]
        displays = [v for v in self.held(call.positional[1]) if self.kinds[v] == Kind.CONTAINER]
        if len(displays) != 1 or len(bases) != self.lengths.get(displays[0], 0) or any(len(b) != 1 for b in bases):
            return
        inner = [base for (base,) in bases if isinstance(base, int)]
        above = {each: [b for b in self.bases.get(each, ()) if isinstance(b, int)]
                 for base in inner for each in self.order(base)}  # fmt: skip
        cls = self.made_at[call.site] = self.slot()
        order = self.orders[cls] = linearised(above | {cls: inner})[cls]
        outside = [base for (base,) in bases if isinstance(base, str) and base != "builtins.object"]
        self.bases_outside[order] = [*dict.fromkeys([*outside, *self.outside(order[1:])])]
        for each in order[1:]:
            self.below[each][cls] = None
            self.mixed_with.pop(each, None)
        given = call.positional[2]
        keys = [name for v in self.held(given) for _, name, _ in self.unopened.get(v, ()) if name is not None]
        self.stored.update(key[1:] for key in keys if key.startswith("'"))
        if (made := self.sites.get(given)) is not None:
            self.stored.update(made.keywords)  # `dict(name=…)`

    def defined_as(self, cls: int) -> int:
        """The class itself, or the first of the program's that one without a definition inherits from; -1 if none."""
        return next((each for each in self.order(cls) if each < self.program.count), -1)

    def _construct(self, value: int, call: Call) -> None:
        if self.parts[value][0] < self.program.count or call.origin == "constructor":
            super()._construct(value, call)
        else:
            self.construct_plainly(value, call)

    def make_class(self, call: Call) -> None:
        """Call `type` with three arguments."""
        cls = self.made_at.get(call.site)
        if cls is None:
            if call.positional[1] >= 0 and call.result >= 0:
                self.watch(call.positional[1], self._taken_for_bases, call.result)
            return
        if call.result >= 0:
            self.put(call.result, self.value(Kind.CLASS, cls))
        self.create(cls, Call(call.site, -1, "special", keywords=call.keywords))
        if call.positional[2] >= 0:
            self.watch(call.positional[2], self._add_members, cls)

    def _taken_for_bases(self, value: int, target: int) -> None:
        if self.kinds[value] == Kind.CONTAINER:
            self.watch(self.all_in(value), self._taken_for, target)

    def _taken_for(self, value: int, target: int) -> None:
        if self.kinds[value] == Kind.CLASS:
            self.put(target, value)

    def _add_members(self, value: int, cls: int) -> None:
        if self.kinds[value] == Kind.CONTAINER and self.parts[value][0] == "dict":
            self.each_element(value, self._add_member, cls)

    def _add_member(self, key: str, slot: int, cls: int) -> None:
        if key[1:] in self.stored and key.startswith("'"):
            self.flow(slot, self.stored_on(cls, key[1:]))

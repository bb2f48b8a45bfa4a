"""What a value of which nothing is known may be, by the attributes that are read from it.

A library is called from outside, with values that no analysis of the library alone can see. What it does with them
tells what they are: if only instances of one class, or of classes below it, have every attribute that is read from a
parameter, then the parameter is such an instance. Names that values of builtin types have too say nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from codeintel.analysis.library_bases import LibraryBases
from codeintel.analysis.values import INSTANCES, Kind

CANDIDATES = 4  # classes, none of them below another, that may have what is read from a value
MOST_BELOW = 100  # classes below one of them
ROUNDS_OF_GUESSES = 2
_SAYS_NOTHING = (list, dict, set, str, bytes, tuple, int, object, type, BaseException)
_COMMON = frozenset(name for each in _SAYS_NOTHING for name in dir(each)) | {"read", "write", "close", "__name__"}


class Guesses(LibraryBases):
    """Classes by the names of their attributes, and values that are guessed from them."""

    def start_guesses(self) -> None:
        self.read_from: dict[int, set[str]] = defaultdict(set)
        rows = self.program["load"]
        for source, name in zip(rows.source, rows.name, strict=True):
            if source in self.binding_of and self._is_unknown(source):
                self.read_from[source].add(name or "")
        self.having: dict[str, frozenset[int]] = {}
        self.tops: dict[frozenset[str], tuple[int, ...]] = {}
        self.homes_of = defaultdict(set, {name: {*classes} for name, classes in self.homes.items()})
        stored = self.program["store"]
        for target, name, definition in zip(stored.target, stored.name, stored.other, strict=True):
            cls = self.class_around(definition)
            if cls >= 0 and any(self.kinds[v] in INSTANCES for v in self.held(target)):
                self.homes_of[name or ""].add(cls)

    def guess(self) -> None:
        """Put into parameters what they may hold."""
        for slot, names in sorted(self.read_from.items()):
            telling = frozenset(names) - _COMMON
            if telling and self._is_unknown(slot):
                for cls in self._classes_with(telling):
                    self.put(slot, self.value(Kind.OPEN, cls))

    def _is_unknown(self, slot: int) -> bool:
        have = self.sets[slot]
        return have is None or (len(have) == 1 and self.kinds[min(have)] == Kind.OUTSIDE)

    def _classes_with(self, names: frozenset[str]) -> tuple[int, ...]:
        """The classes that have all these attributes, without those that are below another one of them."""
        tops = self.tops.get(names)
        if tops is None:
            having = frozenset.intersection(*(self._classes_having(name) for name in sorted(names)))
            tops = tuple(sorted(self._highest(having)))
            if len(tops) > CANDIDATES or any(len(self.below[cls]) > MOST_BELOW for cls in tops):
                tops = ()
            self.tops[names] = tops
        return tops

    def _classes_having(self, name: str) -> frozenset[int]:
        having = self.having.get(name)
        if having is None:
            own = self.homes_of.get(name, set())
            having = self.having[name] = frozenset(own).union(*(self.below[cls] for cls in own))
        return having

    def _highest(self, classes: frozenset[int]) -> Iterable[int]:
        return (cls for cls in classes if classes.isdisjoint(self.order(cls)[1:]))

    def made_outside(self) -> None:
        """A class that nothing inherits from and nobody makes an instance of is there for others to make some.

        Whatever its instances inherit may then be called on them.
        """
        made = {self.parts[value][0] for value, kind in enumerate(self.kinds) if kind == Kind.INSTANCE}
        inherited: dict[tuple[int, ...], list[tuple[str, int]]] = {}
        for cls in sorted(cls for cls in self.orders.keys() - made if not self.below[cls]):
            value, above = self.value(Kind.INSTANCE, cls), self.order(cls)[1:]
            if (slots := inherited.get(above)) is None:
                slots = inherited[above] = self._receivers(above)
            own = {*self.own_names[cls]}
            for name, slot in slots:
                if name not in own:
                    self.receive(slot, value)

    def _receivers(self, order: Sequence[int]) -> list[tuple[str, int]]:
        """The first parameters of the methods that these classes have, by name."""
        homes = {name: home for home in reversed(order) for name in self.own_names[home]}
        return [
            (name, own.positional[0])
            for name, home in homes.items()
            for member in self.held(self.members[home, name])
            if self.kinds[member] == Kind.FUNCTION and (own := self.functions[self.parts[member][0]]).positional
        ]

    def begin_texts(self) -> None:
        """Texts of which only the beginning is known."""
        rows = self.program["formatted"]
        for target, name in zip(rows.target, rows.name, strict=True):
            self._begin(target, (name or "").partition("{")[0])
        rows = self.program["special"]
        for target, source, name in zip(rows.target, rows.source, rows.name, strict=True):
            if name == "__add__":
                for value in self.held(source):
                    if (key := self.key(value)) is not None and key.startswith("'"):
                        self._begin(target, key[1:])

    def _begin(self, target: int, text: str) -> None:
        if text and self._varies(target):
            self.put(target, self.value(Kind.BUILTIN, "str", text))

    def _varies(self, slot: int) -> bool:
        """Whether a text is more than the one that is known: several arrive, or none that is known."""
        return sum(self.text_of(value) is not None for value in self.held(slot)) != 1

    def read_unknown_names(self) -> None:
        """What `getattr` gives with a name that nobody knows, or that varies."""
        for call in self.unnamed:
            name = call.positional[1]
            begun = any(self.kinds[v] == Kind.BUILTIN and len(self.parts[v]) > 1 for v in self.held(name))
            if not begun and self._varies(name):
                self.watch(call.positional[0], self.read_computed, call.result)

"""What is called when something is looked for in a container: `__hash__` and `__eq__` of the key.

Sets and dicts hash a key and compare it with one of the same hash, lists and tuples compare one element after the
other. What a tuple holds is hashed and compared with it. A key is looked for in many places and means the same in all
of them, so a value is asked once, and who is called where is told at the end.
"""

from __future__ import annotations

from codeintel.analysis.special_methods import SpecialMethods
from codeintel.analysis.values import Kind

_HASHED = ("dict", "set", "frozenset")
_LISTED = ("list", "tuple")
_METHODS = ("__hash__", "__eq__")
_DEEPEST = 3  # tuples in tuples


class KeyedLookups(SpecialMethods):
    """Calls of the methods of keys: `lookups` has, by site and slot of the key, whether the key is hashed."""

    known: list[frozenset[int] | None]  # what slots held before anything was guessed
    compares_keys = False

    def start_lookups(self) -> None:
        """Whatever is looked for with `in`."""
        self.lookups: dict[tuple[int, int], bool] = {}
        self.keys: dict[int, frozenset[int]] = {}  # by slot of keys: what was asked of it
        self.hashed_at: dict[int, list[tuple[int, int]]] = {}  # by slot of keys: sites, and how deep in tuples it is
        self.as_keys: set[int] = set()
        self.compares_keys = any(map(self.is_answered, _METHODS))
        if not self.compares_keys:
            return
        rows = self.program["asks"]
        for site, source, other, name in zip(rows.target, rows.source, rows.other, rows.name, strict=True):
            if name == "__contains__" and source >= 0:
                self.watch(source, self.look_for, site, other)

    def look_for(self, value: int, site: int, key: int) -> None:
        """What the slot `key` holds is looked for in a value at `site`, or put there."""
        if key < 0 or not self.compares_keys or self.kinds[value] not in (Kind.CONTAINER, Kind.BUILTIN):
            return
        if self.parts[value][0] in _HASHED:
            self._hash(site, key, 0)
        elif self.parts[value][0] in _LISTED:
            self.lookups.setdefault((site, key), False)
            self.keys.setdefault(key, frozenset())

    def _hash(self, site: int, key: int, depth: int) -> None:
        if not self.lookups.get((site, key)):
            self.lookups[site, key] = True
            self.keys[key] = frozenset()  # what it holds by now has to be looked at for this site, too
            self.hashed_at.setdefault(key, []).append((site, depth))

    def hash_elements(self, value: int, site: int, depth: int = 0) -> None:
        """What a tuple holds is hashed with it."""
        if self.compares_keys and self.kinds[value] == Kind.CONTAINER and self.parts[value][0] == "tuple":
            for slot in self.held_in(value):
                if slot >= 0 and depth < _DEEPEST:
                    self._hash(site, slot, depth + 1)

    def item(self, value: int, target: int, key: str | None, other: int) -> None:
        super().item(value, target, key, other)
        if other >= 0:
            self.look_for(value, target, other)

    def set_item(self, value: int, source: int, key: str | None, other: int) -> None:
        super().set_item(value, source, key, other)
        if other >= 0:
            self.look_for(value, source, other)

    def ask(self) -> bool:
        """Ask what is a key by now, too."""
        found, sets, kinds, known = super().ask(), self.sets, self.kinds, len(self.lookups)
        for slot, before in list(self.keys.items()):
            now = sets[slot]
            if now is before or now is None:
                continue
            self.keys[slot] = now
            for value in sorted(now - before):
                if kinds[value] == Kind.CONTAINER:
                    for site, depth in list(self.hashed_at.get(slot, ())):
                        self.hash_elements(value, site, depth)
                elif value not in self.as_keys:
                    self.as_keys.add(value)
                    found |= self._ask_key(value)
        return found or len(self.lookups) > known

    def _ask_key(self, value: int) -> bool:
        """Let the methods of a key run, for what flows there: it is compared with its like."""
        own = [name for name in _METHODS if self.has(value, name)]
        for name in own:
            self.call_method(value, name, -1, -1, [self.holding(value)] if name == "__eq__" else [])
        return bool(own)

    def note_lookups(self) -> None:
        """Where keys are looked for their methods are called."""
        called: dict[tuple[frozenset[int], bool], dict[int, None]] = {}
        for (site, key), hashed in self.lookups.items():
            values = self.held(key)
            functions = called.get((values, hashed))
            if functions is None:
                functions = called[values, hashed] = self._methods_of(values, hashed=hashed)
            if functions:
                known = key < len(self.known) and self.known[key]
                origin = "special" if known else "guessed special"
                self.callees[site] = dict.fromkeys(functions, origin) | self.callees.get(site, {})

    def _methods_of(self, values: frozenset[int], *, hashed: bool) -> dict[int, None]:
        found: dict[int, None] = {}
        for value in sorted(values):
            for name in _METHODS if hashed else _METHODS[1:]:
                if self.has(value, name):
                    for method in sorted(self.held(self.attribute(value, name))):
                        function = self.parts[method][0] if self.kinds[method] == Kind.BOUND else method
                        if self.kinds[function] == Kind.FUNCTION:
                            found[function] = None
        return found

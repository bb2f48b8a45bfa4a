"""What a test says about the value it tests: which values come through, and what may be assumed of unknown ones."""

from __future__ import annotations

from codeintel.analysis.annotations import Annotations
from codeintel.analysis.values import INSTANCES, Kind

_FUNCTIONS = (Kind.FUNCTION, Kind.BOUND, Kind.PARTIAL, Kind.METHOD)
# Of these builtins no function is an instance.
_DATA = frozenset(
    f"builtins.{name}" for name in ("str", "bytes", "int", "float", "list", "tuple", "dict", "set", "bool", "type")
)
DEEPEST = 3  # of displays inside displays of classes
Tested = tuple[int | str, ...]  # classes by slot, or their import paths


class Narrowing(Annotations):
    """Rows `narrow` and `matched`."""

    def start_narrowing(self) -> None:
        rows = self.program["narrow"]
        self.narrowed: list[tuple[int, int, Tested]] = []
        for target, source, other, name in zip(rows.target, rows.source, rows.other, rows.name, strict=True):
            if source < 0:
                continue
            how = name or ""
            tested = self._tested(other)
            if other >= 0 and tested is None:
                self.flow(source, target)
                continue
            self.watch(source, self._narrow, target, tested or (), how)
            if how == "isinstance":
                self.narrowed.append((source, target, tested or ()))
        rows = self.program["matched"]
        for target, source, position in zip(rows.target, rows.source, rows.position, strict=True):
            self.watch(source, self._matched, target, position)

    def _tested(self, slot: int, depth: int = 0) -> Tested | None:
        """The classes that a slot holds, alone or in a display; None if not all are known."""
        if slot < 0 or depth > DEEPEST:
            return None
        found: list[int | str] = []
        held = self.held(slot)
        for value in held:
            kind = self.kinds[value]
            if kind in (Kind.CLASS, Kind.EXTERNAL):
                found.append(self.parts[value][0])
            elif kind == Kind.CONTAINER and self.parts[value][0] == "tuple":
                for source in self._listed(slot):
                    inner = self._tested(source, depth + 1)
                    if inner is None:
                        return None
                    found += inner
            else:
                return None
        return tuple(found) if found else None

    def _narrow(self, value: int, target: int, tested: Tested, how: str) -> None:
        how, wanted = how.removeprefix("not "), not how.startswith("not ")
        if how == "callable":
            answer = self._is_callable(value)
            if answer is None or answer == wanted:
                self.put(target, value)
        elif how == "exactly":
            if self._is_exactly(value, tested) in (wanted, None):
                self.put(target, value)
        elif how == "issubclass":
            self._narrow_class(value, target, tested, wanted=wanted)
        elif wanted:
            for each in tested:
                if (kept := self._as_instance(value, each)) is not None:
                    self.put(target, kept)
        elif not any(self._surely(value, each) for each in tested):
            self.put(target, value)

    def _as_instance(self, value: int, cls: int | str) -> int | None:
        """The value as an instance of a class; None if it cannot be one."""
        kind, parts = self.kinds[value], self.parts[value]
        if kind in INSTANCES:
            if isinstance(cls, str):
                bases = {base for each in self.order(parts[0]) for base in self.bases.get(each, ())}
                may = cls in bases or cls == "builtins.object" or kind == Kind.OPEN or not cls.startswith("builtins.")
                return value if may else None
            if cls in self.order(parts[0]):
                return value
            if kind == Kind.OPEN and cls in self.below[parts[0]]:
                return self.value(Kind.OPEN, cls)
            return value if self._is_structural(cls) else None
        if isinstance(cls, int):
            if kind in (Kind.OUTSIDE, Kind.RESULT):
                return self.value(Kind.OPEN, cls)
            if kind == Kind.CLASS:
                return value if cls in self.metaclasses(parts[0]) else None
            return value if self._is_structural(cls) else None
        if kind in _FUNCTIONS or kind == Kind.CLASS:
            return None if cls in _DATA - ({"builtins.type"} if kind == Kind.CLASS else set()) else value
        if kind in (Kind.CONSTANT, Kind.BUILTIN, Kind.CONTAINER) and cls in _DATA:
            return value if cls == f"builtins.{parts[0]}" or parts[0] == "generator" else None
        return value

    def _surely(self, value: int, cls: int | str) -> bool:
        kind, parts = self.kinds[value], self.parts[value]
        if kind in INSTANCES:
            return cls in self.order(parts[0]) or any(cls in self.bases.get(each, ()) for each in self.order(parts[0]))
        if kind in (Kind.CONSTANT, Kind.BUILTIN, Kind.CONTAINER):
            return cls == f"builtins.{parts[0]}"
        return kind == Kind.CLASS and cls == "builtins.type"

    def _is_structural(self, cls: int) -> bool:
        """Whether others than its subclasses may be instances of a class."""
        return any(
            base in ("typing.Protocol", "typing_extensions.Protocol", "abc.ABC")
            for each in self.order(cls) for base in self.bases.get(each, ())
        ) or any(self.metas.get(each) for each in self.order(cls))  # fmt: skip

    def _narrow_class(self, value: int, target: int, tested: Tested, *, wanted: bool) -> None:
        if self.kinds[value] == Kind.CLASS:
            order = self.order(self.parts[value][0])
            is_one = any(cls in order for cls in tested)
            if is_one != wanted and not any(isinstance(cls, str) or self._is_structural(cls) for cls in tested):
                return
        self.put(target, value)

    def _is_exactly(self, value: int, tested: Tested) -> bool | None:
        kind, parts = self.kinds[value], self.parts[value]
        if kind == Kind.INSTANCE:
            return parts[0] in tested
        if kind == Kind.OPEN:
            return None if parts[0] in tested or any(cls in self.below[parts[0]] for cls in tested) else False
        if kind in (Kind.CONSTANT, Kind.BUILTIN, Kind.CONTAINER):
            return f"builtins.{parts[0]}" in tested
        return None

    def _is_callable(self, value: int) -> bool | None:
        kind = self.kinds[value]
        if kind in _FUNCTIONS or kind in (Kind.CLASS, Kind.CALLABLE):
            return True
        if kind in INSTANCES:
            known = self.has(value, "__call__")
            return True if known else (None if self.outside(self.order(self.parts[value][0])) else False)
        return False if kind in (Kind.CONSTANT, Kind.CONTAINER, Kind.MODULE, Kind.GENERATOR) else None

    def assume_tested(self) -> None:
        """Something of which nothing is known is what a test says it is."""
        for source, target, tested in self.narrowed:
            if not self.held(source):
                for cls in tested:
                    if isinstance(cls, int):
                        self.put(target, self.value(Kind.OPEN, cls))
                    else:
                        self.instance_of(self.external(cls), target)

    # --- patterns

    def _matched(self, value: int, target: int, position: int) -> None:
        """The part of a value that a class pattern matches at a place."""
        kind, parts = self.kinds[value], self.parts[value]
        if kind in (Kind.CONSTANT, Kind.BUILTIN, Kind.CONTAINER):
            if position == 0:
                self.put(target, value)
        elif kind in INSTANCES:
            names = self._match_args(parts[0])
            if position < len(names):
                self.flow(self.attribute(value, names[position]), target)

    def _match_args(self, cls: int) -> list[str]:
        for each in self.order(cls):
            if (member := self.members.get((each, "__match_args__"))) is not None:
                return [text for source in self._listed(member) for text in self.texts(source)[:1]]
            if each in self.fields:
                return [*self.fields[each]]
        return []

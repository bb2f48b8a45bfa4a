"""What attributes, imported names and keywords of calls refer to, once the values are known.

An attribute of an instance is the member of its class, or of the first class it inherits one from; an attribute that is
only ever assigned to instances belongs to the most basic class that has a method which does so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from codeintel.analysis.program import CLASS
from codeintel.analysis.solver import Solver
from codeintel.analysis.values import Kind
from codeintel.hashing import fields, hashed

Row = tuple[int, int, str, int, int, str, str, str, float]
_INSTANCES = (Kind.INSTANCE, Kind.OPEN)
_NAMESPACES = (Kind.CLASS, Kind.MODULE)


def reference_rows(solver: Solver) -> Iterator[Row]:
    """Rows of `resolutions` for everything that refers to a member, an attribute or a parameter: nothing is guessed."""
    homes = _homes(solver)
    yield from _attribute_rows(solver, homes)
    yield from _loads(solver, homes)
    yield from _stores(solver, homes)
    yield from _keywords(solver)


def _homes(solver: Solver) -> dict[tuple[int, str], int]:
    """By class and attribute that a method of it assigns to an instance: the path of the class."""
    rows = solver.program["store"]
    found: dict[tuple[int, str], int] = {}
    for target, name, definition, path in zip(rows.target, rows.name, rows.other, rows.path, strict=True):
        cls = definition
        while cls >= 0 and solver.sort[cls] != CLASS:
            cls = solver.around[cls]
        if cls >= 0 and any(
            solver.kinds[v] in _INSTANCES and cls in solver.order(solver.parts[v][0]) for v in solver.held(target)
        ):
            found[cls, name or ""] = path
    return found


def _attribute_id(solver: Solver, cls: int, name: str) -> int:
    return hashed(fields("attribute", str(solver.program.ids[cls]), name))


def _attribute_rows(solver: Solver, homes: dict[tuple[int, str], int]) -> Iterator[Row]:
    for (cls, name), path in homes.items():
        if _member(solver, cls, name) is None and _home(solver, homes, cls, name) == cls:
            target = _attribute_id(solver, cls, name)
            yield path, cls, "attribute", 0, target, "attribute", f"{solver.name[cls]}.{name}", "assignment", 1.0


def _member(solver: Solver, cls: int, name: str) -> int | None:
    order = solver.order(cls)
    return next((solver.members[each, name] for each in order if (each, name) in solver.members), None)


def _home(solver: Solver, homes: dict[tuple[int, str], int], cls: int, name: str) -> int | None:
    return next((each for each in reversed(solver.order(cls)) if (each, name) in homes), None)


def _meant(solver: Solver, homes: dict[tuple[int, str], int], value: int, name: str) -> set[tuple[int, str]]:
    """Ids of what an attribute of a value is, with their kinds."""
    ids = solver.program.ids
    slot = solver.attributes.get((value, name))
    if slot is not None and (found := solver.bindings(slot)):
        return {(int(ids[binding]), "binding") for binding in found}
    if solver.kinds[value] in _INSTANCES:
        cls = solver.parts[value][0]
        if (member := _member(solver, cls, name)) is not None:
            return {(int(ids[member]), "binding")}
        if (home := _home(solver, homes, cls, name)) is not None:
            return {(_attribute_id(solver, home, name), "attribute")}
        return set()
    member = solver.members.get((solver.parts[value][0], name)) if solver.kinds[value] in _NAMESPACES else None
    return set() if member is None else {(int(ids[member]), "binding")}


def _rows_of(path: int, slot: int, relation: str, name: str, meant: set[tuple[int, str]], origin: str) -> Iterator[Row]:
    for target, kind in meant:
        yield path, slot, relation, 0, target, kind, name, origin, 0.95 if len(meant) == 1 else 0.6


def _loads(solver: Solver, homes: dict[tuple[int, str], int]) -> Iterator[Row]:
    rows = solver.program["load"]
    known: dict[tuple[int, str], set[tuple[int, str]]] = {}
    for target, source, name, path in zip(rows.target, rows.source, rows.name, rows.path, strict=True):
        meant: set[tuple[int, str]] = set()
        for value in solver.known[source] or ():
            key = (value, name or "")
            if key not in known:
                known[key] = _meant(solver, homes, *key)
            meant |= known[key]
        yield from _rows_of(path, target, "ref", name or "", meant, "member")


def _stores(solver: Solver, homes: dict[tuple[int, str], int]) -> Iterator[Row]:
    rows = solver.program["store"]
    for target, source, name, path in zip(rows.target, rows.source, rows.name, rows.path, strict=True):
        meant = {each for value in solver.known[target] or () for each in _meant(solver, homes, value, name or "")}
        yield from _rows_of(path, source, "binds", name or "", meant, "assignment")


def _keywords(solver: Solver) -> Iterator[Row]:
    """Names of arguments lead to the parameters of what is called."""
    ids, rows = solver.program.ids, solver.program["keyword"]
    functions: dict[int, set[int]] = defaultdict(set)
    for site, callees in solver.callees.items():
        functions[site] = {solver.parts[v][0] for v in callees if solver.kinds[v] == Kind.FUNCTION}
    for site, mention, name, path in zip(rows.target, rows.other, rows.name, rows.path, strict=True):
        meant: set[tuple[int, str]] = set()
        for function in functions.get(site, ()):
            slot = solver.functions[function].by_name.get(name or "", -1)
            if (binding := solver.binding_of.get(slot, -1)) >= 0:
                meant.add((int(ids[binding]), "binding"))
        yield from _rows_of(path, mention, "ref", name or "", meant, "keyword")

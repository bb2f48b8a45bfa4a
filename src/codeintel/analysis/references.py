"""What attributes, imported names and keywords of calls refer to, once the values are known.

An attribute of an instance is the member of its class, or of the first class it inherits one from; an attribute that is
only ever assigned to instances belongs to the most basic class that has a method which does so.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import cache

from codeintel.analysis.program import CLASS
from codeintel.analysis.resolution_rows import ResolutionRows
from codeintel.analysis.solver import Solver
from codeintel.analysis.values import Kind
from codeintel.hashing import fields, hashed

_INSTANCES = (Kind.INSTANCE, Kind.OPEN)
_NAMESPACES = (Kind.CLASS, Kind.MODULE)


def add_references(solver: Solver, rows: ResolutionRows) -> None:
    """What everything that names a member, an attribute or a parameter refers to: nothing is guessed."""
    homes = _homes(solver)
    _add_attributes(solver, homes, rows)
    _add_members(solver, homes, rows)
    _add_keywords(solver, rows)


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


def _add_attributes(solver: Solver, homes: dict[tuple[int, str], int], rows: ResolutionRows) -> None:
    label = rows.label("attribute", "assignment", 1.0)
    own = [at for at in homes if _member(solver, *at) is None and _home(solver, homes, *at) == at[0]]
    groups = [
        rows.group([(rows.target(_attribute_id(solver, cls, name), "attribute", f"{solver.name[cls]}.{name}"), label)])
        for cls, name in own
    ]
    rows.add([cls for cls, _ in own], [homes[at] for at in own], groups)


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


def _add_members(solver: Solver, homes: dict[tuple[int, str], int], rows: ResolutionRows) -> None:
    @cache
    def meant(value: int, name: str) -> frozenset[int]:
        return frozenset(rows.target(*each, name) for each in _meant(solver, homes, value, name))

    @cache
    def group(values: frozenset[int] | None, name: str | None, relation: str, origin: str) -> int:
        name = name or ""
        found = frozenset[int]().union(*(meant(value, name) for value in values or ()))
        return _group(rows, found, relation, origin)

    known, loads, stores = solver.known, solver.program["load"], solver.program["store"]
    groups = [group(known[at], name, "ref", "member") for at, name in zip(loads.source, loads.name, strict=True)]
    rows.add(loads.targets, loads.path, groups)
    groups = [group(known[at], name, "binds", "assignment") for at, name in zip(stores.target, stores.name, strict=True)]
    rows.add(stores.source, stores.path, groups)


def _group(rows: ResolutionRows, targets: AbstractSet[int], relation: str, origin: str) -> int:
    label = rows.label(relation, origin, 0.95 if len(targets) == 1 else 0.6)
    return rows.group((target, label) for target in targets)


def _add_keywords(solver: Solver, rows: ResolutionRows) -> None:
    """Names of arguments lead to the parameters of what is called."""
    ids, keywords = solver.program.ids, solver.program["keyword"]

    @cache
    def group(functions: frozenset[int], name: str) -> int:
        slots = {solver.functions[function].by_name.get(name, -1) for function in functions}
        bindings = {solver.binding_of.get(slot, -1) for slot in slots} - {-1}
        targets = {rows.target(int(ids[binding]), "binding", name) for binding in bindings}
        return _group(rows, targets, "ref", "keyword")

    functions: dict[int, frozenset[int]] = {}
    for site in set(keywords.target):
        callees = solver.callees.get(site, ())
        functions[site] = frozenset(solver.parts[v][0] for v in callees if solver.kinds[v] == Kind.FUNCTION)
    groups = [
        group(functions[site], name or "") for site, name in zip(keywords.target, keywords.name, strict=True)
    ]  # fmt: skip
    rows.add(keywords.other, keywords.path, groups)

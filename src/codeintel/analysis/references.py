"""What attributes, imported names and keywords of calls refer to, once the values are known.

An attribute of an instance is the member of its class, or of the first class it inherits one from; an attribute that is
only ever assigned to instances belongs to the most basic class that has a method which does so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache

from codeintel.analysis.program import CLASS
from codeintel.analysis.resolution_rows import ResolutionRows
from codeintel.analysis.solver import Solver
from codeintel.analysis.values import INSTANCES, Kind
from codeintel.hashing import fields, hashed

_NAMESPACES = (Kind.CLASS, Kind.MODULE)
_HAVING = (*INSTANCES, *_NAMESPACES)


def add_references(solver: Solver, rows: ResolutionRows) -> None:
    """What everything that names a member, an attribute or a parameter refers to: nothing is guessed."""
    homes = _homes(solver)
    _add_attributes(solver, homes, rows)
    _add_members(solver, homes, rows)
    _add_keywords(solver, rows)


def _homes(solver: Solver) -> dict[str, dict[int, int]]:
    """By attribute, the classes with a method that assigns it to an instance of them, each with the file it is in."""
    rows = solver.program["store"]
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for target, name, definition, path in zip(rows.target, rows.name, rows.other, rows.path, strict=True):
        cls = definition
        while cls >= 0 and solver.sort[cls] != CLASS:
            cls = solver.around[cls]
        if cls >= 0 and any(
            solver.kinds[v] in INSTANCES and cls in solver.order(solver.parts[v][0]) for v in solver.held(target)
        ):
            found[name or ""][cls] = path
    return found


def _attribute_id(solver: Solver, cls: int, name: str) -> int:
    return hashed(fields("attribute", str(solver.program.ids[cls]), name))


def _add_attributes(solver: Solver, homes: Mapping[str, Mapping[int, int]], rows: ResolutionRows) -> None:
    label = rows.label("attribute", "assignment", 1.0)
    for name, classes in homes.items():
        own = [c for c in classes if solver.class_member(c, name) < 0 and _home(solver, classes, c) == c]
        targets = [(_attribute_id(solver, cls, name), "attribute", f"{solver.name[cls]}.{name}") for cls in own]
        groups = [rows.group([(rows.target(*target), label)]) for target in targets]
        rows.add(own, [classes[cls] for cls in own], groups)


def _home(solver: Solver, classes: Container[int], cls: int) -> int | None:
    """The most basic of the given classes that a class inherits from."""
    return next((each for each in reversed(solver.order(cls)) if each in classes), None)


def _assigned(solver: Solver, classes: Container[int], value: int, name: str) -> Iterable[int]:
    """What an attribute that nothing led to is: a binding, or -1 - the class, of those that assign to it, it is of."""
    kind = solver.kinds[value]
    if kind in INSTANCES:
        cls = solver.parts[value][0]
        if (member := solver.class_member(cls, name)) >= 0:
            return (member,)
        return () if not classes or (home := _home(solver, classes, cls)) is None else (-1 - home,)
    member = solver.members.get((solver.parts[value][0], name))
    return () if member is None else (member,)


def _add_members(solver: Solver, homes: Mapping[str, Mapping[int, int]], rows: ResolutionRows) -> None:
    ids, kinds, origins, handed_on = solver.program.ids, solver.kinds, solver.origins, solver.handed_on
    bindings = {
        name: {value: solver.bindings(slot) for value, slot in own.items() if slot in origins or slot in handed_on}
        for name, own in solver.attributes.items()
    }

    @cache
    def group_of(found: frozenset[int], name: str, relation: str, origin: str) -> int:
        return _group(rows, relation, origin, [
            rows.target(int(ids[each]), "binding", name) if each >= 0
            else rows.target(_attribute_id(solver, -1 - each, name), "attribute", name)
            for each in found
        ])  # fmt: skip

    @cache
    def group(values: frozenset[int], name: str, relation: str, origin: str) -> int:
        classes, known = homes.get(name, ()), bindings.get(name, {})
        found = set[int]()
        for value in values:
            if bound := known.get(value):
                found |= bound
            elif kinds[value] in _HAVING:
                found.update(_assigned(solver, classes, value, name))
        return group_of(frozenset(found), name, relation, origin) if found else -1

    known = solver.known
    for op, relation, origin in (("load", "ref", "member"), ("store", "binds", "assignment")):
        each = solver.program[op]
        slots, held = (each.target, each.source) if op == "load" else (each.source, each.target)
        groups = [
            group(values, name or "", relation, origin) if (values := known[at]) else -1
            for at, name in zip(held, each.name, strict=True)
        ]
        rows.add(slots, each.path, groups)


def _group(rows: ResolutionRows, relation: str, origin: str, targets: Sequence[int]) -> int:
    label = rows.label(relation, origin, 0.95 if len(targets) == 1 else 0.6)
    return rows.group((target, label) for target in targets)


def _add_keywords(solver: Solver, rows: ResolutionRows) -> None:
    """Names of arguments lead to the parameters of what is called."""
    ids, keywords = solver.program.ids, solver.program["keyword"]

    @cache
    def group(functions: frozenset[int], name: str) -> int:
        slots = {solver.functions[function].by_name.get(name, -1) for function in functions}
        bindings = {solver.binding_of.get(slot, -1) for slot in slots} - {-1}
        return _group(rows, "ref", "keyword", [rows.target(int(ids[each]), "binding", name) for each in bindings])

    functions: dict[int, frozenset[int]] = {}
    for site in set(keywords.target):
        callees = solver.callees.get(site, ())
        functions[site] = frozenset(solver.parts[v][0] for v in callees if solver.kinds[v] == Kind.FUNCTION)
    groups = [
        group(functions[site], name or "") for site, name in zip(keywords.target, keywords.name, strict=True)
    ]  # fmt: skip
    rows.add(keywords.other, keywords.path, groups)

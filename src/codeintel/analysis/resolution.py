"""Who calls whom, what attributes mean and what classes inherit from, over the whole program: the step of the build."""

from __future__ import annotations

import gc
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain

import pyarrow as pa

from codeintel.analysis.attributes import Exports
from codeintel.analysis.evaluated_types import add_types
from codeintel.analysis.program import CLASS, LAMBDA, Modules, Program, exported
from codeintel.analysis.references import add_references
from codeintel.analysis.resolution_rows import RESOLUTIONS, ResolutionRows
from codeintel.analysis.solver import Solver, hierarchy
from codeintel.analysis.values import Kind, type_path
from codeintel.hashing import external_id
from codeintel.relspec.pipeline import analysis

_CONFIDENCE = {"call": 0.95, "constructor": 0.95, "decorator": 0.95, "special": 0.9, "property": 0.9, "partial": 0.9,
               "callback": 0.8, "iteration": 0.9, "handed out": 0.3, "computed": 0.9}  # fmt: skip
_LEFT = {"assumed": 0.85, "guessed": 0.5}  # of it, where the receiver, or a parameter's type, is assumed or guessed
_NOT_GUESSED = frozenset(f"{how}{origin}" for how in ("", "assumed ") for origin in _CONFIDENCE)
_REASONS = ("too many values", "it comes from outside", "not callable", "nothing is known of it")
_NONE: Mapping[int, str] = {}


@analysis(RESOLUTIONS, components="program_components")
def resolutions(
    value_flows: pa.RecordBatchReader, exports: pa.Table, program_components: pa.Table
) -> Iterator[pa.Table]:
    """One row per thing that a slot was resolved to, by file, slot, relation and target; no positions.

    `relation`: call (`slot_id` is a call site, `target_id` the definition it calls), ref (an attribute, and the binding
    it is), binds (an attribute that is assigned to, likewise), attribute (a class whose instances have the attribute
    `target_name`), type (a variable or expression, and the class of a value it may have), inherits (a class, and its
    base number `ordinal`), unresolved (a call site not all of whose callees are known; `origin` is the reason).
    `target_kind`: class, function, lambda, binding, attribute, external (`target_id` is what the import path in
    `target_name` hashes to), or nothing.

    One table a bucket that has rows, buckets ascending.
    """
    with _uncollected():
        program = Program(value_flows)
        rows, listed = ResolutionRows(), exported(exports)
        for part in program.parts(_together(program, program_components)):
            rows.number(part.slots)
            solver = solved(part, listed)
            add_calls(solver, rows)
            add_unresolved(solver, rows)
            add_references(solver, rows)
            add_bases(solver, rows)
            add_types(solver, rows)
            vars(solver).clear()  # its handlers refer to it
            del solver, part
        parts = rows.tables(program.ids, program.paths, program.bucket_of_path)
        del program
    yield from parts


def _together(program: Program, components: pa.Table) -> list[list[int]]:
    """Numbers of paths, ascending, by component."""
    number = {path: at for at, path in enumerate(program.paths)}
    groups: dict[str, list[int]] = {}
    for path, component in zip(*(column.to_pylist() for column in components.columns), strict=True):
        groups.setdefault(component, []).append(number[path])
    return list(groups.values())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles, which would look at millions of values again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def solved(program: Program, exports: Exports) -> Solver:
    """The values of a whole program."""
    modules = Modules.of(program)
    bases, metas = hierarchy(program, modules, exports)
    solver = Solver(program, modules, exports, bases, metas)
    solver.run()
    return solver


def callee_name(solver: Solver, value: int) -> str | None:
    """The import path of a callee from outside; None for a definition of the program."""
    kind, parts = solver.kinds[value], solver.parts[value]
    match kind:
        case Kind.EXTERNAL:
            return str(parts[0])
        case Kind.METHOD:
            return f"{type_path(parts[0])}.{parts[1]}"
    return None


def add_calls(solver: Solver, rows: ResolutionRows) -> None:
    """What calls and reads of properties call."""
    paths = solver.program.path_of
    group_of: dict[tuple[tuple[int, str], ...], int] = {}  # most calls call what another one does

    @cache
    def target(value: int) -> int:
        return rows.target(*_target(solver, value))

    def members(callees: Mapping[int, str]) -> Iterator[tuple[int, int]]:
        certainty = _certainty([origin for value, origin in callees.items() if solver.kinds[value] != Kind.CLASS])
        for value, origin in callees.items():
            confidence = certainty.get(origin) or _certainty([origin])[origin]
            yield target(value), rows.label("call", origin, confidence)

    sites, groups = array("i"), array("i")
    for site, callees in chain(solver.callees.items(), _property_reads(solver)):
        if 0 <= site < len(paths):
            key = tuple(callees.items())
            group = group_of.get(key)
            if group is None:
                group = group_of[key] = rows.group(members(callees))
            sites.append(site)
            groups.append(group)
    rows.add(sites, paths[sites], groups)


def add_unresolved(solver: Solver, rows: ResolutionRows) -> None:
    """Why not all callees of a call are known."""
    calls, outside = solver.program["call"], (Kind.OUTSIDE, Kind.RESULT)
    nothing = rows.target(0, "", "")
    wide, other, constant, unknown = (
        rows.group([(nothing, rows.label("unresolved", reason, 0.0))]) for reason in _REASONS
    )
    groups = []
    for site, source in zip(calls.target, calls.source, strict=True):
        if source in solver.wide:
            groups.append(wide)
        elif not _NOT_GUESSED.isdisjoint(solver.callees.get(site, _NONE).values()):
            groups.append(-1)
        else:
            held = solver.known[source] or () if source >= 0 else ()
            is_other = any(solver.kinds[value] in outside for value in held)
            groups.append(other if is_other else constant if held else unknown)
    rows.add(calls.targets, solver.program.path_of[calls.targets], groups)


def _certainty(origins: Sequence[str]) -> dict[str, float]:
    """By origin, the share of such edges that running programs were seen to take: `docs/resolution.md`.

    Of several callees that are equally well known each is taken less often: by the square root of their number, as was
    measured. Those that are known less well take nothing from the others.
    """
    if len(origins) == 1:
        return {origins[0]: _confidence(origins[0], 1)}
    known = sum(origin.partition(" ")[0] not in _LEFT for origin in origins)
    assumed = sum(origin.startswith("assumed") for origin in origins)
    among = {"assumed": known + assumed, "guessed": len(origins)}
    return {origin: _confidence(origin, among.get(origin.partition(" ")[0], known)) for origin in set(origins)}


@cache
def _confidence(origin: str, among: int) -> float:
    how, _, kind = origin.partition(" ")
    base = _CONFIDENCE[kind] * _LEFT[how] if how in _LEFT else _CONFIDENCE[origin]
    return round(base / math.sqrt(among), 2)


_SORTS = {CLASS: "class", LAMBDA: "lambda"}


def _target(solver: Solver, value: int) -> tuple[int, str, str]:
    """Id, kind and name of a callee."""
    if (name := callee_name(solver, value)) is not None:
        return external_id(name), "external", name
    slot = solver.parts[value][0]
    return int(solver.program.ids[slot]), _SORTS.get(solver.sort[slot], "function"), solver.name[slot]


def _property_reads(solver: Solver) -> Iterator[tuple[int, dict[int, str]]]:
    getters = {
        name: found
        for name, own in solver.attributes.items()
        if (found := {value: solver.getters[slot] for value, slot in own.items() if slot in solver.getters})
    }

    def functions(read: Iterable[int], origin: str) -> dict[int, str]:
        found = [(each,) if each >= 0 else solver.held(-1 - each) for each in read]
        return {each: origin for each in chain.from_iterable(found) if solver.kinds[each] == Kind.FUNCTION}

    @cache
    def called(values: frozenset[int], name: str, origin: str) -> dict[int, str]:
        return functions([getter for value in sorted(values) for getter in getters[name].get(value, ())], origin)

    for (site, read), assumed in solver.named_reads.items():
        if (calls := solver.getters.get(read)) and (called_there := functions(calls, f"{assumed}property")):
            yield site, called_there
    rows = solver.program["load"]
    for target, source, name in zip(rows.target, rows.source, rows.name, strict=True):
        if name in getters:
            known = source < len(solver.known) and solver.known[source]
            if found := called(solver.held(source), name or "", "property" if known else "guessed property"):
                yield target, found


def add_bases(solver: Solver, rows: ResolutionRows) -> None:
    """What classes inherit from."""
    ids = solver.program.ids
    groups = [
        rows.group(
            (
                rows.target(external_id(base), "external", base)
                if isinstance(base, str)
                else rows.target(int(ids[base]), "class", solver.name[base]),
                rows.label("inherits", "base", 1.0, ordinal),
            )
            for ordinal, base in enumerate(bases)
        )
        for bases in solver.bases.values()
    ]
    classes = list(solver.bases)
    rows.add(classes, solver.program.path_of[classes], groups)

"""Who calls whom, what attributes mean and what classes inherit from, over the whole program: the step of the build."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import pyarrow as pa

from codeintel.analysis.evaluated_types import type_rows
from codeintel.analysis.program import CLASS, LAMBDA, Modules, Program, exported
from codeintel.analysis.references import Row, reference_rows
from codeintel.analysis.solver import Solver, hierarchy
from codeintel.analysis.values import Kind, type_path
from codeintel.hashing import external_id
from codeintel.relspec.pipeline import analysis

_COLUMNS = {
    "path": pa.string(), "slot_id": pa.int64(), "relation": pa.string(), "ordinal": pa.int32(),
    "target_id": pa.int64(), "target_kind": pa.string(), "target_name": pa.string(), "origin": pa.string(),
    "confidence": pa.float32(), "bucket": pa.int32(),
}  # fmt: skip
RESOLUTIONS = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _COLUMNS.items()])
NUMBERED = pa.schema([  # paths and slots by their numbers in the program
    pa.field(f.name, pa.int32() if f.name == "path" else f.type, nullable=False) for f in RESOLUTIONS
][:-1])  # fmt: skip

_CONFIDENCE = {"call": 0.95, "constructor": 0.95, "decorator": 0.95, "special": 0.9, "property": 0.9, "partial": 0.9,
               "callback": 0.8, "iteration": 0.9, "handed out": 0.3, "computed": 0.9}  # fmt: skip
_LEFT = {"assumed": 0.85, "guessed": 0.5}  # of it, where the receiver, or a parameter's type, is assumed or guessed


@analysis(RESOLUTIONS)
def resolutions(value_flows: pa.RecordBatchReader, exports: pa.Table) -> pa.Table:
    """One row per thing that a slot was resolved to, by file, slot, relation and target; no positions.

    `relation`: call (`slot_id` is a call site, `target_id` the definition it calls), ref (an attribute, and the binding
    it is), binds (an attribute that is assigned to, likewise), attribute (a class whose instances have the attribute
    `target_name`), type (a variable or expression, and the class of a value it may have), inherits (a class, and its
    base number `ordinal`), unresolved (a call site not all of whose callees are known; `origin` is the reason).
    `target_kind`: class, function, lambda, binding, attribute, external (`target_id` is what the import path in
    `target_name` hashes to), or nothing.
    """
    with _uncollected():
        program = Program(value_flows)
        solver = solved(program, exports)
        rows = sorted({*_call_rows(solver), *reference_rows(solver), *_class_rows(solver)})
        columns = zip(*rows, strict=True) if rows else [()] * len(NUMBERED)
        found = pa.concat_tables([
            pa.table([pa.array(c, f.type) for c, f in zip(columns, NUMBERED, strict=True)], schema=NUMBERED),
            type_rows(solver).select(NUMBERED.names).cast(NUMBERED),
        ])  # fmt: skip
        vars(solver).clear()  # its handlers refer to it
        del rows, columns
        return pa.table([
            pa.array(program.paths, pa.string()).take(found["path"]), program.ids[found["slot_id"].to_numpy()],
            *found.columns[2:], pa.array(program.bucket_of_path, pa.int32()).take(found["path"]),
        ], schema=RESOLUTIONS)  # fmt: skip


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


def solved(program: Program, exports: pa.Table) -> Solver:
    """The values of a whole program."""
    modules, listed = Modules(program), exported(exports)
    bases, metas = hierarchy(program, modules, listed)
    solver = Solver(program, modules, listed, bases, metas)
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


def _call_rows(solver: Solver) -> Iterator[Row]:
    paths = solver.program.path_of.tolist()
    targets: dict[int, tuple[int, str, str]] = {}
    for site, callees in [*solver.callees.items(), *_property_reads(solver)]:
        if not 0 <= site < len(paths) or paths[site] < 0:
            continue
        certainty = _certainty([origin for value, origin in callees.items() if solver.kinds[value] != Kind.CLASS])
        for value, origin in callees.items():
            confidence = certainty.get(origin) or _certainty([origin])[origin]
            target = targets.get(value) or targets.setdefault(value, _target(solver, value))
            yield paths[site], site, "call", 0, *target, origin, confidence
    for site, source in zip(solver.program["call"].target, solver.program["call"].source, strict=True):
        if source in solver.wide:
            yield paths[site], site, "unresolved", 0, 0, "", "", "too many values", 0.0
        elif all(origin.startswith("guessed") for origin in solver.callees.get(site, {}).values()):
            held = solver.known[source] or () if source >= 0 else ()
            reason = "not callable" if held else "nothing is known of it"
            if any(solver.kinds[value] in (Kind.OUTSIDE, Kind.RESULT) for value in held):
                reason = "it comes from outside"
            yield paths[site], site, "unresolved", 0, 0, "", "", reason, 0.0


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
    if not solver.getters:
        return
    names = {name for (_, name), slot in solver.attributes.items() if slot in solver.getters}
    rows = solver.program["load"]
    for target, source, name in zip(rows.target, rows.source, rows.name, strict=True):
        if name in names:
            found: dict[int, str] = {}
            known = source < len(solver.known) and solver.known[source]
            for value in sorted(solver.held(source)):
                slot = solver.attributes.get((value, name or ""), -1)
                for getter in solver.getters.get(slot, ()):
                    for each in (getter,) if getter >= 0 else solver.held(-1 - getter):
                        if solver.kinds[each] == Kind.FUNCTION:
                            found[each] = "property" if known else "guessed property"
            if found:
                yield target, found


def _class_rows(solver: Solver) -> Iterator[Row]:
    ids, paths = solver.program.ids, solver.program.path_of.tolist()
    for cls, bases in solver.bases.items():
        for ordinal, base in enumerate(bases):
            if isinstance(base, str):
                yield paths[cls], cls, "inherits", ordinal, external_id(base), "external", base, "base", 1.0
            else:
                name = solver.name[base]
                yield paths[cls], cls, "inherits", ordinal, int(ids[base]), "class", name, "base", 1.0

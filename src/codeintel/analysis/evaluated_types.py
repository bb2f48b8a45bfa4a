"""Of which types the values of slots are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from codeintel.analysis.program import PARAMETERS
from codeintel.analysis.solver import Solver
from codeintel.analysis.values import Kind, type_path
from codeintel.hashing import external_id

_GIVES = (*PARAMETERS, "copy", "call", "load", "item", "slice", "unpack", "iterate", "enter", "caught", "special")
_SURE, _UNSURE = 0.9, 0.6  # one type, several
_BUILTIN = (Kind.CONTAINER, Kind.CONSTANT, Kind.BUILTIN)


def type_rows(solver: Solver) -> pa.Table:
    """Rows of `resolutions` with the numbers of slots and paths, one per slot and type.

    For variables, parameters and expressions whose values are instances; what a literal or a display is, its node says.
    A slot that was widened has no rows: nobody knows of what other types it is.
    """
    program = solver.program
    is_asked = np.zeros(program.count, bool)
    for op in _GIVES:
        is_asked[program[op].targets] = True
    paths = program.path_of
    is_asked &= paths >= 0
    is_asked[[slot for slot in solver.wide if slot < program.count]] = False
    slots = [slot for slot in np.flatnonzero(is_asked).tolist() if solver.sets[slot]]
    # Most slots hold what another one does, and share its set.
    numbers: dict[int, int] = {}
    held = np.array([numbers.setdefault(id(solver.sets[slot]), len(numbers)) for slot in slots], np.int64)
    firsts = np.unique(held, return_index=True)[1] if slots else held
    known: dict[tuple[int, str, str], int] = {}
    of_value: dict[int, int] = {}
    members: list[int] = []
    counts = []
    for first in firsts.tolist():
        found = set()
        for value in solver.held(slots[first]):
            if value not in of_value:
                made = _type(solver, value)
                of_value[value] = -1 if made is None else known.setdefault(made, len(known))
            found.add(of_value[value])
        found.discard(-1)
        members += sorted(found)
        counts.append(len(found))
    count = np.array(counts, np.int64)
    begin = np.cumsum(count) - count
    of_slot = count[held] if slots else held
    row = np.repeat(np.arange(len(slots)), of_slot)
    place = np.arange(of_slot.sum()) - np.repeat(np.cumsum(of_slot) - of_slot, of_slot)
    at = pa.array(np.array(members, np.int64)[begin[held[row]] + place] if len(row) else [], pa.int64())
    columns = list(zip(*known, strict=True)) or [(), (), ()]
    slot = np.array(slots, np.int64)[row]
    return pa.table({
        "path": paths[slot], "slot_id": slot, "ordinal": np.zeros(len(row), np.int32),
        "relation": pa.repeat("type", len(row)), "origin": pa.repeat("value", len(row)),
        "target_id": pa.array(columns[0], pa.int64()).take(at),
        "target_kind": pa.array(columns[1], pa.string()).take(at),
        "target_name": pa.array(columns[2], pa.string()).take(at),
        "confidence": np.where(of_slot[row] == 1, _SURE, _UNSURE).astype(np.float32),
    })  # fmt: skip


def _type(solver: Solver, value: int) -> tuple[int, str, str] | None:
    """Id, kind and name of the class that a value is an instance of; None for what is a class or a function itself."""
    kind, parts = solver.kinds[value], solver.parts[value]
    if kind in (Kind.INSTANCE, Kind.OPEN):
        return int(solver.program.ids[parts[0]]), "class", solver.name[parts[0]]
    if kind in _BUILTIN:
        name = type_path(parts[0])
    elif kind == Kind.GENERATOR:
        name = "types.GeneratorType"
    elif kind == Kind.RESULT:
        name = str(parts[0])
    else:
        return None
    return external_id(name), "external", name

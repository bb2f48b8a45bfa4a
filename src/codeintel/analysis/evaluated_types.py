"""Of which types the values of slots are."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from codeintel.analysis.program import PARAMETERS
from codeintel.analysis.resolution_rows import HALF, ResolutionRows
from codeintel.analysis.solver import Solver
from codeintel.analysis.values import INSTANCES, Kind, type_path
from codeintel.arrays import distinct
from codeintel.hashing import external_id

_GIVES = (*PARAMETERS, "copy", "call", "load", "item", "slice", "unpack", "iterate", "enter", "caught", "special")
_SURE, _UNSURE = 0.9, 0.6  # one type, several
_TYPED = (*INSTANCES, Kind.CONTAINER, Kind.CONSTANT, Kind.BUILTIN, Kind.GENERATOR, Kind.RESULT)


def add_types(solver: Solver, rows: ResolutionRows) -> None:
    """One row per slot and type, for variables, parameters and expressions whose values are instances.

    What a literal or a display is, its node says. A slot that was widened has no rows: nobody knows of what other types
    it is.
    """
    program = solver.program
    is_asked = np.zeros(program.count, bool)
    for op in _GIVES:
        is_asked[program[op].targets] = True
    is_asked &= program.path_of >= 0
    is_asked[[slot for slot in solver.wide if slot < program.count]] = False
    slots = np.flatnonzero(is_asked)
    held = list(map(solver.held, slots.data))
    # Most slots hold what another one does, and share its set.
    numbers = np.fromiter(map(id, held), np.int64, len(held))
    _, firsts, numbers = np.unique(numbers, return_index=True, return_inverse=True)
    sets = [held[first] for first in firsts.tolist()]
    sizes = np.fromiter(map(len, sets), np.int64, len(sets))
    values = np.fromiter(chain.from_iterable(sets), np.int64, sizes.sum())
    types = _types(solver, rows)[values]
    pairs = distinct((np.repeat(np.arange(len(sets)), sizes) << HALF | types)[types >= 0])
    sizes = np.bincount(pairs >> HALF, minlength=len(sets))
    sure, unsure = (rows.label("type", "value", confidence) for confidence in (_SURE, _UNSURE))
    labels = np.where(np.repeat(sizes, sizes) == 1, sure, unsure)
    first = rows.groups(pairs & ((1 << HALF) - 1), labels, sizes)
    rows.add(slots, program.path_of[slots], first + numbers)


def _types(solver: Solver, rows: ResolutionRows) -> np.ndarray:
    """By value, the target that is its type; -1 for what is a class or a function itself."""
    targets: dict[tuple[int, Any], int] = {}
    found = np.full(len(solver.kinds), -1, np.int64)
    for value, (kind, parts) in enumerate(zip(solver.kinds, solver.parts, strict=True)):
        if kind in _TYPED:
            target = targets.get((kind, parts[0]))
            if target is None:
                target = targets[kind, parts[0]] = rows.target(*_type(solver, kind, parts[0]))
            found[value] = target
    return found


def _type(solver: Solver, kind: int, of: Any) -> tuple[int, str, str]:  # a class, or a name
    """Id, kind and name of the class that values of a kind are instances of."""
    if kind in INSTANCES and (of := solver.defined_as(of)) >= 0:
        return int(solver.program.ids[of]), "class", solver.name[of]
    if kind in INSTANCES:
        return external_id("builtins.object"), "external", "builtins.object"
    name = "types.GeneratorType" if kind == Kind.GENERATOR else str(of) if kind == Kind.RESULT else type_path(of)
    return external_id(name), "external", name

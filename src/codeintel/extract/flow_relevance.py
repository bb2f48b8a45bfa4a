"""Which rows of a file's value flow matter beyond the file, and which calls the file settles by itself.

A row that only gives a slot its value matters if something that does more may read the slot: `x = 1`, and nobody reads
`x`, is of no consequence. A call of a builtin settles by itself if nobody asks for its result and its arguments are
literals: nothing can be called back. Nor does an operator call anything for literals. Simplifying each component before
the whole is solved, without changing what the whole observes, is after Flanagan and Felleisen, "Componential set-based
analysis" (PLDI 1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.reaching import spread

_GIVES = ("copy", "external", "import", "global", "container", "element", "constant", "caught", "narrow", "quoted",
          "formatted")  # fmt: skip
_OF_CALLS = ("call", "argument", "keyword")


@dataclass(slots=True)
class Relevance:
    """Numbers of rows, ascending: those that matter, and the calls that are settled."""

    kept: np.ndarray
    settled: np.ndarray


def relevant(
    ops: Sequence[str], op: np.ndarray, target: np.ndarray, source: np.ndarray, other: np.ndarray, builtin: np.ndarray
) -> Relevance:
    """`op` indexes `ops`; slots are numbers, -1 for none; `builtin` is over all slots: which ones name a builtin."""
    is_op = {word: op == number for number, word in enumerate(ops)}
    nothing = np.zeros(len(op), bool)
    gives = np.isin(op, [number for number, word in enumerate(ops) if word in _GIVES])
    calls = is_op.get("call", nothing)
    open_sites = np.zeros(len(builtin), bool)
    may_call = _is_open(is_op, target, source, other, len(builtin))
    open_sites[target[calls & ~builtin[source]]] = True
    given = is_op.get("argument", nothing) | is_op.get("keyword", nothing)
    open_sites[target[given & (source >= 0) & may_call[source]]] = True
    for word in ("starred", "double_starred"):
        open_sites[target[is_op.get(word, nothing)]] = True
    gives |= np.isin(op, [number for number, word in enumerate(ops) if word in _OF_CALLS]) & ~open_sites[target]
    for word in ("special", "asks"):
        gives |= is_op.get(word, nothing) & ~may_call[source] & ~(may_call[other] & (other >= 0))

    wanted = np.zeros(len(builtin), bool)
    for column in (target, source, other):  # what something is stored into is a target
        wanted[column[~gives & (column >= 0)]] = True
    at = np.flatnonzero(gives)
    wanted = _reached(wanted, np.r_[target[at], target[at]], np.r_[source[at], other[at]])
    kept = ~gives | wanted[target]
    return Relevance(np.flatnonzero(kept), np.flatnonzero(calls & ~kept))


def _is_open(
    is_op: dict[str, np.ndarray], target: np.ndarray, source: np.ndarray, other: np.ndarray, count: int
) -> np.ndarray:
    """Over all slots: whether it may hold anything but constants, and displays of such that have no name."""
    nothing = np.zeros(len(target), bool)
    literal, display, copy, element, operator, member = (
        is_op.get(word, nothing) for word in ("constant", "container", "copy", "element", "special", "member")
    )
    is_display, found = np.zeros(count, bool), np.ones(count, bool)
    is_display[target[display]] = True
    known = literal | display | copy | element | operator
    found[target[known]] = False
    found[target[~known & (target >= 0)]] = True
    found[source[member]] = True
    found[target[copy & is_display[source]]] = True
    at = np.flatnonzero(copy | element | operator)
    return _reached(found, np.r_[source[at], other[at]], np.r_[target[at], target[at]])


def _reached(start: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Over all nodes: whether it is in `start` or can be reached from there; edges with an end of -1 lead nowhere."""
    known = (source >= 0) & (target >= 0)
    order = np.argsort(source[known], kind="stable")
    source, target = source[known][order], target[known][order]
    reached, nodes = start.copy(), np.flatnonzero(start)
    while len(nodes):
        edges = spread(np.searchsorted(source, nodes), np.searchsorted(source, nodes, "right"))[1]
        nodes = distinct(target[edges])
        nodes = nodes[~reached[nodes]]
        reached[nodes] = True
    return reached

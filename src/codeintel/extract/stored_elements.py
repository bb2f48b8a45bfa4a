"""Elements that surely are what was stored in them a moment ago.

`d["a"] = f` and then `d["a"]()`: the read sees that store and nothing before it, if both stand in one block, the same
keys are written behind the same name, and nothing in between can have changed either: no call that has ended, no other
store into anything, no new value of the name.
"""

from __future__ import annotations

import ast

import numpy as np

from codeintel.extract.grammar import CONTEXTS, KIND, KINDS, is_kind
from codeintel.extract.syntax import NO_TEXT, Syntax

_LOAD = CONTEXTS.index("Load")
_IS_STATEMENT = np.array([issubclass(getattr(ast, name, object), ast.stmt) for name in KINDS])
_RUNS_OTHERS = is_kind("Call", "Await", "Yield", "YieldFrom", "With", "AsyncWith", "For", "AsyncFor", "Delete")
_IS_PART = is_kind("Subscript", "Attribute")


def stored_elements(
    syntax: Syntax, value: np.ndarray, key: np.ndarray, binding: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Reads of elements, and for each the target of the store that it sees.

    `value` is over all nodes the child of that name, `key` the text of a subscript's literal key, `binding` the binding
    of a name that is read; -1 and NO_TEXT for none.
    """
    base, path = _paths(syntax, value, key, binding)
    known = np.flatnonzero(path > 0)
    order = known[np.lexsort((known, path[known]))]
    before, after = order[:-1], order[1:]
    pairs = (path[before] == path[after]) & (syntax.ctx[after] == _LOAD)
    statement = _statements(syntax, order)
    block = syntax.parent[statement] * 256 + syntax.field[statement]
    # A chain of reads sees what the first of them does.
    sees = np.full(len(order), -1, np.int64)
    is_store = syntax.ctx[order] == CONTEXTS.index("Store")
    changes = np.flatnonzero(_RUNS_OTHERS[syntax.kind] | (_IS_PART[syntax.kind] & (syntax.ctx != _LOAD)))
    for at in np.flatnonzero(pairs).tolist():
        store = at if is_store[at] else int(sees[at])
        if store < 0 or block[store] != block[at + 1] or statement[store] == statement[at + 1]:
            continue
        read, end = int(order[at + 1]), int(statement[store] + syntax.size[statement[store]])
        between = changes[np.searchsorted(changes, end) : np.searchsorted(changes, read)]
        ended = between[between + syntax.size[between] <= read]
        running = between[between + syntax.size[between] > read]
        if len(ended) or (syntax.kind[running] != KIND["Call"]).any() or _is_bound_anew(syntax, base, read, end):
            continue
        sees[at + 1] = store
    found = np.flatnonzero(sees >= 0)
    return order[found], order[sees[found]]


def _is_bound_anew(syntax: Syntax, base: np.ndarray, read: int, begin: int) -> bool:
    names = np.arange(begin, read)
    names = names[(syntax.kind[names] == KIND["Name"]) & (syntax.ctx[names] != _LOAD)]
    return bool((syntax.name[names] == syntax.name[base[read]]).any())


def _paths(syntax: Syntax, value: np.ndarray, key: np.ndarray, binding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over all nodes: the name below a subscript with literal keys, and a number for both from 1 on."""
    base, path = np.full(len(syntax), -1, np.int64), np.zeros(len(syntax), np.int64)
    names = np.flatnonzero((syntax.kind == KIND["Name"]) & (binding >= 0))
    base[names], path[names] = names, binding[names] + 1
    numbers: dict[tuple[int, int], int] = {}
    at = np.flatnonzero((syntax.kind == KIND["Subscript"]) & (key != NO_TEXT))
    most = int(path.max(initial=0))
    # Outer subscripts come before what they are taken of.
    for node, inner, text in zip(at[::-1].tolist(), value[at[::-1]].tolist(), key[at[::-1]].tolist(), strict=True):
        if path[inner]:
            base[node] = base[inner]
            path[node] = numbers.setdefault((int(path[inner]), text), most + 1 + len(numbers))
    path[names] = 0
    return base, path


def _statements(syntax: Syntax, nodes: np.ndarray) -> np.ndarray:
    found = nodes.copy()
    while len(inside := np.flatnonzero(~_IS_STATEMENT[syntax.kind[found]] & (syntax.parent[found] >= 0))):
        found[inside] = syntax.parent[found[inside]]
    return found

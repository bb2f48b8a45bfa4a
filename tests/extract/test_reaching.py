"""Reaching definitions on random graphs against the equations they are the least solution of."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codeintel.extract.dominance import immediate_dominators
from codeintel.extract.reaching import DEFINE, MAY_DEFINE, NOTHING, UNDEFINE, USE, Events, Tree, reaching

Edges = list[tuple[int, int]]
Row = tuple[int, int, int, int]


@st.composite
def programs(draw: st.DrawFn) -> tuple[int, Edges, list[Row]]:
    """Blocks that are all reached from block 0, which nothing leads back to, and what happens in them."""
    count = draw(st.integers(1, 9))
    nodes = st.integers(0, count - 1)
    edges = set(draw(st.lists(st.tuples(nodes, nodes), max_size=16)))
    edges |= {(draw(st.integers(0, node - 1)), node) for node in range(1, count)}
    kinds = st.sampled_from([USE, USE, DEFINE, MAY_DEFINE, UNDEFINE])
    row = st.tuples(st.integers(0, 2), nodes, st.integers(0, 3), kinds)
    rows = draw(st.lists(row, max_size=20, unique_by=lambda r: r if r[3] == USE else r[:3]))
    return count, sorted((a, b) for a, b in edges if b != 0), rows


def solved(count: int, edges: Edges, rows: list[Row]) -> set[tuple[int, int]]:
    """Sets are carried along the edges, one event after the other, until none grows."""
    found = set()
    for variable in {row[0] for row in rows}:
        entering = {block: {NOTHING} if block == 0 else set() for block in range(count)}
        for _ in range(count + 2):
            leaving = {}
            for block in range(count):
                now = set(entering[block])
                happening = sorted((r[2], r[3], i) for i, r in enumerate(rows) if r[:2] == (variable, block))
                for _, kind, i in happening:
                    if kind == USE:
                        found |= {(i, definition) for definition in now}
                    else:
                        now = (now if kind == MAY_DEFINE else set()) | {NOTHING if kind == UNDEFINE else i}
                leaving[block] = now
            for a, b in edges:
                entering[b] |= leaving[a]
    return found


@given(programs())
def test_what_reaches_is_the_least_solution_of_the_equations(program: tuple[int, Edges, list[Row]]) -> None:
    count, edges, rows = program
    source, target = np.array(edges, np.int64).reshape(-1, 2).T
    tree = Tree.numbered(immediate_dominators(count, source, target, np.array([0])))
    events = Events(*np.array(rows, np.int64).reshape(-1, 4).T)
    use, definition = reaching(tree, source, target, events)
    pairs = list(zip(use.tolist(), definition.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == solved(count, edges, rows)

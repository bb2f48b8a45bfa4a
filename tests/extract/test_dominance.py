"""Dominance and control dependence against their definitions, on random graphs and on real flow."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codeintel.extract.dominance import control_dependence, immediate_dominators
from tests.extract.conftest import Facts, dominance_rows

Edges = list[tuple[int, int]]


@st.composite
def flow_graphs(draw: st.DrawFn) -> tuple[int, Edges]:
    """A graph from node 0 to its last node, where every node lies on some way between the two."""
    count = draw(st.integers(2, 9))
    nodes = st.integers(0, count - 1)
    edges = set(draw(st.lists(st.tuples(nodes, nodes), max_size=20)))
    edges |= {(draw(st.integers(0, node - 1)), node) for node in range(1, count)}
    edges |= {(node, draw(st.integers(node + 1, count - 1))) for node in range(count - 1)}
    return count, sorted((a, b) for a, b in edges if a != count - 1 and b != 0)


def reached(start: int, edges: Edges, without: int | None = None) -> set[int]:
    found, waiting = set(), [start] if start != without else []
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [b for a, b in edges if a == node and b != without]
    return found


def dominators(count: int, edges: Edges, root: int) -> dict[int, set[int]]:
    """Of each node those that every way from the root passes, itself among them, by leaving each one out."""
    return {n: {d for d in range(count) if d == n or n not in reached(root, edges, d)} for n in range(count)}


def arrays(edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def ancestors(parent: list[int], node: int) -> set[int]:
    found = {node}
    while (node := parent[node]) >= 0:
        found.add(node)
    return found


@given(flow_graphs())
def test_immediate_dominators_give_the_dominators_of_the_definition(graph: tuple[int, Edges]) -> None:
    count, edges = graph
    source, target = arrays(edges)
    down = immediate_dominators(count, source, target, np.array([0])).tolist()
    up = immediate_dominators(count, target, source, np.array([count - 1])).tolist()
    back = [(b, a) for a, b in edges]
    assert {n: ancestors(down, n) for n in range(count)} == dominators(count, edges, 0)
    assert {n: ancestors(up, n) for n in range(count)} == dominators(count, back, count - 1)


@given(flow_graphs(), st.data())
def test_control_dependence_is_what_its_definition_says(graph: tuple[int, Edges], data: st.DataObject) -> None:
    count, edges = graph
    labels = [data.draw(st.integers(0, 2)) for _ in edges]
    source, target = arrays(edges)
    up = immediate_dominators(count, target, source, np.array([count - 1]))
    found = control_dependence(source, target, np.array(labels), up, np.zeros(0, np.int64))
    post = dominators(count, [(b, a) for a, b in edges], count - 1)
    expected = {
        (a, n, label)
        for (a, b), label in zip(edges, labels, strict=True)
        for n in range(count)
        if n in post[b] and (n == a or n not in post[a])
    }
    assert set(zip(*(column.tolist() for column in found), strict=True)) == expected


SOURCE = """\
def f(x):
    for i in x:
        try:
            if i and g(i) or h:
                continue
            with i as j:
                return j
        except E:
            k
        finally:
            l()
    while True:
        if m:
            raise n
        while o:
            p()
    dead
class A:
    b = [c for c in d if c]
"""


def test_the_rows_of_real_code_are_those_of_the_definition_node_by_node(facts: Facts) -> None:
    rows = facts(SOURCE)
    found = dominance_rows(rows)
    dead = {row["node_id"] for row in rows["unreachable_nodes"]}
    live = [(r["src"], r["dst"]) for r in rows["cfg_edges"] if not r["is_implicit"] and r["src"] not in dead]
    nodes = sorted({n for edge in live for n in edge} | {r["node_id"] for r in rows["flow_nodes"]})
    place = {node: i for i, node in enumerate(nodes)}
    edges = [(place[a], place[b]) for a, b in live]
    kinds = {node["node_id"]: node["kind"] for node in rows["ast_nodes"]}
    ends = [r for r in rows["flow_nodes"] if kinds[r["unit_id"]] in ("Module", "FunctionDef", "Lambda")]
    root = len(nodes)
    down = edges + [(root, place[r["node_id"]]) for r in ends if r["kind"] == "Entry"]
    expected = dominators(root + 1, down, root)
    parent = [-1] * (root + 1)
    for row in found["DOMINATE"]:
        parent[place[row["dst"]]] = place[row["src"]]
    assert all(ancestors(parent, n) == expected[n] - {root} for n in reached(root, down) - {root})

    # `while True` around a loop leaves by the `raise`, so only exits end the ways.
    up = [(b, a) for a, b in edges] + [(root, place[r["node_id"]]) for r in ends if r["kind"] == "Exit"]
    expected = dominators(root + 1, up, root)
    parent = [-1] * (root + 1)
    for row in found["POST_DOMINATE"]:
        parent[place[row["dst"]]] = place[row["src"]]
    assert all(ancestors(parent, n) == expected[n] - {root} for n in reached(root, up) - {root})

    depends = {(place[r["src"]], place[r["dst"]]) for r in found["CDG"]}
    assert depends == {
        (a, n) for a, b in edges for n in range(root) if n in expected[b] and (n == a or n not in expected[a])
    }


def test_a_loop_without_end_is_post_dominated_by_the_exit(facts: Facts) -> None:
    rows = facts("while True:\n    a\n")
    exit_ = next(r["node_id"] for r in rows["flow_nodes"] if r["kind"] == "Exit")
    above = {r["dst"]: r["src"] for r in dominance_rows(rows)["POST_DOMINATE"]}
    last = next(r["node_id"] for r in rows["ast_nodes"] if r["kind"] == "Expr")
    assert above[last] == exit_

"""Data flow of random programs against sets carried from node to node along the rows of `cfg_edges`."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from codeintel.extract.tables import TABLES
from tests.extract.conftest import Rows
from tests.extract.test_flow_specs import rows_of

UNBOUND = 0
NAMES = st.sampled_from("abc")


def indented(lines: list[str]) -> list[str]:
    return [f" {line}" for line in lines]


@st.composite
def statements(draw: st.DrawFn, depth: int, in_loop: bool) -> list[str]:
    x, y, z = draw(NAMES), draw(NAMES), draw(NAMES)

    def body(loop: bool = in_loop) -> list[str]:
        return indented(draw(blocks(depth - 1, loop)))

    simple = [
        f"{x} = {y}", f"{x} += {y}()", f"{x}, [{y}, *{z}] = {z}", f"del {x}", f"{x}", f"return {x}", f"raise {x}",
        f"import {x}", f"{x} and ({y} := {z})", f"{x} = {y} if {z} else {x}", f"[{x} for {x} in {y} if {z}]",
        f"assert {x}, {y}", f"{x}: int", f"{x}()",
    ]  # fmt: skip
    if in_loop:
        simple += ["break", "continue"]
    if not depth or draw(st.booleans()):
        return [draw(st.sampled_from(simple))]
    match draw(st.integers(0, 8)):
        case 0:
            return [f"if {x}:", *body(), "else:", *body()]
        case 1:
            return [f"while {x}:", *body(True), *draw(st.sampled_from([[], ["else:", *body()]]))]
        case 2:
            return [f"for {x} in {y}:", *body(True), *draw(st.sampled_from([[], ["else:", *body()]]))]
        case 3:
            return ["try:", *body(), f"except {x} as {y}:", *body(), *draw(st.sampled_from([[], ["else:", *body()]]))]
        case 4:
            return ["try:", *body(), "finally:", *body()]
        case 5:
            return ["try:", *body(), f"except {x}:", *body(), f"except {y} as {z}:", *body(), "finally:", *body()]
        case 6:
            return [f"with {x} as {y}:", *body()]
        case 7:
            return [f"match {x}:", f" case [{y}, 1] if {z}:", *indented(body()), f" case {{**{z}}}:", *indented(body())]
        case _:
            return [f"class {x}:", f" {y} = {z}", f" {x}", *body(False)]


@st.composite
def blocks(draw: st.DrawFn, depth: int, in_loop: bool) -> list[str]:
    return [line for part in draw(st.lists(statements(depth, in_loop), min_size=1, max_size=3)) for line in part]


@st.composite
def programs(draw: st.DrawFn) -> str:
    return "\n".join(["def f(a, b):", *indented(draw(blocks(3, False)))]) + "\n"


class Carried:
    """The least sets of definitions, one for each way out of each node: where it succeeds, fails or matches."""

    def __init__(self, facts: Rows) -> None:
        nodes = {row["node_id"]: row for row in facts["ast_nodes"]}
        self.kind = {node: row["kind"] for node, row in nodes.items()}
        self.parent = {node: row["parent_id"] for node, row in nodes.items()}
        self.field = {node: row["field"] for node, row in nodes.items()}
        self.stands_for = stands_for = {row["node_id"]: row["unit_id"] for row in facts["flow_nodes"]}
        self.acts: dict[int, list[tuple[int, int]]] = defaultdict(list)  # by node: binding, definition
        self.clauses: dict[int, int] = {}  # by except clause: binding
        for row in facts["binders"]:
            node, binding = row["node_id"], row["binding_id"]
            if row["how"] == "annotation":
                continue
            if self.kind[node] == "ExceptHandler":
                self.clauses[node] = binding
            at = {"augmented": self.parent[node]}.get(row["how"], node)
            while self.kind[node] == "MatchMapping" and self.kind[at] != "match_case":
                at = self.parent[at]
            self.acts[at].append((binding, UNBOUND if row["how"] == "del" else node))
        of_scope = defaultdict(list)
        for row in facts["bindings"]:
            of_scope[row["scope_id"]].append(row["binding_id"])
        entries = {row["node_id"]: row["unit_id"] for row in facts["flow_nodes"] if row["kind"] == "Entry"}
        for entry, unit in entries.items():
            self.acts[entry] += [(binding, UNBOUND) for binding in of_scope[unit]]
        self.edges = defaultdict(list)
        for row in facts["cfg_edges"]:
            if not row["is_implicit"]:
                self.edges[row["src"]].append((row["dst"], row["label"]))
        self.inside = {node: self._clauses_around(stands_for.get(node, node)) for node in [*nodes, *stands_for]}
        self.state: dict[int, set[tuple[int, int]]] = defaultdict(set)
        waiting = [entry for entry, unit in entries.items() if self.kind[unit] in ("Module", "FunctionDef")]
        met = set(waiting)
        while waiting:
            node = waiting.pop()
            for target, label in self.edges[node]:
                now = self._after(node, target, label)
                if target not in met or not now <= self.state[target]:
                    met.add(target)
                    self.state[target] |= now
                    waiting.append(target)

    def _clauses_around(self, node: int | None) -> frozenset[int]:
        found, below = set(), node
        while node is not None:
            if node in self.clauses and below is not None and self.field[below] == "body":
                found.add(node)
            below, node = node, self.parent[node]
        return frozenset(found)

    def _cleanups(self, node: int | None) -> set[int]:
        """The `finally` blocks around a node, by their `try`."""
        found = set()
        while node is not None:
            if self.field[node] == "finalbody":
                found.add(self.parent[node])
            node = self.parent[node]
        return found

    def _ends_cleanup(self, node: int) -> bool:
        """Whether an exception that a `finally` let pass goes on from here, along the edge of the node's own."""
        if self.kind.get(node) not in ("AugAssign", "ClassDef"):
            return False
        after = [self._cleanups(self.stands_for.get(n, n)) for n, label in self.edges[node] if label != "exception"]
        return any(all(cleanup not in found for found in after) for cleanup in self._cleanups(node))

    def _after(self, node: int, target: int, label: str) -> set[tuple[int, int]]:
        now = set(self.state[node])
        matters = label == "true" if node in self.clauses else label != "exception"
        for binding, definition in self.acts[node] if matters else ():
            now = {pair for pair in now if pair[0] != binding} | {(binding, definition)}
        if label == "exception" and self._ends_cleanup(node):
            now |= {pair for pair in self.acts[node] if self.kind[node] != "ExceptHandler"}
        for clause in self.inside[node] - self.inside[target] - {target}:
            now = {pair for pair in now if pair[0] != self.clauses[clause]} | {(self.clauses[clause], UNBOUND)}
        return now


@given(programs())
def test_inside_a_function_data_flow_is_what_is_carried_along_its_control_flow(source: str) -> None:
    (facts,) = rows_of([source], read=tuple(TABLES))
    if facts["file_errors"]:
        return
    carried = Carried(facts)
    local = {row["binding_id"] for row in facts["bindings"] if row["scope_id"] != facts["ast_nodes"][0]["node_id"]}
    dead = {row["node_id"] for row in facts["unreachable_nodes"]}
    uses = {r["node_id"]: r["target_id"] for r in facts["references"] if r["resolution"] == "local"}
    expected = {
        (definition, use)
        for use, binding in uses.items()
        for owner, definition in carried.state[use]
        if owner == binding and definition != UNBOUND and use not in dead
    }
    found = {(r["src"], r["dst"]) for r in facts["reaching_definitions"] if r["dst"] in uses}
    assert local
    assert found == expected
    marked = {r["node_id"]: r["certainty"] for r in facts["undefined_uses"] if r["node_id"] in uses}
    defined = {use for _, use in expected}
    assert marked == {
        use: "possibly" if use in defined else "certainly"
        for use, binding in uses.items()
        if use not in dead and (binding, UNBOUND) in carried.state[use]
    }

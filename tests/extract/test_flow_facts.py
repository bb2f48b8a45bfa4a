"""Flow of whole files: every evaluated node has its place, ids survive edits, and no depth is too much."""

from __future__ import annotations

import pytest

from tests.extract.conftest import Facts
from tests.extract.test_syntax_facts import CONSTRUCTS

NOT_EVALUATED = {"Module"}


def test_every_node_but_modules_is_on_a_way_or_marked(facts: Facts) -> None:
    source = CONSTRUCTS.replace("from __future__ import division", "pass")
    rows = facts(source)
    placed = {node for edge in rows["cfg_edges"] for node in (edge["src"], edge["dst"])}
    placed |= {row["node_id"] for row in rows["unreachable_nodes"]}
    left = [(n["line"], n["kind"]) for n in rows["ast_nodes"] if n["node_id"] not in placed]
    assert [n for n in left if n[1] not in NOT_EVALUATED] == []


def test_what_is_unreachable_has_no_edge_from_what_is_not(facts: Facts) -> None:
    rows = facts(
        "def f():\n    try:\n        return a\n    finally:\n        b\n    while c:\n        d\nwhile 1: pass\ne\n"
    )
    dead = {row["node_id"] for row in rows["unreachable_nodes"]}
    assert dead
    assert not [edge for edge in rows["cfg_edges"] if edge["dst"] in dead and edge["src"] not in dead]


def test_the_first_class_of_all_may_be_dead(facts: Facts) -> None:
    rows = facts("def f():\n    return\n    class A:\n        x\n")
    names = {node["node_id"]: node["name"] for node in rows["ast_nodes"]}
    assert {names[row["node_id"]] for row in rows["unreachable_nodes"]} == {"x", "A", None}


def test_a_file_in_which_nothing_may_raise_has_its_flow(facts: Facts) -> None:
    rows = facts("1\n")
    assert [edge["label"] for edge in rows["cfg_edges"]] == ["", "", ""]


def test_what_stands_in_an_annotation_that_is_not_evaluated_has_no_flow(facts: Facts) -> None:
    rows = facts("def f():\n    a: (yield) = 1\n    b: [c for c in d] = 2\n")
    kinds = {node["node_id"]: node["kind"] for node in rows["ast_nodes"]}
    assert {kinds[end["unit_id"]] for end in rows["flow_nodes"]} == {"Module", "FunctionDef"}
    assert {edge["label"] for edge in rows["cfg_edges"]} == {"", "exception"}


def test_an_edit_inside_one_owner_moves_no_entry_or_exit_of_any_other(facts: Facts) -> None:
    source = "x = [a for a in b]\ndef f():\n    return lambda: 1\ndef g():\n    return {c for c in d}\n"
    one, other = (
        {(r["unit_id"], r["kind"]): r["node_id"] for r in facts(text)["flow_nodes"]}
        for text in (source, source.replace("return lambda", "e\n    return lambda"))
    )
    kept = one.keys() & other.keys()
    assert len(kept) >= 8
    assert all(one[end] == other[end] for end in kept)
    assert len(set(one.values())) == len(one)


@pytest.mark.parametrize(
    "source",
    [
        "if a: b\n" + "elif a: b\n" * 800,
        "x = " + " + ".join("a" for _ in range(900)) + "\n",
        "x = " + " and ".join("a" for _ in range(5000)) + "\n",
        "".join(f"{' ' * i}if a:\n" for i in range(95)) + " " * 95 + "b\n",
        "".join(f"{' ' * i}try:\n" for i in range(90)) + " " * 90 + "b\n"
        + "".join(f"{' ' * i}finally: c\n" for i in reversed(range(90))),
        "match a:\n case " + "[" * 90 + "b" + "]" * 90 + ": pass\n",
        "class A:\n" + "".join(f"{' ' * i}class A:\n" for i in range(1, 90)) + " " * 90 + "pass\n",
        "return\nbreak\ncontinue\nclass A:\n return\n break\n",
        "",
    ],
)  # fmt: skip
def test_depth_length_and_jumps_out_of_place_do_no_harm(facts: Facts, source: str) -> None:
    rows = facts(source)
    assert {end["kind"] for end in rows["flow_nodes"]} == {"Entry", "Exit"}
    assert not {"parse"} & {fault["stage"] for fault in rows["file_errors"]}
    assert len({(e["src"], e["dst"], e["label"]) for e in rows["cfg_edges"]}) == len(rows["cfg_edges"])


def test_many_files_together_give_what_each_gives_alone(facts: Facts) -> None:
    sources = {"a.py": "class A: x = [b for b in c]\n", "b.py": "while 1: pass\nd\n", "c.py": "def f():\n    yield\n"}
    together = facts(sources)
    for table in ("flow_nodes", "cfg_edges", "dominance_edges", "unreachable_nodes"):
        alone = [row for path in sorted(sources) for row in facts({path: sources[path]})[table]]
        assert together[table] == alone

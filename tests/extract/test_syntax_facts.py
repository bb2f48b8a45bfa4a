"""Rows of syntax: nodes, their places, names, and values."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from operator import attrgetter

import pytest

from codeintel.extract.grammar import CODE_OF_CLASS, SLOTS
from tests.extract.conftest import Facts, Row

POSITION = attrgetter("lineno", "col_offset", "end_lineno", "end_col_offset")
NOT_ROWS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)

CONSTRUCTS = '''\
"""Doc."""
from __future__ import division
import os.path as p, sys
from . import x as y
@decorator(1)
async def f(a, /, b: int = 1, *args, c=2, d, **kw) -> None:
    global g
    async with open(a) as fh, b as (u, v):
        async for i in fh:
            await i
    return [j async for j in a if j if not j]
class C(Base, metaclass=M, **kw):
    x: int = 1
    (y): str
    def m(self):
        nonlocal_ = 1
        def inner():
            nonlocal nonlocal_
            yield nonlocal_
            yield from ()
        return lambda z=1, *q: z + q[0:1, ..., ::2]
try:
    assert a, "b"
except* ValueError as e:
    raise e from None
match subject:
    case {"k": [1, *rest], **others} if others: pass
    case Point(x=0, y=-1) | None: pass
    case [a, (b as c), _] | str(): pass
    case 1 + 2j: pass
while 1 < a <= 3 and b or c:
    del a.b, c[0]
    break
else:
    print(f"{a!r:>{w}} b", *a, k=1, **{**d, 1: 2}) if (n := 3) else {1, 2}
x @= {k: v for k, v in d.items()}
'''


@pytest.fixture
def nodes(facts: Facts) -> Callable[[str], list[Row]]:
    return lambda source: facts(source)["ast_nodes"]


def test_the_parser_gives_every_node_its_values_in_the_order_that_the_walk_reads_them() -> None:
    for node in ast.walk(ast.parse(CONSTRUCTS)):
        if not isinstance(node, NOT_ROWS):
            assert list(vars(node)) == list(SLOTS[CODE_OF_CLASS[type(node)]])


def test_every_node_of_ast_walk_but_contexts_and_operators_is_a_row(nodes: Callable[[str], list[Row]]) -> None:
    rows = nodes(CONSTRUCTS)
    expected = [n for n in ast.walk(ast.parse(CONSTRUCTS)) if not isinstance(n, NOT_ROWS)]
    assert sorted(r["kind"] for r in rows) == sorted(type(n).__name__ for n in expected)
    assert sum(r["parent_id"] is not None for r in rows) == len(expected) - 1
    assert len({r["node_id"] for r in rows}) == len(rows)


def test_parent_field_and_ordinal_lead_to_the_same_child_as_in_the_tree(nodes: Callable[[str], list[Row]]) -> None:
    rows = nodes(CONSTRUCTS)
    children = {}
    for row in rows:
        children.setdefault(row["parent_id"], []).append(row)
    waiting = [(ast.parse(CONSTRUCTS), rows[0])]
    while waiting:
        node, row = waiting.pop()
        assert (type(node).__name__, getattr(node, "lineno", row["line"])) == (row["kind"], row["line"])
        expected = {}
        for field, value in ast.iter_fields(node):
            for ordinal, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.AST) and not isinstance(child, NOT_ROWS):
                    expected[field, ordinal] = child
        found = {(r["field"], r["ordinal"]): r for r in children.get(row["node_id"], [])}
        assert expected.keys() == found.keys()
        waiting += [(expected[place], found[place]) for place in expected]


def test_rows_stand_in_the_order_of_the_source_with_decorators_first(nodes: Callable[[str], list[Row]]) -> None:
    rows = nodes("@d\ndef f(a=1, *, b=2): return {k: v, l: w}[a if t else e]\n")
    named = [r["name"] or r["kind"] for r in rows if r["kind"] in ("Name", "arg", "FunctionDef", "Constant")]
    assert named == ["f", "d", "a", "Constant", "b", "Constant", "k", "v", "l", "w", "a", "t", "e"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "shift_jis", "euc_jp"])
def test_byte_spans_cut_out_what_the_source_segment_is(facts: Facts, encoding: str, newline: str) -> None:
    word = "日本" if encoding in ("shift_jis", "euc_jp") else "é€ü" if encoding == "cp1252" else "éàü"
    source = f"# coding: {encoding}\n\x0cname = '{word}' + f(a, '{word}', [b,\n   '{word}', c])  # {word}\ny = name\n"
    raw = source.replace("\n", newline).encode(encoding)
    tree = ast.parse(raw)
    text = raw.decode(encoding)
    expected = sorted(
        (type(n).__name__, *POSITION(n)[:2], ast.get_source_segment(text, n))
        for n in ast.walk(tree)
        if hasattr(n, "lineno")
    )
    rows = facts(raw)
    found = sorted(
        (r["kind"], r["line"], r["col"], raw[r["bstart"] : r["bend"]].decode(encoding))
        for r in rows["ast_nodes"]
        if r["kind"] != "Module"
    )
    assert found == expected
    assert (rows["ast_nodes"][0]["bstart"], rows["ast_nodes"][0]["bend"]) == (0, len(raw))
    assert rows["parsed_files"][0]["encoding"] == {"latin-1": "iso-8859-1"}.get(encoding, encoding)
    assert rows["parsed_files"][0]["lines"] == 4


def test_nodes_without_a_place_cover_their_children_or_have_none(nodes: Callable[[str], list[Row]]) -> None:
    source = "def f(a, b=1): pass\ndef g(): pass\n[x for x in y if z]\nwith a as b: pass\n"
    rows = [r for r in nodes(source) if r["kind"] in ("arguments", "comprehension", "withitem")]
    spans = [None if r["bstart"] is None else source[r["bstart"] : r["bend"]] for r in rows]
    assert spans == ["a, b=1", None, "x in y if z", "a as b"]
    assert [r["line"] for r in rows] == [1, None, 3, 4]


def test_operators_are_named_as_the_specification_names_them(nodes: Callable[[str], list[Row]]) -> None:
    source = "a + b; -a; a and b; a < b; a < b < c; x += 1; a is not b\n"
    names = [r["name"] for r in nodes(source) if (r["name"] or "").startswith("<operator>")]
    assert names == ["<operator>.addition", "<operator>.minus", "<operator>.logicalAnd", "<operator>.lessThan",
                     "<operator>.compare", "<operator>.assignmentPlus", "<operator>.isNot"]  # fmt: skip


def test_contexts_are_a_column_of_their_parent(nodes: Callable[[str], list[Row]]) -> None:
    source = "a = b.c\ndel d[0]\n"
    assert [(r["kind"], r["ctx"]) for r in nodes(source) if r["ctx"]] == [
        ("Name", "Store"), ("Attribute", "Load"), ("Name", "Load"), ("Subscript", "Del"), ("Name", "Load"),
    ]  # fmt: skip


def test_values_of_constants_keep_their_type(facts: Facts) -> None:
    source = "1; 1.5; 2j; True; None; ...; b'a'; 'text'; u'k'; '\\ud800'\nx: int\n"
    props = [(r["key"], r["value"], r["value_type"]) for r in facts(source)["ast_props"]]
    assert props == [
        ("value", "1", "int"), ("value", "1.5", "float"), ("value", "2j", "complex"), ("value", "True", "bool"),
        ("value", "None", "NoneType"), ("value", "Ellipsis", "ellipsis"), ("value", "b'a'", "bytes"),
        ("value", "text", "str"), ("kind", "u", "str"), ("value", "k", "str"), ("value", "\\ud800", "str_escaped"),
        ("simple", "1", "int"),
    ]  # fmt: skip


def test_an_integer_over_the_digit_limit_is_written_in_hexadecimal(facts: Facts) -> None:
    value = "0x" + "f" * 9000
    assert facts(f"x = {value}\n")["ast_props"][0]["value"] == value


def test_other_fields_are_properties(facts: Facts) -> None:
    source = "from ..a import b as c\nglobal d, e\na < b < c\n[i for i in j]\nf'{a!r}'\nx += 1\n"
    found = {(r["key"], r["value"]) for r in facts(source)["ast_props"]}
    assert found >= {("module", "a"), ("level", "2"), ("asname", "c"), ("names", "d,e"), ("ops", "Lt,Lt"),
                     ("is_async", "0"), ("conversion", "114"), ("op", "Add")}  # fmt: skip


def test_positions_are_those_of_the_compiler(nodes: Callable[[str], list[Row]]) -> None:
    rows = nodes(CONSTRUCTS)
    expected = sorted((type(n).__name__, *POSITION(n)) for n in ast.walk(ast.parse(CONSTRUCTS)) if hasattr(n, "lineno"))
    placed = {"Module", "arguments", "comprehension", "withitem", "match_case"}
    found = [(r["kind"], r["line"], r["col"], r["end_line"], r["end_col"]) for r in rows if r["kind"] not in placed]
    assert sorted(found) == expected


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with 3.12")
def test_type_parameters_are_named_and_bound(facts: Facts) -> None:
    rows = facts("class A[T: int](B[T]):\n    def f[*Ts, **P](self, x: T) -> P: pass\ntype X[K] = list[K]\n")
    resolved = {(r["name"], r["resolution"]) for r in rows["references"]}
    assert {("T", "closure"), ("T", "local"), ("P", "local"), ("K", "closure")} <= resolved
    assert {b["name"] for b in rows["bindings"] if b["kind"] == "type_parameter"} == {"T", "Ts", "P", "K"}

"""A file that does not parse is in the graph but for what is broken, with the ids it has when it is whole."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeintel.extract import recovery
from codeintel.extract.python_facts import python_facts
from codeintel.extract.reading import MOST_NOTES, _compiled, _line_starts
from tests.extract.conftest import Facts, Rows, scanned

WHOLE = '''\
"""Orders."""
import os
from shop import price as cost, stock

LIMIT = max(1, stock(2))


class Order:
    """One order."""

    def __init__(self, items):
        self.items = items

    @property
    def total(self):
        return sum(cost(item) for item in self.items)

    def ship(self, *, to="here"):
        if to:
            def label(x):
                return x + to
            return label(self.total)


async def main(orders: list[Order]) -> None:
    for order in orders:
        print(order.ship())
'''
PLACELESS = ("withitem", "match_case", "comprehension", "arguments")
SHIP = "            return label(self.total)\n"


def definitions(rows: Rows) -> dict[str, int]:
    return {row["qualname"]: row["node_id"] for row in rows["definitions"]}


def texts(rows: Rows, source: str | bytes, *kinds: str) -> list[str]:
    raw = source.encode() if isinstance(source, str) else source
    return [raw[r["bstart"] : r["bend"]].decode("utf-8", "replace") for r in rows["ast_nodes"] if r["kind"] in kinds]


def notes(rows: Rows) -> list[tuple[str, int, int]]:
    return [(r["error"], r["line"], r["col"]) for r in rows["file_errors"] if r["stage"] == "recovery"]


def without_owner(rows: Rows, qualname: str) -> list[dict[str, Any]]:
    """The nodes of all owners but one."""
    [owner] = [r["node_id"] for r in rows["ast_nodes"] if r["qualname"] == qualname]
    return [r for r in rows["ast_nodes"] if r["owner_id"] != owner and r["kind"] != "Module"]


def test_a_broken_statement_costs_itself_and_moves_nothing_of_other_owners(facts: Facts) -> None:
    whole, broken = facts(WHOLE), facts(WHOLE.replace(SHIP, "            return label)(self.total\n"))
    assert definitions(broken) == definitions(whole)
    assert without_owner(broken, "m.Order.ship") == without_owner(whole, "m.Order.ship")
    assert broken["imports"] == whole["imports"]
    assert broken["exports"] == whole["exports"]
    assert broken["parsed_files"][0]["status"] == "recovered"
    calls = {r["name"] for r in whole["calls"]} - {r["name"] for r in broken["calls"]}
    assert calls == {"label"}


def test_what_was_left_out_is_a_node_with_its_own_text(facts: Facts) -> None:
    source = WHOLE.replace(SHIP, "            return label)(self.total\n")
    rows = facts(source)
    assert texts(rows, source, "Unparsed") == ["return label)(self.total"]
    assert notes(rows) == [("LeftOut", 22, 12)]
    assert [(r["key"], r["value"]) for r in rows["ast_props"] if r["key"] == "recovered"] == [("recovered", "True")]


def test_the_error_row_is_what_cpython_says(facts: Facts) -> None:
    source = WHOLE.replace(SHIP, "            return label)(self.total\n")
    with pytest.raises(SyntaxError) as raised:
        ast.parse(source)
    [row] = [r for r in facts(source)["file_errors"] if r["stage"] == "parse"]
    assert (row["error"], row["message"]) == ("SyntaxError", raised.value.msg)
    assert (row["line"], row["col"]) == (raised.value.lineno, (raised.value.offset or 0) - 1)
    assert row["recovered"]


def test_a_file_that_is_repaired_has_the_rows_of_one_that_was_never_broken(facts: Facts) -> None:
    never = facts(WHOLE)
    facts(WHOLE.replace("self.items = items", "self.items = = items"))
    assert facts(WHOLE) == never


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = max(1, stock(2))", "LIMIT = max(1, stock(2)"),
        ("LIMIT = max(1, stock(2))", 'LIMIT = """max'),
        ("LIMIT = max(1, stock(2))", "LIMIT = 'max"),
        ("LIMIT = max(1, stock(2))", "if LIMIT"),
        ("LIMIT = max(1, stock(2))", "    LIMIT = 1"),
        ("LIMIT = max(1, stock(2))", "try:\n    LIMIT = 1"),
        ("LIMIT = max(1, stock(2))", "else:\n    LIMIT = 1"),
        ("LIMIT = max(1, stock(2))", "match LIMIT:\n    case 1 2:\n        pass\n    case [}:\n        pass"),
        ("LIMIT = max(1, stock(2))", "LIMIT = \\ 1"),
        ('"""One order."""', '"""One order.'),
        ('"""One order."""', 'One order."""'),
        ("class Order:", "class Order(Base:"),
        ("class Order:", "class Order"),
        ("class Order:", "class Order(Base"),
        ("def __init__(self, items):", "def __init__(self, items:"),
        ("def __init__(self, items):", "def __init__(self, items)"),
        ("def __init__(self, items):", "def __init__(self items, =):"),
        ("@property", "@property("),
        ("if to:", "if to"),
        ("if to:", "if (to:"),
        ("if to:", "if to = 1:"),
        ("if to:", "whle to:"),
        ("for order in orders:", "for in orders:"),
        ("return sum(cost(item) for item in self.items)", "return sum(cost(item) for item in self.items"),
        ("return sum(cost(item) for item in self.items)", "return {sum(cost(item)]"),
        ("        self.items = items", "    self.items = items"),
        ("        self.items = items", "\tself.items = items"),
        ("        self.items = items", "        self.items = items\n            self.more = items"),
        ("        self.items = items", "        self.items = items\n      self.less = items"),
        ("        self.items = items", "        self.items = $items"),
        ("        self.items = items", "        # self.items = items"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_definitions_outside_the_broken_part_keep_their_ids(facts: Facts, old: str, new: str, newline: str) -> None:
    assert old in WHOLE
    source = WHOLE.replace(old, new).replace("\n", newline)
    rows = facts(source)
    assert definitions(rows) == definitions(facts(WHOLE))
    assert rows["parsed_files"][0]["status"] == "recovered"
    assert_sound(rows, source.encode())


def test_decorators_whose_definition_is_lost_go_with_it(facts: Facts) -> None:
    source = "@first\n@second(1)\ndef \n\n\n@third\nclass A: pass\n"
    rows = facts(source)
    assert texts(rows, source, "ClassDef", "Unparsed") == ["def", "class A: pass"]
    assert [r["name"] for r in rows["decorators"]] == ["third"]


def test_what_is_too_much_in_a_statement_is_left_out_of_it(facts: Facts) -> None:
    source = "x = f(a, b c)\nfrom m import a, b c, d\n"
    rows = facts(source)
    assert [(r["name"], r["n_arguments"]) for r in rows["calls"]] == [("f", 2)]
    assert [r["name"] for r in rows["imports"]] == ["a", "b", "d"]
    assert notes(rows) == [("LeftOut", 1, 11), ("LeftOut", 2, 19)]


def test_brackets_that_are_left_open_are_closed_where_the_statement_ends(facts: Facts) -> None:
    source = "x = f(a, [g(b), h(c)\nif (p(x):\n    q(\ny = 1\n"
    rows = facts(source)
    assert texts(rows, source, "Call") == ["f(a, [g(b), h(c)", "g(b)", "h(c)", "p(x)", "q("]
    assert {r["error"] for r in rows["file_errors"] if r["stage"] == "recovery"} == {"ReadAs"}
    assert not texts(rows, source, "Unparsed")


def test_a_header_that_cannot_be_read_keeps_its_keyword_and_its_block(facts: Facts) -> None:
    source = "if ):\n    f()\nelif ):\n    g()\nelse:\n    h()\n"
    rows = facts(source)
    assert [r["name"] for r in rows["calls"]] == ["f", "g", "h"]
    assert texts(rows, source, "Unparsed") == [" ):", " ):"]
    assert [r["kind"] for r in rows["ast_nodes"] if r["kind"] in ("If", "Pass")] == ["If", "If"]


NEWER = [
    ("def f[T: int, *Ts](x: T) -> T:\n    return x\n", "m.f", (3, 12)),
    ("class A[T](Base):\n    def f[S](self): pass\n", "m.A.f", (3, 12)),
    ("def f(x):\n    return f'{x['a']} {x!r:>{w}}'\n", "m.f", (3, 12)),
    ("def f():\n    try:\n        g()\n    except A, B:\n        pass\n", "m.f", (3, 14)),
    ("def f(x):\n    return t'{x} and {g(x)}'\n", "m.f", (3, 14)),
]


@pytest.mark.parametrize(("source", "qualname", "since"), NEWER)
def test_newer_syntax_is_read_as_what_comes_nearest(
    facts: Facts, source: str, qualname: str, since: tuple[int, int]
) -> None:
    rows = facts(source)
    assert qualname in definitions(rows)
    assert not texts(rows, source, "Unparsed")
    assert rows["parsed_files"][0]["status"] == ("ok" if sys.version_info >= since else "recovered")
    assert_sound(rows, source.encode())


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="known to this Python")
def test_newer_syntax_gives_its_names_calls_and_exact_places(facts: Facts) -> None:
    source = "type Pair[T] = tuple[T, T]\nclass A[T](B, key=g(1)):\n    x: Pair[int] = h()\n"
    rows = facts(source)
    assert {r["name"] for r in rows["bindings"]} == {"Pair", "A", "x"}
    assert texts(rows, source, "Call") == ["g(1)", "h()"]
    assert texts(rows, source, "Assign", "ClassDef")[0] == "Pair[T] = tuple[T, T]"
    assert notes(rows) == [("ReadAs", 1, 0), ("LeftOut", 1, 9), ("LeftOut", 2, 7)]


def test_statements_of_python_2_are_read_as_they_are_written_now(facts: Facts) -> None:
    source = (
        "def f(g):\n    print 'a', h(1)\n    exec code in scope\n    try:\n        x = 0777 <> 10L\n"
        "    except (A, B), e:\n        raise E, 'no'\n    print -1\n"
    )
    rows = facts(source)
    assert [r["name"] for r in rows["calls"]] == ["print", "h", "exec"]
    assert texts(rows, source, "Call") == ["print 'a', h(1)", "h(1)", "exec code in scope"]
    assert ("e", "except") in {(r["name"], r["kind"]) for r in rows["bindings"]}
    assert texts(rows, source, "Tuple") == ["(A, B)", "E, 'no'"]
    assert texts(rows, source, "BinOp") == ["print -1"]  # what this Python understands is left alone
    assert {r["value"] for r in rows["ast_props"] if r["key"] == "value"} >= {"511", "10"}
    assert not texts(rows, source, "Unparsed")


@pytest.mark.parametrize("at", range(0, len(WHOLE), 7))
def test_a_file_that_was_cut_short_keeps_what_stands_before_the_cut(facts: Facts, at: int) -> None:
    source = WHOLE[:at]
    rows = facts(source)
    whole = definitions(facts(WHOLE))
    line = source.count("\n") + 1
    before = {
        f"m.{name}"
        for name, first in {
            "Order": 8, "Order.__init__": 11, "Order.total": 15, "Order.ship": 18, "Order.ship.label": 20, "main": 25,
        }.items()
        if first < line
    }  # fmt: skip
    assert before <= definitions(rows).keys()
    assert all(definitions(rows)[name] == whole[name] for name in before)
    assert_sound(rows, source.encode())


def test_places_count_bytes_behind_a_mark_and_wide_characters(facts: Facts) -> None:
    source = "\ufeffä = 'ö'; print 'ü', f('é')\nx = (\ny = g('ß', ß ß)\nz = h('€')\n".encode()
    rows = facts(source)
    assert texts(rows, source, "Call") == ["print 'ü', f('é')", "f('é')", "g('ß', ß ß)", "h('€')"]
    assert [(r["line"], r["col"]) for r in rows["ast_nodes"] if r["kind"] == "Call"] == [
        (1, 11),
        (1, 23),
        (3, 4),
        (4, 4),
    ]
    assert_sound(rows, source)


def test_what_would_move_a_line_is_not_mended(facts: Facts) -> None:
    source = "print \\\n    'a', 1\ny = f()\n"
    rows = facts(source)
    assert [(r["kind"], r["line"]) for r in rows["ast_nodes"] if r["kind"] in ("Unparsed", "Call")] == [
        ("Unparsed", 1), ("Call", 3),
    ]  # fmt: skip
    assert texts(rows, source, "Unparsed", "Call") == ["print \\\n    'a', 1", "f()"]


def test_lines_are_counted_as_the_compiler_counts_them(facts: Facts) -> None:
    source = "x = (1,\n\r\n  2\r\r\n\r  3\n@a(\r\n\n1\r\ny = f()\rz = (\r\r\n\rdef g():\r    h()\n"
    rows = facts(source)
    assert texts(rows, source, "Call") == ["f()", "h()"]
    assert_sound(rows, source.encode())
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for row in rows["ast_nodes"]:
        if row["kind"] in ("Call", "FunctionDef"):
            assert lines[row["line"] - 1][row["col"] :].startswith(
                source[row["bstart"] : row["bend"]].partition("\r")[0]
            )


def test_a_file_in_another_encoding_is_recovered_in_its_own_bytes(facts: Facts) -> None:
    source = "# coding: latin-1\nx = 'é' 'ü\ndef f():\n    return g('ä')\n".encode("latin-1")
    rows = facts(source)
    [call] = [r for r in rows["ast_nodes"] if r["kind"] == "Call"]
    assert source[call["bstart"] : call["bend"]] == "g('ä')".encode("latin-1")
    assert list(definitions(rows)) == ["m", "m.f"]


def test_bytes_that_are_no_text_cost_the_statement_they_stand_in_unless_in_a_comment(facts: Facts) -> None:
    source = b"# Jos\xe9\nx = 1  # \xe9\nname = 'Jos\xe9'\ndef f():\n    '''\xe9'''\n    return f'\0'\n    y = 2\n"
    rows = facts(source)
    assert rows["file_errors"][0]["error"] == "UnicodeDecodeError"
    assert texts(rows, source, "Assign") == ["x = 1", "y = 2"]
    assert [r["line"] for r in rows["file_errors"] if r["stage"] == "recovery"] == [3, 5, 6]
    assert list(definitions(rows)) == ["m", "m.f"]


def test_a_file_of_which_nothing_parses_has_no_rows(facts: Facts) -> None:
    for source in (b")", b"a b\nc d\n", b"\0" * 100, bytes(range(256)) * 4):
        rows = facts(source)
        assert (rows["parsed_files"][0]["status"], rows["ast_nodes"]) == ("failed", [])
        assert [r["recovered"] for r in rows["file_errors"]] == [False]


def test_what_is_exported_is_not_known_completely(facts: Facts) -> None:
    assert {r["is_complete"] for r in facts("__all__ = ['a']\n")["exports"]} == {True}
    assert {r["is_complete"] for r in facts("__all__ = ['a']\n__all__ += b c\n")["exports"]} == {False}


def test_many_broken_parts_are_counted_not_listed(facts: Facts) -> None:
    rows = facts("x = 1\n" + "a b\n" * 50)
    told = [r for r in rows["file_errors"] if r["stage"] == "recovery"]
    assert [r["ordinal"] for r in told] == list(range(MOST_NOTES + 1))
    assert (told[-1]["error"], told[-1]["message"]) == ("More", "30 more parts are not read as written")
    assert sum(r["kind"] == "Unparsed" for r in rows["ast_nodes"]) == 50


@pytest.mark.parametrize(
    "source",
    [
        "x = = 1\n", "foo(\n", "x = '''\n", "@a b\n", "if x\n", "\tif x:\n", "x = 1\n    y = 2\n", "}\n",
        "def f(\n", "print 'a', 1\n", "'\n", "\\\n", "class A:\n", "try:\n    x\n", "f'{x['a']}'\n",
    ],
)  # fmt: skip
def test_a_file_broken_all_over_takes_no_more_work_than_is_allowed(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(recovery, "FREE", 0)
    monkeypatch.setattr(recovery, "MENDING", 2)
    monkeypatch.setattr(recovery, "READING", 4)
    text, handed = (source * 500).encode(), 0

    def judge(text: str) -> Any:
        nonlocal handed
        handed += len(text) + recovery.CALL
        return _compiled(text, "m.py")

    found = recovery.recover(text, _line_starts(text).tolist(), judge)
    a_statement, the_end = 20 * recovery.CALL, (recovery.ATTEMPTS + 2) * len(text)
    assert handed < recovery.READING * len(text) + a_statement + the_end
    assert found is None or found.notes[-1].message == "too much is broken to be read on"


def test_a_statement_that_is_too_long_is_not_mended(facts: Facts) -> None:
    source = f"x = f({'1, ' * 20_000}a b)\ny = f(a b)\n"
    assert [r["line"] for r in facts(source)["ast_nodes"] if r["kind"] in ("Unparsed", "Assign")] == [1, 2]
    assert texts(facts(source), source, "Assign") == ["y = f(a b)"]


def test_only_a_broken_file_needs_the_tolerant_parser(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.extract.conftest import scanned\n"
        "from codeintel.extract.python_facts import python_facts\n"
        "root = Path(sys.argv[1])\n"
        "for source in ('x = 1\\n', 'x = = 1\\ny = 1\\n'):\n"
        "    python_facts(scanned(root, {'m.py': source}), root, '', 1 << 20)\n"
        "    print([name in sys.modules for name in ('tree_sitter', 'codeintel.extract.recovery')])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[False, False]", "[True, True]"]


@pytest.mark.parametrize("levels", [105, 130])
def test_nesting_deeper_than_the_compiler_allows_is_left_out(facts: Facts, levels: int) -> None:
    deep = "".join(" " * level + "if x:\n" for level in range(levels)) + " " * levels + "y = 1\n"
    rows = facts(f"def f(): pass\n{deep}def g(): pass\n")
    assert list(definitions(rows)) == ["m", "m.f", "m.g"]


def assert_sound(rows: Rows, raw: bytes) -> None:
    """Spans lie within the file and their parents, keys are unique, and nothing is read in what was left out."""
    nodes = {r["node_id"]: r for r in rows["ast_nodes"]}
    assert len(nodes) == len(rows["ast_nodes"])
    broken = [(r["bstart"], r["bend"]) for r in nodes.values() if r["kind"] == "Unparsed"]
    around = {r["parent_id"] for r in nodes.values() if r["kind"] == "Unparsed"}  # has its place if it has none itself
    for row in nodes.values():
        if row["bstart"] is None:
            continue
        assert 0 <= row["bstart"] <= row["bend"] <= len(raw), row
        lines = raw.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
        assert 1 <= row["line"] <= row["end_line"] <= max(len(lines), 1) + 1, row
        if row["kind"] != "Unparsed" and not (row["kind"] in PLACELESS and row["node_id"] in around):
            inside = [b for b in broken if b[0] <= row["bstart"] < row["bend"] <= b[1]]
            assert not inside, (row, inside)


PIECES = st.sampled_from(
    ["(", ")", "[", "]", "{", "}", ":", ",", "=", "'", '"', '"""', "\n", "\n\n", "    ", "\t", "\\", "#", "@", "def ",
     "class ", "if ", "else:", "try:", "except ", "for ", "in ", "return ", "lambda ", "print ", "async ", "match ",
     "case ", "f'{", "}'", "\r", "\0", "\x0c", "é", "€", "x", "1", " ", ";", ".", "*", "import ", "from ", "\ufeff"]
)  # fmt: skip
EDITS = st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 40), st.lists(PIECES, max_size=3)), max_size=4)


@given(EDITS)
def test_no_edit_makes_recovery_fail_or_point_outside_what_was_read(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, list[str]]]
) -> None:
    source = WHOLE
    for at, length, pieces in edits:
        source = source[:at] + "".join(pieces) + source[at + length :]
    root = tmp_path_factory.mktemp("edited")
    tables = python_facts(scanned(root, {"m.py": source}), root, "", 1 << 20)
    rows = {name: table.to_pylist() for name, table in tables.items()}
    [file] = rows["parsed_files"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is no error yet
            tree = ast.parse(source.encode())
    except (SyntaxError, ValueError):
        assert file["status"] in ("recovered", "failed")
        assert [r["recovered"] for r in rows["file_errors"]][:1] == [file["status"] == "recovered"]
    else:
        assert file["status"] in ("ok", "partial")
        assert {r["name"] for r in rows["definitions"]} >= {
            node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        }
    assert_sound(rows, source.encode())


@given(st.lists(PIECES, max_size=30))
def test_anything_at_all_is_a_row(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    source = "".join(pieces)
    root = tmp_path_factory.mktemp("anything")
    tables = python_facts(scanned(root, {"m.py": source}), root, "", 1 << 20)
    rows = {name: table.to_pylist() for name, table in tables.items()}
    assert len(rows["parsed_files"]) == 1
    assert_sound(rows, source.encode())


@pytest.mark.parametrize(("hole", "dead", "certainty"), [("", 1, "certainly"), ("    else else\n", 0, "possibly")])
def test_what_was_left_out_may_lead_anywhere_and_define_anything(
    facts: Facts, hole: str, dead: int, certainty: str
) -> None:
    rows = facts(f"def f():\n    print(x)\n{hole}    x = 1\n    return x\n    x\n")
    assert bool(rows["unreachable_nodes"]) == bool(dead)
    assert [row["certainty"] for row in rows["undefined_uses"]] == [certainty]


def test_what_was_left_out_runs_where_it_stands_and_may_raise(facts: Facts) -> None:
    rows = facts("try:\n    else else\nexcept E:\n    x = 1\ny = 2\n")
    kinds = {row["node_id"]: (row["kind"], row["line"]) for row in rows["ast_nodes"]}
    steps = {
        (kinds.get(row["dst"]), row["label"]) for row in rows["cfg_edges"] if kinds.get(row["src"]) == ("Unparsed", 2)
    }
    assert steps == {(("Constant", 5), ""), (("Name", 3), "exception")}

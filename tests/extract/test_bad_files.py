"""A bad file is a row, never an exception, and leaves the other files whole."""

from __future__ import annotations

import ast
import os
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from codeintel.extract.python_facts import python_facts
from codeintel.extract.tables import TABLES
from codeintel.fingerprint import digest_bytes
from tests.extract.conftest import SCAN, Facts, Tables, scanned

N = 20_000
DEEP = {
    "brackets": "[" * 10_000 + "]" * 10_000,
    "sum": "+".join("1" * N),
    "attributes": "a" + ".b" * N,
    "signs": "-" * N + "1",
    "calls": "f" + "()" * N,
    "elifs": "if x: pass\n" + "elif x: pass\n" * N,
    "lambdas": "lambda:" * N + "1",
}


@pytest.mark.parametrize(
    ("source", "stage", "error", "line"),
    [
        (b"# x = 1\ny = '\xff'\n", "decode", "UnicodeDecodeError", 2),
        (b"# coding: nonsense\n", "decode", "SyntaxError", 1),
        (b"# coding: rot13\nk = 1\n", "parse", "SyntaxError", None),
        (b"x = 1\0\n", "parse", None, None),
        (bytes(range(256)), "decode", "UnicodeDecodeError", None),
        (b"x y\n", "parse", "SyntaxError", 1),
        (b"x y:\npass z\n", "parse", "SyntaxError", 1),
        *((source.encode(), "parse", None, None) for source in DEEP.values()),
    ],
    ids=["not-utf-8", "unknown-encoding", "no-text-encoding", "nul", "binary", "syntax", "block", *DEEP],
)
def test_a_file_that_cannot_be_parsed_is_a_row_with_its_stage(
    facts: Facts, source: bytes, stage: str, error: str | None, line: int | None
) -> None:
    rows = facts({"bad.py": source, "good.py": "x = 1\n"})
    assert {r["path"]: r["status"] for r in rows["parsed_files"]} == {"bad.py": "failed", "good.py": "ok"}
    assert {r["path"] for r in rows["ast_nodes"]} == {"good.py"}
    [fault] = rows["file_errors"]
    assert (fault["path"], fault["stage"], fault["ordinal"], fault["recovered"]) == ("bad.py", stage, 0, False)
    assert fault["message"]
    assert error in (None, fault["error"])
    assert line in (None, fault["line"])
    assert fault["col"] is None or fault["col"] >= 0


@pytest.mark.parametrize("source", ["nonlocal x\n", "def f(a, a): pass\n", "[y for x in (y := [1])]\n"])
def test_syntax_stays_when_the_compiler_finds_no_scopes(facts: Facts, source: str) -> None:
    rows = facts({"bad.py": source, "good.py": "def f(): pass\nf()\n"})
    assert [r["status"] for r in rows["parsed_files"]] == ["partial", "ok"]
    assert [r["stage"] for r in rows["file_errors"]] == ["scopes"]
    assert sum(r["path"] == "bad.py" for r in rows["ast_nodes"]) > 1
    assert {r["path"] for table in ("scopes", "symbols", "bindings", "references") for r in rows[table]} == {"good.py"}


def test_deep_chains_that_parse_are_taken_apart(facts: Facts) -> None:
    for source in ("+".join("1" * 900), "a" + ".b" * 900, "f" + "()" * 900):
        rows = facts(source)
        assert len(rows["ast_nodes"]) == sum(
            not isinstance(n, (ast.expr_context, ast.operator)) for n in ast.walk(ast.parse(source))
        )


def test_how_deep_a_file_may_nest_does_not_hang_on_the_caller(tables: Tables) -> None:
    source = {"m.py": "+".join("1" * 2900)}

    def called_from(depth: int) -> list[str]:
        return called_from(depth - 1) if depth else tables(source)["parsed_files"]["status"].to_pylist()

    assert called_from(0) == called_from(400) == called_from(700)


def test_a_file_the_scan_could_not_read_is_not_opened(tmp_path: Path) -> None:
    files = pa.Table.from_pylist(
        [{"path": "gone.py", "module": "gone", "digest": "", "bytes": 0, "error": "no permission", "bucket": 3}], SCAN
    )
    facts = python_facts(files, tmp_path, "", 1 << 20)
    [fault] = facts["file_errors"].to_pylist()
    assert (fault["stage"], fault["message"], fault["bucket"]) == ("scan", "no permission", 3)
    assert facts["parsed_files"].to_pylist() == [
        {"path": "gone.py", "lines": None, "encoding": None, "status": "failed", "bucket": 3}
    ]


def test_a_file_that_changed_or_vanished_since_the_scan_gives_no_rows(tmp_path: Path) -> None:
    files = scanned(tmp_path, {"changed.py": "x = 1\n", "gone.py": "x = 1\n", "folder.py": "", "same.py": "x = 1\n"})
    (tmp_path / "changed.py").write_text("x = 2\n")
    (tmp_path / "gone.py").unlink()
    (tmp_path / "folder.py").unlink()
    (tmp_path / "folder.py").mkdir()
    facts = python_facts(files, tmp_path, "", 1 << 20)
    faults = {r["path"]: (r["stage"], r["error"], r["message"]) for r in facts["file_errors"].to_pylist()}
    assert faults == {
        "changed.py": ("read", "Changed", "changed while being read"),
        "folder.py": ("read", "IsADirectoryError", "Is a directory"),
        "gone.py": ("read", "FileNotFoundError", "No such file or directory"),
    }
    assert set(facts["ast_nodes"]["path"].to_pylist()) == {"same.py"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_pipe_in_a_files_place_does_not_hang(tmp_path: Path) -> None:
    files = scanned(tmp_path, {"pipe.py": "x = 1\n"})
    (tmp_path / "pipe.py").unlink()
    os.mkfifo(tmp_path / "pipe.py")
    done = []
    worker = threading.Thread(target=lambda: done.append(python_facts(files, tmp_path, "", 1 << 20)), daemon=True)
    worker.start()
    worker.join(10)
    assert done[0]["file_errors"]["stage"].to_pylist() == ["read"]


def test_files_over_the_limit_are_not_parsed(tmp_path: Path) -> None:
    files = scanned(tmp_path, {"big.py": "x = 1\n" * 100, "grown.py": "x = 1\n"})
    (tmp_path / "grown.py").write_text("x = 1\n" * 100)
    facts = python_facts(files, tmp_path, "", 100)
    assert facts["file_errors"]["error"].to_pylist() == ["TooLarge", "TooLarge"]
    assert facts["file_errors"]["message"][0].as_py() == "600 bytes, the limit is 100"


def test_tables_have_their_declared_schemas_even_without_rows(tables: Tables) -> None:
    for sources in ({}, {"empty.py": ""}, {"bad.py": "("}, {"m.py": "f(x)\n"}):
        found = tables(sources)
        assert list(found) == list(TABLES)
        for name, table in found.items():
            assert table.schema.equals(TABLES[name].schema), name
            table.validate(full=True)
            for field in table.schema:
                assert field.nullable or not table[field.name].null_count, (name, field.name)


def test_an_empty_file_is_a_module_of_no_lines(facts: Facts) -> None:
    rows = facts("")
    assert [(r["kind"], r["bstart"], r["bend"], r["line"]) for r in rows["ast_nodes"]] == [("Module", 0, 0, 1)]
    assert rows["parsed_files"][0]["lines"] == 0


def test_warnings_about_the_analysed_code_are_not_ours(facts: Facts) -> None:
    assert facts("x = '\\d'\nassert (x, 'always')\nx is 1\n")["parsed_files"][0]["status"] == "ok"


def test_the_analysed_code_is_never_run(facts: Facts, tmp_path: Path) -> None:
    facts(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n")
    assert not (tmp_path / "ran").exists()
    assert "m" not in sys.modules


def test_names_with_spaces_and_newlines_are_read(facts: Facts) -> None:
    assert [r["path"] for r in facts({"a b/c\nd.py": "x\n"})["parsed_files"]] == ["a b/c\nd.py"]


def test_the_bytes_that_are_parsed_are_the_bytes_of_the_digest(tmp_path: Path) -> None:
    files = scanned(tmp_path, {"m.py": "x = 1\n"})
    assert files["digest"][0].as_py() == digest_bytes(b"x = 1\n")
    assert python_facts(files, tmp_path, "", 1 << 20)["parsed_files"]["status"].to_pylist() == ["ok"]

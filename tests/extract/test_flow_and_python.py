"""Control flow judged by Python itself, on the snippets that take every turn: what it runs, and what it compiles."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SNIPPETS = BENCHMARKS / "flow_snippets.py"
pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="instructions are named as in 3.11")

OPTIMISED = """\
def f():
    try:
        raise a
    except:
        b = 1
    finally:
        c = 2
    if a and not b or c:
        d
    if __debug__ or e:
        f
    return [g for g in h for i in [g] if i if 1 < i < 3]
"""


def ran(script: str, *arguments: str | Path, result: Path) -> dict[str, Any]:
    command = [sys.executable, BENCHMARKS / script, *arguments, "--jobs", "1", "--json", result]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads(result.read_text("utf-8"))


def test_jumps_of_the_bytecode_are_branches_but_for_what_the_compiler_knows(tmp_path: Path) -> None:
    (tmp_path / "optimised.py").write_text(OPTIMISED)
    (tmp_path / "snippets.py").write_text(SNIPPETS.read_text("utf-8"))
    found = ran("flow_bytecode.py", tmp_path, result=tmp_path / "found.json")
    assert found["unexplained"] == []
    assert found["total"]["files"] == 2
    assert found["total"]["steps"] > 500
    assert all(found["total"][f"extra: {name}"] for name in ("jump threading", "constant folding", "one item"))


def test_what_is_executed_is_a_way_through_the_graph(tmp_path: Path) -> None:
    found = ran("flow_trace.py", "--tests", SNIPPETS.stem, result=tmp_path / "found.json")
    assert found["missing"] == []
    assert found["total"]["steps"] > 1000
    assert found["total"]["exception steps"] > 20

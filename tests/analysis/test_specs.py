"""The pages in `specs`: Python blocks, each a file named after `python`, and beside them the calls they make.

A line of a `calls` block is `caller -> callee, callee`. Every heading is one program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.analysis.conftest import Graph, blocks

SPECS = Path(__file__).parent / "specs"


def _cases() -> list[tuple[str, dict[str, str], Graph]]:
    cases = []
    for page in sorted(SPECS.glob("*.md")):
        programs: dict[str, tuple[dict[str, str], Graph]] = {}
        for heading, info, body in blocks(page.read_text("utf-8")):
            files, graph = programs.setdefault(heading, ({}, {}))
            kind, _, path = info.partition(" ")
            if kind == "python":
                files[path or "m.py"] = body
            else:
                for line in filter(None, body.splitlines()):
                    caller, _, callees = line.partition(" -> ")
                    graph[caller] = sorted(callee.strip() for callee in callees.split(","))
        cases += [(f"{page.stem}: {heading}", *program) for heading, program in programs.items()]
    return cases


@pytest.mark.parametrize(("files", "graph"), [case[1:] for case in _cases()], ids=[case[0] for case in _cases()])
def test_every_program_of_the_specs_makes_the_calls_beside_it(
    files: Mapping[str, str], graph: Graph, calls_in: Callable[[Mapping[str, str]], Graph]
) -> None:
    assert calls_in(files) == graph

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from codeintel.analysis.components import program_components
from codeintel.analysis.resolution import resolutions
from codeintel.analysis.resolution_rows import RESOLUTIONS
from codeintel.extract.python_facts import python_facts
from tests.extract.conftest import scanned

Facts = Mapping[str, pa.Table]
Graph = dict[str, list[str]]


def resolved(facts: Facts) -> pa.Table:
    """All parts of `resolutions` in one."""
    flows = facts["value_flows"]
    found = resolutions(flows.to_reader(), facts["exports"], program_components(flows.to_reader()))
    return pa.concat_tables([RESOLUTIONS.empty_table(), *found])


def call_graph(facts: Facts, found: pa.Table) -> Graph:
    """`{caller: [callee, …]}` by qualified names; what is outside by its import path."""
    names = {
        row["target_id"]: row["name"] for row in facts["value_flows"].to_pylist() if row["op"] == "define"
    }  # fmt: skip
    caller = {row["slot_id"]: names[row["caller_id"]] for row in facts["value_slots"].to_pylist()}
    graph: dict[str, set[str]] = {}
    for row in found.to_pylist():
        if row["relation"] == "call" and row["target_kind"] != "class":
            graph.setdefault(caller[row["slot_id"]], set()).add(row["target_name"])
    return {each: sorted(callees) for each, callees in sorted(graph.items())}


@pytest.fixture
def facts_of(tmp_path: Path) -> Callable[[Mapping[str, str]], Facts]:
    def extract(sources: Mapping[str, str]) -> Facts:
        return python_facts(scanned(tmp_path, dict(sources)), tmp_path, "", 1 << 24)

    return extract


@pytest.fixture
def calls_in(facts_of: Callable[[Mapping[str, str]], Facts]) -> Callable[[Mapping[str, str] | str], Graph]:
    """`calls_in(source)` is the call graph of a module `m`; `calls_in({path: source})` of several files."""

    def resolve(sources: Mapping[str, str] | str) -> Graph:
        facts = facts_of({"m.py": sources} if isinstance(sources, str) else sources)
        return call_graph(facts, resolved(facts))

    return resolve


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """`(heading, info line, body)` of every fenced block of a Markdown page."""
    heading, info, body = "", None, list[str]()
    for line in page.splitlines():
        if line.startswith("```"):
            if info is None:
                info, body = line[3:].strip(), []
            else:
                yield heading, info, "\n".join(body)
                info = None
        elif info is not None:
            body.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")

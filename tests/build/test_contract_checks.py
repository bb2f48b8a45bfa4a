"""Checks of whole tables: what changed since the last check is enough, and says what a check of everything says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeintel.hamilton_pipeline import contract_job
from codeintel.hamilton_pipeline.contract_job import ContractJob, findings_of
from codeintel.hamilton_pipeline.stored_rows import store_rows
from codeintel.relspec.pipeline import Contract, Reference, Table
from codeintel.store.handles import TableHandle
from codeintel.store.results import Result

BUCKETS = 3
NODES = Table(pa.schema({"id": pa.int64(), "path": pa.string(), "bucket": pa.int32()}), ("id",))
EDGES = Table(
    pa.schema({"src": pa.int64(), "dst": pa.int64(), "path": pa.string(), "bucket": pa.int32()}), ("src", "dst")
)
TO_SRC, TO_DST = Reference(("src",), "nodes", ("id",)), Reference(("dst",), "nodes", ("id",))
CONTRACTS = {
    "nodes": Contract(NODES, "node", {}),
    "edges": Contract(EDGES, "edge", {}, references=(TO_SRC, TO_DST)),
}
TABLES = {"nodes": NODES, "edges": EDGES}

Rows = dict[int, set[int]]  # by bucket
IDS = st.sets(st.integers(0, 8), max_size=4)
STATE = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(range(BUCKETS), IDS)),
    st.fixed_dictionaries(
        {b: st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=2) for b in range(BUCKETS)}
    ),
)


def handle(objects: Path, name: str, rows: list[dict[str, Any]]) -> TableHandle:
    """Stored bucket by bucket, as jobs of their own would: none sees the others."""
    table, parts = TABLES[name], {}
    for bucket in sorted({row["bucket"] for row in rows}, key=str):
        part = pa.Table.from_pylist([row for row in rows if row["bucket"] == bucket], table.schema)
        parts |= store_rows(objects, name, part, table, "arrow", CONTRACTS[name])
    return TableHandle(name, "", parts)


def told(objects: Path, name: str, handles: dict[str, TableHandle], verified: Result | None) -> tuple[str, Result]:
    """What a check says, and what is verified by it."""
    schemas = {table: TABLES[table].schema for table in handles}
    used = handles if name == "edges" else {"nodes": handles["nodes"]}
    unique = frozenset({TO_SRC, TO_DST})
    tables, _ = ContractJob(objects, name, CONTRACTS[name], used, schemas, verified, unique).run()
    found = Result({table: dict(parts) for table, parts in tables.items()})
    return "; ".join(f"{f.rule}: {f.count}" for f in findings_of(objects, found)), found


def test_a_table_that_is_not_held_at_once_is_checked_by_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"id": i, "path": "", "bucket": b} for b, ids in enumerate((range(6), range(5, 9), [3])) for i in ids]
    links = [{"src": s, "dst": d, "path": "", "bucket": 0} for s, d in ((1, 8), (1, 9), (2, 7))]
    handles = {"nodes": handle(tmp_path, "nodes", nodes), "edges": handle(tmp_path, "edges", links)}
    at_once = [told(tmp_path, name, handles, None)[0] for name in ("nodes", "edges")]
    monkeypatch.setattr(contract_job, "HELD_VALUES", 3)
    assert [told(tmp_path, name, handles, None)[0] for name in ("nodes", "edges")] == at_once
    assert at_once == ["id is unique: 4", "dst is in nodes.id: 1"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STATE, min_size=2, max_size=5))
def test_a_check_of_what_changed_says_what_a_check_of_everything_says(
    tmp_path_factory: pytest.TempPathFactory, states: list[tuple[dict[int, set[int]], dict[int, set[tuple[int, int]]]]]
) -> None:
    objects = tmp_path_factory.mktemp("objects")
    verified: dict[str, Result | None] = {"nodes": None, "edges": None}
    for ids, pairs in states:
        nodes = [{"id": i, "path": f"{b}", "bucket": b} for b, found in ids.items() for i in sorted(found)]
        edges = [
            {"src": s, "dst": d, "path": f"{b}", "bucket": b} for b, found in pairs.items() for s, d in sorted(found)
        ]
        handles = {"nodes": handle(objects, "nodes", nodes), "edges": handle(objects, "edges", edges)}
        for name in ("nodes", "edges"):
            whole, _ = told(objects, name, handles, None)
            since, now = told(objects, name, handles, verified[name])
            assert since == whole
            if name == "nodes" and whole:
                break  # the check of edges counts on unique ids
            verified[name] = now


@pytest.mark.parametrize(
    ("name", "nodes", "edges", "rule"),
    [
        ("nodes", {0: {1, 2}, 1: {2}}, {}, "id is unique: 2"),
        ("edges", {0: {1}, 1: {2}}, {0: {(1, 3)}}, "dst is in nodes.id: 1"),
        ("edges", {0: {1}}, {0: {(1, 2)}}, "dst is in nodes.id: 1"),  # 2 has gone from bucket 1
    ],
)
def test_what_one_bucket_breaks_is_found_by_a_check_of_what_changed(
    tmp_path: Path, name: str, nodes: Rows, edges: dict[int, set[tuple[int, int]]], rule: str
) -> None:
    def handles(ids: Rows, pairs: dict[int, set[tuple[int, int]]]) -> dict[str, TableHandle]:
        rows = [{"id": i, "path": "", "bucket": b} for b, found in sorted(ids.items()) for i in sorted(found)]
        links = [{"src": s, "dst": d, "path": "", "bucket": b} for b, found in sorted(pairs.items()) for s, d in found]
        return {"nodes": handle(tmp_path, "nodes", rows), "edges": handle(tmp_path, "edges", links)}

    said, verified = told(tmp_path, name, handles({0: {1}, 1: {2}}, {0: {(1, 2)}}), None)
    assert said == ""
    assert rule in told(tmp_path, name, handles(nodes, edges), verified)[0]

"""Public tables: the head of a Delta table becomes equal to a handle, whatever it held before."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from codeintel.store.delta import VERSIONS_KEY, commit_table
from codeintel.store.handles import TableHandle
from codeintel.store.partitions import split_by_bucket, write_partition

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("n", pa.int64()),
        pa.field("bucket", pa.int32(), nullable=False),
    ]
)


class Published:
    """A table in a store of its own."""

    def __init__(self, root: Path) -> None:
        self.tables, self.objects = root / "tables", root / "objects"

    def commit(self, rows: dict[int, list[int]], schema: pa.Schema = SCHEMA) -> int:
        flat = [{"path": f"f{b}", "n": n, "bucket": b} for b, values in rows.items() for n in values]
        table = pa.Table.from_pylist(flat, schema=schema)
        parts = {b: write_partition(self.objects, t, "parquet") for b, t in split_by_bucket(table)}
        return commit_table(self.tables, self.objects, TableHandle("t", "", parts), schema)

    def read(self, version: int | None = None) -> dict[int, list[int]]:
        found = DeltaTable(self.tables / "t", version=version).to_pyarrow_table().to_pylist()
        return {b: sorted(r["n"] for r in found if r["bucket"] == b) for b in sorted({r["bucket"] for r in found})}


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


def test_a_commit_changes_only_buckets_that_differ_and_an_equal_one_is_none(published: Published) -> None:
    assert published.commit({1: [1, 2], 2: [3]}) == 0
    assert published.commit({1: [1, 2], 2: [3]}) == 0
    assert published.commit({1: [1, 2], 3: [4]}) == 1
    assert published.read() == {1: [1, 2], 3: [4]}
    assert published.read(version=0) == {1: [1, 2], 2: [3]}
    log = (published.tables / "t/_delta_log/00000000000000000001.json").read_text().splitlines()
    actions = [next(iter(json.loads(line))) for line in log]
    assert sorted(actions) == ["add", "commitInfo", "remove"]
    versions = json.loads(DeltaTable(published.tables / "t").history(1)[0][VERSIONS_KEY])
    assert sorted(versions) == ["1", "3"]


def test_rows_of_a_run_that_died_after_its_commit_go_away(published: Published) -> None:
    published.commit({1: [1]})
    published.commit({1: [1], 2: [666]})  # committed, never published
    published.commit({1: [1]})
    assert published.read() == {1: [1]}


def test_a_bucket_removed_and_brought_back_reads_right(published: Published) -> None:
    for rows in ({1: [1], 2: [2]}, {1: [1]}, {1: [1], 2: [2]}):
        published.commit(rows)
        assert published.read() == rows


def test_a_changed_schema_rewrites_the_table_and_keeps_old_versions_readable(published: Published) -> None:
    published.commit({1: [1], 2: [2]})
    wider = pa.schema([SCHEMA.field("path"), SCHEMA.field("n"), pa.field("extra", pa.string()), SCHEMA.field("bucket")])
    assert published.commit({1: [1], 2: [2]}, wider) == 1
    assert published.read() == {1: [1], 2: [2]}
    assert "extra" in DeltaTable(published.tables / "t", version=1).to_pyarrow_table().column_names
    assert "extra" not in DeltaTable(published.tables / "t", version=0).to_pyarrow_table().column_names


def test_an_empty_table_can_be_published(published: Published) -> None:
    assert published.commit({}) == 0
    assert published.read() == {}
    assert DeltaTable(published.tables / "t", version=0).to_pyarrow_dataset().to_table().num_rows == 0

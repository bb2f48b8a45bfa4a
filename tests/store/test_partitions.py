"""Data versions and partitions: content decides, and nothing else."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeintel.errors import StoreError
from codeintel.store.handles import Format, TableHandle, object_path
from codeintel.store.partitions import (
    data_version,
    in_key_order,
    read_buckets,
    read_partition,
    split_by_bucket,
    write_partition,
)

SCHEMA = pa.schema({"id": pa.int64(), "name": pa.string(), "flag": pa.bool_(), "share": pa.float32()})
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(-(2**63), 2**63 - 1),
            "name": st.none() | st.text(max_size=6).filter(lambda s: s.isprintable()),
            "flag": st.none() | st.booleans(),
            "share": st.none() | st.floats(0, 1, width=32),
        }
    ),
    max_size=20,
    unique_by=lambda row: row["id"],
)


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(ROWS, st.integers(0, 20), st.randoms(use_true_random=False))
def test_data_version_ignores_chunks_slices_and_row_order(rows: list, cut: int, chance: random.Random) -> None:
    whole = in_key_order(table(rows), ["id"])
    chunked = pa.concat_tables([table(rows[:cut]), table(rows[cut:])])
    assert data_version(in_key_order(chunked, ["id"])) == data_version(whole)
    shuffled = rows.copy()
    chance.shuffle(shuffled)
    padded = table([{"id": 0, "name": "x", "flag": True, "share": 1.0}, *shuffled]).slice(1)
    assert data_version(in_key_order(padded, ["id"])) == data_version(whole)


@given(ROWS.filter(bool), st.data())
def test_data_version_changes_with_any_value(rows: list, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(["name", "flag", "share"]))
    other = {"name": "another name", "flag": None if rows[index]["flag"] else True, "share": 2.0}[column]
    changed = [*rows[:index], {**rows[index], column: other}, *rows[index + 1 :]]
    assert data_version(table(changed)) != data_version(table(rows))


def test_null_and_empty_text_and_types_have_different_versions() -> None:
    columns = [
        pa.array(["", "a"]),
        pa.array([None, "a"], pa.string()),
        pa.array(["a", ""]),
        pa.array([0, 1]),
        pa.array([0, 1], pa.int32()),
        pa.array([None, 1]),
        pa.array([False, True]),
        pa.array([0.0, 1.0]),
    ]
    versions = [data_version(pa.table({"c": column})) for column in columns]
    versions.append(data_version(pa.table({"d": columns[0]})))
    assert len(set(versions)) == len(versions)


@given(ROWS)
def test_key_order_with_ties_equals_sorting_by_the_whole_key(rows: list) -> None:
    tied = [{**row, "id": row["id"] % 3, "name": row["name"] or ""} for row in rows]
    found = in_key_order(table(tied), ["id", "name"]).to_pylist()
    assert [(r["id"], r["name"]) for r in found] == sorted((r["id"], r["name"]) for r in tied)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_a_partition_reads_back_as_written_and_has_one_version_in_both_formats(tmp_path: Path, form: Format) -> None:
    rows = table(
        [{"id": 1, "name": "a", "flag": None, "share": 0.5}, {"id": 2, "name": None, "flag": True, "share": None}]
    )
    part = write_partition(tmp_path, rows, form)
    assert read_partition(tmp_path, part).cast(SCHEMA) == rows
    assert read_partition(tmp_path, part, ["name"]).column_names == ["name"]
    assert part.version == data_version(rows)


def test_a_missing_short_or_foreign_object_is_a_store_error(tmp_path: Path) -> None:
    part = write_partition(tmp_path, table([{"id": 1, "name": "a", "flag": True, "share": 0.0}]), "arrow")
    path = object_path(tmp_path, part)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"nonsense"):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="cannot be read"):
            read_partition(tmp_path, part)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        read_partition(tmp_path, part)


def test_buckets_are_split_and_read_back_with_their_number(tmp_path: Path) -> None:
    schema = pa.schema({"path": pa.string(), "n": pa.int64(), "bucket": pa.int32()})
    rows = pa.table({"path": ["b", "a", "c"], "n": [1, 2, 3], "bucket": pa.array([7, 2, 7], pa.int32())}, schema=schema)
    parts = {
        b: write_partition(tmp_path, t, "arrow") for b, t in split_by_bucket(in_key_order(rows, ["bucket", "path"]))
    }
    handle = TableHandle("t", "", parts)
    assert read_buckets(tmp_path, handle, schema).to_pydict() == {
        "path": ["a", "b", "c"],
        "n": [2, 1, 3],
        "bucket": [2, 7, 7],
    }
    assert read_buckets(tmp_path, handle, schema, columns=["bucket"], buckets=[7]).to_pydict() == {"bucket": [7, 7]}
    assert read_buckets(tmp_path, handle, schema, buckets=[1]).num_rows == 0


def test_threads_that_write_the_same_rows_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    rows = table([{"id": i, "name": "x" * 50, "flag": True, "share": 0.0} for i in range(2000)])
    for attempt in range(20):
        objects = tmp_path / str(attempt)
        with ThreadPoolExecutor(8) as pool:
            parts = set(pool.map(lambda _, at=objects: write_partition(at, rows, "arrow"), range(8)))
        assert {part.version for part in parts} == {data_version(rows)}
        assert all(read_partition(objects, part).num_rows == 2000 for part in parts)
        assert [p.suffix for p in objects.rglob("*") if p.is_file()] == [".arrow"]

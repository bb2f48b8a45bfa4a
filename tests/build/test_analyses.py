"""Analyses: tables and streams in, tables and parts out, one bucket in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import codeintel
from codeintel.errors import DamagedObjectError, PlanError, UsageError
from codeintel.hamilton_pipeline.modules import tasks
from codeintel.hamilton_pipeline.partition_jobs import Input, streamed_inputs
from codeintel.hamilton_pipeline.stored_rows import store_rows
from codeintel.relspec.pipeline import Analysis
from codeintel.store.handles import TableHandle, object_path
from codeintel.store.partitions import schema_digest

if TYPE_CHECKING:
    from collections.abc import Sized

ROWS = pa.schema({"path": pa.string(), "n": pa.int64(), "bucket": pa.int32()})
TOTALS = pa.schema({"bucket_of": pa.int64(), "total": pa.int64()})
BUCKETS = (0, 3, 4, 9)


def rows() -> pa.Table:
    places = [(f"f{bucket}.py", n, bucket) for bucket in BUCKETS for n in range(bucket + 1, 0, -1)]
    return pa.table([list(column) for column in zip(*places, strict=True)], ROWS)


def doubled(found: pa.Table | pa.RecordBatch) -> pa.Table:
    columns = [found["path"], pc.multiply(found["n"], 2), found["bucket"]]
    return pa.table(columns, ROWS)


@codeintel.analysis(ROWS)
def plain(rows: pa.Table) -> pa.Table:
    return doubled(rows)


@codeintel.analysis(ROWS)
def streamed(rows: pa.RecordBatchReader) -> pa.Table:
    return pa.concat_tables(map(doubled, rows))


@codeintel.analysis(ROWS)
def parted(rows: pa.Table) -> Iterator[pa.Table]:
    for low, high in ((0, 4), (4, 64)):  # buckets 0 and 3, and the others
        is_in = pc.and_(pc.greater_equal(rows["bucket"], low), pc.less(rows["bucket"], high))
        yield doubled(rows.filter(is_in))


@codeintel.analysis(ROWS)
def both(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    assert rows.schema == ROWS
    return map(doubled, rows)


@codeintel.analysis(TOTALS)
def total(rows: pa.Table) -> pa.Table:
    return rows.group_by("bucket").aggregate([("n", "sum")]).rename_columns(["bucket_of", "total"])


@codeintel.analysis(TOTALS)
def totals(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    for batch in reversed(list(rows)):
        yield pa.table({"total": [pc.sum(batch["n"]).as_py()], "bucket_of": [batch["bucket"][0].as_py()]})


def built(store: Path, *analyses: Analysis, source: Callable[[], pa.Table] = rows) -> codeintel.BuildResult:
    named = {analyse.__name__: analyse for analyse in analyses}
    pipeline = codeintel.Pipeline(
        name="streams", sources={"rows": codeintel.Source(codeintel.Table(ROWS, ("path", "n")), source)},
        analyses=named, published=frozenset(named),
    )  # fmt: skip
    return codeintel.build_pipeline(pipeline, store)


@pytest.mark.parametrize("heavy", [False, True], ids=["driver", "worker"])
def test_streams_and_parts_store_what_tables_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heavy: bool
) -> None:
    monkeypatch.setattr(tasks, "HEAVY_ROWS", 0 if heavy else 150_000)
    assert built(tmp_path, plain, streamed, parted, both, total, totals).errors == {}
    snapshot = codeintel.open(tmp_path)
    parts = {name: handle.handle(name).partitions for name, handle in snapshot.manifest.handles.items()}
    assert list(parts["plain"]) == list(BUCKETS)
    assert parts["streamed"] == parts["parted"] == parts["both"] == parts["plain"]
    assert parts["totals"] == parts["total"]
    assert [row["total"] for row in snapshot.table("totals").to_pylist()] == [1, 10, 15, 55]


@pytest.mark.parametrize(
    ("buckets", "wrong"),
    [
        (([0], [3, 4], [4]), "twice: bucket 4"),
        (([3], [0]), "bucket 0 after bucket 3"),
        (([0, 9], [3]), "bucket 3 after"),
    ],
)
def test_buckets_that_come_twice_or_too_late_are_told(tmp_path: Path, buckets: Sequence[list[int]], wrong: str) -> None:
    @codeintel.analysis(ROWS)
    def disordered(rows: pa.Table) -> Iterator[pa.Table]:
        for own in buckets:
            yield rows.filter(pc.is_in(rows["bucket"], pa.array(own, pa.int32())))

    result = built(tmp_path, disordered)
    assert (result.status, list(result.errors)) == ("failed", ["disordered"])
    assert wrong in result.errors["disordered"]


def test_parts_may_be_empty_and_there_may_be_none(tmp_path: Path) -> None:
    @codeintel.analysis(ROWS)
    def sparse(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
        for batch in rows:
            yield ROWS.empty_table()
            yield pa.table(batch).slice(0, batch["bucket"][0].as_py())

    @codeintel.analysis(TOTALS)
    def nothing() -> Iterator[pa.Table]:
        yield from ()

    assert built(tmp_path, sparse, nothing).errors == {}
    snapshot = codeintel.open(tmp_path)
    assert list(snapshot.manifest.handles["sparse"].handle("sparse").partitions) == [3, 4, 9]
    assert snapshot.table("nothing").equals(TOTALS.empty_table())


def test_what_is_no_table_or_lacks_a_column_is_told(tmp_path: Path) -> None:
    @codeintel.analysis(ROWS)
    def listed(rows: pa.Table) -> Any:  # Any: neither a table nor an iterator
        return rows.to_batches()

    @codeintel.analysis(TOTALS)
    def lacking(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
        yield pa.table({"total": [rows.read_all().num_rows]})

    errors = built(tmp_path, listed, lacking).errors
    assert "analysis 'listed' gives a list, not a table" in errors["listed"]
    assert "lacking lacks the declared columns bucket_of" in errors["lacking"]


def test_one_bucket_is_held_at_a_time(tmp_path: Path) -> None:
    count, size = 8, 10_000

    def large() -> pa.Table:
        numbers = np.random.default_rng(0).permutation(count * size)  # not to be compressed
        buckets = np.repeat(np.arange(count, dtype=np.int32), size)
        return pa.table([[f"f{bucket}.py" for bucket in buckets], numbers, buckets], ROWS)

    reading, idle, stored = list[int](), list[int](), list[int]()

    @codeintel.analysis(ROWS)
    def careful(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
        before = pa.total_allocated_bytes()
        for batch in rows:
            reading.append(pa.total_allocated_bytes() - before)
            part = doubled(batch).take(pa.array(range(size)))  # copied
            del batch
            idle.append(pa.total_allocated_bytes() - before - part.nbytes)
            yield part
            del part
            stored.append(pa.total_allocated_bytes() - before)

    assert built(tmp_path, careful, source=large).errors == {}
    assert len(reading) == count
    assert max(reading) < 1.5 * min(reading)
    assert max(*idle, *stored) < min(reading) / 10


def test_what_is_annotated_for_type_checkers_alone_is_told_before_anything_runs(tmp_path: Path) -> None:
    @codeintel.analysis(TOTALS)
    def unclear(rows: Sized) -> pa.Table:
        raise NotImplementedError

    with pytest.raises(PlanError, match=r"'unclear' takes 'rows' as 'Sized', .*name 'Sized' is not defined"):
        built(tmp_path / "store", unclear)
    assert not (tmp_path / "store").exists()


def test_annotations_of_what_is_no_table_do_not_matter(tmp_path: Path) -> None:
    @codeintel.analysis(TOTALS)
    def tuned(rows: pa.RecordBatchReader, more: Sized = ()) -> pa.Table:
        return pa.table([[len(more)], [rows.read_all().num_rows]], TOTALS)

    assert built(tmp_path, tuned).errors == {}
    assert codeintel.open(tmp_path).table("tuned").to_pylist() == [{"bucket_of": 0, "total": 20}]


def test_annotations_are_found_behind_decorators_and_partials() -> None:
    @wraps(both)
    def wrapped(*given: Any, **named: Any) -> Iterator[pa.Table]:  # Any: whatever the other takes
        return both(*given, **named)

    assert streamed_inputs("both", partial(wrapped), {"rows"}) == {"rows"}
    assert streamed_inputs("both", wrapped, set()) == frozenset()


def test_a_damaged_bucket_is_found_when_the_stream_comes_to_it(tmp_path: Path) -> None:
    parts = store_rows(tmp_path, "rows", rows(), codeintel.Table(ROWS, ("path", "n")), "arrow")
    damaged = object_path(tmp_path, parts[4])
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    stream = Input(TableHandle("rows", schema_digest(ROWS), parts), ROWS).stream(tmp_path)
    assert [stream.read_next_batch()["bucket"][0].as_py() for _ in range(2)] == [0, 3]
    with pytest.raises(DamagedObjectError):
        stream.read_next_batch()


def test_an_analysis_may_not_have_the_name_of_another(
    make_repository: Callable[[Mapping[str, str]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken.py").write_text(
        "import pyarrow as pa\nimport codeintel\n\n\n@codeintel.analysis(pa.schema({'path': pa.string()}))\n"
        "def resolutions(files):\n    return files.select(['path'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="there is an analysis 'resolutions' already"):
        codeintel.build(make_repository({"a.py": "x = 1\n"}), analyses=("taken",), jobs=1)


def test_settings_that_name_no_store_put_it_into_the_repository(
    make_repository: Callable[[Mapping[str, str]], Path],
) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    codeintel.build(root, settings=codeintel.Settings(jobs=1))
    assert codeintel.open(root / ".codeintel").manifest.files["total"] == 1

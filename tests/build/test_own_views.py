"""Users' own views: what they may be called, what they may hold, and what happens when they change."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

import codeintel
from codeintel.errors import PlanError

Make = Callable[[Mapping[str, str | bytes]], Path]


def written(folder: Path, **views: str) -> tuple[Path, ...]:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, sql in views.items():
        (folder / f"{name}.sql").write_text(sql)
    return (folder,)


@pytest.mark.parametrize("key", ["", "-- key: path, line\n"])
def test_a_view_may_hold_what_the_engine_gives(make_repository: Make, tmp_path: Path, key: str) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    sql = f"""{key}
        SELECT path, bucket, line, CAST(line AS DECIMAL(10, 2)) AS price, DATE '2020-01-02' AS day,
            TIMESTAMP '2020-01-02T03:04:05' AS moment,
            arrow_cast('2020-01-02T03:04:05Z', 'Timestamp(Nanosecond, Some("+00:00"))') AS instant,
            [line, 7] AS list, struct(line, kind) AS pair, map(['a'], [line]) AS named, NULL AS nothing, x'ff' AS raw,
            CAST(line AS INT UNSIGNED) AS small, arrow_cast(1.5, 'Float16') AS half,
            arrow_cast(kind, 'Dictionary(Int32, Utf8)') AS word, row_number() OVER () AS number
        FROM cpg_nodes WHERE kind = 'Assign'"""
    result = codeintel.build(root, views=written(tmp_path / "views", v=sql), jobs=1)
    assert result.errors == {}
    expected = {
        "path": "a.py", "line": 1, "price": Decimal("1.00"), "day": dt.date(2020, 1, 2),
        "moment": dt.datetime(2020, 1, 2, 3, 4, 5),  # noqa: DTZ001 - that is what a naive timestamp is
        "instant": dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "list": [1, 7],
        "pair": {"c0": 1, "c1": "Assign"}, "named": [("a", 1)], "nothing": None, "raw": b"\xff", "small": 1,
        "half": 1.5, "word": "Assign", "number": 1,
    }  # fmt: skip
    snapshot = codeintel.open(root / ".codeintel")
    for found in (snapshot.table("v"), snapshot.sql("SELECT * FROM v").to_arrow_table()):
        assert [{n: v for n, v in row.items() if n != "bucket"} for row in found.to_pylist()] == [expected]
    published = DeltaTable(result.tables["v"]["path"]).to_pyarrow_table().to_pylist()
    assert [{n: v for n, v in row.items() if n != "bucket"} for row in published] == [expected]


def test_keyless_rows_with_lists_come_in_one_order(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository({"a.py": "y = 1\nx = 2\nx = 3\n"})
    sql = "SELECT [name] AS names, path FROM cpg_nodes WHERE kind = 'Name' ORDER BY {}"
    versions = set()
    for order in ("line", "line DESC"):
        assert codeintel.build(root, views=written(tmp_path / "views", v=sql.format(order)), jobs=1).errors == {}
        snapshot = codeintel.open(root / ".codeintel")
        assert [row["names"] for row in snapshot.table("v").to_pylist()] == [["x"], ["x"], ["y"]]
        versions.add(snapshot.manifest.handles["v"].handle("v").version)
    assert len(versions) == 1


@pytest.mark.parametrize("value", ["TIME '10:00:00'", "INTERVAL '1 day'", "[INTERVAL '1 day']"])
def test_what_no_delta_table_can_hold_is_refused_before_anything_runs(
    make_repository: Make, tmp_path: Path, value: str
) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    with pytest.raises(PlanError, match=r"view 'v' outputs 't' as .*cast it"):
        codeintel.build(root, views=written(tmp_path / "views", v=f"SELECT path, {value} AS t FROM files"))
    assert not (root / ".codeintel").exists()


def test_an_analysis_declares_types_that_delta_gives_back(tmp_path: Path) -> None:
    @codeintel.analysis(pa.schema({"n": pa.uint32()}))
    def numbers() -> pa.Table:
        raise NotImplementedError

    pipeline = codeintel.Pipeline(name="p", sources={}, analyses={"numbers": numbers}, published=frozenset({"numbers"}))
    with pytest.raises(PlanError, match=r"'numbers' has 'n' as uint32.*int64"):
        codeintel.build_pipeline(pipeline, tmp_path / "store")


def test_a_view_may_gain_and_lose_the_bucket_and_change_its_types(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository({"a.py": "x = 1\n", "b.py": "x = 1\n"})
    queries = {
        "SELECT path FROM files": [{"path": "a.py"}, {"path": "b.py"}],
        "SELECT path, bucket FROM files": [{"path": "a.py", "bucket": 17}, {"path": "b.py", "bucket": 45}],
        "SELECT path, TIMESTAMP '2020-01-01T00:00:00' AS t FROM files WHERE path = 'a.py'": [
            {"path": "a.py", "t": dt.datetime(2020, 1, 1)}  # noqa: DTZ001 - as above
        ],
    }
    runs = []
    for sql in queries:
        result = codeintel.build(root, views=written(tmp_path / "views", v=sql), jobs=1)
        assert result.errors == {}
        runs.append(result.run_id)
    for run, expected in zip(runs, queries.values(), strict=True):
        found = codeintel.open(root / ".codeintel", run).sql("SELECT * FROM v ORDER BY path").to_arrow_table()
        assert found.to_pylist() == expected


def test_a_query_that_reads_no_further_than_its_limit_ends_well(make_repository: Make) -> None:
    root = make_repository({f"m{i}.py": "x = 1\n" for i in range(9)})
    codeintel.build(root, jobs=1)
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-m", "codeintel", "sql", "SELECT path FROM files LIMIT 1", "--format", "csv"],
            cwd=root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


def test_a_view_may_have_any_name_that_nothing_of_the_plan_has(make_repository: Make, tmp_path: Path) -> None:
    root, sql = make_repository({"a.py": "x = 1\n"}), "SELECT path, bucket FROM files"
    names = ("table", "findings", "contract_error", "source")
    assert codeintel.build(root, views=written(tmp_path / "views", **dict.fromkeys(names, sql)), jobs=1).errors == {}
    with pytest.raises(PlanError, match="view 'plan_signature' has the name of a part of the plan"):
        codeintel.build(root, views=written(tmp_path / "views", plan_signature=sql), jobs=1)

"""Modes, lineage and columns of random views: what inference says is what the engine does."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from codeintel.datafusion_engine.inference import infer
from codeintel.datafusion_engine.session import execute
from tests.datafusion_engine.random_views import VIEWS
from tests.datafusion_engine.tables import TABLES
from tests.datafusion_engine.test_column_lineage import tables, violations
from tests.datafusion_engine.test_columns import required_by_brute_force
from tests.datafusion_engine.test_partition_modes import BUCKET_OF, BUCKETS, ROWS, Row, file_keyed, part, rows_of

large = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@large
@given(VIEWS, ROWS, ROWS, ROWS)
def test_a_random_view_by_bucket_equals_it_whole(sql: str, a: list[Row], b: list[Row], c: list[Row]) -> None:
    inferred = infer({"v": sql}, TABLES)
    task, schema = inferred.tasks[0], inferred.schemas["v"]
    data = {name: file_keyed(rows) for name, rows in (("a", a), ("b", b), ("c", c)) if name in task.inputs}
    if "v" not in inferred.partitioned:
        return
    whole = execute(sql, data, schema)
    assert all(BUCKET_OF[row["path"]] == row["bucket"] for row in whole.to_pylist())
    parts: Counter[tuple[object, ...]] = Counter()
    for bucket in range(BUCKETS):
        cut = {t: part(table, bucket) if task.inputs[t] == "same_bucket" else table for t, table in data.items()}
        parts += rows_of(part(execute(sql, cut, schema), bucket))
    assert parts == rows_of(whole)


@large
@given(VIEWS, st.data())
def test_a_random_view_depends_on_its_lineage_alone(sql: str, data: st.DataObject) -> None:
    rows = {name: data.draw(st.integers(0, 4)) for name in TABLES}
    before, after = tables(data, rows), tables(data, rows)
    assert violations(sql, infer({"v": sql}, TABLES).tasks[0], before, after) == []


# An unqualified column of a subquery, which could be found in more than one table.
FOUND_TWICE = (
    "WITH RECURSIVE l AS (SELECT path, bucket, id, x FROM c WHERE 1 = 0 UNION SELECT l.path, r.bucket, l.id, l.x "
    "FROM l JOIN (SELECT path, bucket, (SELECT max(b.id) FROM b WHERE b.path = s.path) AS id, x FROM (SELECT path, "
    "bucket, id, x FROM (SELECT path, bucket, id, x FROM a) s WHERE id > 1) s) r ON l.path = r.path) "
    "SELECT path, bucket, id, x FROM l"
)


@settings(large, max_examples=max(5, settings().max_examples // 3))
@given(VIEWS)
@example(FOUND_TWICE)
def test_a_random_view_needs_exactly_its_columns(sql: str) -> None:
    task = infer({"v": sql}, TABLES).tasks[0]
    assert {table: set(columns) for table, columns in task.columns.items()} == required_by_brute_force(sql)

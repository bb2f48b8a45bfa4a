"""Column lineage is sound: a column outside it may take any values, and the output column stays what it was."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from codeintel.datafusion_engine.inference import infer
from codeintel.datafusion_engine.session import execute
from codeintel.relspec.task import Task
from tests.datafusion_engine.tables import SHOUT, TABLES, blocks

QUERIES = blocks("queries.sql", "query") | {f"mode of {t}": sql for t, sql in blocks("modes.sql", "view").items()}
UNSUPPORTED = {  # DataFusion 55 plans these and then cannot run them
    "IN subquery in CASE",
    "EXISTS in CASE",
    "correlated EXISTS in CASE",
    "correlated NOT IN",
    "mode of correlated NOT IN",
}
ENDLESS = {"recursion"}  # where the edges form a cycle
TASKS = {
    title: infer({"v": sql}, TABLES, functions={"shout": SHOUT}).tasks[0]
    for title, sql in QUERIES.items()
    if title not in UNSUPPORTED | ENDLESS
}

WORDS = st.sampled_from(["q", "p1", "p2", "r", None])
VALUES = {
    pa.int64(): st.integers(0, 3),
    pa.int32(): st.integers(0, 2),
    pa.string(): WORDS,
    pa.list_(pa.string()): st.lists(WORDS, max_size=2),
    TABLES["nums"].field("info").type: st.fixed_dictionaries({"p": st.integers(0, 3), "q": WORDS}),
}


def tables(data: st.DataObject, rows: dict[str, int]) -> dict[str, pa.Table]:
    return {
        name: pa.table(
            [
                pa.array(data.draw(st.lists(VALUES[f.type], min_size=rows[name], max_size=rows[name])), f.type)
                for f in schema
            ],
            schema=schema,
        )
        for name, schema in TABLES.items()
    }


def with_columns_of(table: pa.Table, other: pa.Table, columns: set[str]) -> pa.Table:
    """`table` with `columns` as they are in `other`."""
    return pa.table([(other if n in columns else table).column(n) for n in table.schema.names], schema=table.schema)


def values(table: pa.Table, column: str) -> Counter[str]:
    return Counter(map(repr, table.column(column).to_pylist()))


def violations(sql: str, task: Task, before: dict[str, pa.Table], after: dict[str, pa.Table]) -> list[str]:
    """Output columns that change although only columns outside their lineage do."""
    whole = execute(sql, {t: before[t] for t in task.inputs}, functions={"shout": SHOUT})
    found = []
    for column, origins in task.lineage.items():
        outside = {t: {c for c in TABLES[t].names if (t, c) not in origins} for t in task.inputs}
        disturbed = {t: with_columns_of(before[t], after[t], columns) for t, columns in outside.items()}
        if values(execute(sql, disturbed, functions={"shout": SHOUT}), column) != values(whole, column):
            found.append(column)
    return found


@settings(max_examples=max(5, settings().max_examples // 4))
@given(st.data())
def test_disturbing_columns_outside_the_lineage_changes_nothing(data: st.DataObject) -> None:
    rows = {name: data.draw(st.integers(0, 4)) for name in TABLES}
    before, after = tables(data, rows), tables(data, rows)
    assert {t: v for t, task in TASKS.items() if (v := violations(QUERIES[t], task, before, after))} == {}


def test_lineage_tells_what_a_column_is_made_of_from_what_decides_the_rows() -> None:
    sql = "SELECT a.path, upper(b.x) AS loud FROM a JOIN b ON a.id = b.id WHERE a.bucket > 1"
    rows = {("a", "id"), ("b", "id"), ("a", "bucket")}
    lineage = infer({"v": sql}, TABLES).tasks[0].lineage
    assert dict(lineage) == {"path": rows | {("a", "path")}, "loud": rows | {("b", "x")}}


def test_every_column_of_a_surviving_subquery_counts() -> None:
    sql = "SELECT path, (SELECT max(n) FROM g WHERE m > 1) AS top FROM a"
    lineage = infer({"v": sql}, TABLES).tasks[0].lineage
    assert dict(lineage) == {"path": {("a", "path"), ("g", "n"), ("g", "m")}, "top": {("g", "n"), ("g", "m")}}

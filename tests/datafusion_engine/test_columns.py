"""Tables and columns are exact: those without which planning fails, or gives another plan or schema, and no other.

Another plan counts because an unqualified name that is gone from a subquery's table may then mean an outer one.
"""

from __future__ import annotations

import datafusion
import pyarrow as pa
import pytest

from codeintel.datafusion_engine import compiled_view, references
from codeintel.datafusion_engine.inference import infer
from codeintel.errors import PlanError
from tests.datafusion_engine.tables import SHOUT, TABLES, blocks

QUERIES = blocks("queries.sql", "query")


def planned(sql: str, schemas: dict[str, pa.Schema]) -> tuple[pa.Schema, str] | None:
    """Output schema and optimized plan of a plain session over in-memory tables; None if it does not plan."""
    context = datafusion.SessionContext()
    for name, schema in schemas.items():
        quoted = '"' + name.replace('"', '""') + '"'
        context.register_record_batches(quoted, [[pa.RecordBatch.from_pylist([], schema=schema)]])
    context.register_udf(datafusion.udf(SHOUT.function, list(SHOUT.inputs), SHOUT.returns, "immutable", "shout"))
    try:
        frame = context.sql(sql)
        return frame.schema(), frame.optimized_logical_plan().display_indent()
    except Exception:  # noqa: BLE001 - the engine raises bare exceptions
        return None


def required_by_brute_force(sql: str) -> dict[str, set[str]]:
    whole = planned(sql, TABLES)
    assert whole is not None
    needed = [table for table in TABLES if planned(sql, {t: s for t, s in TABLES.items() if t != table}) is None]
    return {
        table: {
            column
            for index, column in enumerate(TABLES[table].names)
            if planned(sql, {**TABLES, table: TABLES[table].remove(index)}) != whole
        }
        for table in needed
    }


def test_there_are_at_least_eighty_queries() -> None:
    assert len(QUERIES) >= 80


@pytest.mark.parametrize("title", QUERIES)
def test_tables_and_columns_equal_brute_force(title: str) -> None:
    (task,) = infer({"v": QUERIES[title]}, TABLES, functions={"shout": SHOUT}).tasks
    assert {table: set(columns) for table, columns in task.columns.items()} == required_by_brute_force(QUERIES[title])
    assert task.inputs.keys() == task.columns.keys()


@pytest.mark.parametrize("title", sorted(QUERIES.keys() - {"recursion named like a table"}))
def test_what_no_dialect_parses_is_read_word_by_word(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = infer({"v": QUERIES[title]}, TABLES, functions={"shout": SHOUT}).tasks
    monkeypatch.setattr(references, "_DIALECTS", ())
    assert infer({"v": QUERIES[title]}, TABLES, functions={"shout": SHOUT}).tasks == parsed


def test_parser_and_engine_that_disagree_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "SELECT a.path FROM a JOIN b ON a.id = b.id"
    found = references.references(sql)
    blind = references.References(found.tables - {"b"}, found.columns)
    monkeypatch.setattr(compiled_view, "references", lambda _: blind)
    with pytest.raises(PlanError, match="the engine reads 'b', which the parser does not find"):
        infer({"v": sql}, TABLES)
    blind = references.References(found.tables, frozenset({"path"}))
    with pytest.raises(PlanError, match=r"the engine reads \w\.id, which the SQL does not mention"):
        infer({"v": sql}, TABLES)

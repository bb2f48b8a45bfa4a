"""DataFusion sessions, all with the same semantic options, so that what was planned is what runs.

Plans are compiled in a *stub catalog*: listing tables with declared schemas at constant locations that do not exist.
The engine never opens them while planning, so nothing of this machine enters a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from datafusion import DataFrame, SessionConfig, SessionContext, SQLOptions, udf

from codeintel.datafusion_engine import engine_errors
from codeintel.datafusion_engine.schemas import plain_schema
from codeintel.errors import PlanError, RunError, StoreError
from codeintel.relspec.pipeline import ScalarFunction

_OPTIONS = {
    # Plans must carry the types of the Arrow tables they will run on.
    "datafusion.execution.parquet.schema_force_view_types": "false",
    "datafusion.execution.time_zone": "+00:00",
    "datafusion.sql_parser.dialect": "generic",
    "datafusion.sql_parser.enable_ident_normalization": "true",
}
STUB_LOCATION = "/codeintel/stub"
QUERIES_ONLY = SQLOptions().with_allow_ddl(False).with_allow_dml(False).with_allow_statements(False)


def new_session(*, partitions: int = 1, functions: Mapping[str, ScalarFunction] | None = None) -> SessionContext:
    """A session with no tables. One partition by default: row order is then the engine's alone to decide, once.

    A function with the name of one of the engine's is a PlanError: queries call those without naming them.
    """
    context = SessionContext(SessionConfig(dict(_OPTIONS)).with_target_partitions(partitions))
    if not functions:
        return context
    for name in (*context.udfs(), *context.udafs(), *context.udwfs()):
        if name in functions:
            raise PlanError(f"function {name!r} has the name of one of the engine's; rename it", subject=name)
    for name, each in functions.items():
        context.register_udf(udf(each.function, list(each.inputs), each.returns, "immutable", name))
    return context


def quoted(name: str) -> str:
    """`name` as an SQL identifier that means exactly it."""
    return '"' + name.replace('"', '""') + '"'


def register_stubs(context: SessionContext, schemas: Mapping[str, pa.Schema]) -> None:
    """Empty tables of these schemas: enough to plan, serialisable, and the same on every machine."""
    for number, (name, schema) in enumerate(sorted(schemas.items())):
        # The location carries a number, not the name: a name may hold what no URL may.
        context.register_listing_table(
            quoted(name), f"{STUB_LOCATION}/{number}/", file_extension=".parquet", schema=schema.remove_metadata()
        )


def register_arrow(context: SessionContext, tables: Mapping[str, pa.Table | list[pa.RecordBatch]]) -> None:
    """Register Arrow data without copying it."""
    for name, table in tables.items():
        if isinstance(table, pa.Table):
            batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
        else:
            batches = table
        context.register_record_batches(quoted(name), [batches])


def register_parquet(
    context: SessionContext, name: str, schema: pa.Schema, parts: Mapping[int, Path], number: str
) -> None:
    """Register Parquet files as one table, to be read by the engine alone and no further than a query needs.

    `number` is the column that holds each part's number, which its file does not; empty if there is none. Raises
    StoreError for a file that is gone: the engine would take it for no rows.

    A `pyarrow` dataset would do the same, but the engine reads those in threads that need the interpreter, and ahead of
    a LIMIT; when the interpreter ends meanwhile, the process aborts.
    """
    if not parts:
        register_arrow(context, {name: schema.empty_table()})
        return
    stored = pa.schema([field for field in schema if field.name != number])
    selects = []
    for part, file in sorted(parts.items()):
        if not file.is_file():
            raise StoreError(f"object {file.name} of table {name} is gone; build again to replace it")
        own = quoted(f"{name}#{part}")
        context.register_parquet(own, file, schema=stored.remove_metadata())
        columns = [f"arrow_cast({part}, 'Int32') AS {quoted(n)}" if n == number else quoted(n) for n in schema.names]
        selects.append(f"SELECT {', '.join(columns)} FROM {own}")  # noqa: S608 - names are quoted, numbers are numbers
    context.sql(f"CREATE VIEW {quoted(name)} AS {' UNION ALL '.join(selects)}")


def execute(
    sql: str,
    inputs: Mapping[str, pa.Table | list[pa.RecordBatch]],
    schema: pa.Schema | None = None,
    *,
    task: str | None = None,
    functions: Mapping[str, ScalarFunction] | None = None,
) -> pa.Table:
    """Rows of `sql` over Arrow tables, in a session of its own with one partition, in the engine's order.

    With `schema`, its columns in its order and types; without it, the engine's types made plain. Whether a null may be
    is for others to tell. PlanError if the query cannot be planned, RunError if it fails while running, the engine's
    panics included.
    """
    context = new_session(functions=functions)
    try:
        register_arrow(context, inputs)
        frame = context.sql_with_options(sql, QUERIES_ONLY)
    except BaseException as error:
        if isinstance(error, Exception) or engine_errors.is_panic(error):
            schemas = {name: _schema_of(table) for name, table in inputs.items()}
            raise engine_errors.explained(error, sql, schemas, _what(task), task) from None
        raise
    found = collected(frame, task)
    wanted = plain_schema(found.schema if schema is None else schema)
    try:
        return found.select(wanted.names).cast(wanted)
    except pa.ArrowException as error:
        raise RunError(f"{_what(task)} failed: {error}", task=task) from None


def collected(frame: DataFrame, task: str | None = None) -> pa.Table:
    """The rows of a planned query. RunError if it fails while running, the engine's panics included."""
    try:
        return frame.to_arrow_table()
    except BaseException as error:
        if isinstance(error, Exception) or engine_errors.is_panic(error):
            text, _ = engine_errors.reason(error)
            raise RunError(f"{_what(task)} failed: {text}", task=task) from None
        raise


def read_only(context: SessionContext, query: str, known: Mapping[str, pa.Schema]) -> DataFrame:
    """`query` planned, if it is one and changes nothing. PlanError names the line and the nearest of `known` names."""
    try:
        return context.sql_with_options(query, QUERIES_ONLY)
    except BaseException as error:
        if isinstance(error, Exception) or engine_errors.is_panic(error):
            raise engine_errors.explained(error, query, known, "query", None) from None
        raise


def _what(task: str | None) -> str:
    return f"view {task!r}" if task else "query"


def _schema_of(table: pa.Table | list[pa.RecordBatch]) -> pa.Schema:
    return table.schema if isinstance(table, pa.Table) else table[0].schema

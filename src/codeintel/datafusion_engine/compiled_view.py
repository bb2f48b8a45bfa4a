"""One view's SQL compiled to what the plan needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from datafusion import DataFrame, LogicalPlan, SessionContext, SQLOptions

from codeintel.datafusion_engine import engine_errors
from codeintel.datafusion_engine.column_lineage import column_lineage
from codeintel.datafusion_engine.partition_modes import partition_modes
from codeintel.datafusion_engine.references import References
from codeintel.datafusion_engine.scans import scans, table_of, variant_of, walk_scans
from codeintel.datafusion_engine.session import ScalarFunction, new_session, plain_schema, register_stubs
from codeintel.datafusion_engine.sql_text import calls, front_matter, line_of, refuse_what_no_view_may_do, tokens
from codeintel.errors import PlanError, nearest
from codeintel.fingerprint import digest
from codeintel.relspec.task import Mode

_TABLE_FUNCTIONS = frozenset({"generate_series()", "range()"})
_NOT_QUERIES = frozenset({"Analyze", "DescribeTable", "Explain"})


@dataclass(frozen=True, slots=True)
class CompiledView:
    """`schema` is the output's, as it is stored; `partitioned`: the output is file-keyed."""

    inputs: dict[str, Mode]
    columns: dict[str, frozenset[str]]
    parts: dict[str, str]
    lineage: dict[str, frozenset[tuple[str, str]]]
    schema: pa.Schema
    partitioned: bool


def compile_view(
    view: str,
    sql: str,
    named: References,
    schemas: Mapping[str, pa.Schema],
    *,
    keyed: frozenset[str],
    engine: str,
    where: str,
    udfs: Sequence[ScalarFunction] = (),
) -> CompiledView:
    """Compile `sql` against tables of these `schemas`: those that `named` says it reads. PlanError if it is no view."""
    refuse_what_no_view_may_do(sql, view, where)
    if named.sampled:
        raise PlanError(f"view {view!r} ({where}) has a TABLESAMPLE, which the engine would ignore", subject=view)
    direct = {table: schemas[table] for table in sorted(named.tables & schemas.keys())}
    context = new_session(udfs=udfs)
    register_stubs(context, direct)
    frame, plan = _plan(context, sql, view, where, direct)
    output = plain_schema(frame.schema())
    _check_output(output, view, where)
    for scan in walk_scans(plan):
        if table_of(scan).endswith("()") and table_of(scan) not in _TABLE_FUNCTIONS:
            raise PlanError(f"view {view!r} ({where}) reads the table function {table_of(scan)}", subject=view)

    known = {table: frozenset(schema.names) for table, schema in direct.items()}
    found = scans(plan, known)
    before = scans(frame.logical_plan(), known)  # tables folded away (WHERE 1=0) stay inputs
    inputs = frozenset(found.columns.keys() | before.columns.keys())
    columns = {table: found.columns.get(table, frozenset()) for table in sorted(inputs)}
    _cross_check(columns, named, view, where)
    modes, partitioned = partition_modes(plan, output.names, found, inputs, keyed)
    modes = _asserted(modes, front_matter(sql).get("mode", ""), view, where)
    used = [each for each in udfs if each.name in calls(sql)]
    parts = {
        "engine": engine,
        "schema": digest([(t, schema_digest(direct[t])) for t in sorted(inputs)], schema_digest(output)),
        "sql": _sql_digest(plan, sql, custom=bool(used)),
    }
    if used:
        parts["udf"] = digest(sorted(each.digest() for each in used))
    return CompiledView(modes, columns, parts, column_lineage(plan, output.names, found), output, partitioned)


def schema_digest(schema: pa.Schema) -> str:
    """Digest of names, types, nullability and order."""
    return digest([(field.name, str(field.type), field.nullable) for field in schema])


def is_file_keyed(schema: pa.Schema) -> bool:
    """Whether a declared table of this schema is partitioned by bucket: it has `path` and `bucket`."""
    return schema.names.count("path") == schema.names.count("bucket") == 1 and (
        pa.types.is_string(schema.field("path").type) and pa.types.is_int32(schema.field("bucket").type)
    )


def _plan(
    context: SessionContext, sql: str, view: str, where: str, direct: Mapping[str, pa.Schema]
) -> tuple[DataFrame, LogicalPlan]:
    queries_only = SQLOptions().with_allow_ddl(False).with_allow_dml(False).with_allow_statements(False)
    try:
        frame = context.sql_with_options(sql, queries_only)
        plan = frame.optimized_logical_plan()
    except BaseException as error:
        if isinstance(error, Exception) or engine_errors.is_panic(error):
            raise explained(error, sql, view, where, direct) from None
        raise
    kind = type(variant_of(frame.logical_plan())).__name__
    if kind in _NOT_QUERIES:
        raise PlanError(f"view {view!r} ({where}) is {kind}, not a query", subject=view)
    return frame, plan


def explained(error: BaseException, sql: str, view: str, where: str, schemas: Mapping[str, pa.Schema]) -> PlanError:
    """The engine's refusal with the place in the file and the nearest known names."""
    text, line = engine_errors.reason(error)
    if (table := engine_errors.unknown_table(error)) is not None:
        line = line_of(sql, table.rpartition(".")[2]) or line
        text = f"reads unknown table {table!r}; {nearest(table, schemas)}"
    elif (unknown := engine_errors.unknown_column(error)) is not None:
        column, qualifier = unknown
        line = line_of(sql, column)
        tables = {qualifier: schemas[qualifier]} if qualifier in schemas else schemas
        columns = {name for schema in tables.values() for name in schema.names}
        of = f" of {qualifier!r}" if qualifier else ""
        text = f"names unknown column {column!r}{of}; {nearest(column, columns)}"
    return PlanError(f"view {view!r} ({where}{f':{line}' if line else ''}): {text}", subject=view, line=line)


def _check_output(output: pa.Schema, view: str, where: str) -> None:
    if not output.names:
        raise PlanError(f"view {view!r} ({where}) has no columns", subject=view)
    twice = sorted({name for name in output.names if output.names.count(name) > 1})
    if twice:
        raise PlanError(
            f"view {view!r} ({where}) has more than one column {', '.join(map(repr, twice))}; give each its own name",
            subject=view,
        )


def _cross_check(columns: Mapping[str, frozenset[str]], named: References, view: str, where: str) -> None:
    """The engine may read no column that the text does not mention. (Nor a table: it was only given those named.)"""
    if named.columns is None:
        return
    for table, read in columns.items():
        if unmentioned := sorted(read - named.columns):
            raise PlanError(
                f"view {view!r} ({where}): the engine reads {table}.{', '.join(unmentioned)}, which the SQL does not "
                "mention; engine and parser disagree about this query, write it more plainly",
                subject=view,
            )


def _asserted(modes: dict[str, Mode], assertion: str, view: str, where: str) -> dict[str, Mode]:
    """`modes` with what the author demands: `whole` always holds, `same_bucket` only if it was proven."""
    for clause in filter(None, (part.strip() for part in assertion.split(","))):
        table, _, mode = (word.strip() for word in clause.partition("="))
        if table not in modes:
            raise PlanError(
                f"view {view!r} ({where}) asserts a mode for {table!r}, which it does not read; {nearest(table, modes)}",
                subject=view,
            )
        if mode not in ("same_bucket", "whole"):
            raise PlanError(
                f"view {view!r} ({where}): mode {mode!r} of {table!r} is neither same_bucket nor whole", subject=view
            )
        if mode == "same_bucket" and modes[table] != "same_bucket":
            raise PlanError(
                f"view {view!r} ({where}) asserts {table}=same_bucket, but its bucket's rows may depend on other buckets "
                f"of {table}: join it on path or bucket, and key groups and windows by them",
                subject=view,
            )
        modes = {**modes, table: "whole" if mode == "whole" else modes[table]}
    return modes


def _sql_digest(plan: LogicalPlan, sql: str, *, custom: bool) -> str:
    """What is computed: the optimized plan's protobuf and text; the SQL's tokens where a plan has no stable bytes.

    Python functions are pickled into a plan, differently for equal ones; some subqueries cannot be serialised.
    """
    if not custom:
        try:
            return digest("plan", plan.to_bytes(), plan.display_indent())
        except Exception:  # noqa: BLE001, S110 - the binding raises bare exceptions for what it cannot serialise
            pass
    return digest("tokens", [(token.kind, token.text) for token in tokens(sql)])

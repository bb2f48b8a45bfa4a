"""One view's SQL compiled to what the plan needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from datafusion import DataFrame, LogicalPlan, SessionContext

from codeintel.datafusion_engine import engine_errors
from codeintel.datafusion_engine.column_lineage import column_lineage
from codeintel.datafusion_engine.functions import function_digest
from codeintel.datafusion_engine.needed_columns import needed_columns, only
from codeintel.datafusion_engine.partition_modes import partition_modes
from codeintel.datafusion_engine.references import References, references
from codeintel.datafusion_engine.scans import scans, table_of, variant_of, walk_scans
from codeintel.datafusion_engine.schemas import plain_schema
from codeintel.datafusion_engine.session import QUERIES_ONLY, new_session, register_stubs
from codeintel.datafusion_engine.sql_text import calls, front_matter, refuse_what_no_view_may_do, tokens
from codeintel.errors import PlanError, nearest
from codeintel.fingerprint import digest
from codeintel.relspec.pipeline import ScalarFunction
from codeintel.relspec.task import Mode, function_part
from codeintel.store.partitions import schema_digest

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
    schemas: Mapping[str, pa.Schema],
    *,
    keyed: frozenset[str],
    engine: str,
    where: str,
    functions: Mapping[str, ScalarFunction],
) -> CompiledView:
    """Compile `sql` against those of the tables in `schemas` that it names. PlanError if it is no view.

    `keyed` are the file-keyed ones, `where` is the file it came from, `functions` are those it may call by name.
    """
    named = references(sql)
    refuse_what_no_view_may_do(sql, view, where)
    if named.sampled:
        raise PlanError(f"view {view!r} ({where}) has a TABLESAMPLE, which the engine would ignore", subject=view)
    direct = {table: schemas[table] for table in sorted(named.tables & schemas.keys())}
    context = new_session(functions=functions)
    register_stubs(context, direct)
    frame, plan = _plan(context, sql, view, where, direct, schemas)
    output = plain_schema(frame.schema())
    _check_output(output, view, where)
    for scan in walk_scans(plan):
        if table_of(scan).endswith("()") and table_of(scan) not in _TABLE_FUNCTIONS:
            raise PlanError(f"view {view!r} ({where}) reads the table function {table_of(scan)}", subject=view)

    known = {table: frozenset(schema.names) for table, schema in direct.items()}
    found = scans(plan, known)
    before = scans(frame.logical_plan(), known)  # tables folded away (WHERE 1=0) stay inputs
    read = {table: found.columns.get(table, frozenset()) for table in found.columns.keys() | before.columns.keys()}
    _cross_check(read, named, view, where)
    columns, narrow = needed_columns(sql, direct, read, plan, output, mentioned=named.columns, functions=functions)
    modes, partitioned = partition_modes(plan, output.names, found, frozenset(columns), keyed)
    modes = _asserted(modes, front_matter(sql).get("mode", ""), view, where)
    used = sorted(functions.keys() & calls(sql).keys())
    parts = {
        "engine": engine,
        "schema": digest(
            [(t, schema_digest(only(direct[t], c))) for t, c in sorted(columns.items())], schema_digest(output)
        ),
        "sql": _sql_digest(narrow, sql, custom=bool(used)),
    }
    parts |= {function_part(name): function_digest(functions[name]) for name in used}
    return CompiledView(modes, columns, parts, column_lineage(plan, output.names, found), output, partitioned)


def _plan(
    context: SessionContext,
    sql: str,
    view: str,
    where: str,
    direct: Mapping[str, pa.Schema],
    schemas: Mapping[str, pa.Schema],
) -> tuple[DataFrame, LogicalPlan]:
    try:
        frame = context.sql_with_options(sql, QUERIES_ONLY)
        plan = frame.optimized_logical_plan()
    except BaseException as error:
        if isinstance(error, Exception) or engine_errors.is_panic(error):
            if (table := engine_errors.unknown_table(error)) in schemas.keys() - direct.keys():
                raise PlanError(
                    f"view {view!r} ({where}): the engine reads {table!r}, which the parser does not find in the SQL; "
                    "write this query more plainly",
                    subject=view,
                ) from None
            raise engine_errors.explained(error, sql, direct, f"view {view!r}", view, where) from None
        raise
    kind = type(variant_of(frame.logical_plan())).__name__
    if kind in _NOT_QUERIES:
        raise PlanError(f"view {view!r} ({where}) is {kind}, not a query", subject=view)
    return frame, plan


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
    """The engine may read no column that the text does not mention. Tables need no check: it is given those named."""
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
                f"view {view!r} ({where}) asserts a mode for {table!r}, which it does not read; "
                f"{nearest(table, modes)}",
                subject=view,
            )
        if mode not in ("same_bucket", "whole"):
            raise PlanError(
                f"view {view!r} ({where}): mode {mode!r} of {table!r} is neither same_bucket nor whole", subject=view
            )
        if mode == "same_bucket" and modes[table] != "same_bucket":
            raise PlanError(
                f"view {view!r} ({where}) asserts {table}=same_bucket, but a bucket's rows may depend on other "
                f"buckets of {table}: join it on path or bucket, and key groups and windows by them",
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

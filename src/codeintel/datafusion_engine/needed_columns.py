"""Exactly the columns without which a view is another query, or none.

The optimized plan shows which columns are read. Some more are only named, in what the optimizer threw away; without
them the text would not plan. So the view is planned again with nothing but the columns read, each column the engine
then misses is added, and the plan must come out the same, word for word, with the same output schema. That plan also
gives the signature: a column that a view does not need cannot change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import pyarrow as pa
from datafusion import LogicalPlan

from codeintel.datafusion_engine import engine_errors
from codeintel.datafusion_engine.schemas import plain_schema
from codeintel.datafusion_engine.session import QUERIES_ONLY, new_session, register_stubs
from codeintel.relspec.pipeline import ScalarFunction

_MOST_TRIALS = 16

Columns = dict[str, frozenset[str]]
_Planned = tuple[LogicalPlan, pa.Schema]
_Planner = Callable[[Columns], _Planned | BaseException]


def needed_columns(
    sql: str,
    schemas: Mapping[str, pa.Schema],
    read: Mapping[str, frozenset[str]],
    plan: LogicalPlan,
    output: pa.Schema,
    *,
    mentioned: frozenset[str] | None,
    functions: Mapping[str, ScalarFunction],
) -> tuple[Columns, LogicalPlan]:
    """The needed columns of each needed table, and the optimized plan over only those.

    `plan` and `output` are what `sql` gives over all columns of `schemas`; `mentioned` are the names in its text, None
    if it may mean any.
    """
    everything = {table: frozenset(schema.names) for table, schema in schemas.items()}
    text = plan.display_indent()

    def planned(columns: Columns) -> _Planned | BaseException:
        return _planned(sql, {t: only(schemas[t], c) for t, c in columns.items()}, functions)

    def is_the_view(answer: _Planned | BaseException) -> bool:
        return not isinstance(answer, BaseException) and answer[1] == output and answer[0].display_indent() == text

    for columns, answer in islice(_candidates(dict(read), everything, mentioned, planned), _MOST_TRIALS):
        if is_the_view(answer):
            # A column that was missing may have been added to a table that does without it.
            for table, name in [(t, n) for t in sorted(columns) for n in sorted(columns[t] - read.get(t, frozenset()))]:
                fewer = {**columns, table: columns[table] - {name}}
                if not isinstance(found := planned(fewer), BaseException) and is_the_view(found):
                    columns, answer = fewer, found  # noqa: PLW2901 - the same view, over less
            return columns, answer[0]
    return everything, plan


def only(schema: pa.Schema, columns: frozenset[str]) -> pa.Schema:
    """The fields of `schema` that are in `columns`, in its order."""
    return pa.schema([field for field in schema if field.name in columns])


def _candidates(
    read: Columns, everything: Columns, mentioned: frozenset[str] | None, planned: _Planner
) -> Iterator[tuple[Columns, _Planned]]:
    """Columns over which the text plans, from the fewest to all, and the plan."""
    yield from _completions(read, everything, planned)
    tables = {table: read.get(table, frozenset()) for table in everything}
    if mentioned is not None:
        yield from _completions({t: few | everything[t] & mentioned for t, few in tables.items()}, everything, planned)


def _completions(columns: Columns, everything: Columns, planned: _Planner) -> Iterator[tuple[Columns, _Planned]]:
    """`columns` and whatever the engine misses, in each of the tables where adding it helps.

    A missing column of a subquery may as well be found in a table of the query around it: that is another query, which
    the caller must tell from this one.
    """
    answer = planned(columns)
    if not isinstance(answer, BaseException):
        yield columns, answer
    elif (table := engine_errors.unknown_table(answer)) in everything and table not in columns:
        yield from _completions({**columns, table: frozenset()}, everything, planned)
    elif (missing := engine_errors.unknown_column(answer)) is not None:
        name, qualifier = missing
        lacking = [t for t in columns if name in everything[t] - columns[t]]
        lacking = [t for t in lacking if t == qualifier] or lacking
        helped = False
        for table in lacking:
            grown = {**columns, table: columns[table] | {name}}
            if _missing(planned(grown)) != missing:
                helped = True
                yield from _completions(grown, everything, planned)
        if lacking and not helped:
            yield from _completions(
                {t: c | {name} if t in lacking else c for t, c in columns.items()}, everything, planned
            )


def _missing(answer: _Planned | BaseException) -> tuple[str, str | None] | None:
    return engine_errors.unknown_column(answer) if isinstance(answer, BaseException) else None


def _planned(
    sql: str, schemas: Mapping[str, pa.Schema], functions: Mapping[str, ScalarFunction]
) -> _Planned | BaseException:
    context = new_session(functions=functions)
    register_stubs(context, schemas)
    try:
        frame = context.sql_with_options(sql, QUERIES_ONLY)
        return frame.optimized_logical_plan(), plain_schema(frame.schema())
    except BaseException as error:
        if isinstance(error, Exception) or engine_errors.is_panic(error):
            return error
        raise

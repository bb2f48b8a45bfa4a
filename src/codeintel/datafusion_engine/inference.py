"""Tasks of SQL views, inferred: what each reads, how, under which signature, and in which order.

Nothing is declared. Views are compiled one by one, in dependency order, against the declared schemas of the tables
and the inferred schemas of the views before them, so each one's inputs are its direct ones. With a warm cache neither
DataFusion nor sqlglot is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version

import pyarrow as pa

from codeintel.datafusion_engine.compiled_view import compile_view, is_file_keyed
from codeintel.datafusion_engine.references import References, references
from codeintel.datafusion_engine.session import ScalarFunction
from codeintel.errors import PlanError, nearest
from codeintel.relspec.task import Task


@dataclass(frozen=True, slots=True)
class Inferred:
    """`tasks` in topological order; `schemas` of the views' outputs; `partitioned`: tables and views that are
    file-keyed, whose rows of a bucket follow from their files' rows of that bucket alone or are cut by `bucket`.
    """

    tasks: tuple[Task, ...]
    schemas: Mapping[str, pa.Schema]
    partitioned: frozenset[str]


def infer(
    views: Mapping[str, str],
    tables: Mapping[str, pa.Schema],
    *,
    udfs: Sequence[ScalarFunction] = (),
    origins: Mapping[str, str] | None = None,
    cache: object = None,
) -> Inferred:
    """Tasks of `views` (name → SQL text) over `tables` (everything that is not a view). PlanError names what is wrong.

    `origins` gives the file that a view came from, for errors.
    """
    where = {view: (origins or {}).get(view, f"{view}.sql") for view in views}
    if both := sorted(views.keys() & tables.keys()):
        raise PlanError(f"view {both[0]!r} ({where[both[0]]}) has the name of a table", subject=both[0])
    named = {view: references(sql, views.keys() | tables.keys()) for view, sql in views.items()}
    schemas = dict(tables)
    keyed = {table for table, schema in tables.items() if is_file_keyed(schema)}
    engine = f"datafusion {version('datafusion')}"
    tasks = []
    for view in _ordered(named, tables.keys(), where):
        compiled = compile_view(
            view, views[view], named[view], schemas,
            keyed=frozenset(keyed), engine=engine, where=where[view], udfs=udfs,
        )  # fmt: skip
        schemas[view] = compiled.schema
        if compiled.partitioned:
            keyed.add(view)
        tasks.append(Task.of_parts(view, "view", compiled.inputs, compiled.columns, compiled.parts, compiled.lineage))
    return Inferred(tuple(tasks), {view: schemas[view] for view in views}, frozenset(keyed))


def infer_tasks(views: Mapping[str, str], sources: Mapping[str, pa.Schema]) -> tuple[Task, ...]:
    """Tasks of `views` over tables of declared schemas, in topological order."""
    return infer(views, sources).tasks


def _ordered(
    named: Mapping[str, References], tables: Mapping[str, object] | set, where: Mapping[str, str]
) -> list[str]:
    """Views after the views they read, by name where there is a choice."""
    known = named.keys() | tables
    for view, each in sorted(named.items()):
        for table in sorted(each.tables - known):
            raise PlanError(
                f"view {view!r} ({where[view]}) reads unknown table {table!r}; {nearest(table, known)}", subject=view
            )
    sorter = TopologicalSorter({view: sorted(named[view].tables & named.keys()) for view in sorted(named)})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        raise PlanError(f"views read each other in a cycle: {' → '.join(cycle)}", subject=cycle[0]) from None
    order: list[str] = []
    while ready := sorted(sorter.get_ready()):
        order.extend(ready)
        sorter.done(*ready)
    return order

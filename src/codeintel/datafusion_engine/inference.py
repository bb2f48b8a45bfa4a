"""Tasks of SQL views, inferred: what each reads, how, under which signature, and in which order.

Nothing is declared. Views are compiled one by one, in dependency order, against the declared schemas of the tables
and the inferred schemas of the views before them, so each one's inputs are its direct ones. With a warm cache neither
DataFusion nor sqlglot is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from codeintel.datafusion_engine.engine_errors import nearest_identifier
from codeintel.datafusion_engine.plan_cache import (
    Entry,
    Named,
    PlanCache,
    StoredLineage,
    decoded_schema,
    encoded_schema,
)
from codeintel.datafusion_engine.schemas import is_file_keyed
from codeintel.datafusion_engine.sql_text import front_matter, line_of
from codeintel.errors import PlanError
from codeintel.fingerprint import digest_bytes
from codeintel.relspec.task import Task
from codeintel.store.partitions import schema_digest

if TYPE_CHECKING:
    from codeintel.datafusion_engine.session import ScalarFunction

__all__ = ["Inferred", "PlanCache", "front_matter", "infer", "infer_tasks"]


@dataclass(frozen=True, slots=True)
class Inferred:
    """Views as tasks, in topological order, and the schemas of their outputs.

    `partitioned` are the tables and views whose `path` and `bucket` are known to belong together. A view among them
    runs bucket by bucket: with the bucket's rows of its `same_bucket` inputs, all rows of the `whole` ones, and of the
    result only the rows of the bucket. Any other view runs once over all rows.
    """

    tasks: tuple[Task, ...]
    schemas: Mapping[str, pa.Schema]
    partitioned: frozenset[str]


class _Schemas(Mapping[str, pa.Schema]):
    """Schemas by table, those from the cache decoded when asked for."""

    def __init__(self, known: Mapping[str, pa.Schema]) -> None:
        self.decoded: dict[str, pa.Schema] = dict(known)
        self.stored: dict[str, str] = {}

    def __getitem__(self, name: str) -> pa.Schema:
        if name not in self.decoded:
            self.decoded[name] = decoded_schema(self.stored[name])
        return self.decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.decoded.keys() | self.stored.keys())

    def __len__(self) -> int:
        return len(self.decoded.keys() | self.stored.keys())


def infer(
    views: Mapping[str, str],
    tables: Mapping[str, pa.Schema],
    *,
    udfs: Sequence[ScalarFunction] = (),
    origins: Mapping[str, str] | None = None,
    cache: PlanCache | None = None,
) -> Inferred:
    """Tasks of `views` (name → SQL text) over `tables` (everything that is not a view). PlanError names what is wrong.

    `origins` gives the file that a view came from, for errors. `cache` is read, filled and saved.
    """
    where = {view: (origins or {}).get(view, f"{view}.sql") for view in views}
    if both := sorted(views.keys() & tables.keys()):
        raise PlanError(f"view {both[0]!r} ({where[both[0]]}) has the name of a table", subject=both[0])
    known = views.keys() | tables.keys()
    found = {view: _named(sql, cache) for view, sql in views.items()}
    named = {view: each if each.parsed else _guessed(each, known - {view}) for view, each in found.items()}
    digests = {table: schema_digest(schema) for table, schema in tables.items()}
    keyed = {table for table, schema in tables.items() if is_file_keyed(schema)}
    schemas, outputs = _Schemas(tables), _Schemas({})
    functions = sorted(each.digest() for each in udfs)
    engine = f"datafusion {version('datafusion')}"
    tasks = []
    for view in _ordered(named, views, tables, where):
        read = [(table, digests[table], table in keyed) for table in named[view].tables if table in known]
        key = digest_bytes(repr((view, views[view], read, functions)).encode("utf-8", "surrogatepass"))
        entry = cache.view(key) if cache else None
        if entry is None:
            entry = _compiled(view, views[view], schemas, frozenset(keyed), engine, where[view], udfs)
            if cache:
                cache.add(views[view], found[view], key, entry)
        schemas.stored[view] = outputs.stored[view] = entry.schema
        digests[view] = entry.schema_digest
        if entry.partitioned:
            keyed.add(view)
        columns = {table: frozenset(read) for table, read in entry.columns.items()}
        lineage = StoredLineage(bytes(entry.lineage))
        tasks.append(Task(view, "view", entry.inputs, columns, entry.signature, entry.parts, lineage))
    if cache:
        cache.save()
    return Inferred(tuple(tasks), outputs, frozenset(keyed))


def infer_tasks(views: Mapping[str, str], sources: Mapping[str, pa.Schema]) -> tuple[Task, ...]:
    """Tasks of `views` over tables of declared schemas, in topological order."""
    return infer(views, sources).tasks


def _named(sql: str, cache: PlanCache | None) -> Named:
    if cache and (found := cache.named(sql)):
        return found
    from codeintel.datafusion_engine.references import references  # noqa: PLC0415 - a warm plan needs no parser

    named = references(sql)
    return Named(named.parsed, sorted(named.tables))


def _guessed(words: Named, others: Set[str]) -> Named:
    """Of the words of a text that no parser reads, those that name a table or another view."""
    return Named(False, [word for word in words.tables if word in others])


def _compiled(
    view: str,
    sql: str,
    schemas: Mapping[str, pa.Schema],
    keyed: frozenset[str],
    engine: str,
    where: str,
    udfs: Sequence[ScalarFunction],
) -> Entry:
    from codeintel.datafusion_engine.compiled_view import compile_view  # noqa: PLC0415 - a warm plan needs no engine

    compiled = compile_view(view, sql, schemas, keyed=keyed, engine=engine, where=where, udfs=udfs)
    task = Task.of_parts(view, "view", compiled.inputs, compiled.columns, compiled.parts)
    return Entry(
        task.signature,
        compiled.inputs,
        {table: sorted(columns) for table, columns in compiled.columns.items()},
        compiled.parts,
        compiled.partitioned,
        schema_digest(compiled.schema),
        encoded_schema(compiled.schema),
        msgspec.Raw(msgspec.json.encode({column: sorted(origins) for column, origins in compiled.lineage.items()})),
    )


def _ordered(
    named: Mapping[str, Named], views: Mapping[str, str], tables: Mapping[str, pa.Schema], where: Mapping[str, str]
) -> list[str]:
    """Views after the views they read, by name where there is a choice."""
    for view, each in sorted(named.items()):
        for table in each.tables:
            if table not in views and table not in tables:
                line = line_of(views[view], table)
                raise PlanError(
                    f"view {view!r} ({where[view]}{f':{line}' if line else ''}): reads unknown table {table!r}; "
                    f"{nearest_identifier(table, sorted(views.keys() | tables.keys()))}",
                    subject=view,
                    line=line,
                )
    sorter = TopologicalSorter({view: [t for t in named[view].tables if t in views] for view in sorted(named)})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))  # graphlib lists each view after one that reads it
        raise PlanError(f"views read each other in a cycle: {' → '.join(cycle)}", subject=cycle[0]) from None
    order: list[str] = []
    while ready := sorted(sorter.get_ready()):
        order.extend(ready)
        sorter.done(*ready)
    return order

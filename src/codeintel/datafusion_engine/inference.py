"""Tasks of SQL views, inferred: what each reads, how, under which signature, and in which order.

Nothing is declared. Views are compiled one by one, in dependency order, against the declared schemas of the tables
and the inferred schemas of the views before them, so each one's inputs are its direct ones. With a warm cache neither
DataFusion nor sqlglot is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from importlib.metadata import version

import msgspec
import pyarrow as pa

from codeintel.datafusion_engine.engine_errors import nearest_identifier
from codeintel.datafusion_engine.functions import function_digest
from codeintel.datafusion_engine.plan_cache import COLUMNS, LINEAGE, Entry, Named, PlanCache, Stored
from codeintel.datafusion_engine.schemas import is_file_keyed
from codeintel.datafusion_engine.sql_text import front_matter, line_of
from codeintel.errors import PlanError
from codeintel.fingerprint import digest_bytes
from codeintel.relspec.pipeline import ScalarFunction
from codeintel.relspec.rustworkx_graph import topological_names
from codeintel.relspec.task import Task
from codeintel.store.partitions import schema_digest

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
    """Schemas of tables, and of views by the digest under which the cache has them."""

    def __init__(self, tables: Mapping[str, pa.Schema], views: Mapping[str, str], cache: PlanCache) -> None:
        self._tables, self._views, self._cache = tables, views, cache

    def __getitem__(self, name: str) -> pa.Schema:
        return self._tables[name] if name in self._tables else self._cache.schema(self._views[name])

    def __iter__(self) -> Iterator[str]:
        yield from self._tables
        yield from self._views

    def __len__(self) -> int:
        return len(self._tables) + len(self._views)


def infer(
    views: Mapping[str, str],
    tables: Mapping[str, pa.Schema],
    *,
    functions: Mapping[str, ScalarFunction] | None = None,
    origins: Mapping[str, str] | None = None,
    cache: PlanCache | None = None,
) -> Inferred:
    """Tasks of `views` (name → SQL text) over `tables` (everything that is not a view). PlanError names what is wrong.

    Views may call `functions` by name. `origins` gives the file that a view came from, for errors. `cache` is read,
    filled and saved.
    """
    where = {view: f"{view}.sql" for view in views} | dict(origins or {})
    if both := sorted(views.keys() & tables.keys()):
        raise PlanError(f"view {both[0]!r} ({where[both[0]]}) has the name of a table", subject=both[0])
    cache, functions = cache or PlanCache(None), functions or {}
    bodies = _function_digests(functions)
    known = views.keys() | tables.keys()
    found = {view: _named(sql, cache) for view, sql in views.items()}
    named = {view: each if each.parsed else _guessed(each, known - {view}) for view, each in found.items()}
    digests = {table: schema_digest(schema) for table, schema in tables.items()}
    keyed = {table for table, schema in tables.items() if is_file_keyed(schema)}
    outputs: dict[str, str] = {}
    schemas = _Schemas(tables, outputs, cache)
    engine = f"datafusion {version('datafusion')}"
    tasks = []
    for view in _ordered(named, views, tables, where):
        read = [(table, digests[table], table in keyed) for table in named[view].tables]
        called = [body for name, body in bodies if name in views[view].lower()]  # or only mentioned
        key = digest_bytes(repr((view, views[view], read, called)).encode("utf-8", "surrogatepass"))
        entry = cache.view(key)
        if entry is None:
            direct = frozenset(keyed.intersection(named[view].tables))
            entry, schema = _compiled(view, views[view], schemas, direct, engine, where[view], functions)
            cache.add(views[view], found[view], key, entry, schema)
        outputs[view] = digests[view] = entry.schema
        if entry.partitioned:
            keyed.add(view)
        columns, lineage = Stored(entry.columns, COLUMNS), Stored(entry.lineage, LINEAGE)
        tasks.append(Task(view, "view", entry.inputs, columns, entry.signature, entry.parts, lineage))
    cache.save()
    return Inferred(tuple(tasks), _Schemas({}, outputs, cache), frozenset(keyed))


def infer_tasks(views: Mapping[str, str], sources: Mapping[str, pa.Schema]) -> tuple[Task, ...]:
    """Tasks of `views` over tables of declared schemas, in topological order."""
    return infer(views, sources).tasks


def _function_digests(functions: Mapping[str, ScalarFunction]) -> list[tuple[str, tuple[str, str]]]:
    """Name, and name with digest, of every function. PlanError for a name that no query can call unquoted."""
    for name in functions:
        if not name.isidentifier() or name != name.lower():
            raise PlanError(
                f"function {name!r} cannot be called in SQL; use lower case letters, digits and underscores",
                subject=name,
            )
    return [(name, (name, function_digest(function))) for name, function in sorted(functions.items())]


def _named(sql: str, cache: PlanCache) -> Named:
    if found := cache.named(sql):
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
    functions: Mapping[str, ScalarFunction],
) -> tuple[Entry, pa.Schema]:
    from codeintel.datafusion_engine.compiled_view import compile_view  # noqa: PLC0415 - a warm plan needs no engine

    compiled = compile_view(view, sql, schemas, keyed=keyed, engine=engine, where=where, functions=functions)
    task = Task.of_parts(view, "view", compiled.inputs, compiled.columns, compiled.parts)
    columns, lineage = (
        msgspec.Raw(msgspec.json.encode({name: sorted(values) for name, values in each.items()}))
        for each in (compiled.columns, compiled.lineage)
    )
    entry = Entry(
        task.signature,
        compiled.inputs,
        compiled.parts,
        compiled.partitioned,
        schema_digest(compiled.schema),
        columns,
        lineage,
    )
    return entry, compiled.schema


def _ordered(
    named: Mapping[str, Named], views: Mapping[str, str], tables: Mapping[str, pa.Schema], where: Mapping[str, str]
) -> tuple[str, ...]:
    """Views after the views they read, by name where there is a choice."""
    unknown = [(v, t) for v, each in named.items() for t in each.tables if t not in views and t not in tables]
    if unknown:
        view, table = min(unknown)
        line = line_of(views[view], table)
        raise PlanError(
            f"view {view!r} ({where[view]}{f':{line}' if line else ''}): reads unknown table {table!r}; "
            f"{nearest_identifier(table, sorted(views.keys() | tables.keys()))}",
            subject=view,
            line=line,
        )
    return topological_names({view: each.tables for view, each in named.items()}, "views")

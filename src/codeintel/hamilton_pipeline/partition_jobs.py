"""What a worker process does: buckets of one task, from objects to objects.

A job names its inputs by handle and answers with partitions; rows never cross a pipe. This module imports no engine
before a job needs one, and never Hamilton, because every worker pays for what it imports.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codeintel.errors import ContractError, DamagedObjectError, RunError
from codeintel.hamilton_pipeline.process_usage import forget_peak, give_back_memory, peak_resident_bytes
from codeintel.relspec.pipeline import Contract, ScalarFunction, Table, null_rule, unique_rule
from codeintel.store.handles import UNPARTITIONED, Format, Partition, TableHandle
from codeintel.store.partitions import (
    conformed,
    in_key_order,
    is_bucketed,
    read_buckets,
    read_partition,
    split_by_bucket,
    write_partition,
)
from codeintel.store.results import Result, Tables


@dataclass(frozen=True, slots=True)
class Input:
    """A table as a job reads it: which columns, and which buckets (None: all of them).

    A reader of no column, such as `count(*)`, is given the first: Arrow keeps no row count without one.
    """

    handle: TableHandle
    schema: pa.Schema
    columns: frozenset[str] | None = None
    buckets: frozenset[int] | None = None

    def read(self, objects: Path) -> pa.Table:
        columns = self.columns if self.columns is None or self.columns else self.schema.names[:1]
        return read_buckets(objects, self.handle, self.schema, columns=columns, buckets=self.buckets)


@dataclass(frozen=True, slots=True)
class Done:
    """What a job wrote, by table and bucket, with CPU seconds and the worker's peak resident bytes meanwhile.

    `worker` is its process id, with its node where there are several. `extracted` counts the source rows that were read
    anew. `started` and `ended` are readings of `perf_counter`, which the processes of a machine share.
    """

    partitions: Tables
    cpu_s: float = 0.0
    worker: str = ""
    peak_bytes: int = 0
    extracted: int = 0
    started: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True, slots=True)
class ExtractJob:
    """Extract some buckets of a source.

    `previous` gives an earlier result of the same extractor by bucket: facts of files whose row of the source is the
    same are taken from there. `dead` gives files not to be opened, with the message for their error row.
    """

    objects: Path
    extract: Callable[..., Mapping[str, pa.Table]]
    source: Input
    parameters: Mapping[str, Any]  # whatever the extractor declares
    tables: Mapping[str, Table]
    previous: Mapping[int, Result] = field(default_factory=dict)
    dead: Mapping[str, str] = field(default_factory=dict)
    dry: bool = False

    def reads(self) -> Iterable[TableHandle]:
        return [self.source.handle]

    def run(self) -> tuple[Tables, int]:
        rows = self.source.read(self.objects)
        kept = self._kept(rows)
        paths = pa.array(sorted({path for facts in kept.values() for path in facts.paths}), pa.string())
        fresh = rows.filter(pc.invert(pc.is_in(rows.column("path"), paths))) if len(paths) else rows
        found = self.extract(self._without_dead(fresh), **self.parameters)
        if self.dry:
            return {}, 0
        stored = {
            name: {
                bucket: write_partition(self.objects, part, "arrow", before)
                for bucket, part, before in self._merged(name, table, found[name], rows, kept)
            }
            for name, table in self.tables.items()
        }
        return stored, fresh.num_rows

    def _without_dead(self, rows: pa.Table) -> pa.Table:
        if not self.dead:
            return rows
        errors = [
            self.dead.get(p, e)
            for p, e in zip(rows.column("path").to_pylist(), rows.column("error").to_pylist(), strict=True)
        ]
        place = rows.schema.get_field_index("error")
        return rows.set_column(place, rows.schema.field(place), pa.array(errors, pa.string()))

    def _kept(self, rows: pa.Table) -> dict[int, _KeptFacts]:
        """What of the previous result is still true, by bucket; a damaged one counts as none."""
        kept: dict[int, _KeptFacts] = {}
        for bucket, part in split_by_bucket(rows):
            previous = self.previous.get(bucket)
            if previous is None or previous.source is None:
                continue
            try:
                before = read_partition(self.objects, previous.source)
                known = {tuple(row.values()) for row in before.select(part.schema.names).to_pylist()}
                paths = frozenset(r["path"] for r in part.to_pylist() if tuple(r.values()) in known)
                if paths:
                    olds = {name: parts.get(bucket) for name, parts in previous.tables.items()}
                    tables = {n: (old, read_partition(self.objects, old)) for n, old in olds.items() if old is not None}
                    kept[bucket] = _KeptFacts(paths, tables)
            except DamagedObjectError:
                continue
        return kept

    def _merged(
        self, name: str, table: Table, found: pa.Table, rows: pa.Table, kept: Mapping[int, _KeptFacts]
    ) -> Iterator[tuple[int, pa.Table, Partition | None]]:
        """New facts and kept ones by bucket, files in the order of the source; and what held the kept ones."""
        fresh = dict(split_by_bucket(conformed(found, table.schema)))
        schema = pa.schema([f for f in table.schema if f.name != "bucket"])
        for bucket, files in split_by_bucket(rows):
            new, old = fresh.get(bucket, schema.empty_table()), None
            if bucket in kept and name in kept[bucket].tables:
                old, before = kept[bucket].tables[name]
                facts = _by_file(new.cast(schema)) | {
                    path: parts
                    for path, parts in _by_file(conformed(before, schema)).items()
                    if path in kept[bucket].paths
                }
                parts = [part for path in files.column("path").to_pylist() for part in facts.get(path, ())]
                new = pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()
            if new.num_rows:
                yield bucket, new, old


@dataclass(frozen=True, slots=True)
class _KeptFacts:
    """Files whose source rows are those of the previous result, and that result's tables, found sound."""

    paths: frozenset[str]
    tables: Mapping[str, tuple[Partition, pa.Table]]


def _by_file(table: pa.Table) -> dict[str, list[pa.Table]]:
    """The rows of each file, as the runs they come in."""
    found: dict[str, list[pa.Table]] = {}
    begin = 0
    for chunk in table.column("path").chunks:
        runs = pc.run_end_encode(chunk)
        for path, length in zip(
            runs.values.to_pylist(), np.diff(runs.run_ends.to_numpy(), prepend=0).tolist(), strict=True
        ):
            found.setdefault(path, []).append(table.slice(begin, length))
            begin += length
    return found


@dataclass(frozen=True, slots=True)
class QueryJob:
    """Run one view over some buckets (None: it is not partitioned, or not by what it reads) and store its rows.

    `functions` are those that it calls.
    """

    objects: Path
    name: str
    sql: str
    inputs: Mapping[str, Input]
    output: Table
    form: Format
    buckets: frozenset[int] | None
    contract: Contract | None = None
    functions: Mapping[str, ScalarFunction] = field(default_factory=dict)

    def reads(self) -> Iterable[TableHandle]:
        return [each.handle for each in self.inputs.values()]

    def run(self) -> tuple[Tables, int]:
        # Extraction must not pay for the engine, nor planning: its digest of this code imports what is named by `from`.
        from codeintel.datafusion_engine import session  # noqa: PLC0415

        inputs = {n: i.read(self.objects) for n, i in self.inputs.items()}
        found = session.execute(self.sql, inputs, self.output.schema, task=self.name, functions=self.functions)
        if self.buckets is not None and any(i.buckets is None for i in self.inputs.values()):
            own = pc.is_in(found.column("bucket"), pa.array(sorted(self.buckets), pa.int32()))
            found = found if pc.all(own).as_py() is not False else found.filter(own)
        return {self.name: store_rows(self.objects, self.name, found, self.output, self.form, self.contract)}, 0


@dataclass(frozen=True, slots=True)
class AnalysisJob:
    """Run one analysis over whole tables and store its rows."""

    objects: Path
    name: str
    analyse: Callable[..., pa.Table]
    inputs: Mapping[str, Input]
    parameters: Mapping[str, Any]  # whatever the analysis declares
    output: Table
    form: Format
    contract: Contract | None = None

    def reads(self) -> Iterable[TableHandle]:
        return [each.handle for each in self.inputs.values()]

    def run(self) -> tuple[Tables, int]:
        found = self.analyse(**{n: i.read(self.objects) for n, i in self.inputs.items()}, **self.parameters)
        return {self.name: store_rows(self.objects, self.name, found, self.output, self.form, self.contract)}, 0


class Job(Protocol):
    """Work that names its inputs by handle and answers with what it wrote, and how many source rows it read anew."""

    def run(self) -> tuple[Tables, int]: ...

    def reads(self) -> Iterable[TableHandle]: ...


def store_rows(
    objects: Path, name: str, rows: pa.Table, output: Table, form: Format, contract: Contract | None = None
) -> dict[int, Partition]:
    """Write `rows` in canonical order, one object a bucket.

    Raises ContractError if a declared key is not unique inside a bucket or a value is null that must not be. Whether
    the key of a table with a contract is unique is for its validator to tell: here ties get an order of their own.
    """
    missing = [n for n in output.schema.names if n not in rows.schema.names]
    if missing:
        raise RunError(f"{name} lacks the declared columns {', '.join(missing)}", task=name)
    bucketed = is_bucketed(output.schema)
    table = conformed(rows.select(output.schema.names), output.schema)
    leading = ["bucket"] if bucketed else []
    key = [k for k in output.key or output.schema.names if k != "bucket"]
    ordered = in_key_order(table, [*leading, *key])
    if output.key and len(twice := repeats(ordered, key)):
        if contract is None:
            offending = ordered.take(twice[:SHOWN]).to_pylist()
            raise ContractError(name, unique_rule(output.key), len(twice), shown(offending, key))
        ordered = in_key_order(table, [*leading, *key, *(n for n in output.schema.names if n not in (*leading, *key))])
    if contract is not None:
        _check_nulls(name, ordered, contract, key)
    parts = split_by_bucket(ordered) if bucketed else [(UNPARTITIONED, ordered)]
    return {bucket: write_partition(objects, part, form) for bucket, part in parts}


SHOWN = 5
"""Rows that an error or a record names."""


def repeats(ordered: pa.Table, key: Sequence[str]) -> np.ndarray:
    """Places of rows, in key order, that have the key of the row before."""
    if ordered.num_rows < 2:
        return np.empty(0, np.int64)
    same = np.ones(ordered.num_rows - 1, bool)
    for column in (ordered.column(k).combine_chunks() for k in key):
        equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
        same &= pc.fill_null(equal, False).to_numpy(zero_copy_only=False)
        if not same.any():
            break
    return np.flatnonzero(same) + 1


def _check_nulls(name: str, rows: pa.Table, contract: Contract, key: Sequence[str]) -> None:
    for column in (f.name for f in contract.table.schema if not f.nullable):
        if nulls := rows.column(column).null_count:
            offending = rows.filter(pc.is_null(rows.column(column))).slice(0, SHOWN)
            raise ContractError(name, null_rule(column), nulls, shown(offending.to_pylist(), [column, *key]))


def shown(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> tuple[str, ...]:  # Any: values
    """Rows as text: `path:line`, as far as they have them, and the values of some columns."""
    values = [c for c in dict.fromkeys(columns) if c not in ("path", "line")]
    texts = []
    for row in rows:
        place = [str(row[name]) for name in ("path", "line") if row.get(name) is not None]
        texts.append(": ".join(filter(None, (":".join(place), ", ".join(f"{c} {row[c]!r}" for c in values)))))
    return tuple(texts)


def perform(job: Job) -> Done:
    """Run a job in this process and account for it."""
    started, used = time.perf_counter(), time.process_time()
    partitions, extracted = job.run()
    return Done(
        partitions,
        time.process_time() - used,
        str(os.getpid()),
        peak_resident_bytes(),
        extracted,
        started,
        time.perf_counter(),
    )


def packed(task: str, job: Job) -> bytes:
    """A job as another process takes it. Raises RunError for one that holds a function of no module."""
    try:
        return pickle.dumps(job)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise _not_importable(task, error) from None


def perform_packed(task: str, job: bytes) -> Done:
    """Run a job of another process. Raises RunError for one that names what this process cannot import.

    A process that unpacked its jobs on their way in would die of such a one, and its pool of that.
    """
    try:
        unpacked = pickle.loads(job)  # noqa: S301 - from the process that started this one
    except (AttributeError, ImportError) as error:
        raise _not_importable(task, error) from None
    forget_peak()
    try:
        return perform(unpacked)
    finally:
        del unpacked
        give_back_memory()


def _not_importable(task: str, error: Exception) -> RunError:
    return RunError(
        f"{task!r} cannot run in a process of its own: {error}; define its functions at the top level of a module "
        "that can be imported",
        task=task,
    )


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("workers do without pandas", name="pandas")


def prepare_worker(pandas: bool) -> None:
    """Make a worker light.

    DataFusion imports pandas if it can, which costs more than DataFusion itself; unless somebody's analysis may want
    it, there is none. Arrow's own allocator keeps a third more memory than the system's.
    """
    if not pandas:
        sys.meta_path.insert(0, _NoPandas())
    pa.set_memory_pool(pa.system_memory_pool())

"""What a worker process does: buckets of one task, from objects to objects.

A job names its inputs by handle and answers with partitions; rows never cross a pipe. This module imports no engine
before a job needs one, and never Hamilton, because every worker pays for what it imports.
"""

from __future__ import annotations

import inspect
import os
import pickle
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from codeintel.errors import DamagedObjectError, PlanError, RunError
from codeintel.hamilton_pipeline.component_reuse import Earlier, Reuse, of_files, reuse, with_kept
from codeintel.hamilton_pipeline.process_usage import forget_peak, give_back_memory, peak_resident_bytes
from codeintel.hamilton_pipeline.stored_rows import declared_columns, store_rows
from codeintel.relspec.pipeline import UNREAD, Analysis, Contract, ScalarFunction, Table
from codeintel.store.handles import Format, Partition, TableHandle
from codeintel.store.partitions import (
    by_file,
    conformed,
    is_bucketed,
    read_buckets,
    read_partition,
    split_by_bucket,
    write_partition,
)
from codeintel.store.results import Anew, Result, Tables


@dataclass(frozen=True, slots=True)
class Input:
    """A table as a job reads it: which columns, and which buckets (None: all of them).

    A reader of no column, such as `count(*)`, is given the first: Arrow keeps no row count without one. Rows of the
    files in `without` are left out.
    """

    handle: TableHandle
    schema: pa.Schema
    columns: frozenset[str] | None = None
    buckets: frozenset[int] | None = None
    without: frozenset[str] = frozenset()

    def read(self, objects: Path) -> pa.Table:
        columns = self.columns if self.columns is None or self.columns else self.schema.names[:1]
        rows = read_buckets(objects, self.handle, self.schema, columns=columns, buckets=self.buckets)
        return rows.filter(pc.invert(of_files(rows, self.without))) if self.without else rows

    def stream(self, objects: Path) -> pa.RecordBatchReader:
        """The same rows in the same order, each bucket read when it is asked for, and then let go."""
        schema = replace(self, buckets=frozenset()).read(objects).schema
        return pa.RecordBatchReader.from_batches(schema, self._batches(objects))

    def _batches(self, objects: Path) -> Iterator[pa.RecordBatch]:
        for bucket in sorted(self.handle.partitions if self.buckets is None else self.buckets):
            batches = replace(self, buckets=frozenset({bucket})).read(objects).to_batches()
            while batches:
                yield batches.pop(0)  # whoever asked for it is the only one to hold it


@dataclass(frozen=True, slots=True)
class Done:
    """What a job wrote, by table and bucket, with CPU seconds and the worker's peak resident bytes meanwhile.

    `worker` is its process id, with its node where there are several. `started` and `ended` are readings of
    `perf_counter`, which the processes of a machine share.
    """

    partitions: Tables
    cpu_s: float = 0.0
    worker: str = ""
    peak_bytes: int = 0
    anew: Anew = (0, 0)
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

    def run(self) -> tuple[Tables, Anew]:
        rows = self.source.read(self.objects)
        kept = self._kept(rows)
        paths = pa.array(sorted({path for facts in kept.values() for path in facts.paths}), pa.string())
        fresh = rows.filter(pc.invert(pc.is_in(rows.column("path"), paths))) if len(paths) else rows
        found = self.extract(self._without_dead(fresh), **self.parameters)
        if self.dry:
            return {}, (0, 0)
        stored = {
            name: {
                bucket: write_partition(self.objects, part, "arrow", before)
                for bucket, part, before in self._merged(name, table, found[name], rows, kept)
            }
            for name, table in self.tables.items()
        }
        if (unread := found.get(UNREAD)) is not None and unread.num_rows:
            gone = rows.filter(of_files(rows, frozenset(unread.column("path").to_pylist())))
            stored[UNREAD] = {b: write_partition(self.objects, part, "arrow") for b, part in split_by_bucket(gone)}
        return stored, (fresh.num_rows, rows.num_rows)

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
        nothing = schema.empty_table()
        for bucket, files in split_by_bucket(rows):
            new, old = fresh.get(bucket, nothing), None
            if bucket in kept and name in kept[bucket].tables:
                old, before = kept[bucket].tables[name]
                facts = by_file(new.cast(schema)) | {
                    path: parts
                    for path, parts in by_file(conformed(before, schema)).items()
                    if path in kept[bucket].paths
                }
                parts = [part for path in files.column("path").to_pylist() for part in facts.get(path, ())]
                new = pa.concat_tables([nothing, *parts]).combine_chunks()
            if new.num_rows:
                yield bucket, new, old


@dataclass(frozen=True, slots=True)
class _KeptFacts:
    """Files whose source rows are those of the previous result, and that result's tables, found sound."""

    paths: frozenset[str]
    tables: Mapping[str, tuple[Partition, pa.Table]]


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

    def run(self) -> tuple[Tables, Anew]:
        # Extraction must not pay for the engine, nor planning: its digest of this code imports what is named by `from`.
        from codeintel.datafusion_engine import session  # noqa: PLC0415

        inputs = {n: i.read(self.objects) for n, i in self.inputs.items()}
        found = session.execute(self.sql, inputs, self.output.schema, task=self.name, functions=self.functions)
        if self.buckets is not None and any(i.buckets is None for i in self.inputs.values()):
            own = pc.is_in(found.column("bucket"), pa.array(sorted(self.buckets), pa.int32()))
            found = found if pc.all(own).as_py() is not False else found.filter(own)
        return {self.name: store_rows(self.objects, self.name, found, self.output, self.form, self.contract)}, (0, 0)


@dataclass(frozen=True, slots=True)
class AnalysisJob:
    """Run one analysis over whole tables or streams of them, and store its rows, or its tables as they come.

    Of one that has `components`, those are left out of which all inputs have what they had for `earlier`: their rows
    are taken from there.
    """

    objects: Path
    name: str
    analyse: Analysis
    inputs: Mapping[str, Input]
    parameters: Mapping[str, Any]  # whatever the analysis declares
    output: Table
    form: Format
    contract: Contract | None = None
    components: str | None = None
    earlier: Earlier | None = None

    def reads(self) -> Iterable[TableHandle]:
        return [each.handle for each in self.inputs.values()]

    def run(self) -> tuple[Tables, Anew]:
        streamed = streamed_inputs(self.name, self.analyse, self.inputs)
        reused = self._reuse()
        inputs = self.inputs
        if reused is not None:
            inputs = {
                name: replace(each, without=reused.kept)
                if name == self.components or is_bucketed(each.schema)
                else each
                for name, each in inputs.items()
            }
        found = self.analyse(
            **{n: i.stream(self.objects) if n in streamed else i.read(self.objects) for n, i in inputs.items()},
            **self.parameters,
        )
        parts = self._parts(found)
        if reused is not None:
            parts = with_kept(self.objects, self.name, parts, reused, self.earlier, self.output.schema)
        stored: dict[int, Partition] = {}
        for part in parts:
            made = store_rows(self.objects, self.name, part, self.output, self.form, self.contract)
            if stored and made and (bucket := min(made)) <= (last := max(stored)):
                wrong = f"twice: bucket {bucket}" if bucket in stored else f"bucket {bucket} after bucket {last}"
                raise RunError(
                    f"analysis {self.name!r} gives {wrong}; each of its tables has to have all rows of its buckets, "
                    "and buckets have to ascend from one table to the next",
                    task=self.name,
                )
            stored |= made
            del part  # before the next is made
        return {self.name: stored}, reused.anew if reused is not None else (0, 0)

    def _reuse(self) -> Reuse | None:
        if self.components is None:
            return None
        tables = {name: (each.handle, each.schema) for name, each in self.inputs.items()}
        return reuse(self.objects, self.name, self.components, tables, self.earlier)

    def _parts(self, found: object) -> Iterator[pa.Table]:
        """What is to be stored at a time. Nothing here may hold a table while the next one is made."""
        parts = map(self._declared, found if isinstance(found, Iterator) else [found])
        if is_bucketed(self.output.schema):
            yield from parts
        else:
            yield pa.concat_tables([self.output.schema.empty_table(), *parts])

    def _declared(self, found: object) -> pa.Table:
        if not isinstance(found, pa.Table):
            raise RunError(f"analysis {self.name!r} gives a {type(found).__name__}, not a table", task=self.name)
        return declared_columns(self.name, found, self.output)


def streamed_inputs(name: str, analyse: Analysis, tables: Container[str]) -> frozenset[str]:
    """Which of the tables that an analysis reads it takes as `pyarrow.RecordBatchReader`, by its annotations.

    Raises PlanError for an annotation of a table that cannot be evaluated; of other parameters they do not matter.
    """
    streamed = set()
    for parameter in inspect.signature(analyse).parameters.values():
        kind = parameter.annotation
        if parameter.name not in tables:
            continue
        if isinstance(kind, str):
            try:
                kind = eval(kind, _globals(analyse))  # noqa: S307 - of the code that is about to be run
            except Exception as error:
                raise PlanError(
                    f"analysis {name!r} takes {parameter.name!r} as {kind!r}, which cannot be evaluated: {error}; "
                    "import what it names when the module is run, not for type checkers alone",
                    subject=name,
                ) from error
        if kind is pa.RecordBatchReader:
            streamed.add(parameter.name)
    return frozenset(streamed)


def _globals(function: Any) -> dict[str, Any]:  # Any: whatever can be called
    """Where the annotations are to be looked up that `inspect.signature` finds."""
    inner = inspect.unwrap(function)
    if isinstance(inner, partial):
        return _globals(inner.func)
    return inner.__globals__ if hasattr(inner, "__globals__") else _globals(type(inner).__call__)


class Job(Protocol):
    """Work that names its inputs by handle and answers with what it wrote, and what it read anew."""

    def run(self) -> tuple[Tables, Anew]: ...

    def reads(self) -> Iterable[TableHandle]: ...


def perform(job: Job) -> Done:
    """Run a job in this process and account for it."""
    started, used = time.perf_counter(), time.process_time()
    partitions, anew = job.run()
    return Done(
        partitions,
        time.process_time() - used,
        str(os.getpid()),
        peak_resident_bytes(),
        anew,
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

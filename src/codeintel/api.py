"""Builds, plans and snapshots from Python. The command line adds nothing but words."""

from __future__ import annotations

import importlib
import inspect
import resource
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa

from codeintel.cpg.pipeline import PIPELINE
from codeintel.cpg.views import sql_files
from codeintel.datafusion_engine.diagnostics import plan_artifacts, task_run_rows
from codeintel.datafusion_engine.plan_cache import PlanCache
from codeintel.errors import AdmissionError, CodeintelError, PlanError, StoreError, UsageError, nearest
from codeintel.extract.repo_scan import check_repository
from codeintel.fingerprint import digest_bytes
from codeintel.hamilton_pipeline.driver_factory import build_driver
from codeintel.hamilton_pipeline.modules.tasks import Bench
from codeintel.hamilton_pipeline.partition_jobs import peak_resident_bytes
from codeintel.hamilton_pipeline.pipeline_plan import PlannedPipeline, plan_pipeline
from codeintel.hamilton_pipeline.workers import process_workers
from codeintel.obs.diagnostics import read_artifacts, write_artifacts
from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeEvent
from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan, plan_from_json, plan_to_json
from codeintel.relspec.pipeline import Pipeline
from codeintel.relspec.rustworkx_schedule import learn_weights
from codeintel.settings import Settings, load_settings
from codeintel.store.delta import commit_table, open_table
from codeintel.store.directory import Store, ensure_store, open_store, write_atomically
from codeintel.store.partitions import TableHandle, read_buckets
from codeintel.store.runs import (
    Manifest,
    PublishedTable,
    Status,
    StoredHandle,
    TaskRun,
    artifacts_of,
    read_run,
    task_seconds,
    write_run,
)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build did. `tables` maps each public table to rows, Delta version and path; `errors` task to message.

    Counts are tasks and files, times seconds, `cpu_s` with all workers, `peak_rss_mb` the sum of every process's own
    peak.
    """

    run_id: str
    status: Status
    plan_signature: str
    reduced_plan_signature: str
    tasks: Mapping[str, int]
    files: Mapping[str, int]
    tables: Mapping[str, Mapping[str, Any]]  # rows: int, version: int, path: str
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    store: str
    errors: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)


class BuildInterruptedError(KeyboardInterrupt):
    """Ctrl-C during a build; `result` is what had been done. The run before stays current."""

    def __init__(self, result: BuildResult) -> None:
        super().__init__("interrupted")
        self.result = result


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what happens: files extracted (task, done, total), and each task's events."""

    progress: Callable[[str, int, int], None] = field(default=lambda _task, _done, _total: None)
    event: Callable[[NodeEvent], None] = field(default=lambda _event: None)
    planned: Callable[[ExecutionPlan], None] = field(default=lambda _plan: None)


def build(
    path: str | Path, *, settings: Settings | None = None, watch: Watch | None = None, **changes: Any
) -> BuildResult:
    """Build the graph of the repository at `path`; `changes` are settings by name.

    Raises UsageError for a path that is no repository of Python, PlanError for what cannot be planned, StoreError for a
    store that is busy, foreign or unwritable. A task that fails does not raise: `status` is then `failed`.
    """
    repository, settings = _repository(path, settings, changes)
    pipeline, origins = cpg_pipeline(settings)
    return build_pipeline(
        pipeline, settings.store, settings=settings, parameters={"repository": repository}, origins=origins, watch=watch
    )


def compile_plan(path: str | Path, *, settings: Settings | None = None, **changes: Any) -> ExecutionPlan:
    """The plan that `build` would run. Reads no data."""
    repository, settings = _repository(path, settings, changes)
    pipeline, origins = cpg_pipeline(settings)
    parameters = settings.parameters() | {"repository": repository}
    return _planned(pipeline, settings, parameters, origins, settings.store.resolve())[1]


def plan_of_run(store: Path, run: str | None = None) -> ExecutionPlan:
    """The plan that a run, the current one by default, was made from. Raises StoreError if there is none."""
    place = open_store(store)
    file = place.runs / read_run(place, run).run_id / "plan.json"
    try:
        return plan_from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error


def _repository(path: str | Path, settings: Settings | None, changes: Mapping[str, Any]) -> tuple[Path, Settings]:
    repository = Path(path).resolve()
    check_repository(repository)
    if settings is None:
        return repository, load_settings(changes, {}, {}, repository=repository)
    return repository, replace(settings, **changes)


def cpg_pipeline(settings: Settings) -> tuple[Pipeline, dict[str, str]]:
    """The graph's pipeline with the user's own views and analyses, and the file each view of theirs comes from."""
    views = dict(PIPELINE.views)
    origins: dict[str, str] = {}
    for folder in settings.views:
        for name, file in sql_files(folder).items():
            if name in views:
                raise UsageError(f"{file}: there is a view {name!r} already; rename the file")
            views[name], origins[name] = file.read_text("utf-8"), str(file)
    analyses = dict(PIPELINE.analyses)
    for module in settings.analyses:
        try:
            loaded = importlib.import_module(module)
        except ImportError as error:
            raise UsageError(f"analyses {module!r} cannot be imported: {error}") from error
        own = {n: f for n, f in vars(loaded).items() if inspect.isfunction(f) and hasattr(f, "output_schema")}
        if not own:
            raise UsageError(f"{module!r} holds no analysis; decorate its functions with @codeintel.analysis(schema)")
        analyses |= own
    published = frozenset(origins) | (analyses.keys() - PIPELINE.analyses.keys())
    return replace(PIPELINE, views=views, analyses=analyses, published=published), origins


def build_pipeline(
    pipeline: Pipeline,
    store: str | Path,
    *,
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    origins: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> BuildResult:
    """Plan and run any pipeline into `store`. `parameters` reach the functions that declare them. Raises as `build`."""
    settings, watch, root = settings or Settings(), watch or Watch(), Path(store).resolve()
    given = settings.parameters() | dict(parameters or {})
    started, clock, cpu_before = datetime.now(UTC), perf_counter(), _cpu_seconds()
    is_new = not root.exists()
    planned, plan = _planned(pipeline, settings, given, origins, root)
    watch.planned(plan)
    place = ensure_store(root, settings.bucket_count, settings.namespace)
    run_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    interrupted = False
    try:
        with place.writing(started, settings.wait):
            with process_workers(settings.jobs) as workers:
                bench = Bench(place, pipeline, planned, given, workers, settings.jobs, watch.progress)
                driver = build_driver(
                    plan,
                    bench,
                    on_unknown=settings.on_unknown_task,
                    observe=watch.event,
                    on_interrupt=lambda _outcome: workers.close(at_once=True),
                )
                executor: Any = driver.graph_executor  # ours, behind Hamilton's abstract class
                handles: dict[str, Any] = {}
                try:
                    handles = driver.execute(list(plan.tasks))
                except KeyboardInterrupt:
                    interrupted = True
                outcome: ExecutionOutcome = executor.outcome
                _raise_usage(outcome)
            status: Status = "interrupted" if interrupted else "failed" if outcome.failed else "ok"
            found = {n: h for n, h in handles.items() if isinstance(h, TableHandle) and plan.tasks[n].kind != "output"}
            files = _file_counts(place, planned, found)
            if settings.strict and status == "ok" and files["failed"]:
                status = "failed"
            tables = _publish(place, plan, planned, found) if status == "ok" else {}
            manifest = Manifest(
                run_id=run_id,
                status=status,
                started=started.isoformat(timespec="seconds"),
                pipeline=pipeline.name,
                repository=str(given.get("repository", "")),
                plan_signature=plan.signature,
                reduced_plan_signature=plan.reduced_signature,
                tasks=_task_runs(plan, outcome),
                files=files,
                tables=tables,
                handles={n: StoredHandle.of(h) for n, h in sorted(found.items())},
                schemas={n: planned.tables[n].schema.serialize().to_pybytes().hex() for n in sorted(found)},
                wall_s=perf_counter() - clock,
                cpu_s=_cpu_seconds() - cpu_before,
                peak_rss_mb=(peak_resident_bytes() + sum(workers.peaks.values())) / 1e6,
                errors={n: _one_line(e) for n, e in outcome.failed.items()},
            )
            artifacts = plan_artifacts(plan) | {"task_runs": task_run_rows(run_id, manifest.tasks)}
            write_artifacts(artifacts_of(place, run_id), artifacts)
            write_atomically(place.runs / run_id / "plan.json", plan_to_json(plan))
            write_run(place, manifest)
    except UsageError:
        if is_new:
            shutil.rmtree(root, ignore_errors=True)
        raise
    result = _result(manifest, root)
    if interrupted:
        raise BuildInterruptedError(result)
    return result


def _planned(
    pipeline: Pipeline,
    settings: Settings,
    parameters: Mapping[str, Any],
    origins: Mapping[str, str] | None,
    store: Path | None,
) -> tuple[PlannedPipeline, ExecutionPlan]:
    exists = store is not None and (store / "store.json").exists()
    cache = PlanCache(store / "cache" / "plans.json") if store is not None and exists else None
    planned = plan_pipeline(pipeline, parameters, origins=origins, cache=cache)
    history = task_seconds(open_store(store)) if store is not None and exists else []
    plan = compile_execution_plan(planned.tasks, weights={**planned.weights, **learn_weights(history)})
    if settings.targets:
        plan = plan.restricted_to([_target(planned, plan, name) for name in settings.targets])
    return planned, plan


def _target(planned: PlannedPipeline, plan: ExecutionPlan, name: str) -> str:
    """A target names a table: a public one is published, any other is computed."""
    if name in planned.contracts:
        return planned.output_of(name)
    if name not in plan.tasks:
        raise PlanError(f"no table is called {name!r}; {nearest(name, planned.tables)}", subject=name)
    return name


def _publish(
    store: Store, plan: ExecutionPlan, planned: PlannedPipeline, handles: Mapping[str, TableHandle]
) -> dict[str, PublishedTable]:
    published = {}
    for name, contract in sorted(planned.contracts.items()):
        if planned.output_of(name) in plan.tasks:
            version = commit_table(store.tables, store.objects, handles[name], contract.table.schema)
            published[name] = PublishedTable(handles[name].rows, version, f"tables/{name}")
    return published


def _raise_usage(outcome: ExecutionOutcome) -> None:
    """A repository without Python is wrong use, found by the scan; everything else that fails is the run's to tell."""
    for error in outcome.failed.values():
        if isinstance(error, UsageError | AdmissionError):
            raise error


def _task_runs(plan: ExecutionPlan, outcome: ExecutionOutcome) -> dict[str, TaskRun]:
    runs = {}
    for name, done in outcome.tasks().items():
        reason = f"{done.reason}: {done.cause}" if done.reason and done.cause else done.reason or done.cause
        signature = plan.tasks[name].signature if name in plan.tasks else ""
        runs[name] = TaskRun(done.status, round(done.seconds, 6), reason.strip().split("\n")[0], signature)
    return runs


def _file_counts(store: Store, planned: PlannedPipeline, handles: Mapping[str, TableHandle]) -> dict[str, int]:
    counts = {"total": 0, "extracted": 0, "reused": 0, "failed": 0}
    if (parsed := handles.get("parsed_files")) is not None:
        rows = read_buckets(store.objects, parsed, planned.tables["parsed_files"].schema, columns=["status"])
        statuses = rows.column("status").to_pylist()
        counts |= {"total": len(statuses), "extracted": len(statuses), "failed": statuses.count("failed")}
    return counts


def _result(manifest: Manifest, root: Path) -> BuildResult:
    outcomes = [run.outcome for run in manifest.tasks.values()]
    counts = {name: outcomes.count(name) for name in ("ran", "reused", "failed")}
    skipped = {n: r.reason for n, r in manifest.tasks.items() if r.outcome not in ("ran", "reused", "failed")}
    return BuildResult(
        manifest.run_id,
        manifest.status,
        manifest.plan_signature,
        manifest.reduced_plan_signature,
        {
            "planned": len(outcomes),
            "ran": counts["ran"],
            "reused": counts["reused"],
            "skipped": len(skipped),
            "failed": counts["failed"],
        },
        manifest.files,
        {n: {"rows": t.rows, "version": t.version, "path": str(root / t.path)} for n, t in manifest.tables.items()},
        round(manifest.wall_s, 3),
        round(manifest.cpu_s, 3),
        round(manifest.peak_rss_mb, 1),
        str(root),
        manifest.errors,
        skipped,
    )


def _one_line(error: BaseException) -> str:
    return str(error) if isinstance(error, CodeintelError) else f"{type(error).__name__}: {error}"


def _cpu_seconds() -> float:
    """CPU seconds, user and system, of this process and the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def open(store: str | Path, run: str | None = None) -> Snapshot:  # noqa: A001 - the public name
    """The current run of a store, or the one named. Raises StoreError if there is none."""
    place = open_store(Path(store).resolve())
    return Snapshot(place, read_run(place, run))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete run, unchanged by whatever is built meanwhile."""

    store: Store
    manifest: Manifest

    def schema(self, name: str) -> pa.Schema:
        if name not in self.manifest.schemas:
            raise UsageError(f"no table {name!r} in run {self.manifest.run_id}; {nearest(name, self.manifest.schemas)}")
        return pa.ipc.read_schema(pa.BufferReader(bytes.fromhex(self.manifest.schemas[name])))

    def table(self, name: str, columns: Iterable[str] | None = None, where: str | None = None) -> pa.Table:
        """Rows of any table of the run, in bucket and key order; `where` is an SQL condition over its columns.

        Raises UsageError for an unknown table, PlanError for a condition that cannot be meant.
        """
        schema = self.schema(name)
        wanted = list(schema.names if columns is None else columns)
        for column in wanted:
            if column not in schema.names:
                raise UsageError(f"table {name!r} has no column {column!r}; {nearest(column, schema.names)}")
        if where is None:
            return read_buckets(self.store.objects, self._handle(name), schema, columns=wanted).select(wanted)
        chosen = ", ".join(f'"{column}"' for column in wanted)
        query = f'SELECT {chosen} FROM "{name}" WHERE {where}'  # noqa: S608 - run read-only, on the caller's own tables
        return self.sql(query).to_arrow_table()

    def sql(self, query: str, *, artifacts: bool = False) -> Any:  # a datafusion.DataFrame, whose import is not cheap
        """A read-only query over the tables of the run, and over its artifacts if asked."""
        from codeintel.datafusion_engine import session, sql_text  # noqa: PLC0415 - only queries pay for the engine

        context = session.new_session()
        named = {token.name for token in sql_text.tokens(query) if token.kind in ("word", "quoted")}
        schemas = {name: self.schema(name) for name in self.manifest.schemas}
        extra = read_artifacts(artifacts_of(self.store, self.manifest.run_id)) if artifacts else {}
        for name in sorted(schemas.keys() & named):
            if name in self.manifest.tables:
                version = self.manifest.tables[name].version
                context.register_dataset(name, open_table(self.store.tables, name, version).to_pyarrow_dataset())
            else:
                session.register_arrow(context, {name: self.table(name)})
        session.register_arrow(context, {n: t for n, t in extra.items() if n in named})
        known = schemas | {n: t.schema for n, t in extra.items()}
        return session.read_only(context, query, known)

    def source(self, node_id: int) -> str:
        """The exact text of a node. Raises UsageError for an unknown node, StoreError if its file has changed since."""
        found = self.table("cpg_nodes", ["path", "bstart", "bend"], f"node_id = {int(node_id)}").to_pylist()
        if not found:
            raise UsageError(f"no node {node_id} in run {self.manifest.run_id}")
        node = found[0]
        if node["bstart"] is None:
            return ""
        quoted = node["path"].replace("'", "''")
        file = self.table("files", ["digest", "encoding"], f"path = '{quoted}'").to_pylist()[0]
        try:
            content = (Path(self.manifest.repository) / node["path"]).read_bytes()
        except OSError as error:
            raise StoreError(f"{node['path']} cannot be read: {error.strerror or error}") from error
        if digest_bytes(content) != file["digest"]:
            raise StoreError(f"{node['path']} has changed since run {self.manifest.run_id}; build again")
        return content[node["bstart"] : node["bend"]].decode(file["encoding"])

    def _handle(self, name: str) -> TableHandle:
        return self.manifest.handles[name].handle(name)

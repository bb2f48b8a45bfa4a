"""Running a plan: what has to run goes through a driver, what it made is published, and the run says what came of it.

A build in which nothing changed ends before any of that: `unchanged_run` imports neither Hamilton nor an engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeintel.datafusion_engine.diagnostics import OF_PLAN_AND_TABLES, run_artifacts
from codeintel.errors import AdmissionError, CodeintelError, DamagedObjectError, StoreError, UsageError
from codeintel.hamilton_pipeline import cache_lineage
from codeintel.hamilton_pipeline.cache_policy import POLICIES
from codeintel.hamilton_pipeline.lifecycle import RunFrame, Watch, table_values
from codeintel.hamilton_pipeline.prediction import Prediction, predict, reading_key
from codeintel.hamilton_pipeline.process_usage import peak_resident_bytes
from codeintel.hamilton_pipeline.readings import Reading
from codeintel.hamilton_pipeline.semantic_registry import REGISTRY, Entry
from codeintel.obs.diagnostics import Row, artifact_names
from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeOutcome
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.settings import Settings
from codeintel.store.directory import Store
from codeintel.store.handles import TableHandle, table_file, version_of
from codeintel.store.results import Results
from codeintel.store.runs import (
    Manifest,
    PublishedTable,
    Status,
    TaskRun,
    artifacts_of,
    task_memory,
)

if TYPE_CHECKING:  # a build with nothing to do must not pay for them
    from codeintel.hamilton_pipeline.crew import Crew
    from codeintel.hamilton_pipeline.modules.tasks import Bench
    from codeintel.hamilton_pipeline.pipeline_plan import PlannedPipeline
    from codeintel.hamilton_pipeline.telemetry import Tracking
    from codeintel.hamilton_pipeline.workers import Usage
    from codeintel.relspec.pipeline import Pipeline, Table

REUSED = "nothing that it reads has changed"
DRIVER, SPANS = "driver", "spans"
READ = "read at every build"


def unchanged_run(
    frame: RunFrame, plan: ExecutionPlan, readings: Mapping[str, Reading], settings: Settings, identity: str
) -> Manifest | None:
    """The record of a run in which nothing has to run or to be published; None if anything has."""
    store, before = frame.store, frame.before
    if before is None or settings.cache_policy == "off":
        return None
    if settings.strict and (_broken(before.files) or before.warnings):
        return None
    if not set(OF_PLAN_AND_TABLES) <= set(artifact_names(artifacts_of(store, before.run_id))):
        return None
    tracking, graph = frame.tracking, frame.tracking.kept_graph(plan.signature) if frame.tracking else None
    if tracking is not None and graph is None:
        return None  # telling of a plan takes its driver's graph
    with closing(Results(store.cache, store.objects)) as results:
        found = predict(plan, readings, results)
    if found.to_run(plan):
        return None
    handles = table_values(found.values, plan)
    if not _is_published(store, before, handles, plan):
        return None
    tasks = {
        name: TaskRun("ran", readings[name].seconds, READ, task.signature)
        if task.kind == "source"
        else TaskRun("reused", 0.0, REUSED, task.signature)
        for name, task in plan.tasks.items()
    }
    nodes = {
        name: NodeOutcome(name, name, "ran") if task.kind == "source" else NodeOutcome(name, name, "skipped", "reused")
        for name, task in plan.tasks.items()
    }
    artifacts = run_artifacts(plan, ExecutionOutcome(nodes), found.actions, tasks)
    artifacts[cache_lineage.LINEAGE] = _lineage(plan, found.versions, tasks, settings, {}, found.keys)
    artifacts[cache_lineage.SOURCE_CHANGES], artifacts[SPANS] = [], _reading_spans(readings, frame.clock)
    if tracking is not None and graph is not None:
        tracking.begin(frame.run_id, frame.started, plan, before.pipeline, before.repository, graph)
    total = before.files["total"]
    return frame.end(
        plan,
        pipeline=before.pipeline,
        repository=before.repository,
        identity=identity,
        status="ok",
        tasks=tasks,
        files=before.files | {"extracted": 0, "reused": total},
        tables=before.tables,
        handles=handles,
        schemas=before.schemas,
        artifacts=artifacts,
        warnings=before.warnings,
        unchanged=True,
    )


def _is_published(store: Store, before: Manifest, handles: Mapping[str, TableHandle], plan: ExecutionPlan) -> bool:
    """Whether the current run published these very tables, and nobody has committed to them since."""
    if before.plan_signature != plan.signature or before.handles.keys() != handles.keys():
        return False
    if any(before.handles[name].handle(name) != handle for name, handle in handles.items()):
        return False
    for table in before.tables.values():
        log = store.root / table.path / "_delta_log"
        if not (log / f"{table.version:020}.json").exists() or (log / f"{table.version + 1:020}.json").exists():
            return False
    return all(
        (store.root / table.path / table_file(bucket, part.version)).exists()
        for name, table in before.tables.items()
        for bucket, part in handles[name].partitions.items()
    )


def _lineage(
    plan: ExecutionPlan,
    versions: Mapping[str, str],
    tasks: Mapping[str, TaskRun],
    settings: Settings,
    causes: Mapping[str, str],
    keys: Mapping[str, str],
) -> list[Row]:
    policy = POLICIES[settings.cache_policy]
    behaviors = {name: policy.of(task) for name, task in plan.tasks.items()}
    return [*cache_lineage.lineage_rows(plan, versions, tasks, behaviors, causes, keys)]


@dataclass(frozen=True, slots=True)
class _Executed:
    """What became of the tasks of one attempt, and the values of those that have one."""

    values: Mapping[str, Any]  # handles, by task
    outcome: ExecutionOutcome
    reused: frozenset[str]  # found by Hamilton's adapter
    looked_up: list[Row]  # what that adapter logged
    registry: tuple[Entry, ...]


def run_plan(
    frame: RunFrame,
    pipeline: Pipeline,
    planned: PlannedPipeline,
    plan: ExecutionPlan,
    parameters: Mapping[str, Any],  # settings and handles, by the names that functions declare
    readings: Mapping[str, Reading],
    settings: Settings,
    watch: Watch,
    identity: str,
    hired: Crew | None = None,
) -> Manifest:
    """Run what has to run of `plan`, with the store's lock held, and publish what it made if all of it is well.

    Its jobs go to who is `hired`, else to workers that end with the run.

    A failed or interrupted run leaves a manifest too, and the run before stays current. Raises UsageError for what only
    a source could tell to be wrong use, AdmissionError for what the plan does not list.
    """
    from codeintel.hamilton_pipeline import contract_results  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.crew import crew  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.modules.tasks import Bench  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.workers import most_at_once  # noqa: PLC0415 - see the top

    store, repository = frame.store, str(parameters.get("repository", ""))
    before = {name: stored.handle(name) for name, stored in (frame.before.handles if frame.before else {}).items()}
    with (
        closing(Results(store.cache, store.objects)) as results,
        nullcontext(hired) if hired else crew(settings, pandas=wants_pandas(pipeline)) as hands,
    ):
        workers = hands(store, parameters)
        while True:
            predicted = predict(plan, readings, results, reuse=settings.cache_policy != "off")
            bench = Bench(
                store,
                pipeline,
                planned,
                parameters,
                workers,
                settings.jobs,
                plan.schedule.weights,
                results,
                readings,
                POLICIES[settings.cache_policy],
                before,
                watch.progress,
                findings=contract_results.recall_findings(store, plan, predicted, results),
            )
            if (tracking := frame.tracking) is not None and not tracking.begun:
                graph = _graph(tracking, plan, bench)
                tracking.begin(frame.run_id, frame.started, plan, pipeline.name, repository, graph)
            done = _executed(plan, bench, predicted, settings, watch, tracking)
            handles = table_values(done.values, plan)
            files, damage = _file_counts(bench, handles)
            damaged = damage or any(isinstance(e, DamagedObjectError) for e in done.outcome.failed.values())
            # What is damaged is removed and made again, all else reused; if nothing was, starting over helps nothing.
            if not damaged or not results.sweep():
                break
        made = done.values.keys() - predicted.values.keys()
        sources = [name for name in plan.tasks if name in made and plan.tasks[name].kind == "source"]
        results.remember_data({version_of(done.values[name]): done.values[name] for name in sources})
        results.remember_nodes(
            (reading_key(plan.tasks[n], readings[n]), n, plan.tasks[n].signature, version_of(done.values[n]))
            for n in sources
        )
    outcome = done.outcome
    _raise_what_no_task_can_help(outcome)
    status: Status = "interrupted" if outcome.interrupted else "failed" if outcome.failed else "ok"
    checks = contract_results.contract_rows(plan, planned.contracts, bench.findings, outcome.failed.values())
    warnings = contract_results.warnings_of(checks)
    if settings.strict and status == "ok" and (_broken(files) or warnings):
        status = "failed"
    versions = {name: version_of(value) for name, value in done.values.items()}
    tasks = _task_runs(plan, bench, done)
    changes = _source_changes(plan, bench, handles)
    causes = cache_lineage.causes_of(store, plan, versions, tasks, changes)
    artifacts = {**run_artifacts(plan, outcome, predicted.actions, tasks), "cache_log": done.looked_up}
    artifacts[cache_lineage.LINEAGE] = _lineage(plan, versions, tasks, settings, causes, predicted.keys)
    artifacts[cache_lineage.SOURCE_CHANGES] = [(name, *row) for name, rows in changes.items() for row in rows]
    artifacts |= {contract_results.CONTRACT_RESULTS: checks, REGISTRY: done.registry}
    artifacts[SPANS] = _spans(readings, outcome, workers.usage, frame.clock)
    return frame.end(
        plan,
        pipeline=pipeline.name,
        repository=repository,
        identity=identity,
        status=status,
        tasks=tasks,
        files=files,
        tables=_publish(store, plan, planned, handles) if status == "ok" else {},
        handles=handles,
        schemas={n: planned.tables[n].schema.serialize().to_pybytes().hex() for n in sorted(handles)},
        artifacts=artifacts,
        errors={outcome.nodes[n].task or n: _one_line(e) for n, e in outcome.failed.items()},
        warnings=warnings,
        workers_peak=most_at_once(workers.usage),
        workers_cpu_s=workers.uncounted_cpu_s,
    )


def wants_pandas(pipeline: Pipeline) -> bool:
    """Whether somebody else's code runs in workers, which may want pandas: this package's own does without."""
    own = __name__.partition(".")[0]
    return any(analyse.__module__.partition(".")[0] != own for analyse in pipeline.analyses.values())


def _graph(tracking: Tracking, plan: ExecutionPlan, bench: Bench) -> bytes:
    """The graph of a driver of the whole plan, whatever of it has to run, as a tracker is told of it."""
    from codeintel.hamilton_pipeline.driver_factory import build_driver  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.tracking_hooks import graph_described  # noqa: PLC0415 - see the top

    if (graph := tracking.kept_graph(plan.signature)) is None:
        graph = graph_described(build_driver(plan, bench).hamilton.graph)
        tracking.keep_graph(plan.signature, graph)
    return graph


def _executed(
    plan: ExecutionPlan,
    bench: Bench,
    predicted: Prediction,
    settings: Settings,
    watch: Watch,
    tracking: Tracking | None,
) -> _Executed:
    """Values of the tasks that have one, and what became of each. Ctrl-C ends the workers; the outcome says so."""
    from codeintel.hamilton_pipeline.cache_adapter import CausalCacheAdapter  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.driver_factory import build_driver  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.tracking_hooks import TrackingHook  # noqa: PLC0415 - see the top

    limit, memory = None, dict[str, float]()
    if settings.memory_limit is not None:
        limit = max(0.0, settings.memory_limit - peak_resident_bytes() / 1e6)  # what is left beside the driver
        memory = task_memory(bench.store)
    cache = CausalCacheAdapter(plan, bench.policy, bench.store, bench.results)
    driver = build_driver(
        plan,
        bench,
        wanted=predicted.to_run(plan),
        executor="hamilton" if settings.executor == "hamilton" else "local",
        on_unknown=settings.on_unknown_task,
        memory_limit=limit,
        memory=memory,
        adapters=[cache] if tracking is None else [cache, TrackingHook(tracking)],
        observe=watch.event,
        on_interrupt=lambda _outcome: bench.workers.close(at_once=True),
    )
    if not driver.wanted:
        nodes = {name: NodeOutcome(name, name, "skipped", "reused") for name in plan.tasks}
        return _Executed(predicted.values, ExecutionOutcome(nodes), frozenset(), [], driver.registry)
    returned: Mapping[str, Any] = {}
    try:
        returned = driver.execute(predicted.values)
    except KeyboardInterrupt:
        bench.workers.close(at_once=True)
    except AdmissionError:
        raise
    except Exception:
        # Hamilton's own executor raises the first error and stops; the outcome has it, and what never ran.
        if not driver.outcome.failed:
            raise
    finally:
        cache.keep(bench.passing)
    values = {
        name: value for name in plan.tasks if (value := returned.get(name, predicted.values.get(name))) is not None
    }
    reused = frozenset(returned) - cache.executed - predicted.values.keys()
    return _Executed(values, driver.outcome, reused, cache.log_rows(), driver.registry)


def registry_now(store: Store, pipeline: Pipeline, planned: PlannedPipeline, plan: ExecutionPlan) -> tuple[Entry, ...]:
    """What a driver of `plan` says about the public tables. Raises PlanError as `build_driver`."""
    from codeintel.hamilton_pipeline.driver_factory import build_driver  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.modules.tasks import Bench  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.workers import process_workers  # noqa: PLC0415 - see the top

    with closing(Results(store.cache, store.objects)) as results, process_workers(1, pandas=False) as workers:
        bench = Bench(store, pipeline, planned, {}, workers, 1, {}, results, {}, POLICIES["off"], {})
        return build_driver(plan, bench, wanted=()).registry


def _publish(
    store: Store, plan: ExecutionPlan, planned: PlannedPipeline, handles: Mapping[str, TableHandle]
) -> dict[str, PublishedTable]:
    from codeintel.store.delta import commit_table  # noqa: PLC0415 - see the top

    published = {}
    for name, contract in sorted(planned.contracts.items()):
        if planned.output_of(name) in plan.tasks:
            version = commit_table(store.tables, store.objects, handles[name], contract.table.schema)
            published[name] = PublishedTable(handles[name].rows, version, f"tables/{name}")
    return published


def _raise_what_no_task_can_help(outcome: ExecutionOutcome) -> None:
    """Wrong use that a source found, and a store that cannot be written; all else that fails is the run's to tell."""
    for error in outcome.failed.values():
        if isinstance(error, UsageError | AdmissionError | StoreError) and not isinstance(error, DamagedObjectError):
            raise error


def _task_runs(plan: ExecutionPlan, bench: Bench, done: _Executed) -> dict[str, TaskRun]:
    runs = {}
    for name, outcome in done.outcome.tasks().items():
        task, status, seconds = plan.tasks.get(name), str(outcome.status), outcome.seconds
        reason = f"{outcome.reason}: {outcome.cause}" if outcome.reason and outcome.cause else ""
        stale, buckets = bench.shares.get(name, (1, 1))
        if task is not None and task.kind == "source" and outcome.reason != "pruned by targets":
            status, seconds = ("ran" if status == "skipped" else status), seconds + bench.readings[name].seconds
            reason = reason if status != "ran" else READ
        elif (status == "ran" and (name in done.reused or not stale)) or outcome.reason == "reused":
            status, reason = "reused", REUSED
        elif status == "ran" and buckets > 1:
            reason = f"{stale} of {buckets} buckets"
        elif status == "ran" and name in bench.components:
            reason = "{} of {} components".format(*bench.components[name])
        used = bench.workers.usage.get(name)
        runs[name] = TaskRun(
            status,
            round(seconds, 6),
            (reason or outcome.reason or outcome.cause).strip().split("\n")[0],
            task.signature if task else "",
            cpu_s=round(used.cpu_s, 6) if used else 0.0,
            peak_mb=round(sum(used.peaks.values()) / 1e6, 1) if used else 0.0,
            worker_mb=round(max(used.peaks.values(), default=0) / 1e6, 1) if used else 0.0,
        )
    return runs


def _spans(
    readings: Mapping[str, Reading], outcome: ExecutionOutcome, usage: Mapping[str, Usage], clock: float
) -> list[Row]:
    """Lane, task, node, start and end of all that was read or run; worker processes are numbered as they began."""
    rows = _reading_spans(readings, clock)
    late = outcome.began - clock
    for node in outcome.nodes.values():
        if node.done >= 0:
            times = round(node.started + late, 6), round(node.ended + late, 6)
            rows.append((node.thread or DRIVER, node.task or "", node.node, *times))
    jobs = sorted((start, end, worker, task) for task, used in usage.items() for start, end, worker, _ in used.spans)
    numbers = {worker: number for number, worker in enumerate(dict.fromkeys(worker for _, _, worker, _ in jobs))}
    for start, end, worker, task in jobs:
        rows.append((f"worker {numbers[worker]}", task, task, round(start - clock, 6), round(end - clock, 6)))
    return sorted(rows, key=lambda row: (row[0], row[3], row[2]))


def _reading_spans(readings: Mapping[str, Reading], clock: float) -> list[Row]:
    return [
        (DRIVER, name, name, round(read.started - clock, 6), round(read.started - clock + read.seconds, 6))
        for name, read in readings.items()
    ]


def _broken(files: Mapping[str, int]) -> int:
    """How many files do not parse."""
    return files["failed"] + files.get("recovered", 0)


def _file_counts(bench: Bench, handles: Mapping[str, TableHandle]) -> tuple[dict[str, int], bool]:
    """Counts of files, and whether the facts about them turned out to be damaged."""
    from codeintel.store.partitions import read_buckets  # noqa: PLC0415 - see the top

    counts = {"total": 0, "extracted": 0, "reused": 0, "recovered": 0, "failed": 0}
    if (parsed := handles.get("parsed_files")) is None:
        return counts, False
    try:
        schema = bench.planned.tables["parsed_files"].schema
        rows = read_buckets(bench.store.objects, parsed, schema, columns=["status"])
    except DamagedObjectError:
        return counts, True
    extracted = sum(bench.extracted.values())
    statuses = rows.column("status").to_pylist()
    counts |= {
        "total": rows.num_rows,
        "extracted": extracted,
        "reused": rows.num_rows - extracted,
        "recovered": statuses.count("recovered"),
        "failed": statuses.count("failed"),
    }
    return counts, False


def _source_changes(
    plan: ExecutionPlan, bench: Bench, handles: Mapping[str, TableHandle]
) -> dict[str, list[tuple[str, str]]]:
    """By source whose rows are not those of the current run: (row, `added`, `deleted` or `changed`), sorted."""
    changes = {}
    for name, task in plan.tasks.items():
        if task.kind == "source" and name in handles and name in bench.before:
            old, new = bench.before[name], handles[name]
            if old.version != new.version:
                changes[name] = _row_changes(bench.store.objects, old, new, bench.planned.tables[name])
    return changes


def _row_changes(objects: Path, old: TableHandle, new: TableHandle, table: Table) -> list[tuple[str, str]]:
    from codeintel.store.partitions import changed_rows  # noqa: PLC0415 - see the top

    key = table.key or tuple(table.schema.names)
    text = "file {}" if key == ("path",) else f"row {{}} of {new.table}"
    changes = changed_rows(objects, old, new, key)
    return sorted((text.format(", ".join(map(str, row))), change) for row, change in changes.items())


def _one_line(error: BaseException) -> str:
    return str(error) if isinstance(error, CodeintelError) else f"{type(error).__name__}: {error}"

"""The frame of a run: its id, the driver between two clocks, publishing, and the manifest that says what came of it."""

from __future__ import annotations

import resource
import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

from codeintel.datafusion_engine.diagnostics import plan_artifacts, run_artifacts, task_run_rows
from codeintel.errors import AdmissionError, CodeintelError, DamagedObjectError, StoreError, UsageError
from codeintel.hamilton_pipeline.driver_factory import build_driver
from codeintel.hamilton_pipeline.modules.tasks import Bench
from codeintel.hamilton_pipeline.partition_jobs import peak_resident_bytes
from codeintel.hamilton_pipeline.pipeline_plan import PlannedPipeline
from codeintel.hamilton_pipeline.workers import ProcessWorkers, process_workers
from codeintel.obs.diagnostics import write_artifacts
from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeEvent
from codeintel.relspec.execution_plan import ExecutionPlan, plan_to_json
from codeintel.relspec.pipeline import Pipeline
from codeintel.settings import Settings
from codeintel.store.delta import commit_table
from codeintel.store.directory import Store, write_atomically
from codeintel.store.partitions import TableHandle, read_buckets
from codeintel.store.results import Results
from codeintel.store.runs import (
    Manifest,
    PublishedTable,
    Status,
    StoredHandle,
    TaskRun,
    artifacts_of,
    task_memory,
    write_run,
)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what happens: the plan, files extracted (task, done, total), and each task's events."""

    progress: Callable[[str, int, int], None] = field(default=lambda _task, _done, _total: None)
    event: Callable[[NodeEvent], None] = field(default=lambda _event: None)
    planned: Callable[[ExecutionPlan], None] = field(default=lambda _plan: None)


def run_plan(
    store: Store,
    pipeline: Pipeline,
    planned: PlannedPipeline,
    plan: ExecutionPlan,
    parameters: Mapping[str, Any],  # settings and handles, by the names that functions declare
    settings: Settings,
    watch: Watch,
    started: datetime,
) -> Manifest:
    """Run `plan` into `store`, whose lock the caller holds, and publish what it made if all of it is well.

    A failed or interrupted run leaves a manifest too, and the run before stays current. Raises UsageError for what only
    the scan could tell to be wrong use, AdmissionError for what the plan does not list.
    """
    clock, cpu_before = perf_counter(), _cpu_seconds()
    run_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    with closing(Results(store.cache, store.objects)) as results, process_workers(settings.jobs) as workers:
        while True:
            bench = Bench(
                store,
                pipeline,
                planned,
                parameters,
                workers,
                settings.jobs,
                plan.schedule.weights,
                results,
                settings.cache_policy,
                watch.progress,
            )
            handles, outcome = _executed(plan, bench, settings, watch)
            found = {n: h for n, h in handles.items() if isinstance(h, TableHandle) and plan.tasks[n].kind != "output"}
            files, damage = _file_counts(bench, found)
            damaged = damage or any(isinstance(e, DamagedObjectError) for e in outcome.failed.values())
            # What is damaged is removed and made again, all else reused; if nothing was, starting over helps nothing.
            if not damaged or not results.sweep():
                break
    _raise_what_no_task_can_help(outcome)
    status: Status = "interrupted" if outcome.interrupted else "failed" if outcome.failed else "ok"
    if settings.strict and status == "ok" and files["failed"]:
        status = "failed"
    manifest = Manifest(
        run_id=run_id,
        status=status,
        started=started.isoformat(timespec="seconds"),
        pipeline=pipeline.name,
        repository=str(parameters.get("repository", "")),
        plan_signature=plan.signature,
        reduced_plan_signature=plan.reduced_signature,
        tasks=_task_runs(plan, outcome, bench, workers),
        files=files,
        tables=_publish(store, plan, planned, found) if status == "ok" else {},
        handles={n: StoredHandle.of(h) for n, h in sorted(found.items())},
        schemas={n: planned.tables[n].schema.serialize().to_pybytes().hex() for n in sorted(found)},
        wall_s=perf_counter() - clock,
        cpu_s=_cpu_seconds() - cpu_before,
        peak_rss_mb=(peak_resident_bytes() + sum(workers.peaks.values())) / 1e6,
        errors={n: _one_line(e) for n, e in outcome.failed.items()},
    )
    artifacts = plan_artifacts(plan) | run_artifacts(run_id, plan, outcome)
    write_artifacts(artifacts_of(store, run_id), artifacts | {"task_runs": task_run_rows(run_id, manifest.tasks)})
    write_atomically(store.runs / run_id / "plan.json", plan_to_json(plan))
    write_run(store, manifest)
    return manifest


def _executed(
    plan: ExecutionPlan, bench: Bench, settings: Settings, watch: Watch
) -> tuple[dict[str, Any], ExecutionOutcome]:
    """What the tasks returned, and what became of each. Ctrl-C ends the workers and is told by the outcome."""
    workers = bench.workers
    limit = None
    if settings.memory_limit is not None:
        limit = max(0.0, settings.memory_limit - peak_resident_bytes() / 1e6)  # what is left beside the driver
    driver = build_driver(
        plan,
        bench,
        executor="hamilton" if settings.executor == "hamilton" else "local",
        on_unknown=settings.on_unknown_task,
        memory_limit=limit,
        memory=task_memory(bench.store),
        observe=watch.event,
        on_interrupt=lambda _outcome: workers.close(at_once=True),
    )
    try:
        return driver.execute(), driver.outcome
    except KeyboardInterrupt:
        workers.close(at_once=True)
        return {}, driver.outcome
    except AdmissionError:
        raise
    except Exception:
        # Hamilton's own executor raises the first error and stops; the outcome has it, and what never ran.
        if not driver.outcome.failed:
            raise
        return {}, driver.outcome


def _publish(
    store: Store, plan: ExecutionPlan, planned: PlannedPipeline, handles: Mapping[str, TableHandle]
) -> dict[str, PublishedTable]:
    published = {}
    for name, contract in sorted(planned.contracts.items()):
        if planned.output_of(name) in plan.tasks:
            version = commit_table(store.tables, store.objects, handles[name], contract.table.schema)
            published[name] = PublishedTable(handles[name].rows, version, f"tables/{name}")
    return published


def _raise_what_no_task_can_help(outcome: ExecutionOutcome) -> None:
    """Wrong use that the scan found, and a store that cannot be written; all else that fails is the run's to tell."""
    for error in outcome.failed.values():
        if isinstance(error, UsageError | AdmissionError | StoreError) and not isinstance(error, DamagedObjectError):
            raise error


def _task_runs(
    plan: ExecutionPlan, outcome: ExecutionOutcome, bench: Bench, workers: ProcessWorkers
) -> dict[str, TaskRun]:
    runs = {}
    for name, done in outcome.tasks().items():
        status, reason = done.status, f"{done.reason}: {done.cause}" if done.reason and done.cause else ""
        stale, buckets = bench.shares.get(name, (1, 1))
        if status == "ran" and not stale:
            status, reason = "reused", "nothing that it reads has changed"
        elif status == "ran" and buckets > 1:
            reason = f"{stale} of {buckets} buckets"
        used = workers.usage.get(name)
        runs[name] = TaskRun(
            status,
            round(done.seconds, 6),
            (reason or done.reason or done.cause).strip().split("\n")[0],
            plan.tasks[name].signature if name in plan.tasks else "",
            cpu_s=round(used.cpu_s, 6) if used else 0.0,
            peak_mb=round(sum(used.peaks.values()) / 1e6, 1) if used else 0.0,
        )
    return runs


def _file_counts(bench: Bench, handles: Mapping[str, TableHandle]) -> tuple[dict[str, int], bool]:
    """Counts of files, and whether the facts about them turned out to be damaged."""
    counts = {"total": 0, "extracted": 0, "reused": 0, "failed": 0}
    if (parsed := handles.get("parsed_files")) is None:
        return counts, False
    try:
        schema = bench.planned.tables["parsed_files"].schema
        rows = read_buckets(bench.store.objects, parsed, schema, columns=["status"])
    except DamagedObjectError:
        return counts, True
    extracted = sum(bench.extracted.values())
    counts |= {
        "total": rows.num_rows,
        "extracted": extracted,
        "reused": rows.num_rows - extracted,
        "failed": rows.column("status").to_pylist().count("failed"),
    }
    return counts, False


def _one_line(error: BaseException) -> str:
    return str(error) if isinstance(error, CodeintelError) else f"{type(error).__name__}: {error}"


def _cpu_seconds() -> float:
    """CPU seconds, user and system, of this process and the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

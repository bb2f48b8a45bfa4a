"""Builds, plans and snapshots from Python. The command line adds nothing but words."""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from os.path import realpath
from pathlib import Path
from typing import Any

from codeintel.cpg.pipeline import PIPELINE
from codeintel.cpg.views import sql_files, sql_text
from codeintel.datafusion_engine.plan_cache import PlanCache
from codeintel.datafusion_engine.snapshot import Snapshot
from codeintel.errors import PlanError, StoreError, UsageError, nearest
from codeintel.extract.repo_scan import check_repository
from codeintel.hamilton_pipeline.pipeline_plan import PlannedPipeline, plan_pipeline
from codeintel.hamilton_pipeline.pipeline_run import Watch, run_plan
from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan, plan_from_json
from codeintel.relspec.pipeline import Pipeline
from codeintel.relspec.plan_diff import changed_parts
from codeintel.relspec.rustworkx_schedule import learn_weights
from codeintel.settings import Settings, load_settings
from codeintel.store.directory import KeptBytes, ensure_store, is_store, open_store
from codeintel.store.runs import (
    Manifest,
    Status,
    read_run,
    task_seconds,
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
    return _planned(pipeline, settings, parameters, origins, Path(realpath(settings.store)))[1]


def plan_of_run(store: Path, run: str | None = None) -> ExecutionPlan:
    """The plan that a run, the current one by default, was made from. Raises StoreError if there is none."""
    place = open_store(store)
    file = place.runs / read_run(place, run).run_id / "plan.json"
    try:
        return plan_from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error


def plan_actions(plan: ExecutionPlan, store: Path) -> dict[str, tuple[str, str]]:
    """What a build would do with each task, and why, as far as it can be told without reading any data.

    `run`: a source, or a task that the current run's plan had not or had otherwise. `maybe`: the rest, which is reused
    where nothing that it reads has changed.
    """
    try:
        before = plan_of_run(store).tasks
    except StoreError:
        return dict.fromkeys(plan.tasks, ("run", "nothing has been built yet"))
    actions = {}
    for name, task in plan.tasks.items():
        if task.kind == "source":
            actions[name] = ("run", "read at every build")
        elif name not in before:
            actions[name] = ("run", "new")
        elif before[name].signature != task.signature:
            actions[name] = ("run", f"changed: {', '.join(changed_parts(before[name], task))}")
        else:
            actions[name] = ("maybe", "reused unless what it reads has changed")
    return actions


def _repository(path: str | Path, settings: Settings | None, changes: Mapping[str, Any]) -> tuple[Path, Settings]:
    repository = Path(realpath(path))  # of a link that leads round in a circle too, which the scan then tells
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
            views[name], origins[name] = sql_text(file), str(file)
    analyses = dict(PIPELINE.analyses)
    for module in settings.analyses:
        try:
            loaded = importlib.import_module(module)
        except Exception as error:
            reason = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            raise UsageError(f"analyses {module!r} cannot be imported: {reason}") from error
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
    settings, watch, root = settings or Settings(), watch or Watch(), Path(realpath(store))
    if settings.executor == "ray":
        raise UsageError("this version has no executor 'ray'; use local, or hamilton to compare with")
    given = settings.parameters() | dict(parameters or {})
    started = datetime.now(UTC)
    planned, plan = _planned(pipeline, settings, given, origins, root)
    is_new = not root.exists()
    watch.planned(plan)
    place = ensure_store(root, settings.bucket_count, settings.namespace)
    try:
        with place.writing(started, settings.wait):
            manifest = run_plan(place, pipeline, planned, plan, given, settings, watch, started)
    except UsageError:
        if is_new:
            shutil.rmtree(root, ignore_errors=True)
        raise
    except BrokenPipeError:  # of whoever watches
        raise
    except OSError as error:
        raise StoreError(f"store {root} cannot be written: {error.strerror or error}") from error
    result = _result(manifest, root)
    if manifest.status == "interrupted":
        raise BuildInterruptedError(result)
    return result


def _planned(
    pipeline: Pipeline,
    settings: Settings,
    parameters: Mapping[str, Any],
    origins: Mapping[str, str] | None,
    store: Path | None,
) -> tuple[PlannedPipeline, ExecutionPlan]:
    exists = store is not None and is_store(store)
    cache = PlanCache(store / "cache" / "plans.json") if store is not None and exists else None
    planned = plan_pipeline(pipeline, parameters, origins=origins, cache=cache)
    history = task_seconds(open_store(store)) if store is not None and exists else []
    plan = compile_execution_plan(
        planned.tasks,
        weights={**planned.weights, **learn_weights(history)},
        cache=KeptBytes(store / "cache" / "plans") if store is not None and exists else None,
    )
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


def open(store: str | Path, run: str | None = None) -> Snapshot:  # noqa: A001 - the public name
    """The current run of a store, or the one named. Raises StoreError if there is none."""
    place = open_store(Path(realpath(store)))
    return Snapshot(place, read_run(place, run))

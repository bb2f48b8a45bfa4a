"""Builds, plans and snapshots from Python. The command line adds nothing but words."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from os.path import realpath
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from codeintel.cpg.readings import READS
from codeintel.cpg.views import sql_files, sql_text
from codeintel.errors import PlanError, StoreError, UsageError, nearest
from codeintel.extract.repo_scan import check_repository
from codeintel.fingerprint import digest, digest_bytes
from codeintel.hamilton_pipeline import cache_lineage, semantic_registry
from codeintel.hamilton_pipeline.cache_lineage import Why, causes_of
from codeintel.hamilton_pipeline.lifecycle import RunFrame, Watch
from codeintel.hamilton_pipeline.pipeline_run import READ, REUSED, registry_now, run_plan, unchanged_run
from codeintel.hamilton_pipeline.prediction import predict
from codeintel.hamilton_pipeline.process_usage import cpu_seconds
from codeintel.hamilton_pipeline.readings import Read, Reading, read_sources
from codeintel.obs.diagnostics import RUN_METADATA, read_artifact
from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan, plan_from_json
from codeintel.relspec.rustworkx_schedule import learn_weights
from codeintel.reporting.exports import check_exports, export_run
from codeintel.settings import Settings, load_settings
from codeintel.store.directory import KeptBytes, ensure_store, is_store, open_store
from codeintel.store.results import Results
from codeintel.store.runs import Manifest, Status, TaskRun, artifacts_of, plan_file, read_run, task_seconds

if TYPE_CHECKING:  # a build with nothing to do must not pay for engines
    from codeintel.datafusion_engine.plan_cache import PlanCache
    from codeintel.datafusion_engine.snapshot import Snapshot
    from codeintel.hamilton_pipeline.crew import Crew
    from codeintel.hamilton_pipeline.pipeline_plan import PlannedPipeline
    from codeintel.relspec.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build did. `tables` maps each public table to rows, Delta version and path; `errors` task to message.

    `warnings` maps tables to the promises that they break without failing the build. Counts are tasks and files, times
    seconds, `cpu_s` with all workers, `peak_rss_mb` what the driver held at most and all workers together: the peaks of
    jobs that ran at one time. `telemetry` says of tracking and of each export that was asked for what became of it.
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
    warnings: Mapping[str, str] = field(default_factory=dict)
    telemetry: Mapping[str, str] = field(default_factory=dict)


PLANS, MODULES = "plans.json", "modules.json"


class BuildInterruptedError(KeyboardInterrupt):
    """Ctrl-C during a build; `result` is what had been done. The run before stays current."""

    def __init__(self, result: BuildResult) -> None:
        super().__init__("interrupted")
        self.result = result


@dataclass(frozen=True, slots=True)
class Shared:
    """What builds that follow one another have in common: workers, compiled views, reduced graphs. See `many`."""

    crew: Crew
    plans: PlanCache
    reductions: MutableMapping[str, bytes]


def build(
    path: str | Path,
    *,
    settings: Settings | None = None,
    watch: Watch | None = None,
    shared: Shared | None = None,
    **changes: Any,
) -> BuildResult:
    """Build the graph of the repository at `path`; `changes` are settings by name.

    Raises UsageError for a path that is no repository of Python, PlanError for what cannot be planned, StoreError for a
    store that is busy, foreign or unwritable. A task that fails does not raise: `status` is then `failed`.
    """
    repository, settings = _repository(path, settings, changes)
    work = _Work(READS, lambda: cpg_pipeline(settings), _identity(settings))
    return _built(work, settings, {"repository": repository}, watch or Watch(), shared)


def compile_plan(path: str | Path, *, settings: Settings | None = None, **changes: Any) -> ExecutionPlan:
    """The plan that `build` would run. Reads no data."""
    repository, settings = _repository(path, settings, changes)
    pipeline, origins = cpg_pipeline(settings)
    parameters = settings.parameters() | {"repository": repository}
    return _planned(pipeline, settings, parameters, origins, Path(realpath(settings.store)))[1]


def plan_of_run(store: Path, run: str | None = None) -> ExecutionPlan:
    """The plan that a run, the current one by default, was made from. Raises StoreError if there is none."""
    place = open_store(store)
    file = plan_file(place, read_run(place, run).run_id)
    try:
        return plan_from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error


def plan_actions(path: str | Path, plan: ExecutionPlan, settings: Settings) -> dict[str, tuple[str, str]]:
    """What a build of the graph would do with each task of `plan` now, and why. Reads the sources, runs nothing.

    `run`: a source, or a task without a result for what it reads. `maybe`: depends on a result of this very build.
    `reuse`: its result is in the store.
    """
    repository, root = Path(realpath(path)), Path(realpath(settings.store))
    reads = {name: read for name, read in READS.items() if name in plan.tasks}
    readings = read_sources(reads, settings.parameters() | {"repository": repository})
    if not is_store(root):
        return {n: ("run", READ if t.kind == "source" else "nothing has been built yet") for n, t in plan.tasks.items()}
    store = open_store(root)
    with closing(Results(store.cache, store.objects)) as results:
        found = predict(plan, readings, results, reuse=settings.cache_policy != "off")
    runs = {name: TaskRun("ran" if action == "run" else "") for name, action in found.actions.items()}
    causes = causes_of(store, plan, found.versions, runs, {})
    actions: dict[str, tuple[str, str]] = {}
    for name, task in plan.tasks.items():
        action, unknown = found.actions[name], [table for table in sorted(task.inputs) if table not in found.versions]
        if task.kind == "source":
            actions[name] = action, READ if name in found.versions else f"{READ}; its rows are new"
        elif action == "maybe":
            actions[name] = action, f"reused unless this changes: {', '.join(unknown)}"
        else:
            actions[name] = action, causes.get(name, REUSED if action == "reuse" else "")
    return actions


def why(store: str | Path, name: str, run: str | None = None) -> Why:
    """Why a task or table was computed or reused, or a file extracted, in a run: the current one by default.

    Raises StoreError if there is no such store, UsageError for a name that the run does not know.
    """
    return cache_lineage.why(open_store(Path(realpath(store))), name, run)


def catalog(store: str | Path, run: str | None = None) -> list[dict[str, Any]]:
    """The semantic registry of a run, the current one by default: one mapping per public table, by name.

    See `hamilton_pipeline.semantic_registry.Entry`; besides, the rows and the Delta version that the run published.
    """
    place = open_store(Path(realpath(store)))
    return semantic_registry.catalog(place, read_run(place, run))


def catalog_faults(store: str | Path, settings: Settings | None = None) -> list[str]:
    """What is wrong with the catalog of the current run, one line each; nothing if it is sound.

    Public tables without an entry or a required tag, columns that are not as the table has them, and, for a graph whose
    repository is still there, what the code would say otherwise today.
    """
    from codeintel.store.delta import stored_schema  # noqa: PLC0415 - see the top

    place = open_store(Path(realpath(store)))
    manifest = read_run(place)
    stored = {name: stored_schema(place.root / table.path, table.version) for name, table in manifest.tables.items()}
    now: tuple[semantic_registry.Entry, ...] = ()
    repository = Path(manifest.repository)
    if manifest.pipeline == "cpg" and repository.is_dir():
        settings = settings or Settings(store=place.root)
        pipeline, origins = cpg_pipeline(settings)
        parameters = settings.parameters() | {"repository": repository}
        planned, plan, _ = _planned(pipeline, settings, parameters, origins, place.root)
        now = registry_now(place, pipeline, planned, plan)
    return semantic_registry.registry_faults(semantic_registry.catalog(place, manifest), manifest, stored, now)


def _repository(path: str | Path, settings: Settings | None, changes: Mapping[str, Any]) -> tuple[Path, Settings]:
    repository = Path(realpath(path))  # of a link that leads round in a circle too, which the scan then tells
    check_repository(repository)
    if settings is None:
        return repository, load_settings(changes, {}, {}, repository=repository)
    settings = replace(settings, **changes)
    if settings.store == Settings().store:
        settings = replace(settings, store=repository / settings.store)
    return repository, settings


def cpg_pipeline(settings: Settings) -> tuple[Pipeline, dict[str, str]]:
    """The graph's pipeline with the user's own views and analyses, and the file each view of theirs comes from."""
    import inspect  # noqa: PLC0415 - see the top

    from codeintel.cpg.pipeline import PIPELINE  # noqa: PLC0415 - see the top

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
            loaded = import_module(module)
        except Exception as error:
            reason = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            raise UsageError(f"analyses {module!r} cannot be imported: {reason}") from error
        own = {n: f for n, f in vars(loaded).items() if inspect.isfunction(f) and hasattr(f, "output_schema")}
        if not own:
            raise UsageError(f"{module!r} holds no analysis; decorate its functions with @codeintel.analysis(schema)")
        for name in sorted(own.keys() & analyses.keys()):
            if own[name] is not analyses[name]:
                raise UsageError(f"{module}: there is an analysis {name!r} already; rename the function")
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
    settings = replace(settings or Settings(), store=Path(store))
    reads = {name: source.read for name, source in pipeline.sources.items()}
    work = _Work(reads, lambda: (pipeline, dict(origins or {})), "")
    return _built(work, settings, dict(parameters or {}), watch or Watch())


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be built: its external reads, the pipeline with its views' files, and a digest of all that is planned.

    The identity is empty where it cannot be told without loading the pipeline.
    """

    reads: Mapping[str, Read]
    load: Callable[[], tuple[Pipeline, dict[str, str]]]
    identity: str


def _built(
    work: _Work, settings: Settings, parameters: Mapping[str, Any], watch: Watch, shared: Shared | None = None
) -> BuildResult:
    if settings.executor == "ray":
        from codeintel.hamilton_pipeline.crew import check_crew  # noqa: PLC0415 - see the top

        check_crew(settings)
    if settings.track:
        from codeintel.hamilton_pipeline.telemetry import check_tracking  # noqa: PLC0415 - see the top

        check_tracking()
    check_exports(settings)
    root = Path(realpath(settings.store))
    try:
        with ExitStack() as held:
            manifest = _run(work, settings, settings.parameters() | dict(parameters), watch, root, held, shared)
    except BrokenPipeError:  # of whoever watches
        raise
    except OSError as error:
        raise StoreError(f"store {root} cannot be written: {error.strerror or error}") from error
    result = replace(_result(manifest, root), telemetry=_telemetry(manifest, settings, root))
    if manifest.status == "interrupted":
        raise BuildInterruptedError(result)
    return result


def _telemetry(manifest: Manifest, settings: Settings, root: Path) -> dict[str, str]:
    """Export the run where that was asked for; what became of it and of tracking."""
    if not (settings.track or settings.openlineage or settings.opentelemetry):
        return {}
    store = open_store(root)
    exported = export_run(store, manifest.run_id, settings)
    said = dict(read_artifact(artifacts_of(store, manifest.run_id), RUN_METADATA))
    return ({"tracking": said.get("tracking", "")} if settings.track else {}) | exported


def _run(
    work: _Work,
    settings: Settings,
    parameters: Mapping[str, Any],
    watch: Watch,
    root: Path,
    held: ExitStack,
    shared: Shared | None,
) -> Manifest:
    """One run; the store's lock, once taken, is left to `held`."""
    started, clock, cpu_before = datetime.now(UTC), perf_counter(), cpu_seconds()

    def begun() -> RunFrame:
        place = ensure_store(root, settings.bucket_count, settings.namespace)
        held.enter_context(place.writing(started, settings.wait))
        tracking = None
        if settings.track:
            from codeintel.hamilton_pipeline.telemetry import Tracking  # noqa: PLC0415 - see the top

            tracking = Tracking(place, settings)
            held.callback(tracking.abandon)
        return RunFrame.begin(place, started, clock, cpu_before, settings.hamilton_dag_name, tracking)

    frame, readings, kept = None, dict[str, Reading](), None
    if work.identity and is_store(root):
        frame = begun()
        if (kept := _kept_plan(frame, work.identity)) is not None:
            watch.planned(kept)
            readings = _readings(work.reads, kept, parameters)
            if (manifest := unchanged_run(frame, kept, readings, settings, work.identity)) is not None:
                return manifest
    pipeline, origins = work.load()
    with _uncollected():
        planned, plan, cache = _planned(pipeline, settings, parameters, origins, root, kept, shared)
    watch.planned(plan)
    if frame is None:
        if not is_store(root):
            readings = _readings(work.reads, plan, parameters)  # wrong use leaves nothing behind
        frame = begun()
    place = frame.store
    cache.keep_at(place.cache / PLANS)
    if kept is None:
        from codeintel.code_fingerprint import save_syntax  # noqa: PLC0415 - see the top

        cache_lineage.keep_runners(place, planned.runners)
        save_syntax(place.cache / MODULES)
    readings = readings or _readings(work.reads, plan, parameters)
    if not work.identity:
        with _uncollected():
            manifest = unchanged_run(frame, plan, readings, settings, "")
        if manifest is not None:
            return manifest
    hired = shared.crew if shared else None
    return run_plan(frame, pipeline, planned, plan, parameters, readings, settings, watch, work.identity, hired)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: plans have none, and it would look at all their tasks again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _readings(reads: Mapping[str, Read], plan: ExecutionPlan, parameters: Mapping[str, Any]) -> dict[str, Reading]:
    """The sources of a plan, read. Raises the UsageError of any that was asked for what makes no sense."""
    readings = read_sources({name: read for name, read in reads.items() if name in plan.tasks}, parameters)
    for reading in readings.values():
        if isinstance(reading.error, UsageError):
            raise reading.error
    return readings


def _identity(settings: Settings) -> str:
    """Digest of all that the plan of the graph is made from; empty if modules of the user have a part in it."""
    if settings.analyses:
        return ""
    package = Path(__file__).parent
    code = [
        (path.relative_to(package).as_posix(), digest_bytes(path.read_bytes()))
        for path in sorted(package.rglob("*"))
        if path.suffix in (".py", ".sql")
    ]
    # Ray, once imported, adds a folder of its own: no plan is made from what lies there.
    places = [Path(place) for place in sys.path if not place.endswith("thirdparty_files")]
    libraries = [sorted(p.name for p in place.glob("*.dist-info")) for place in places if place.is_dir()]
    views = [
        (str(folder), name, sql_text(file)) for folder in settings.views for name, file in sql_files(folder).items()
    ]
    return digest(code, libraries, views, sys.version, settings.parameters(), settings.targets)


def _kept_plan(frame: RunFrame, identity: str) -> ExecutionPlan | None:
    """The plan of the current run, if a plan made now would be the same."""
    if frame.before is None or frame.before.identity != identity:
        return None
    try:
        saved = plan_file(frame.store, frame.before.run_id).read_bytes()
        return plan_from_json(saved, KeptBytes(frame.store.cache / "plans"))
    except (OSError, ValueError):
        return None


def _planned(
    pipeline: Pipeline,
    settings: Settings,
    parameters: Mapping[str, Any],
    origins: Mapping[str, str] | None,
    root: Path,
    kept: ExecutionPlan | None = None,
    shared: Shared | None = None,
) -> tuple[PlannedPipeline, ExecutionPlan, PlanCache]:
    """The pipeline planned; `kept` is the same plan made before, of which only the weights can have changed."""
    from codeintel.code_fingerprint import load_syntax  # noqa: PLC0415 - see the top
    from codeintel.datafusion_engine.plan_cache import PlanCache  # noqa: PLC0415 - see the top
    from codeintel.hamilton_pipeline.pipeline_plan import plan_pipeline  # noqa: PLC0415 - see the top

    store = open_store(root) if is_store(root) else None
    cache = shared.plans if shared else PlanCache(store.cache / PLANS if store else None)
    known = kept.tasks if kept else None
    if store is not None:
        load_syntax(store.cache / MODULES)
    planned = plan_pipeline(pipeline, parameters, origins=origins, cache=cache, known=known)
    weights = {**planned.weights, **learn_weights(task_seconds(store) if store else [])}
    if kept is not None:
        return planned, kept.with_weights(weights), cache
    reductions = shared.reductions if shared else KeptBytes(store.cache / "plans") if store else None
    plan = compile_execution_plan(planned.tasks, weights=weights, cache=reductions)
    if settings.targets:
        plan = plan.restricted_to([_target(planned, plan, name) for name in settings.targets])
    return planned, plan, cache


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
        manifest.warnings,
    )


def report(store: str | Path, run: str | None = None, diff: str | None = None) -> str:
    """One self-contained HTML page about a run, and about what differs from another, `diff`, if that is given.

    The run is the current one by default, the newest if none was ever complete. Raises StoreError if there is none,
    UsageError for a run that is not there and if the extra `report` is not installed.
    """
    from codeintel.reporting.page import report_page  # noqa: PLC0415 - see the top
    from codeintel.reporting.run_report import report_facts  # noqa: PLC0415 - see the top

    return report_page(*report_facts(open_store(Path(realpath(store))), run, diff))


def open(store: str | Path, run: str | None = None) -> Snapshot:  # noqa: A001 - the public name
    """The current run of a store, or the one named. Raises StoreError if there is none."""
    from codeintel.datafusion_engine.snapshot import Snapshot  # noqa: PLC0415 - see the top

    place = open_store(Path(realpath(store)))
    return Snapshot(place, read_run(place, run))

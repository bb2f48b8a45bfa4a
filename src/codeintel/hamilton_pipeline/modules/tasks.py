"""Tasks as Hamilton nodes.

Each kind of task is one function here, in `inputs` or in `outputs`. `planned(kind)` gives it a node per task of that
kind, named like the task and depending on the tables the task reads. Nodes exchange table handles; what they need to
work with (store, workers) is bound to the node's callable and is never a value of the graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hamilton import node
from hamilton.function_modifiers.base import NodeCreator

from codeintel.errors import RunError
from codeintel.hamilton_pipeline.cache_policy import CachePolicy
from codeintel.hamilton_pipeline.component_reuse import Earlier
from codeintel.hamilton_pipeline.contract_job import Finding
from codeintel.hamilton_pipeline.partition_jobs import AnalysisJob, ExtractJob, Input, Job, QueryJob
from codeintel.hamilton_pipeline.pipeline_plan import PlannedPipeline, filled
from codeintel.hamilton_pipeline.prediction import PLAN_SIGNATURE
from codeintel.hamilton_pipeline.readings import Reading
from codeintel.hamilton_pipeline.workers import WorkerDiedError, Workers
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.pipeline import UNREAD, Pipeline
from codeintel.relspec.task import Kind, Mode, Task, function_part
from codeintel.store.directory import Store
from codeintel.store.handles import UNPARTITIONED, Format, Partition, TableHandle
from codeintel.store.partitions import is_bucketed, schema_digest
from codeintel.store.results import Result, Results, result_key

HEAVY_ROWS = 150_000
"""Rows read above which a task leaves the driver: below, starting a process costs more than the work."""
HEAVY_SECONDS = 2.0
"""Seconds that a task took in runs before, above which it leaves the driver however little it reads."""
GROUP_ROWS = 60_000
"""Rows a worker should hold of a partitioned task's inputs at a time."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What tasks work with: everything that is neither plan nor data. Never a value of the graph."""

    store: Store
    pipeline: Pipeline
    planned: PlannedPipeline
    parameters: Mapping[str, Any]  # settings and handles, by the names that functions declare
    workers: Workers
    jobs: int
    seconds: Mapping[str, float]  # learnt, or the static figure of the kind
    results: Results
    readings: Mapping[str, Reading]  # of this build's sources
    policy: CachePolicy
    before: Mapping[str, TableHandle]  # tables of the current run
    progress: Callable[[str, int, int], None] = field(default=lambda _task, _done, _total: None)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)  # (stale, all) buckets by task, as they get known
    extracted: dict[str, int] = field(default_factory=dict)  # source rows read anew, by extractor
    components: dict[str, tuple[int, int]] = field(default_factory=dict)  # (anew, all), by analysis that has some
    passing: set[str] = field(default_factory=set)  # tasks whose result holds for this run alone
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)  # broken rules, by output

    def known(
        self, task: Task, inputs: Mapping[str, TableHandle], buckets: Iterable[int] | None
    ) -> tuple[dict[int, str], dict[int, Result]]:
        """Keys of the stale buckets, and results of the others; where there is no bucket, of the task as a whole."""
        wanted = sorted(buckets or ()) or [UNPARTITIONED]
        whole = wanted == [UNPARTITIONED]
        modes: Mapping[str, Mode] = dict.fromkeys(task.inputs, "whole") if whole else task.inputs
        stale: dict[int, str] = {}
        results: dict[int, Result] = {}
        for bucket in wanted:
            key = result_key(task.signature, bucket, inputs, modes)
            found = self.results.found(key) if self.policy.planned == "default" else None
            if found is None:
                stale[bucket] = key
            else:
                results[bucket] = found
        self.shares[task.name] = (len(stale), len(stale) + len(results))
        return stale, results

    def keep(self, task: Task, made: Mapping[int, tuple[str, Result]]) -> None:
        """Remember results by bucket and key."""
        kept = {(key, bucket): result for bucket, (key, result) in made.items()}
        self.results.keep(task.name, task.signature, kept)

    def earlier(self, task: Task, bucket: int) -> Result | None:
        """The result of a task for a bucket in the current run, else the newest, whatever it was made of."""
        if self.policy.planned != "default":
            return None
        current = self._current(task, bucket)
        return self.results.latest(task.signature, bucket) if current is None else current[1]

    def whole_before(self, task: Task) -> Earlier | None:
        """What a whole-program task was given in the current run, and what it made of that."""
        current = self._current(task, UNPARTITIONED) if self.policy.planned == "default" else None
        return None if current is None else Earlier(current[0], current[1].tables[task.name])

    def _current(self, task: Task, bucket: int) -> tuple[dict[str, TableHandle], Result] | None:
        """What a task was given in the current run, and its result for a bucket."""
        read = {name: self.before[name] for name in task.inputs if name in self.before}
        modes = task.inputs if bucket != UNPARTITIONED else dict[str, Mode].fromkeys(task.inputs, "whole")
        if len(read) < len(task.inputs):
            return None
        found = self.results.found(result_key(task.signature, bucket, read, modes))
        return None if found is None else (read, found)

    def follow(self, task: Task, leader: str) -> None:
        """A task that only hands on a part of another's result ran, or was reused, as that one."""
        self.shares[task.name] = self.shares.get(leader, (0, 1))

    def is_heavy(self, task: Task, inputs: Mapping[str, TableHandle]) -> bool:
        """Whether the jobs of `task` go to worker processes: by what its stale buckets read, and their share of it."""
        stale, buckets = self.shares[task.name]
        share = stale / max(1, buckets)
        rows = sum(h.rows * (share if task.inputs[name] == "same_bucket" else 1) for name, h in inputs.items())
        return rows > HEAVY_ROWS or self.seconds.get(task.name, 0.0) * share > HEAVY_SECONDS

    def form(self, table: str) -> Format:
        """Public tables are Parquet, so that Delta can link their objects; the rest is Arrow."""
        return "parquet" if table in self.planned.contracts else "arrow"

    def handle(self, table: str, partitions: Mapping[int, Partition]) -> TableHandle:
        schema = self.planned.tables[table].schema
        return TableHandle(table, schema_digest(schema), dict(sorted(partitions.items())))

    def input(self, task: Task, handle: TableHandle, buckets: frozenset[int] | None) -> Input:
        table = handle.table
        kept = handle.partitions if buckets is None else {b: p for b, p in handle.partitions.items() if b in buckets}
        return Input(
            TableHandle(table, handle.schema, kept), self.planned.tables[table].schema, task.columns[table], buckets
        )


PLAN, BENCH, NODES = "codeintel.plan", "codeintel.bench", "codeintel.nodes"
"""Keys of the driver's configuration; with a dot, so that no table can have their names."""


class _Nodes(list[node.Node]):
    """Nodes of distinct names. Hamilton asks whether each is among them; a list would compare it with all others."""

    def __init__(self, nodes: Iterable[node.Node]) -> None:
        super().__init__(nodes)
        self._names = {each.name for each in self}

    def __contains__(self, item: object) -> bool:
        return isinstance(item, node.Node) and item.name in self._names


class planned(NodeCreator):  # noqa: N801 - a decorator
    """One node for every task of `kind` that the driver needs, each calling the decorated function with its task."""

    def __init__(self, kind: Kind, returns: type = TableHandle) -> None:
        self.kind, self.returns = kind, returns

    def required_config(self) -> list[str]:
        return [PLAN, BENCH, NODES]

    def validate(self, fn: Callable[..., Any]) -> None:
        """Any function that takes a bench, a task and handles will do."""

    def generate_nodes(self, fn: Callable[..., Any], config: dict[str, Any]) -> list[node.Node]:
        plan: ExecutionPlan = config[PLAN]
        bench: Bench = config[BENCH]
        doc = inspect.getdoc(fn) or ""
        return _Nodes(
            node.Node(
                task.name,
                dict if task.name in bench.pipeline.extractors else self.returns,
                doc,
                callabl=partial(_call, fn, bench, task),
                input_types=_input_types(task, bench.pipeline),
                tags={"layer": _LAYERS[task.kind], "task": task.name, "kind": task.kind},
                originating_functions=(fn,),
            )
            for name in config[NODES]
            if (task := plan.tasks[name]).kind == self.kind
        )


def _input_types(task: Task, pipeline: Pipeline) -> dict[str, Any]:
    types: dict[str, Any] = {n: dict if n in pipeline.extractors else TableHandle for n in sorted(task.inputs)}
    return types | {PLAN_SIGNATURE: str} if task.kind == "output" else types


_LAYERS: Mapping[Kind, str] = {
    "source": "input",
    "extractor": "facts",
    "view": "views",
    "analysis": "views",
    "output": "semantic",
}


def _call(function: Callable[..., Any], bench: Bench, task: Task, /, **inputs: Any) -> Any:
    inputs.pop(PLAN_SIGNATURE, None)
    return function(bench, task, inputs)


@planned("extractor")
def extractor(bench: Bench, task: Task, inputs: Mapping[str, Any]) -> dict[str, TableHandle] | TableHandle:
    """Facts of the source's files by bucket; or, for a fact table, its handle."""
    declared = bench.pipeline.extractors.get(task.name)
    (upstream,) = inputs.values()
    if declared is None:
        bench.follow(task, next(iter(task.inputs)))
        return upstream[task.name]
    source: TableHandle = upstream
    stale, results = bench.known(task, inputs, source.partitions)
    parameters = filled(task.name, declared.extract, bench.parameters, taken=1)
    todo = _part(source, stale.keys() & source.partitions.keys())
    groups = _groups_by_rows(todo, max(bench.jobs, todo.rows // 120)) if todo.partitions else []
    waiting: list[Job] = [
        ExtractJob(
            bench.store.objects,
            declared.extract,
            bench.input(task, source, group),
            parameters,
            declared.tables,
            {b: r for b in sorted(group) if (r := bench.earlier(task, b)) is not None},
        )
        for group in groups
    ]
    total, finished = source.rows, source.rows - todo.rows
    bench.progress(task.name, finished, total)
    died: set[frozenset[int] | None] = set()
    while waiting:
        again: list[Job] = []
        for job, done in bench.workers.run(task.name, waiting, heavy=True):
            assert isinstance(job, ExtractJob)
            if isinstance(done, WorkerDiedError):
                # A machine that goes away, or whoever kills a process, costs its jobs one more run: only a job of which
                # two died is looked into.
                is_second = job.source.buckets in died
                died.add(job.source.buckets)
                again.append(_without_deadly_files(bench, task, job, done.reason) if is_second else job)
                continue
            parts = {table: done.partitions[table] for table in declared.tables}
            made = {
                b: Result({t: {b: p[b]} if b in p else {} for t, p in parts.items()}, source.partitions[b])
                for b in job.source.handle.partitions
            }
            results |= made
            # What kills a process once may not the next time, and what cannot be read now may be by then.
            passing = made.keys() if job.dead else done.partitions.get(UNREAD, {}).keys()
            if passing:
                bench.passing.add(task.name)
            bench.keep(task, {b: (stale[b], result) for b, result in made.items() if b not in passing})
            bench.extracted[task.name] = bench.extracted.get(task.name, 0) + done.anew[0]
            finished += job.source.handle.rows
            bench.progress(task.name, finished, total)
        waiting = again
    return {table: bench.handle(table, _united(results, table)) for table in declared.tables}


def _without_deadly_files(bench: Bench, task: Task, job: Job, reason: str) -> ExtractJob:
    """The same job, told which of its files kill a worker: found by extracting ever smaller parts without writing."""
    if not isinstance(job, ExtractJob):
        raise RunError(reason)
    paths = [p for p in job.source.read(job.objects).column("path").to_pylist() if p not in job.dead]
    suspects, deadly = [paths], dict(job.dead)
    while suspects:
        part = suspects.pop()
        others = {p: "left out" for p in paths if p not in part}
        probe = replace(job, previous={}, dead={**others, **deadly}, dry=True)
        ((_, done),) = bench.workers.run(task.name, [probe], heavy=True)
        if not isinstance(done, WorkerDiedError):
            continue
        if len(part) == 1:
            deadly[part[0]] = f"{done.reason} on this file"
        else:
            suspects += [part[: len(part) // 2], part[len(part) // 2 :]]
    return replace(job, dead=deadly)


@planned("view")
def view(bench: Bench, task: Task, inputs: Mapping[str, TableHandle]) -> TableHandle:
    """Rows of one SQL view: of the stale buckets, some at a time, where its plan allows it."""
    output = bench.planned.tables[task.name]
    spine = [handle for name, handle in inputs.items() if task.inputs[name] == "same_bucket"]
    partitioned = bool(spine) and is_bucketed(output.schema)
    present = _merged(spine) if partitioned and any(handle.partitions for handle in spine) else None
    stale, results = bench.known(task, inputs, present.partitions if present else None)
    heavy = bench.is_heavy(task, inputs)
    groups: list[frozenset[int] | None] = [None] if stale else []
    if present and stale:
        todo = _part(present, stale)
        groups = [*_groups_by_rows(todo, max(1, todo.rows // GROUP_ROWS, bench.jobs if heavy else 1))]
    jobs: list[Job] = [
        QueryJob(
            bench.store.objects,
            task.name,
            bench.pipeline.views[task.name],
            {
                name: bench.input(task, handle, group if task.inputs[name] == "same_bucket" else None)
                for name, handle in inputs.items()
            },
            output,
            bench.form(task.name),
            group,
            bench.planned.contracts.get(task.name),
            {name: f for name, f in bench.pipeline.functions.items() if function_part(name) in task.parts},
        )
        for group in groups
    ]
    results |= _run(bench, task, jobs, stale, heavy=heavy)
    return bench.handle(task.name, _united(results, task.name))


@planned("analysis")
def analysis(bench: Bench, task: Task, inputs: Mapping[str, TableHandle]) -> TableHandle:
    """Rows of one whole-program step in Python."""
    analyse = bench.pipeline.analyses[task.name]
    components: str | None = getattr(analyse, "components", None)
    stale, results = bench.known(task, inputs, None)
    wanted = filled(task.name, partial(analyse, **dict.fromkeys(inputs)), bench.parameters)
    job = AnalysisJob(
        bench.store.objects,
        task.name,
        analyse,
        {name: bench.input(task, handle, None) for name, handle in inputs.items()},
        {name: value for name, value in wanted.items() if name not in inputs},
        bench.planned.tables[task.name],
        bench.form(task.name),
        bench.planned.contracts.get(task.name),
        components,
        bench.whole_before(task) if components else None,
    )
    results |= _run(bench, task, [job] if stale else [], stale, heavy=bench.is_heavy(task, inputs))
    return bench.handle(task.name, _united(results, task.name))


def _run(bench: Bench, task: Task, jobs: list[Job], stale: Mapping[int, str], *, heavy: bool) -> dict[int, Result]:
    """Results of the stale buckets by bucket, kept as each job ends; a job whose process died is run once more."""
    results: dict[int, Result] = {}
    for attempt in (1, 2):
        again: list[Job] = []
        for job, done in bench.workers.run(task.name, jobs, heavy=heavy):
            if isinstance(done, WorkerDiedError):
                if attempt == 2:
                    raise RunError(f"{task.kind} {task.name!r}: {done.reason}, twice", task=task.name)
                again.append(job)
                continue
            if done.anew[1]:
                bench.components[task.name] = done.anew
            parts = done.partitions[task.name]
            buckets = job.buckets if isinstance(job, QueryJob) and job.buckets is not None else None
            made = (
                {UNPARTITIONED: Result({task.name: dict(parts)})}
                if buckets is None
                else {b: Result({task.name: {b: parts[b]} if b in parts else {}}) for b in sorted(buckets)}
            )
            bench.keep(task, {b: (stale[b], result) for b, result in made.items()})
            results |= made
        jobs = again
        if not jobs:
            break
    return results


def _united(results: Mapping[int, Result], table: str) -> dict[int, Partition]:
    """Partitions of `table` in all results."""
    return {b: part for result in results.values() for b, part in result.tables.get(table, {}).items()}


def _part(handle: TableHandle, buckets: Iterable[int]) -> TableHandle:
    """The handle of some of a table's buckets."""
    return TableHandle(handle.table, handle.schema, {b: handle.partitions[b] for b in sorted(buckets)})


def _merged(handles: list[TableHandle]) -> TableHandle:
    """Rows per bucket summed over handles, for balancing."""
    rows: dict[int, int] = {}
    for handle in handles:
        for bucket, part in handle.partitions.items():
            rows[bucket] = rows.get(bucket, 0) + part.rows
    return TableHandle("", "", {b: Partition("", n, "arrow", "", 0) for b, n in sorted(rows.items())})


def _groups_by_rows(handle: TableHandle, groups: int) -> list[frozenset[int]]:
    """Buckets dealt to at most `groups` groups of about equal rows, largest bucket first (Graham's LPT rule)."""
    loads = [(0, index) for index in range(max(1, min(groups, len(handle.partitions))))]
    dealt: list[set[int]] = [set() for _ in loads]
    for bucket, part in sorted(handle.partitions.items(), key=lambda item: (-item[1].rows, item[0])):
        load, index = min(loads)
        loads[index] = (load + part.rows, index)
        dealt[index].add(bucket)
    return [frozenset(group) for group in dealt if group]

"""What every task of a run was made of, what became of it, and what differs from the last time: lineage and causes.

One row per task and run, reuse included. A *cause* says what differs from the last run that has a result for the task:
parts of the task itself (`module NAME changed`, `sql changed`, `setting NAME changed`, …), data it reads (`input NAME
changed`), or rows of a source (`file PATH added`). Causes are separated by `; `, in that order, each kind by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import msgspec

from codeintel.errors import UsageError, nearest
from codeintel.hamilton_pipeline.prediction import PLAN_SIGNATURE, task_key
from codeintel.obs.diagnostics import read_artifact
from codeintel.relspec.execution_plan import ExecutionPlan, tasks_from_json
from codeintel.relspec.plan_diff import changed_parts
from codeintel.relspec.task import Task
from codeintel.store.directory import KeptBytes, Store
from codeintel.store.runs import Manifest, TaskRun, artifacts_of, plan_file, read_run, run_ids

LINEAGE = "hamilton_cache_lineage_v2"
SOURCE_CHANGES = "source_changes"
RUNNERS = "runners"
NEW, LOST = "new", "result lost"
_SHOWN = 3  # changed rows of a source that a cause names
_SEPARATOR = "; "


class LineageRow(NamedTuple):
    """One row of `hamilton_cache_lineage_v2`, without run and plan. Empty data version: the task has no result."""

    node_name: str
    task_signature: str
    cache_key: str
    code_version: str
    data_version: str
    dependencies_data_versions: dict[str, str]
    behavior: str
    outcome: str
    cause: str


def lineage_rows(
    plan: ExecutionPlan,
    versions: Mapping[str, str],
    runs: Mapping[str, TaskRun],
    behaviors: Mapping[str, str],
    causes: Mapping[str, str],
    keys: Mapping[str, str],
) -> list[LineageRow]:
    """One row per task, by name. `versions` are the data versions of the tasks that have a result.

    `keys` are cache keys by task, as far as they are known already.
    """
    rows = []
    for name, task in sorted(plan.tasks.items()):
        key, read = "", {}
        if all(table in versions for table in task.inputs):
            read = {table: versions[table] for table in sorted(task.inputs)}
            if task.kind == "output":
                read[PLAN_SIGNATURE] = plan.signature
            key = keys.get(name) or task_key(task, plan.signature, versions)
        outcome, version = runs[name].outcome if name in runs else "", versions.get(name, "")
        row = (key, task.signature, version, read, behaviors.get(name, ""), outcome, causes.get(name, ""))
        rows.append(LineageRow(name, task.signature, *row))
    return rows


def causes_of(
    store: Store,
    plan: ExecutionPlan,
    versions: Mapping[str, str],
    runs: Mapping[str, TaskRun],
    changes: Mapping[str, list[tuple[str, str]]],
) -> dict[str, str]:
    """Causes by task, of all whose data or signature is not that of the last run that has a result, and of what ran.

    `changes` gives (row, what became of it) by source, in the order of the rows.
    """
    last = _last_results(store, frozenset(plan.tasks))
    runners = _Runners(KeptBytes(store.cache / RUNNERS))
    causes: dict[str, str] = {}
    for name, task in plan.tasks.items():
        before = last.get(name)
        if before is None:
            if name in versions or runs[name].outcome == "ran":
                causes[name] = NEW
            continue
        row, old = before
        found = []
        if old is not None and old.signature != task.signature:
            found = [f"{part} changed" for part in _changed(old, task, runners)]
        reads = row.dependencies_data_versions
        found += [f"input {t} changed" for t in sorted(task.inputs) if t in versions and versions[t] != reads.get(t)]
        if task.kind == "source":
            found += _named_changes(changes.get(name, []))
        elif task.kind == "output" and not found and reads.get(PLAN_SIGNATURE) != plan.signature:
            found.append("plan changed")
        if not found and runs[name].outcome == "ran" and task.kind != "source":
            found = [LOST]
        if found:
            causes[name] = _SEPARATOR.join(dict.fromkeys(found))
    return causes


def _changed(old: Task, new: Task, runners: _Runners) -> Iterator[str]:
    """Names of changed parts; of what runs tasks, those of its own parts that changed, as far as they are known."""
    for part in changed_parts(old, new):
        if part == "runner":
            yield from runners.changed(old.parts.get(part, ""), new.parts.get(part, ""))
        else:
            yield "inputs" if part == "columns" else part


class _Runners:
    """What the part `runner` of tasks stands for, by digest. Most tasks share theirs: each pair is compared once."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        self._kept = kept
        self._compared: dict[tuple[str, str], list[str]] = {}

    def changed(self, old: str, new: str) -> list[str]:
        """Names of the versions that differ, and `runner` itself unless they are all that does."""
        if (old, new) not in self._compared:
            self._compared[old, new] = self._compare(self._kept.get(old), self._kept.get(new))
        return self._compared[old, new]

    def _compare(self, old: bytes | None, new: bytes | None) -> list[str]:
        if not old or not new:
            return ["runner"]
        one, other = (msgspec.json.decode(stored, type=dict[str, str]) for stored in (old, new))
        different = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
        versions = [name for name in different if name == "python" or name.startswith("library ")]
        return versions if versions == different else [*versions, "runner"]


def keep_runners(store: Store, runners: Mapping[str, Mapping[str, str]]) -> None:
    """Remember what the part `runner` of tasks stands for."""
    kept = KeptBytes(store.cache / RUNNERS)
    for digest, parts in runners.items():
        if digest not in kept:
            kept[digest] = msgspec.json.encode(parts)


def _named_changes(changes: list[tuple[str, str]]) -> Iterator[str]:
    for row, change in changes[:_SHOWN]:
        yield f"{row} {change}"
    if len(changes) > _SHOWN:
        yield f"{len(changes) - _SHOWN} more"


def _last_results(store: Store, names: frozenset[str]) -> dict[str, tuple[LineageRow, Task | None]]:
    """By task, its row in the newest run that has a result for it, and the task as it was planned then."""
    found: dict[str, tuple[LineageRow, Task | None]] = {}
    for run_id in reversed(run_ids(store)):
        rows = {row.node_name: row for row in lineage_of(store, run_id) if row.data_version}
        if new := rows.keys() & names - found.keys():
            tasks = _tasks_of(store, run_id)
            found |= {name: (rows[name], tasks.get(name)) for name in new}
        if len(found) == len(names):
            break
    return found


def _tasks_of(store: Store, run_id: str) -> Mapping[str, Task]:
    try:
        return tasks_from_json(plan_file(store, run_id).read_bytes())
    except (OSError, ValueError):
        return {}


def lineage_of(store: Store, run_id: str) -> list[LineageRow]:
    """Lineage of a run, by task name; none if it left none."""
    return [LineageRow(*row) for row in read_artifact(artifacts_of(store, run_id), LINEAGE)]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a cause chain: a task or file, what became of it, and why."""

    name: str
    outcome: str
    cause: str


@dataclass(frozen=True, slots=True)
class Why:
    """The shortest true chain from what was asked to what caused it: a file, a view, a part of code, a setting."""

    name: str
    run_id: str
    outcome: str
    chain: tuple[Step, ...]


def why(store: Store, name: str, run: str | None = None) -> Why:
    """Why a task ran, was reused, skipped or failed, or a file was extracted, in a run (the current one by default).

    Raises UsageError for a name that is no task, table or file of the run.
    """
    manifest = read_run(store, run)
    rows = {row.node_name: row for row in lineage_of(store, manifest.run_id)}
    changes = read_artifact(artifacts_of(store, manifest.run_id), SOURCE_CHANGES)
    if name not in manifest.tasks:
        return Why(name, manifest.run_id, *_file_steps(store, name, manifest, rows, changes))
    chain = tuple(_chain(name, rows, manifest.tasks, manifest.errors))
    return Why(name, manifest.run_id, chain[0].outcome, chain)


def _chain(
    name: str, rows: Mapping[str, LineageRow], runs: Mapping[str, TaskRun], errors: Mapping[str, str]
) -> list[Step]:
    """Breadth first along changed inputs, until a task of which something else changed."""
    run = runs[name]
    if run.outcome in ("failed", "skipped", "interrupted"):
        failed = run.reason.partition(": ")[2]
        step = Step(name, run.outcome, errors.get(name, run.reason))
        return [step, *(_chain(failed, rows, runs, errors) if failed in runs and failed != name else [])]
    waiting: list[list[str]] = [[name]]
    seen = {name}
    while waiting:
        path = waiting.pop(0)
        own, inputs = parted_cause(rows.get(path[-1]))
        if own or not inputs:
            steps = [_step(task, runs, f"input {after} changed") for task, after in pairwise(path)]
            last = _SEPARATOR.join(own) or _without_cause(runs[path[-1]])
            return [*steps, _step(path[-1], runs, last)]
        for table in inputs:
            if table in runs and table not in seen:
                seen.add(table)
                waiting.append([*path, table])
    return [_step(name, runs, rows[name].cause)]


def parted_cause(row: LineageRow | None) -> tuple[list[str], list[str]]:
    """What of a cause is the task's own, and the tables whose change is the rest of it."""
    parts = row.cause.split(_SEPARATOR) if row and row.cause else []
    inputs = [table for table in map(_input_of, parts) if table]
    if row and inputs and PLAN_SIGNATURE in row.dependencies_data_versions:
        return [], inputs  # what an output declares follows what it publishes
    return [part for part in parts if not _input_of(part)], inputs


def _step(task: str, runs: Mapping[str, TaskRun], cause: str) -> Step:
    return Step(task, runs[task].outcome, cause)


def _without_cause(run: TaskRun) -> str:
    return "read at every build; its rows have not changed" if run.outcome == "ran" else "nothing it reads has changed"


def _input_of(cause: str) -> str | None:
    return cause.removeprefix("input ").removesuffix(" changed") if cause.startswith("input ") else None


def _file_steps(
    store: Store, path: str, manifest: Manifest, rows: Mapping[str, LineageRow], changes: list[list[str]]
) -> tuple[str, tuple[Step, ...]]:
    """Outcome and steps of a file: its own change, or that of what extracts it."""
    for _, row, change in changes:
        if row == f"file {path}":
            outcome = "deleted" if change == "deleted" else "ran"
            return outcome, (Step(path, outcome, f"{row} {change}"),)
    known = dict.fromkeys(manifest.tasks)
    for source in (name for name, row in rows.items() if row.behavior == "recompute" and name in manifest.handles):
        paths = _paths(store, manifest, source)
        known |= dict.fromkeys(paths)
        if path not in paths:
            continue
        for name, row in rows.items():
            own = [part for part in row.cause.split(_SEPARATOR) if part and not _input_of(part)]
            if source in row.dependencies_data_versions and name not in manifest.handles and own:
                return "ran", (Step(path, "ran", f"{name} changed"), Step(name, row.outcome, _SEPARATOR.join(own)))
        return "reused", (Step(path, "reused", "its content has not changed"),)
    raise UsageError(f"{path!r} is no task, table or file of run {manifest.run_id}; {nearest(path, known)}")


def _paths(store: Store, manifest: Manifest, source: str) -> frozenset[str]:
    from codeintel.store.partitions import read_buckets  # noqa: PLC0415 - nothing else here needs Arrow

    schema = manifest.schema(source)
    if "path" not in schema.names:
        return frozenset()
    rows = read_buckets(store.objects, manifest.handles[source].handle(source), schema, columns=["path"])
    return frozenset(rows.column("path").to_pylist())

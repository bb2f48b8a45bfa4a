"""The `ExecutionPlan`: what will be computed, in which order, under which name. A frozen value; nothing changes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field

import msgspec

from codeintel.errors import PlanError, nearest
from codeintel.relspec.rustworkx_graph import PlanGraph, plan_graph
from codeintel.relspec.rustworkx_schedule import Schedule, schedule_tasks, static_weights, weights_digest
from codeintel.relspec.task import Task


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    """Two plans are equal when they compute the same (`signature`) on the same weights (`weights_digest`).

    `tasks` maps name to task in topological order. A smaller plan (`restricted_to`, `impacted_by`) may hold tasks whose
    inputs it does not plan: those are reused, and its graph has no edge for them.
    """

    tasks: Mapping[str, Task] = field(compare=False, repr=False)
    graph: PlanGraph = field(compare=False, repr=False)
    schedule: Schedule = field(compare=False, repr=False)
    signature: str
    weights_digest: str

    @property
    def reduced_signature(self) -> str:
        """Signature over the tasks and the reduced edges."""
        return self.graph.reduced_signature

    def restricted_to(self, targets: Collection[str]) -> ExecutionPlan:
        """The plan of `targets` and what they are computed from. An unknown name is a PlanError."""
        return self._of(self.graph.needed_by(targets))

    def impacted_by(self, changes: Collection[str]) -> ExecutionPlan:
        """The plan of `changes` and what is computed from them. An unknown name is a PlanError."""
        return self._of(self.graph.impacted_by(changes))

    def with_weights(self, weights: Mapping[str, float]) -> ExecutionPlan:
        """The same plan scheduled on other seconds; its signature stays."""
        return _scheduled(self.tasks, self.graph, static_weights(self.tasks.values(), weights))

    def _of(self, names: frozenset[str]) -> ExecutionPlan:
        if len(names) == len(self.tasks):
            return self
        kept = [task for name, task in self.tasks.items() if name in names]
        return _plan(kept, self.schedule.weights, None)


def compile_execution_plan(
    tasks: Iterable[Task],
    *,
    targets: Collection[str] | None = None,
    weights: Mapping[str, float] | None = None,
    cache: MutableMapping[str, bytes] | None = None,
) -> ExecutionPlan:
    """The plan of `tasks`, or of `targets` and what they need.

    `weights` are seconds by task name, static by kind where missing. `cache` may be any mapping that outlives the
    process. Two tasks of one name, an input that no task produces, an unknown target and a cycle are PlanErrors.
    """
    given = list(tasks)
    _check(given)
    plan = _plan(given, weights or {}, cache)
    return plan if targets is None else plan.restricted_to(targets)


def _check(tasks: Collection[Task]) -> None:
    names: set[str] = set()
    for task in tasks:
        if task.name in names:
            raise PlanError(f"two tasks are called {task.name!r}; a table has one producer", subject=task.name)
        names.add(task.name)
    for task in tasks:
        if not task.inputs.keys() <= names:
            table = min(task.inputs.keys() - names)
            raise PlanError(
                f"{task.kind} {task.name!r} reads {table!r}, which no task produces; {nearest(table, names)}",
                subject=task.name,
            )


def _plan(
    tasks: Collection[Task], weights: Mapping[str, float], cache: MutableMapping[str, bytes] | None
) -> ExecutionPlan:
    graph = plan_graph(tasks, cache)
    by_name = {task.name: task for task in tasks}
    return _scheduled({name: by_name[name] for name in graph.names}, graph, static_weights(tasks, weights))


def _scheduled(tasks: Mapping[str, Task], graph: PlanGraph, weights: Mapping[str, float]) -> ExecutionPlan:
    return ExecutionPlan(tasks, graph, schedule_tasks(graph, weights), graph.signature, weights_digest(weights))


class _Saved(msgspec.Struct):
    format: int
    tasks: list[Task]
    weights: dict[str, float]


def plan_to_json(plan: ExecutionPlan) -> bytes:
    """The plan as canonical JSON: its tasks and weights, from which the rest follows. Equal plans give equal bytes."""
    saved = _Saved(1, list(plan.tasks.values()), dict(plan.schedule.weights))
    return msgspec.json.encode(saved, order="deterministic", enc_hook=dict)  # lineage may be any mapping


def plan_from_json(saved: bytes, cache: MutableMapping[str, bytes] | None = None) -> ExecutionPlan:
    """The plan that `plan_to_json` wrote; ValueError for anything else."""
    decoded = _decoded(saved)
    return _plan(decoded.tasks, decoded.weights, cache)


def tasks_from_json(saved: bytes) -> dict[str, Task]:
    """The tasks by name of the plan that `plan_to_json` wrote; ValueError for anything else."""
    return {task.name: task for task in _decoded(saved).tasks}


def _decoded(saved: bytes) -> _Saved:
    try:
        decoded = msgspec.json.decode(saved, type=_Saved)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a saved plan: {error}") from error
    if decoded.format != 1:
        raise ValueError(f"a saved plan of format {decoded.format}; this version reads format 1")
    return decoded

"""Plan against run: the rows of the admission, schedule, grouping and drift artifacts.

Rows are plain values; `columns_of` gives the names and types that an artifact's schema must declare. Drift measures the
run itself, so it is computed after it, outside the graph.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import rustworkx as rx

from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeOutcome
from codeintel.relspec.execution_plan import ExecutionPlan

DriftKind = Literal[
    "planned not run", "run not planned", "undeclared read", "order", "grouping", "prediction", "seconds"
]
EXPLAINED = ("reused", "pruned by targets")  # not run, and as planned


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between plan and run. `alarm` is false for what has an explanation or is a mere measure."""

    kind: DriftKind
    task: str
    expected: str
    actual: str
    alarm: bool
    predicted_seconds: float = 0.0
    measured_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Admission:
    """One node of the closure, or task of the plan: whether it was admitted and what became of it."""

    node: str
    task: str
    admitted: bool
    status: str
    reason: str
    cause: str


@dataclass(frozen=True, slots=True)
class Grouping:
    """One task: its generation in the plan, and the layer of Hamilton's own graph it ran in; -1 where it has none."""

    task: str
    planned: int
    actual: int


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One task of the schedule, in topological order; seconds but for the generation."""

    task: str
    generation: int
    weight: float
    criticality: float
    slack: float
    critical: bool


def columns_of(row: type) -> dict[str, str]:
    """Column name to `string`, `int64`, `float64` or `bool` of a row type of this module."""
    return {
        f.name: {"int": "int64", "float": "float64", "bool": "bool"}.get(str(f.type), "string") for f in fields(row)
    }


def admission_rows(outcome: ExecutionOutcome) -> tuple[Admission, ...]:
    """By node name."""
    return tuple(
        Admission(name, o.task or "", o.status != "rejected", o.status, o.reason, o.cause)
        for name, o in sorted(outcome.nodes.items())
    )


def schedule_rows(plan: ExecutionPlan) -> tuple[Scheduled, ...]:
    """In topological order."""
    generation, critical, schedule = plan.schedule.generation_of(), set(plan.schedule.critical_path), plan.schedule
    return tuple(
        Scheduled(
            name, generation[name], schedule.weights[name], schedule.criticality[name], schedule.slack[name],
            name in critical,
        )
        for name in plan.tasks
    )  # fmt: skip


def grouping_rows(plan: ExecutionPlan, groups: Sequence[Sequence[str]]) -> tuple[Grouping, ...]:
    """By task name, for every task in `groups` or planned. Generations count among the tasks that were grouped only."""
    actual = {task: layer for layer, tasks in enumerate(groups) for task in tasks}
    known = [plan.graph.node_map[task] for task in sorted(actual) if task in plan.graph.node_map]
    part = plan.graph.full.subgraph(known)
    planned = {part[i]: layer for layer, found in enumerate(rx.topological_generations(part)) for i in found}
    return tuple(Grouping(task, planned.get(task, -1), actual.get(task, -1)) for task in sorted(actual))


def drift(
    plan: ExecutionPlan,
    outcome: ExecutionOutcome,
    reads: Mapping[str, Mapping[str, frozenset[str]]] | None = None,
) -> tuple[Drift, ...]:
    """Every difference between `plan` and what happened, alarms first, then by kind and task.

    `reads` are the columns that tasks were seen to read, by task and table; what Hamilton's own edges say is checked
    without it. `plan` must be the one that was executed, with its weights.
    """
    tasks = outcome.tasks()
    rows = [
        *_not_run(plan, tasks),
        *_not_planned(plan, outcome),
        *_undeclared(plan, outcome, reads or {}),
        *_order(plan, outcome, tasks),
        *_grouping(plan, outcome),
        *_seconds(plan, tasks),
    ]
    return tuple(sorted(rows, key=lambda row: (not row.alarm, row.kind, row.task, row.expected, row.actual)))


def prediction_drift(actions: Mapping[str, str], outcomes: Mapping[str, str]) -> tuple[Drift, ...]:
    """Tasks of which the prediction (`run`, `maybe`, `reuse`) and the run (`ran`, `reused`, …) say different things.

    Only a task that was to be reused and was not contradicts the prediction: one that was to run and found all its
    parts in place needed less than was said.
    """
    rows = []
    for name, action in sorted(actions.items()):
        outcome = outcomes.get(name, "")
        if action == "reuse" and outcome != "reused":
            rows.append(Drift("prediction", name, action, outcome or "no record of it", alarm=True))
        elif action == "run" and outcome == "reused":
            rows.append(Drift("prediction", name, action, outcome, alarm=False))
    return tuple(rows)


def _not_run(plan: ExecutionPlan, tasks: Mapping[str, NodeOutcome]) -> Iterator[Drift]:
    for name in plan.tasks:
        outcome = tasks.get(name)
        if outcome is None:
            yield Drift("planned not run", name, "run", "no record of it", alarm=True)
        elif outcome.status not in ("ran", "failed") and outcome.reason not in EXPLAINED:
            why = f"{outcome.reason}: {outcome.cause}" if outcome.cause else outcome.reason
            yield Drift("planned not run", name, "run", why or outcome.status, alarm=not why)


def _not_planned(plan: ExecutionPlan, outcome: ExecutionOutcome) -> Iterator[Drift]:
    for name, node in sorted(outcome.nodes.items()):
        if node.released >= 0 and not node.artifact and (node.task is None or node.task not in plan.tasks):
            yield Drift("run not planned", node.task or name, "not run", node.status, alarm=True)


def _undeclared(
    plan: ExecutionPlan, outcome: ExecutionOutcome, reads: Mapping[str, Mapping[str, frozenset[str]]]
) -> Iterator[Drift]:
    for name, task in plan.tasks.items():
        columns = reads.get(name, {})
        for table in sorted(outcome.reads.get(name, frozenset()) | columns.keys()):
            if table not in task.inputs:
                yield Drift("undeclared read", name, ", ".join(sorted(task.inputs)), table, alarm=True)
            elif extra := sorted(columns.get(table, frozenset()) - task.columns.get(table, frozenset())):
                declared = ", ".join(sorted(task.columns.get(table, frozenset())))
                yield Drift("undeclared read", name, f"{table}: {declared}", f"{table}: {', '.join(extra)}", alarm=True)


def _order(plan: ExecutionPlan, outcome: ExecutionOutcome, tasks: Mapping[str, NodeOutcome]) -> Iterator[Drift]:
    ran = {name: outcome.nodes.get(name, task) for name, task in tasks.items() if task.released >= 0}
    for source, target in plan.graph.edges():
        if source in ran and target in ran and not 0 <= ran[source].done < ran[target].released:
            yield Drift("order", target, f"after {source}", f"released before {source} was done", alarm=True)
    yield from _priority(plan, [node for node in outcome.nodes.values() if node.task in plan.tasks])


def _priority(plan: ExecutionPlan, nodes: Sequence[NodeOutcome]) -> Iterator[Drift]:
    """Replay what was ready when: each release must have been the most urgent of them, then the first by name."""
    events = sorted(
        [(node.ready, 0, node) for node in nodes if node.ready >= 0]
        + [(node.released, 1, node) for node in nodes if node.released >= 0 and node.ready >= 0],
        key=lambda event: event[:2],
    )
    waiting: list[tuple[float, str]] = []
    gone: set[str] = set()
    for _, released, node in events:
        key = (-plan.schedule.criticality[node.task or node.node], node.node)
        if not released:
            heapq.heappush(waiting, key)
            continue
        while waiting and waiting[0][1] in gone:
            heapq.heappop(waiting)
        gone.add(node.node)
        if node.released < node.ready:
            yield Drift("order", node.task or node.node, "released when ready", "released before", alarm=True)
        elif waiting and waiting[0] < key:
            yield Drift("order", node.task or node.node, f"after {waiting[0][1]}", "released before it", alarm=True)


def _grouping(plan: ExecutionPlan, outcome: ExecutionOutcome) -> Iterator[Drift]:
    for row in grouping_rows(plan, outcome.groups):
        if row.planned != row.actual:
            yield Drift("grouping", row.task, f"generation {row.planned}", f"layer {row.actual}", alarm=True)


def _seconds(plan: ExecutionPlan, tasks: Mapping[str, NodeOutcome]) -> Iterator[Drift]:
    for name, outcome in tasks.items():
        if outcome.status == "ran" and name in plan.tasks:
            predicted, measured = plan.schedule.weights[name], outcome.seconds
            yield Drift("seconds", name, f"{predicted:.3f}", f"{measured:.3f}", False, predicted, measured)

"""Hooks that hold Hamilton's stock executors to a plan, and record what they did.

Attach the gate and both hooks to a driver with a dynamic executor: the gate refuses a closure that the plan does not
list before the first node, the submission hook is the last line of defence and the recorder. Hamilton discards what
hooks return; refusing means raising.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from time import perf_counter
from typing import Any

from hamilton.graph_types import HamiltonGraph
from hamilton.lifecycle import GraphExecutionHook, TaskGroupingHook, TaskReturnHook, TaskSubmissionHook
from hamilton.node import Node

from codeintel.errors import AdmissionError
from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeOutcome, Reason, rejections, task_of
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_drift import Drift, grouping_rows


class PlanAdmissionGate(GraphExecutionHook):
    """Raises an AdmissionError before the first node if the closure holds anything that the plan does not list."""

    def __init__(self, plan: ExecutionPlan, absent: Mapping[str, Reason] | None = None) -> None:
        self.plan, self.absent = plan, absent

    def run_before_graph_execution(
        self,
        *,
        graph: HamiltonGraph,
        overrides: dict[str, Any] | None,  # Any: whatever Hamilton nodes exchange
        execution_path: Collection[str],
        **_about: Any,
    ) -> None:
        tags = {node.name: node.tags for node in graph.nodes}
        wanted = [(name, tags[name]) for name in sorted(execution_path) if name not in (overrides or {})]
        if rejected := rejections(wanted, self.plan, self.absent):
            raise AdmissionError(dict(rejected))

    def run_after_graph_execution(self, **_about: Any) -> None:
        """Nothing is left to refuse."""


class PlanTaskSubmissionHook(TaskSubmissionHook, TaskReturnHook):
    """Raises on a submitted task with a node outside the plan; records every submission and return.

    Clear between executions with `forget`. `outcome` is what `plan_drift.drift` compares with the plan. Hamilton's
    stock executors release first in, first out, which drift reports as order.
    """

    def __init__(self, plan: ExecutionPlan, absent: Mapping[str, Reason] | None = None) -> None:
        self.plan, self.absent = plan, absent
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Start over for another execution."""
        self.order: list[str] = []
        self.groups: dict[str, tuple[str, ...]] = {}
        self._events, self._began = 0, perf_counter()
        self._nodes: dict[str, NodeOutcome] = {}

    def run_before_task_submission(
        self, *, task_id: str, nodes: list[Node], overrides: dict[str, Any] | None, **_about: Any
    ) -> None:
        given = overrides or {}  # Hamilton submits these too, and runs nothing for them
        work = [node for node in nodes if not node.user_defined and node.name not in given]
        if rejected := rejections([(node.name, node.tags) for node in work], self.plan, self.absent):
            raise AdmissionError(dict(rejected))
        with self._lock:
            for name in given.keys() & self.plan.tasks.keys():
                self._nodes[name] = NodeOutcome(name, name, "skipped", "reused")
            self.groups[task_id] = tuple(sorted(node.name for node in work))
            for node in work:
                self.order.append(node.name)
                self._nodes[node.name] = NodeOutcome(
                    node.name, task_of(node.name, node.tags, self.plan), "interrupted", "interrupted",
                    started=self._now(), ended=self._now(), released=self._next(),
                    artifact=node.tags.get("layer") == "plan",
                )  # fmt: skip

    def run_after_task_return(
        self, *, nodes: list[Node], success: bool, error: Exception | None, **_about: Any
    ) -> None:
        with self._lock:
            for node in nodes:
                submitted = self._nodes.get(node.name)
                if submitted is not None and submitted.released >= 0:
                    self._nodes[node.name] = NodeOutcome(
                        node.name, submitted.task, "ran" if success else "failed", "",
                        "" if success else f"{type(error).__name__}: {error}", error,
                        submitted.started, self._now(), "", self._ready(node), submitted.released, self._next(),
                        submitted.artifact,
                    )  # fmt: skip

    def outcome(self) -> ExecutionOutcome:
        """What was submitted and returned so far; a task that never returned counts as interrupted."""
        return ExecutionOutcome(dict(sorted(self._nodes.items())), began=self._began)

    def _ready(self, node: Node) -> int:
        """The event after which the node's inputs were all there; 0 if it had none among the submitted."""
        return max((self._nodes[d.name].done for d in node.dependencies if d.name in self._nodes), default=0)

    def _now(self) -> float:
        return perf_counter() - self._began

    def _next(self) -> int:
        self._events += 1
        return self._events


class PlanTaskGroupingHook(TaskGroupingHook):
    """Records the groupings that Hamilton reports and compares them with the plan's generations.

    `PlanGraphExecutor` reports one grouping a layer; Hamilton's dynamic executor reports all its tasks in one, of which
    only the set can be compared.
    """

    def __init__(self, plan: ExecutionPlan) -> None:
        self.plan = plan
        self.groups: list[tuple[str, ...]] = []
        self.expansions: list[str] = []

    def run_after_task_grouping(self, *, task_ids: list[str], **_about: Any) -> None:
        self.groups.append(tuple(sorted(task_ids)))

    def run_after_task_expansion(self, *, task_id: str, **_about: Any) -> None:
        self.expansions.append(task_id)

    def differences(self) -> tuple[Drift, ...]:
        """Grouping drift, by task; an expansion is always one, because a plan is static."""
        expanded = [Drift("grouping", task, "one task", "expanded at run time", alarm=True) for task in self.expansions]
        if len(self.groups) == 1:
            rows = grouping_rows(self.plan, self.groups)
            unknown = [row.task for row in rows if row.planned < 0]
            different = [Drift("grouping", name, "not in plan", "group 0", alarm=True) for name in unknown]
        else:
            different = [
                Drift("grouping", row.task, f"generation {row.planned}", f"layer {row.actual}", alarm=True)
                for row in grouping_rows(self.plan, self.groups)
                if row.planned != row.actual
            ]
        return tuple(sorted([*expanded, *different], key=lambda row: row.task))

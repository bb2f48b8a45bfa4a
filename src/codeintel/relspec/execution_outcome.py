"""What an execution did with a plan, as one value, and which work a plan admits in the first place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from codeintel.relspec.execution_plan import ExecutionPlan

Status = Literal["ran", "failed", "skipped", "rejected", "interrupted"]
Reason = Literal[
    "", "not in plan", "pruned by targets", "reused", "ancestor failed", "over memory limit", "interrupted"
]
SEVERITY: tuple[Status, ...] = ("ran", "skipped", "rejected", "interrupted", "failed")


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """What became of one node, or of a whole task.

    `task` is None for plan artifacts and rejected nodes. `cause` names the failed ancestor of a skipped node and holds
    the text of a failed one's error. `started` and `ended` are seconds since the execution began, `idle` those between
    them in which none of a task's nodes ran. `ready`, `released`
    and `done` number the execution's events from 0, -1 if there was none: they say what was known when.
    """

    node: str
    task: str | None
    status: Status
    reason: Reason = ""
    cause: str = ""
    error: BaseException | None = field(default=None, compare=False)
    started: float = 0.0
    ended: float = 0.0
    thread: str = ""
    ready: int = -1
    released: int = -1
    done: int = -1
    artifact: bool = False
    idle: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of wall time that it ran; 0 for what never started."""
        return self.ended - self.started - self.idle


@dataclass(frozen=True, slots=True)
class ExecutionOutcome:
    """One execution as one value.

    `nodes` has every node of the closure, and every task that the plan lists or the caller explained but that had no
    node to run. `groups` holds task names by layer of the graph that was really executed: Hamilton's edges, not the
    plan's; empty when nobody saw them. `reads` has the tasks that each task's nodes depend on in that same graph.
    `began` is the reading of `perf_counter` that nodes' times count from.
    """

    nodes: Mapping[str, NodeOutcome]
    groups: tuple[tuple[str, ...], ...] = ()
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    interrupted: bool = False
    began: float = 0.0

    @property
    def order(self) -> tuple[str, ...]:
        """Nodes in the order of their release."""
        released = sorted((o.released, name) for name, o in self.nodes.items() if o.released >= 0)
        return tuple(name for _, name in released)

    @property
    def failed(self) -> dict[str, BaseException]:
        """Errors by node."""
        return {name: o.error for name, o in self.nodes.items() if o.status == "failed" and o.error is not None}

    @property
    def rejected(self) -> dict[str, str]:
        """Reasons by node."""
        return {name: o.reason for name, o in self.nodes.items() if o.status == "rejected"}

    def tasks(self) -> dict[str, NodeOutcome]:
        """One outcome per task, helpers folded in: the worst status with its reason, from first start to last end."""
        merged: dict[str, NodeOutcome] = {}
        for outcome in self.nodes.values():
            if outcome.task is None:
                continue
            other = merged.get(outcome.task)
            merged[outcome.task] = _folded(other, outcome) if other else replace(outcome, node=outcome.task)
        return merged


def _folded(one: NodeOutcome, other: NodeOutcome) -> NodeOutcome:
    worst = max(one, other, key=lambda outcome: SEVERITY.index(outcome.status))
    parts = [outcome for outcome in (one, other) if outcome.released >= 0]
    if not parts:
        return replace(worst, node=one.node)
    return replace(
        worst,
        node=one.node,
        started=min(part.started for part in parts),
        ended=max(part.ended for part in parts),
        idle=sum(part.idle for part in parts)
        + max(0.0, max(part.started for part in parts) - min(part.ended for part in parts)),
        ready=min(part.ready for part in parts),
        released=min(part.released for part in parts),
        done=max(part.done for part in parts),
    )


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """Something that happened, told in the driver's thread as it happens; `at` in seconds since the execution began."""

    kind: Literal["admitted", "released", "retried", "ran", "failed", "skipped", "rejected", "interrupted"]
    node: str
    task: str | None
    at: float
    seconds: float = 0.0
    reason: str = ""
    cause: str = ""


def task_of(name: str, tags: Mapping[str, str | list[str]], plan: ExecutionPlan) -> str | None:
    """The planned task that a Hamilton node works for, if any."""
    if name in plan.tasks:
        return name
    task = tags.get("task")
    return task if isinstance(task, str) and task in plan.tasks else None


def rejections(
    nodes: Iterable[tuple[str, Mapping[str, str | list[str]]]],
    plan: ExecutionPlan,
    absent: Mapping[str, Reason] | None = None,
) -> dict[str, Reason]:
    """Nodes (name, tags) that `plan` does not admit, and why; `absent` says so for tasks left out on purpose."""
    found: dict[str, Reason] = {}
    for name, tags in nodes:
        if task_of(name, tags, plan) is None and tags.get("layer") != "plan":
            task = tags.get("task", name)
            found[name] = (absent or {}).get(task if isinstance(task, str) else name, "not in plan")
    return found

"""What a plan says about itself, one artifact each: the one producer of what nodes give and runs write.

Names and kinds are stable; the plan they are of stands in the rows and tags of the run that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from codeintel.relspec.execution_plan import ExecutionPlan

ArtifactKind = Literal["scalar", "sequence", "mapping"]


def plan_signature(plan: ExecutionPlan) -> str:
    """Digest of the plan's tasks and edges, not of its weights."""
    return plan.signature


def plan_reduced_signature(plan: ExecutionPlan) -> str:
    """Digest of the plan's tasks and reduced edges."""
    return plan.reduced_signature


def plan_weights_digest(plan: ExecutionPlan) -> str:
    """Digest of the seconds that the schedule counts with."""
    return plan.weights_digest


def plan_task_count(plan: ExecutionPlan) -> int:
    """How many tasks are planned."""
    return len(plan.tasks)


def plan_generation_count(plan: ExecutionPlan) -> int:
    """How many layers they run in."""
    return len(plan.schedule.generations)


def plan_critical_path(plan: ExecutionPlan) -> list[str]:
    """Tasks of a longest chain, in the order they run."""
    return [*plan.schedule.critical_path]


def plan_critical_path_length(plan: ExecutionPlan) -> float:
    """Seconds of that chain."""
    return plan.schedule.critical_path_length


def plan_generations(plan: ExecutionPlan) -> list[list[str]]:
    """Tasks by earliest layer of the reduced graph, sorted inside a layer."""
    return [[*names] for names in plan.schedule.generations]


def plan_isolates(plan: ExecutionPlan) -> list[str]:
    """Tasks without an input or a reader in the plan, sorted."""
    return [*plan.schedule.isolates]


def plan_reduction_node_map(plan: ExecutionPlan) -> dict[str, int]:
    """Index of each task in the reduced graph."""
    return {name: plan.graph.node_map[name] for name in plan.tasks}


def plan_schedule(plan: ExecutionPlan) -> dict[str, dict[str, float]]:
    """Seconds by task, in topological order: its weight, criticality and slack."""
    schedule = plan.schedule
    return {
        name: {
            "weight": schedule.weights[name],
            "criticality": schedule.criticality[name],
            "slack": schedule.slack[name],
        }
        for name in plan.tasks
    }


PLAN_ARTIFACTS: Mapping[str, tuple[ArtifactKind, Callable[[ExecutionPlan], Any]]] = {  # Any: what each one's kind says
    "plan_signature": ("scalar", plan_signature),
    "plan_reduced_signature": ("scalar", plan_reduced_signature),
    "plan_weights_digest": ("scalar", plan_weights_digest),
    "plan_task_count": ("scalar", plan_task_count),
    "plan_generation_count": ("scalar", plan_generation_count),
    "plan_critical_path": ("sequence", plan_critical_path),
    "plan_critical_path_length": ("scalar", plan_critical_path_length),
    "plan_generations": ("sequence", plan_generations),
    "plan_isolates": ("sequence", plan_isolates),
    "plan_reduction_node_map": ("mapping", plan_reduction_node_map),
    "plan_schedule": ("mapping", plan_schedule),
}


def plan_diagnostics(plan: ExecutionPlan) -> dict[str, Any]:
    """All of them by name."""
    return {name: produce(plan) for name, (_, produce) in PLAN_ARTIFACTS.items()}

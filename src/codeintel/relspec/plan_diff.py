"""Plan against plan: what was added, removed and changed, and which part of it changed."""

from __future__ import annotations

from dataclasses import dataclass

from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.task import Task


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task whose signature changed; `parts` are the names of what changed (`sql`, `code`, `inputs`, …), sorted."""

    name: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """All tuples are sorted by name; edges run from an input to its reader and are data edges, not reduced ones."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[TaskChange, ...]
    edges_added: tuple[tuple[str, str], ...]
    edges_removed: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.edges_added or self.edges_removed)


def diff_plans(old: ExecutionPlan, new: ExecutionPlan) -> PlanDiff:
    """What turns `old` into `new`; false when they compute the same."""
    before, after = set(old.graph.edges()), set(new.graph.edges())
    changed = [
        TaskChange(name, changed_parts(old.tasks[name], new.tasks[name]))
        for name in sorted(old.tasks.keys() & new.tasks.keys())
        if old.tasks[name].signature != new.tasks[name].signature
    ]
    return PlanDiff(
        added=tuple(sorted(new.tasks.keys() - old.tasks.keys())),
        removed=tuple(sorted(old.tasks.keys() - new.tasks.keys())),
        changed=tuple(changed),
        edges_added=tuple(sorted(after - before)),
        edges_removed=tuple(sorted(before - after)),
    )


def changed_parts(old: Task, new: Task) -> tuple[str, ...]:
    """Names of the parts in which two tasks of one name differ: those of `Task.parts`, and kind, inputs and columns."""
    parts = {name for name in old.parts.keys() | new.parts.keys() if old.parts.get(name) != new.parts.get(name)}
    parts |= {name for name in ("kind", "inputs", "columns") if getattr(old, name) != getattr(new, name)}
    if not parts and old.signature != new.signature:
        parts = {"signature"}  # a task that keeps no parts still has to say that it changed
    return tuple(sorted(parts))

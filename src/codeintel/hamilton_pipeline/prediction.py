"""What a build will do with each task, told from what its sources hold, before anything runs.

The same keys that Hamilton's cache adapter looks up with are looked up here, task by task in the plan's order. Where
all of them are found, nothing has to run and no driver is needed; what is found enters the driver as an override.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from codeintel.hamilton_pipeline.readings import Reading
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.task import Task
from codeintel.store.handles import Value
from codeintel.store.results import Results, cache_key

Action = Literal["run", "maybe", "reuse"]
PLAN_SIGNATURE = "plan_signature"
"""The node of the plan's signature, on which outputs depend."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Actions by task, and of the tasks whose value is known already the value, its data version and cache key.

    `run`: a source, or a task without a result for what it reads. `maybe`: depends on a result of this run. `reuse`:
    its value is in the store.
    """

    actions: dict[str, Action] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def to_run(self, plan: ExecutionPlan) -> list[str]:
        """Tasks that have to enter a driver, in the plan's order."""
        return [name for name in plan.tasks if name not in self.values]

    def forget(self, name: str) -> None:
        """Let a task run, although its value is known."""
        self.actions[name] = "run"
        del self.values[name], self.versions[name]


def task_key(task: Task, plan_signature: str, versions: Mapping[str, str]) -> str:
    """Cache key of a task that reads these data versions. Outputs depend on the plan's signature too."""
    dependencies = {name: versions[name] for name in task.inputs}
    if task.kind == "output":
        dependencies[PLAN_SIGNATURE] = plan_signature
    return cache_key(task.name, task.signature, dependencies)


def reading_key(task: Task, reading: Reading) -> str:
    """Key under which a source's value is remembered: by what was read."""
    return cache_key(task.name, task.signature, {"": reading.version})


def predict(
    plan: ExecutionPlan, readings: Mapping[str, Reading], results: Results | None, *, reuse: bool = True
) -> Prediction:
    """What will be done with every task of `plan`; without `results`, or without `reuse`, all of it runs."""
    found, checked, signature = Prediction(), set[str](), plan.signature
    for name, task in plan.tasks.items():
        if task.kind == "source":
            found.actions[name] = "run"
            reading = readings[name]
            key = reading_key(task, reading)
            if not reading.version:
                continue
        elif any(table not in found.versions for table in task.inputs):
            found.actions[name] = "maybe" if reuse and results is not None else "run"
            continue
        else:
            found.actions[name] = "run"
            key = found.keys[name] = task_key(task, signature, found.versions)
        if not reuse or results is None or (known := results.value(key, checked)) is None:
            continue
        found.versions[name], found.values[name] = known
        if task.kind != "source":
            found.actions[name] = "reuse"
    return found

"""The Hamilton driver of one plan: modules, executor and hooks put together, and nothing decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hamilton import driver
from hamilton.execution.executors import MultiThreadingExecutor
from hamilton.lifecycle.base import LifecycleAdapter

from codeintel.hamilton_pipeline.modules import execution_plan, inputs, outputs, tasks
from codeintel.hamilton_pipeline.modules.tasks import Bench
from codeintel.hamilton_pipeline.plan_executor import PlanGraphExecutor
from codeintel.hamilton_pipeline.scheduling_hooks import (
    PlanAdmissionGate,
    PlanTaskGroupingHook,
    PlanTaskSubmissionHook,
)
from codeintel.hamilton_pipeline.semantic_registry import Entry, compile_registry
from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeEvent
from codeintel.relspec.execution_plan import ExecutionPlan


@dataclass(frozen=True, slots=True)
class PlanDriver:
    """A driver with a node for each task in `wanted`, for each output, and for what those read.

    The hooks watch it run; `registry` is what its own graph says about the public tables.
    """

    plan: ExecutionPlan
    wanted: tuple[str, ...]
    hamilton: driver.Driver
    submissions: PlanTaskSubmissionHook
    groupings: PlanTaskGroupingHook
    registry: tuple[Entry, ...]

    def execute(self, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:  # Any: handles, by task
        """What every wanted task returned; tasks that failed or were skipped are missing. See `outcome`.

        `overrides` are values of tasks that are reused.
        """
        known = {name: value for name, value in (overrides or {}).items() if name in self.hamilton.graph.nodes}
        return self.hamilton.execute(list(self.wanted), overrides=known)

    @property
    def outcome(self) -> ExecutionOutcome:
        """What became of every task in the last execution."""
        executor = self.hamilton.graph_executor
        return executor.outcome if isinstance(executor, PlanGraphExecutor) else self.submissions.outcome()


def build_driver(
    plan: ExecutionPlan,
    bench: Bench,
    *,
    wanted: Sequence[str] | None = None,
    executor: Literal["local", "hamilton"] = "local",
    on_unknown: Literal["raise", "skip"] = "raise",
    memory_limit: float | None = None,
    memory: Mapping[str, float] | None = None,
    adapters: Sequence[LifecycleAdapter] = (),
    observe: Callable[[NodeEvent], None] | None = None,
    on_interrupt: Callable[[ExecutionOutcome], None] | None = None,
) -> PlanDriver:
    """The driver of `plan`, or of those of its tasks that are `wanted`; the others are reused.

    `local` runs it in the plan's order; `hamilton` on Hamilton's own dynamic executor, first in first out and stopping
    at the first error, for comparison. `memory` estimates megabytes by task, of which tasks that run at a time may take
    `memory_limit`. Raises PlanError for a public output without a contract or a required tag.
    """
    names = tuple(plan.tasks if wanted is None else wanted)
    made = {*names, *(name for name, task in plan.tasks.items() if task.kind == "output")}
    nodes = {*made, *(table for name in made for table in plan.tasks[name].inputs)}
    submissions, groupings = PlanTaskSubmissionHook(plan), PlanTaskGroupingHook(plan)
    builder = (
        driver.Builder()
        .with_modules(inputs, execution_plan, tasks, outputs)
        .with_config({tasks.PLAN: plan, tasks.BENCH: bench, tasks.NODES: tuple(sorted(nodes))})
        .with_adapters(PlanAdmissionGate(plan), submissions, groupings, *adapters)
    )
    if executor == "hamilton":
        # Only nodes in a Parallelizable block would go to the remote executor, so both are the same kind.
        builder = builder.enable_dynamic_execution(allow_experimental_mode=True)
        builder = builder.with_local_executor(MultiThreadingExecutor(bench.jobs))
    built = builder.build()
    registry = compile_registry(built.graph.nodes.values(), plan, bench.planned.contracts)
    if executor == "local":
        built.graph_executor = PlanGraphExecutor(
            built.adapter, plan, jobs=bench.jobs, on_unknown=on_unknown, memory_limit=memory_limit, memory=memory,
            absent={name: "reused" for name in plan.tasks if name not in names},
            observe=observe, on_interrupt=on_interrupt,
        )  # fmt: skip
    return PlanDriver(plan, names, built, submissions, groupings, registry)

"""The Hamilton driver of one plan: modules, executor and hooks put together, and nothing decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from hamilton import driver
from hamilton.lifecycle.base import LifecycleAdapter

from codeintel.hamilton_pipeline.modules import inputs, outputs, tasks
from codeintel.hamilton_pipeline.modules.tasks import Bench
from codeintel.hamilton_pipeline.plan_executor import PlanGraphExecutor
from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeEvent
from codeintel.relspec.execution_plan import ExecutionPlan


def build_driver(
    plan: ExecutionPlan,
    bench: Bench,
    *,
    on_unknown: Literal["raise", "skip"] = "raise",
    adapters: Sequence[LifecycleAdapter] = (),
    observe: Callable[[NodeEvent], None] | None = None,
    on_interrupt: Callable[[ExecutionOutcome], None] | None = None,
) -> driver.Driver:
    """A driver whose graph has one node per task of `plan` and whose executor runs those and no others."""
    built = (
        driver.Builder()
        .with_modules(inputs, tasks, outputs)
        .with_config({"plan": plan, "bench": bench})
        .with_adapters(*adapters)
        .build()
    )
    built.graph_executor = PlanGraphExecutor(
        built.adapter, plan, jobs=bench.jobs, on_unknown=on_unknown, observe=observe, on_interrupt=on_interrupt
    )
    return built

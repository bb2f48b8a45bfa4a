"""Hamilton's graph executor that runs an `ExecutionPlan` and nothing else.

Hamilton's own executors take whatever the graph holds, first in first out, and stop at the first error. This one checks
the whole closure against the plan before the first node, releases ready nodes by criticality, blocks on completions
(one queue, no polling), frees a result at its last use, keeps going after a failure, and says of every task that did
not run why it did not.

    driver.graph_executor = PlanGraphExecutor(driver.adapter, plan, jobs=4)
    results = driver.execute(["cpg_nodes"])          # what is missing here failed or was skipped
    driver.graph_executor.outcome.failed             # … and this says so

Which node belongs to which task: the node of the task's name, and any node tagged `task=<name>` (a decorator's
helpers). A node tagged `layer="plan"` is a plan artifact. Everything else is rejected.

Nodes run in daemon threads and never in the caller's, so that Ctrl-C always finds the caller in a wait that it can
interrupt, and a native call that does not answer cannot keep the interpreter from leaving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal

from hamilton.driver import GraphExecutor, InvalidExecutorException
from hamilton.graph import FunctionGraph
from hamilton.lifecycle.base import LifecycleAdapterSet
from hamilton.node import Node, NodeType

from codeintel.errors import RunError
from codeintel.hamilton_pipeline.plan_execution import PlanExecution
from codeintel.relspec.execution_outcome import (
    ExecutionOutcome,
    NodeEvent,
    Reason,
)
from codeintel.relspec.execution_plan import ExecutionPlan


class PlanGraphExecutor(GraphExecutor):
    """Runs the nodes of `plan` in criticality order on `jobs` threads.

    `on_unknown`: nodes the plan does not admit raise an AdmissionError that lists them all, or are skipped with what
    depends on them; either way `outcome` has them. `absent` gives the reason for tasks that were planned once and left
    out of `plan` (`pruned by targets`, `reused`). `memory` estimates what a task holds while it runs, in the unit of
    `memory_limit`; a task larger than the limit runs alone, or is skipped when `oversize` says so. `retry_on` are
    errors of a dead worker, worth one more try. With `on_failure="return"` execute returns the final variables there
    are, with "raise" it raises a RunError after everything else has run, so that trackers see a failed run.

    `observe` is told every event as it happens. `on_interrupt` gets the outcome after Ctrl-C has stopped submission and
    before KeyboardInterrupt goes on: there the caller ends its worker processes and starts a clock for leaving hard.
    """

    def __init__(
        self,
        adapter: Any,  # `Driver.adapter`: a LifecycleAdapterSet, whatever its annotation says
        plan: ExecutionPlan,
        *,
        jobs: int,
        on_unknown: Literal["raise", "skip"] = "raise",
        absent: Mapping[str, Reason] | None = None,
        memory_limit: float | None = None,
        memory: Mapping[str, float] | None = None,
        oversize: Literal["alone", "skip"] = "alone",
        retry_on: tuple[type[BaseException], ...] = (BrokenProcessPool,),
        on_failure: Literal["return", "raise"] = "return",
        observe: Callable[[NodeEvent], None] | None = None,
        on_interrupt: Callable[[ExecutionOutcome], None] | None = None,
    ) -> None:
        if jobs < 1:
            raise ValueError(f"jobs is {jobs}; at least one is needed to run anything")
        self.adapter: LifecycleAdapterSet = adapter
        self.plan, self.jobs = plan, jobs
        self.on_unknown, self.absent = on_unknown, dict(absent or {})
        self.memory_limit, self.memory, self.oversize = memory_limit, memory or {}, oversize
        self.retry_on, self.on_failure = retry_on, on_failure
        self.observe, self.on_interrupt = observe, on_interrupt
        self.outcome = ExecutionOutcome({})
        self._current: PlanExecution | None = None

    def validate(self, nodes_to_execute: list[Node]) -> None:
        """Reject what no static plan can hold: Parallelizable and Collect, and adapters that run nodes elsewhere."""
        dynamic = sorted(n.name for n in nodes_to_execute if n.node_role in (NodeType.EXPAND, NodeType.COLLECT))
        if dynamic:
            raise InvalidExecutorException(f"Parallelizable and Collect have no static plan: {', '.join(dynamic)}")
        if self.adapter.does_method("do_remote_execute", is_async=False):
            raise InvalidExecutorException("an adapter that executes nodes itself would bypass the plan's order")

    def execute(
        self,
        fg: FunctionGraph,
        final_vars: list[Any],  # the interface allows functions too; a Driver has made names of them
        overrides: dict[str, Any] | None,  # Any: whatever Hamilton nodes exchange
        inputs: dict[str, Any] | None,
        run_id: str,
    ) -> dict[str, Any]:
        """Values of the final variables that could be computed; `outcome` has the rest of the story."""
        execution = PlanExecution(self, fg, final_vars, overrides or {}, inputs or {}, run_id)
        self._current = execution
        try:
            execution.admit()
            execution.run()
        except KeyboardInterrupt:
            execution.interrupted = True
            self.outcome = execution.outcome()
            if self.on_interrupt is not None:
                self.on_interrupt(self.outcome)
            raise
        finally:
            self._current, self.outcome = None, execution.outcome()
        if self.on_failure == "raise" and self.outcome.failed:
            node, error = next(iter(self.outcome.failed.items()))
            raise RunError(f"{node} failed: {error}", task=self.outcome.nodes[node].task) from error
        return execution.final_values()

    def interrupt(self) -> None:
        """Do what Ctrl-C does, from any thread: execute raises KeyboardInterrupt in its own."""
        if (execution := self._current) is not None:
            execution.returned.put(None)

"""Drivers whose nodes are made up at run time, for tests that need many graphs rather than readable ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hamilton import ad_hoc_utils, driver
from hamilton.lifecycle.base import LifecycleAdapter

from codeintel.hamilton_pipeline.plan_executor import PlanGraphExecutor
from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan
from codeintel.relspec.task import Task

Body = Callable[[str, Mapping[str, Any]], Any]


def view(name: str, *inputs: str) -> Task:
    columns = {table: frozenset({"id"}) for table in inputs}
    return Task.of_parts(name, "view", dict.fromkeys(inputs, "whole"), columns, {"sql": name})


def plan_of(dag: Mapping[str, Iterable[str]], weights: Mapping[str, float] | None = None) -> ExecutionPlan:
    return compile_execution_plan([view(name, *sorted(inputs)) for name, inputs in dag.items()], weights=weights)


def node_function(name: str, inputs: Iterable[str], body: Body) -> Callable[..., Any]:
    def run(**given: Any) -> Any:
        return body(name, given)

    run.__name__ = run.__qualname__ = name
    parameters = [inspect.Parameter(i, inspect.Parameter.KEYWORD_ONLY, annotation=object) for i in sorted(inputs)]
    vars(run)["__signature__"] = inspect.Signature(parameters, return_annotation=object)
    run.__annotations__ = dict.fromkeys(sorted(inputs), object) | {"return": object}
    return run


def every(dag: Iterable[str]) -> list[Any]:  # Any: final variables may be functions as well
    return sorted(dag)


def driver_of(
    dag: Mapping[str, Iterable[str]], body: Body = lambda name, _given: name, *adapters: LifecycleAdapter
) -> driver.Driver:
    functions = [node_function(name, inputs, body) for name, inputs in dag.items()]
    module = ad_hoc_utils.create_temporary_module(*functions)
    return driver.Builder().with_modules(module).with_adapters(*adapters).build()


def planned(dr: driver.Driver, plan: ExecutionPlan, jobs: int = 2, **settings: Any) -> PlanGraphExecutor:
    """Make `dr` run `plan`; the executor comes back for its outcome."""
    dr.graph_executor = executor = PlanGraphExecutor(dr.adapter, plan, jobs=jobs, **settings)
    return executor

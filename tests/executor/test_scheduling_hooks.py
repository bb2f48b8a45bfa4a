"""Hamilton's own dynamic executor, held to a plan by the gate and the hooks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hamilton import driver
from hamilton.execution.executors import MultiThreadingExecutor, SynchronousLocalTaskExecutor
from hamilton.execution.grouping import GroupNodesAllAsOne
from hamilton.lifecycle.base import LifecycleAdapter

from codeintel.errors import AdmissionError
from codeintel.hamilton_pipeline.scheduling_hooks import (
    PlanAdmissionGate,
    PlanTaskGroupingHook,
    PlanTaskSubmissionHook,
)
from codeintel.relspec.plan_drift import drift

from . import diamond, parallel
from .generated import plan_of, planned

DIAMOND = {"source": [], "left": ["source"], "right": ["source"], "joined": ["left", "right"]}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def stock(*adapters: LifecycleAdapter) -> driver.Builder:
    return (
        driver.Builder()
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_local_executor(SynchronousLocalTaskExecutor())
        .with_remote_executor(MultiThreadingExecutor(2))
        .with_adapters(*adapters)
    )


def test_the_gate_refuses_before_the_first_node_on_a_stock_executor() -> None:
    plan = plan_of(DIAMOND).restricted_to({"left"})
    hook = PlanTaskSubmissionHook(plan)
    dr = stock(PlanAdmissionGate(plan, {"right": "pruned by targets"}), hook).with_modules(diamond).build()
    with pytest.raises(AdmissionError) as caught:
        dr.execute(["joined"])
    assert caught.value.rejected == {"joined": "not in plan", "right": "pruned by targets"}
    assert hook.order == []
    assert dr.execute(["left"]) == {"left": 2}
    assert dr.execute(["joined"], overrides={"joined": 0}) == {"joined": 0}


def test_the_submission_hook_alone_still_refuses_a_task_outside_the_plan() -> None:
    hook = PlanTaskSubmissionHook(plan_of(DIAMOND).restricted_to({"left", "right"}))
    dr = stock(hook).with_modules(diamond).build()
    with pytest.raises(AdmissionError, match="joined: not in plan"):
        dr.execute(["joined"])
    assert "joined" not in hook.order


def test_a_run_on_the_stock_executor_is_recorded_and_compared_with_the_plan() -> None:
    plan = plan_of(DIAMOND)
    submissions, groupings = PlanTaskSubmissionHook(plan), PlanTaskGroupingHook(plan)
    dr = stock(PlanAdmissionGate(plan), submissions, groupings).with_modules(diamond).build()
    assert dr.execute(["joined"]) == {"joined": 13}
    assert set(submissions.order) == set(DIAMOND)
    assert {o.status for o in submissions.outcome().nodes.values()} == {"ran"}
    assert groupings.groups == [("joined", "left", "right", "source")]
    assert groupings.differences() == ()
    assert [row for row in drift(plan, submissions.outcome()) if row.alarm and row.kind != "order"] == []
    submissions.forget()
    dr.execute(["joined"], overrides={"left": 2})
    reused = submissions.outcome().nodes["left"]
    assert (reused.status, reused.reason) == ("skipped", "reused")


def test_a_strategy_that_groups_otherwise_is_seen() -> None:
    plan = plan_of(DIAMOND)
    groupings = PlanTaskGroupingHook(plan)
    dr = stock(groupings).with_grouping_strategy(GroupNodesAllAsOne()).with_modules(diamond).build()
    dr.execute(["joined"])
    assert [(row.task, row.expected) for row in groupings.differences()] == [("root", "not in plan")]


def test_an_expansion_at_run_time_is_seen() -> None:
    plan = plan_of({"item": [], "doubled": ["item"], "total": ["doubled"]})
    groupings = PlanTaskGroupingHook(plan)
    dr = stock(groupings).with_modules(parallel).build()
    assert dr.execute(["total"]) == {"total": 6}
    assert "expanded at run time" in {row.actual for row in groupings.differences()}


def test_on_the_plans_own_executor_groupings_are_the_plans_generations() -> None:
    plan = plan_of(DIAMOND)
    submissions, groupings = PlanTaskSubmissionHook(plan), PlanTaskGroupingHook(plan)
    dr = driver.Builder().with_modules(diamond).with_adapters(submissions, groupings).build()
    executor = planned(dr, plan)
    dr.execute(["joined"])
    assert tuple(groupings.groups) == plan.schedule.generations
    assert groupings.differences() == ()
    assert tuple(submissions.order) == executor.outcome.order
    groupings.groups[1:] = [("right",), ("left",), ("joined",)]
    assert {row.task for row in groupings.differences()} == {"left", "joined"}

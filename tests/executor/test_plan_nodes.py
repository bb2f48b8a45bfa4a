"""Artifacts of the plan as nodes of the driver's graph."""

from __future__ import annotations

import msgspec
import pytest
from hamilton import driver

from codeintel.hamilton_pipeline.modules import execution_plan
from codeintel.hamilton_pipeline.modules.tasks import PLAN
from codeintel.hamilton_pipeline.plan_executor import PlanGraphExecutor
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_artifacts import PLAN_ARTIFACTS, plan_diagnostics

from .generated import plan_of

DAG: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a", "b"], "alone": []}


@pytest.fixture
def asked() -> tuple[driver.Driver, ExecutionPlan]:
    plan = plan_of(DAG)
    built = driver.Builder().with_modules(execution_plan).with_config({PLAN: plan}).build()
    built.graph_executor = PlanGraphExecutor(built.adapter, plan, jobs=1)
    return built, plan


def test_every_artifact_is_a_node_with_its_tags_and_equals_the_plans_own_value(
    asked: tuple[driver.Driver, ExecutionPlan],
) -> None:
    built, plan = asked
    assert set(PLAN_ARTIFACTS) < set(built.graph.nodes)
    found = built.execute([*PLAN_ARTIFACTS])
    assert found == plan_diagnostics(plan)
    assert found["plan_critical_path"] == list(plan.schedule.critical_path)
    assert found["plan_isolates"] == ["alone"]
    assert found["plan_signature"] == plan.signature
    assert found["plan_task_count"] == 4
    for name, (kind, _) in PLAN_ARTIFACTS.items():
        tags = built.graph.nodes[name].tags
        assert (tags["layer"], tags["artifact"], tags["kind"]) == ("plan", name, kind)
    parent = built.graph.nodes["plan_diagnostics"].tags
    assert (parent["layer"], parent["artifact"], parent["kind"]) == ("plan", "plan_diagnostics", "mapping")
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def test_asking_for_one_artifact_runs_nothing_but_it_and_its_parent(
    asked: tuple[driver.Driver, ExecutionPlan],
) -> None:
    built, plan = asked
    assert built.execute(["plan_critical_path"]) == {"plan_critical_path": list(plan.schedule.critical_path)}
    executor = built.graph_executor
    assert isinstance(executor, PlanGraphExecutor)
    outcome = executor.outcome
    ran = {name for name, node in outcome.nodes.items() if node.status == "ran"}
    assert ran == {"plan_critical_path", "plan_diagnostics"}

"""Plan against run: every injected fault is found, and a clean run raises no alarm."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from codeintel.relspec.execution_outcome import ExecutionOutcome
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_drift import (
    Admission,
    Drift,
    Grouping,
    Scheduled,
    admission_rows,
    columns_of,
    drift,
    grouping_rows,
    prediction_drift,
    schedule_rows,
)

from .generated import driver_of, every, plan_of, planned

Run = tuple[ExecutionPlan, ExecutionOutcome]


def random_run(seed: int) -> Run:
    """A clean run of a random graph with some results reused, some targets only, and some failures."""
    chance = random.Random(seed)
    names = [f"t{i:02}" for i in range(chance.randint(2, 25))]
    chance.shuffle(names)
    dag = {name: sorted(chance.sample(names[:i], chance.randint(0, min(3, i)))) for i, name in enumerate(names)}
    broken = {name for name in names if chance.random() < 0.05}

    def body(name: str, _given: object) -> str:
        if name in broken:
            raise ValueError(name)
        return name

    plan = plan_of(dag, {name: chance.choice([0.0, 1.0, chance.random()]) for name in names})
    if chance.random() < 0.5:
        plan = plan.restricted_to(chance.sample(names, chance.randint(1, len(names))))
    targets = every(plan.tasks) if chance.random() < 0.8 else every(plan.tasks)[:1]
    reused = {name: name for name in plan.tasks if chance.random() < 0.2}
    dr = driver_of(dag, body)
    executor = planned(dr, plan, jobs=chance.randint(1, 4))
    dr.execute(targets, overrides=reused)
    return plan, executor.outcome


def alarms(rows: tuple[Drift, ...]) -> set[tuple[str, str]]:
    return {(row.kind, row.task) for row in rows if row.alarm}


@pytest.mark.parametrize("seed", range(40))
def test_a_clean_run_raises_no_alarm(seed: int) -> None:
    plan, outcome = random_run(seed)
    assert alarms(drift(plan, outcome)) == set()


@pytest.fixture(scope="module")
def chain_run() -> Run:
    dag = {"a": [], "b": ["a"], "c": ["b"], "x": [], "y": ["x"]}
    plan = plan_of(dag, {"a": 3.0, "b": 2.0, "c": 1.0, "x": 2.5, "y": 0.5})
    executor = planned(dr := driver_of(dag), plan, jobs=2)
    dr.execute(every(dag))
    return plan, executor.outcome


def without(outcome: ExecutionOutcome, name: str) -> ExecutionOutcome:
    return replace(outcome, nodes={n: o for n, o in outcome.nodes.items() if n != name})


def swapped(outcome: ExecutionOutcome, one: str, other: str) -> ExecutionOutcome:
    nodes = dict(outcome.nodes)
    nodes[one] = replace(nodes[one], released=outcome.nodes[other].released)
    nodes[other] = replace(nodes[other], released=outcome.nodes[one].released)
    return replace(outcome, nodes=nodes)


def test_the_clean_run_behind_the_faults_is_clean(chain_run: Run) -> None:
    plan, outcome = chain_run
    rows = drift(plan, outcome)
    assert alarms(rows) == set()
    assert {row.task: row.predicted_seconds for row in rows if row.kind == "seconds"} == plan.schedule.weights
    assert all(row.measured_seconds >= 0 for row in rows)


def test_a_missing_task_is_found(chain_run: Run) -> None:
    plan, outcome = chain_run
    assert ("planned not run", "y") in alarms(drift(plan, without(outcome, "y")))


def test_an_extra_task_is_found(chain_run: Run) -> None:
    plan, outcome = chain_run
    extra = replace(outcome.nodes["y"], node="z", task="z")
    rows = drift(plan, replace(outcome, nodes={**outcome.nodes, "z": extra}))
    assert ("run not planned", "z") in alarms(rows)
    stray = replace(extra, task=None)
    assert ("run not planned", "z") in alarms(drift(plan, replace(outcome, nodes={**outcome.nodes, "z": stray})))


def test_an_undeclared_read_is_found_by_table_by_column_and_by_hamiltons_own_edge(chain_run: Run) -> None:
    plan, outcome = chain_run
    assert alarms(drift(plan, outcome, {"c": {"x": frozenset({"id"})}})) == {("undeclared read", "c")}
    assert alarms(drift(plan, outcome, {"c": {"b": frozenset({"id", "secret"})}})) == {("undeclared read", "c")}
    assert alarms(drift(plan, outcome, {"c": {"b": frozenset({"id"})}})) == set()
    real = {"a": [], "b": ["a"], "c": ["b", "x"], "x": [], "y": ["x"]}
    executor = planned(dr := driver_of(real), plan, jobs=2)
    dr.execute(every(real))
    assert ("undeclared read", "c") in alarms(drift(plan, executor.outcome))


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a", "c"), ("a", "x"), ("x", "y"), ("b", "x"), ("c", "y")])
def test_a_swapped_order_is_found(chain_run: Run, one: str, other: str) -> None:
    plan, outcome = chain_run
    assert {kind for kind, _ in alarms(drift(plan, swapped(outcome, one, other)))} == {"order"}


def test_a_changed_grouping_is_found(chain_run: Run) -> None:
    plan, outcome = chain_run
    assert outcome.groups == (("a", "x"), ("b", "y"), ("c",))
    later = replace(outcome, groups=(("a", "x"), ("b",), ("c", "y")))
    assert alarms(drift(plan, later)) == {("grouping", "y")}
    assert alarms(drift(plan, replace(outcome, groups=(("a", "b", "x"), ("c", "y"))))) >= {("grouping", "b")}


def test_what_failed_or_was_interrupted_is_explained_and_no_alarm() -> None:
    dag = {"a": [], "b": ["a"]}

    def body(_name: str, _given: object) -> None:
        raise ValueError("no such column")

    plan = plan_of(dag)
    executor = planned(dr := driver_of(dag, body), plan)
    dr.execute(["b"])
    rows = drift(plan, executor.outcome)
    assert [(row.kind, row.task, row.actual, row.alarm) for row in rows] == [
        ("planned not run", "b", "ancestor failed: a", False)
    ]


def test_the_artifacts_rows_have_declared_columns(chain_run: Run) -> None:
    plan, outcome = chain_run
    assert columns_of(Drift)["measured_seconds"] == "float64"
    assert columns_of(Grouping) == {"task": "string", "planned": "int64", "actual": "int64"}
    assert columns_of(Admission)["admitted"] == "bool"
    assert admission_rows(outcome)[0] == Admission("a", "a", admitted=True, status="ran", reason="", cause="")
    assert grouping_rows(plan, outcome.groups)[0] == Grouping("a", 0, 0)
    assert schedule_rows(plan)[0] == Scheduled("a", 0, 3.0, 6.0, 0.0, critical=True)


def test_a_release_before_an_input_was_done_is_found_even_if_nobody_saw_when_it_was_ready(chain_run: Run) -> None:
    plan, outcome = chain_run
    early = replace(outcome.nodes["c"], ready=-1, released=outcome.nodes["b"].released)
    assert ("order", "c") in alarms(drift(plan, replace(outcome, nodes={**outcome.nodes, "c": early})))


def test_a_run_that_contradicts_its_prediction_raises_an_alarm() -> None:
    actions = {"a": "run", "b": "reuse", "c": "reuse", "d": "run", "e": "maybe"}
    rows = prediction_drift(actions, {"a": "ran", "b": "ran", "c": "reused", "d": "reused", "e": "reused"})
    assert [(row.kind, row.task, row.alarm) for row in rows] == [("prediction", "b", True), ("prediction", "d", False)]

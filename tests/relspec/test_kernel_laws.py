"""The kernel's laws, each against the shortest definition of what it computes."""

from __future__ import annotations

import functools
import itertools
import math
import subprocess
import sys

import pytest
import rustworkx as rx
from hypothesis import given
from hypothesis import strategies as st

from codeintel.errors import PlanError
from codeintel.relspec.execution_plan import compile_execution_plan, plan_from_json, plan_to_json
from codeintel.relspec.rustworkx_graph import irredundant_edges
from codeintel.relspec.rustworkx_schedule import learn_weights
from codeintel.relspec.task import Task

from .random_plans import dags, task, tasks_of, weights_of

Dag = dict[str, frozenset[str]]


def closure(dag: Dag) -> dict[str, frozenset[str]]:
    """All ancestors of each task, by the definition."""

    @functools.cache
    def above(name: str) -> frozenset[str]:
        return frozenset().union(dag[name], *(above(source) for source in dag[name]))

    return {name: above(name) for name in dag}


def chains(dag: Dag, weights: dict[str, float]) -> dict[str, float]:
    """Seconds of the heaviest chain that starts at each task, by trying all of them."""

    @functools.cache
    def heaviest(name: str) -> float:
        return weights[name] + max((heaviest(reader) for reader, inputs in dag.items() if name in inputs), default=0.0)

    return {name: heaviest(name) for name in dag}


@given(dags())
def test_the_reduction_keeps_reachability_and_is_minimal(dag: Dag) -> None:
    graph = compile_execution_plan(tasks_of(dag)).graph
    edges = graph.reduced_edges()
    reduced: Dag = {name: frozenset(s for s, t in edges if t == name) for name in dag}
    assert closure(reduced) == closure(dag)
    for source, target in edges:
        without = {name: inputs - {source} if name == target else inputs for name, inputs in reduced.items()}
        assert source not in closure(without)[target]


@given(dags(most=20))
def test_the_reduction_is_the_one_rustworkx_computes(dag: Dag) -> None:
    full = compile_execution_plan(tasks_of(dag)).graph.full
    theirs, node_map = rx.transitive_reduction(full)
    expected = {(theirs[s], theirs[t]) for s, t in theirs.edge_list()}
    assert {(full[s], full[t]) for s, t in irredundant_edges(full)} == expected
    assert all(theirs[new] == full[old] for old, new in node_map.items())


@given(dags())
def test_every_edge_crosses_to_a_later_generation_and_no_task_waits_longer_than_its_inputs(dag: Dag) -> None:
    plan = compile_execution_plan(tasks_of(dag))
    layer = plan.schedule.generation_of()
    for name, inputs in dag.items():
        assert layer[name] == max((layer[source] + 1 for source in inputs), default=0)
    assert all(list(names) == sorted(names) for names in plan.schedule.generations)
    assert list(plan.tasks) == list(plan.graph.names)
    assert all(list(plan.tasks).index(s) < list(plan.tasks).index(t) for s, t in plan.graph.edges())


@given(st.data())
def test_criticality_slack_and_critical_path_equal_brute_force(data: st.DataObject) -> None:
    dag = data.draw(dags())
    weights = data.draw(weights_of(dag))
    schedule = compile_execution_plan(tasks_of(dag), weights=weights).schedule
    below = chains(dag, weights)
    readers: Dag = {name: frozenset(r for r, inputs in dag.items() if name in inputs) for name in dag}
    above = chains(readers, weights)  # of the reversed graph: the heaviest chain that ends at each task
    for name in dag:
        through = below[name] + above[name] - weights[name]
        assert math.isclose(schedule.criticality[name], below[name])
        assert math.isclose(schedule.slack[name], schedule.critical_path_length - through, abs_tol=1e-8)
    path = schedule.critical_path
    assert all(s in closure(dag)[t] for s, t in itertools.pairwise(path))
    assert math.isclose(sum(weights[name] for name in path), schedule.critical_path_length, abs_tol=1e-9)
    assert schedule.critical_path_length == max(schedule.criticality.values())


@given(dags())
def test_isolates_have_neither_inputs_nor_readers(dag: Dag) -> None:
    read = frozenset().union(*dag.values())
    expected = tuple(sorted(name for name, inputs in dag.items() if not inputs and name not in read))
    assert compile_execution_plan(tasks_of(dag)).schedule.isolates == expected


@given(st.data())
def test_signatures_ignore_insertion_order_and_weights(data: st.DataObject) -> None:
    dag = data.draw(dags())
    plan = compile_execution_plan(tasks_of(dag))
    other = compile_execution_plan(data.draw(st.permutations(tasks_of(dag))), weights=data.draw(weights_of(dag)))
    assert (plan.signature, plan.reduced_signature) == (other.signature, other.reduced_signature)
    assert plan.graph == other.graph
    assert list(plan.tasks) == list(other.tasks)


@given(st.data())
def test_signatures_change_with_any_task_and_any_edge(data: st.DataObject) -> None:
    dag = data.draw(dags())
    plan = compile_execution_plan(tasks_of(dag))
    name = data.draw(st.sampled_from(sorted(dag)))
    edited = [task(t.name, *t.inputs, sql="edited") if t.name == name else t for t in tasks_of(dag)]
    changed = [compile_execution_plan(edited), compile_execution_plan([*tasks_of(dag), task("another")])]
    if edges := plan.graph.edges():
        source, target = data.draw(st.sampled_from(edges))
        cut = {n: inputs - {source} if n == target else inputs for n, inputs in dag.items()}
        changed.append(compile_execution_plan(tasks_of(cut)))
    for other in changed:
        assert other.signature != plan.signature
        assert other.reduced_signature != plan.reduced_signature


@given(st.data())
def test_restricting_keeps_exactly_what_targets_need_and_impact_exactly_what_changes_reach(data: st.DataObject) -> None:
    dag = data.draw(dags())
    plan = compile_execution_plan(tasks_of(dag))
    chosen = data.draw(st.sets(st.sampled_from(sorted(dag)), min_size=1))
    above = closure(dag)
    needed = chosen.union(*(above[name] for name in chosen))
    impacted = {name for name in dag if name in chosen or above[name] & chosen}
    smaller = plan.restricted_to(chosen)
    assert set(smaller.tasks) == needed
    assert smaller == compile_execution_plan([t for t in tasks_of(dag) if t.name in needed])
    affected = plan.impacted_by(chosen)
    assert set(affected.tasks) == impacted
    assert set(affected.graph.edges()) == {(s, t) for s, t in plan.graph.edges() if s in impacted and t in impacted}
    assert set(affected.graph.reduced_edges()) == {
        (s, t) for s, t in plan.graph.reduced_edges() if s in impacted and t in impacted
    }


@given(st.data())
def test_a_plan_survives_json_and_equal_plans_give_equal_bytes(data: st.DataObject) -> None:
    dag = data.draw(dags())
    weights = data.draw(weights_of(dag))
    plan = compile_execution_plan(tasks_of(dag), weights=weights)
    saved = plan_to_json(plan)
    again = plan_from_json(saved)
    assert again == plan
    assert again.tasks == plan.tasks
    assert again.schedule == plan.schedule
    assert plan_to_json(compile_execution_plan(data.draw(st.permutations(tasks_of(dag))), weights=weights)) == saved


def test_anything_else_than_a_saved_plan_is_a_value_error() -> None:
    for bad in (b"", b"{", b"[]", b'{"format": 1}', b'{"format": 2, "tasks": [], "weights": {}}'):
        with pytest.raises(ValueError, match="saved plan"):
            plan_from_json(bad)


def test_a_changed_view_finds_the_reduction_in_the_cache_and_a_new_edge_does_not() -> None:
    dag: Dag = {"a": frozenset(), "b": frozenset("a"), "c": frozenset("ab")}
    cache: dict[str, bytes] = {}
    plan = compile_execution_plan(tasks_of(dag), cache=cache)
    assert len(cache) == 1
    edited = [task("a"), task("b", "a", sql="edited"), task("c", "a", "b")]
    assert compile_execution_plan(edited, cache=cache).graph.reduced_edges() == plan.graph.reduced_edges()
    assert len(cache) == 1
    compile_execution_plan([task("a"), task("b", "a"), task("c", "b")], cache=cache)
    assert len(cache) == 2
    poisoned = dict.fromkeys(cache, b"\x00not json")
    assert compile_execution_plan(tasks_of(dag), cache=poisoned) == plan


def test_a_cached_reduction_is_really_used() -> None:
    dag: Dag = {"a": frozenset(), "b": frozenset("a")}
    cache: dict[str, bytes] = {}
    compile_execution_plan(tasks_of(dag), cache=cache)
    marked = dict.fromkeys(cache, b"[0]")
    assert compile_execution_plan(tasks_of(dag), cache=marked).graph.reduced_edges() == ()


@pytest.mark.parametrize(
    ("dag", "said"),
    [
        ({"a": "b", "b": "c", "c": "a", "d": "a"}, "a → b → c → a"),
        ({"a": "a"}, "a → a"),
    ],
)
def test_a_cycle_is_named(dag: dict[str, str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        compile_execution_plan(tasks_of(dag))


def test_an_input_that_no_task_produces_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(
        PlanError, match="view 'calls' reads 'ast_node', which no task produces; did you mean"
    ) as caught:
        compile_execution_plan([task("ast_nodes"), task("calls", "ast_node")])
    assert "did you mean ast_nodes" in str(caught.value)
    assert caught.value.subject == "calls"


def test_two_producers_of_one_table_and_an_unknown_target_are_refused() -> None:
    with pytest.raises(PlanError, match="two tasks are called 'a'"):
        compile_execution_plan([task("a"), task("a")])
    with pytest.raises(PlanError, match="no task is called 'cpg_node'; did you mean cpg_nodes"):
        compile_execution_plan([task("cpg_nodes")], targets={"cpg_node"})


def test_the_empty_plan_is_a_plan() -> None:
    plan = compile_execution_plan([])
    assert plan.schedule.generations == ()
    assert plan.schedule.critical_path_length == 0
    assert plan.restricted_to(()) == plan


def test_weights_come_from_the_first_run_then_a_decayed_mean_with_outliers_damped() -> None:
    assert learn_weights([("a", 8.0)]) == {"a": 8.0}
    assert learn_weights([("a", 8.0), ("b", 1.0), ("a", 4.0)]) == {"a": 6.0, "b": 1.0}
    assert learn_weights([("a", 1.0), ("a", 100.0)])["a"] == 2.5  # counted as 4
    steady = learn_weights([("a", 1.0)] * 5 + [("a", 2.0)] * 20)["a"]
    assert math.isclose(steady, 2.0, rel_tol=0.01)


def test_weights_change_the_schedule_and_its_digest_but_never_the_signature() -> None:
    plan = compile_execution_plan([task("a"), task("b", "a"), task("c", "a")])
    heavy = plan.with_weights({"c": 9.0})
    assert heavy.schedule.critical_path == ("a", "c")
    assert (heavy.signature, heavy.reduced_signature) == (plan.signature, plan.reduced_signature)
    assert heavy.weights_digest != plan.weights_digest
    assert heavy != plan


def test_the_kernel_knows_no_engine() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import codeintel.relspec.plan_drift, sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not {"hamilton", "datafusion", "pyarrow", "pandas", "deltalake"} & set(loaded)


def test_edges_count_even_where_tasks_bring_signatures_that_ignore_them() -> None:
    apart = [Task(name, "view", {}, {}, signature=name) for name in ("a", "b")]
    joined = [apart[0], Task("b", "view", {"a": "whole"}, {}, signature="b")]
    one, other = compile_execution_plan(apart), compile_execution_plan(joined)
    assert one.signature != other.signature
    assert one.reduced_signature != other.reduced_signature

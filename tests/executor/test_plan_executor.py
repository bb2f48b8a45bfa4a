"""What the executor promises, on real Hamilton drivers."""

from __future__ import annotations

import gc
import logging
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from hamilton import driver
from hamilton.caching.stores.memory import InMemoryMetadataStore, InMemoryResultStore
from hamilton.driver import InvalidExecutorException
from hamilton.execution.grouping import NodeGroupPurpose
from hamilton.io.materialization import to
from hamilton.lifecycle import (
    GraphExecutionHook,
    NodeExecutionHook,
    TaskExecutionHook,
    TaskGroupingHook,
    TaskReturnHook,
    TaskSubmissionHook,
)

from codeintel.errors import AdmissionError, RunError
from codeintel.relspec.execution_outcome import ExecutionOutcome, NodeEvent, NodeOutcome

from . import decorated, diamond, parallel
from .generated import driver_of, every, plan_of, planned

DIAMOND = {"source": "", "left": ["source"], "right": ["source"], "joined": ["left", "right"]}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)  # Hamilton logs every exception that it passes on
    yield
    logging.disable(logging.NOTSET)


def test_runs_the_plan_and_says_what_became_of_every_task() -> None:
    dr = driver.Builder().with_modules(diamond).build()
    executor = planned(dr, plan_of(DIAMOND))
    assert dr.execute(["joined"]) == {"joined": 13}
    outcome = executor.outcome
    assert outcome.order == ("source", "left", "right", "joined")
    assert outcome.groups == (("source",), ("left", "right"), ("joined",))
    assert {name: o.status for name, o in outcome.tasks().items()} == dict.fromkeys(DIAMOND, "ran")
    assert outcome.reads["joined"] == {"left", "right"}


def test_a_function_may_be_a_final_variable_and_an_input_too() -> None:
    dr = driver.Builder().with_modules(decorated).build()
    planned(dr, plan_of({"number": ""}))
    assert dr.execute([decorated.number, "start"], inputs={"start": 3}) == {"number": 3, "start": 3}


def test_all_work_outside_the_plan_is_rejected_before_anything_runs() -> None:
    ran: list[str] = []
    dag = {"a": "", "b": "a", "c": "b", "d": "a"}
    dr = driver_of(dag, lambda name, _given: ran.append(name))
    plan = plan_of(dag).restricted_to({"a"})
    executor = planned(dr, plan, absent={"b": "pruned by targets"})
    with pytest.raises(AdmissionError) as caught:
        dr.execute(["c", "d"])
    assert caught.value.rejected == {"b": "pruned by targets", "c": "not in plan", "d": "not in plan"}
    assert ran == []
    assert executor.outcome.rejected == caught.value.rejected
    assert executor.outcome.nodes["a"].status == "interrupted"


def test_unknown_work_is_skipped_with_its_descendants_when_the_setting_says_so() -> None:
    dag = {"a": "", "b": "a", "c": "b", "d": "a"}
    dr = driver_of(dag)
    known = {"a": "", "d": "a", "c": ""}
    executor = planned(dr, plan_of(known), on_unknown="skip")
    assert dr.execute(["c", "d"]) == {"d": "d"}
    nodes = executor.outcome.nodes
    assert (nodes["b"].status, nodes["b"].reason) == ("rejected", "not in plan")
    assert (nodes["c"].status, nodes["c"].reason, nodes["c"].cause) == ("skipped", "ancestor failed", "b")


def test_what_is_reused_or_not_asked_for_has_its_reason() -> None:
    dr = driver.Builder().with_modules(diamond).build()
    executor = planned(dr, plan_of(DIAMOND))
    assert dr.execute(["left"], overrides={"source": 5}) == {"left": 6}
    assert {name: o.reason for name, o in executor.outcome.nodes.items()} == {
        "source": "reused", "left": "", "right": "pruned by targets", "joined": "pruned by targets",
    }  # fmt: skip


def test_decorators_helpers_belong_to_their_task_and_plan_artifacts_are_admitted() -> None:
    plan = plan_of({"number": "", "checked": ["number"], "published": ["checked"]})
    dr = driver.Builder().with_modules(decorated).build()
    executor = planned(dr, plan)
    assert dr.execute(["published"], inputs={"start": 12}) == {"published": "2 with a note"}
    outcome = executor.outcome
    assert outcome.nodes["checked_raw"].task == outcome.nodes["checked_positive"].task == "checked"
    assert outcome.nodes["plan_note"].artifact
    assert outcome.groups == (("number",), ("checked",), ("published",))
    assert outcome.reads == {
        "number": frozenset(), "checked": frozenset({"number"}), "published": frozenset({"checked"}),
    }  # fmt: skip
    assert dr.execute(["published"], inputs={"start": 2}) == {}
    tasks = executor.outcome.tasks()
    assert tasks["checked"].status == "failed"
    assert (tasks["published"].status, tasks["published"].cause) == ("skipped", "checked")


def test_ready_tasks_leave_by_criticality_then_by_name() -> None:
    dag = {"a": "", "b": "", "c": "", "d": "", "heavy": "d"}
    executor = planned(dr := driver_of(dag), plan_of(dag, {"a": 1, "b": 1, "c": 2, "d": 1, "heavy": 5}), jobs=1)
    dr.execute(every(dag))
    assert executor.outcome.order == ("d", "heavy", "c", "a", "b")


def test_independent_tasks_run_at_once_and_never_more_than_jobs() -> None:
    meeting = threading.Barrier(3, timeout=10)
    dag = {f"t{i}": "" for i in range(6)}
    running, most = [0], [0]
    lock = threading.Lock()

    def meet(_name: str, _given: Mapping[str, Any]) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        meeting.wait()
        with lock:
            running[0] -= 1

    planned(dr := driver_of(dag, meet), plan_of(dag), jobs=3)
    dr.execute(every(dag))
    assert most == [3]


def failing(names: set[str], error: BaseException) -> Callable[[str, Mapping[str, Any]], str]:
    def body(name: str, _given: Mapping[str, Any]) -> str:
        if name in names:
            raise error
        return name

    return body


def test_a_failure_skips_its_descendants_with_its_name_and_everything_else_completes() -> None:
    dag = {"a": "", "bad": "a", "child": ["bad", "other"], "grandchild": ["child"], "other": "a", "last": ["other"]}
    dag = {name: [inputs] if isinstance(inputs, str) and inputs else list(inputs) for name, inputs in dag.items()}
    executor = planned(dr := driver_of(dag, failing({"bad"}, KeyError("column"))), plan_of(dag))
    assert dr.execute(["grandchild", "last"]) == {"last": "last"}
    outcome = executor.outcome
    assert {name: o.status for name, o in outcome.nodes.items()} == {
        "a": "ran", "bad": "failed", "child": "skipped", "grandchild": "skipped", "last": "ran", "other": "ran",
    }  # fmt: skip
    assert {outcome.nodes[name].cause for name in ("child", "grandchild")} == {"bad"}
    assert outcome.nodes["bad"].cause == "KeyError: 'column'"
    assert isinstance(outcome.failed["bad"], KeyError)


def test_on_request_the_failure_is_raised_after_everything_else_has_run() -> None:
    dag = {"bad": [], "fine": []}
    executor = planned(dr := driver_of(dag, failing({"bad"}, KeyError("x"))), plan_of(dag), on_failure="raise")
    with pytest.raises(RunError, match="bad failed") as caught:
        dr.execute(["bad", "fine"])
    assert caught.value.task == "bad"
    assert isinstance(caught.value.__cause__, KeyError)
    assert executor.outcome.nodes["fine"].status == "ran"


class Panic(BaseException):
    """As an engine in another language raises it."""


def test_an_engines_panic_fails_its_task_alone_and_is_never_cached_as_a_result() -> None:
    results = InMemoryResultStore()
    dag = {"bad": [], "fine": []}
    dr = driver_of(dag, failing({"bad"}, Panic("index out of bounds")))
    cached = (
        driver.Builder()
        .with_modules(*dr.graph_modules)
        .with_cache(metadata_store=InMemoryMetadataStore(), result_store=results)
        .build()
    )
    executor = planned(cached, plan_of(dag))
    for _ in range(2):
        assert cached.execute(["bad", "fine"]) == {"fine": "fine"}
        assert executor.outcome.nodes["bad"].cause == "RunError: bad: Panic: index out of bounds"
        assert isinstance(executor.outcome.failed["bad"].__cause__, Panic)


def test_a_task_whose_worker_died_is_tried_once_more() -> None:
    attempts: list[str] = []

    def body(name: str, _given: Mapping[str, Any]) -> int:
        attempts.append(name)
        if name == "hopeless" or attempts.count(name) == 1:
            raise BrokenProcessPool("a worker was killed")
        return len(attempts)

    events: list[NodeEvent] = []
    dag = {"killed": [], "hopeless": []}
    executor = planned(dr := driver_of(dag, body), plan_of(dag), jobs=1, observe=events.append)
    assert set(dr.execute(["killed", "hopeless"])) == {"killed"}
    assert sorted(attempts) == ["hopeless"] * 2 + ["killed"] * 2
    assert [event.kind for event in events if event.node == "killed"] == ["admitted", "released", "retried", "ran"]
    assert executor.outcome.nodes["hopeless"].status == "failed"


class Load:
    """What runs at once, in the unit of the memory estimates."""

    def __init__(self, memory: Mapping[str, float]) -> None:
        self.memory, self.held, self.most, self.lock = memory, {}, 0.0, threading.Lock()
        self.alone: list[str] = []

    def __call__(self, name: str, _given: Mapping[str, Any]) -> None:
        with self.lock:
            self.held[name] = self.memory[name]
            self.most = max(self.most, sum(self.held.values()))
            if len(self.held) == 1:
                self.alone.append(name)
        time.sleep(0.01)
        with self.lock:
            if len(self.held) > 1 and name in self.alone:
                self.alone.remove(name)
            del self.held[name]


def test_memory_bounds_what_runs_at_once_and_a_task_above_the_limit_runs_alone() -> None:
    memory = {f"t{i}": 40.0 for i in range(6)} | {"giant": 500.0}
    dag = {name: [] for name in memory}
    load = Load(memory)
    executor = planned(
        dr := driver_of(dag, load), plan_of(dag, {"giant": 9}), jobs=4, memory_limit=100.0, memory=memory
    )
    dr.execute(every(dag))
    assert load.alone[0] == "giant"
    assert {o.status for o in executor.outcome.nodes.values()} == {"ran"}
    small = Load(memory)
    planned(dr := driver_of(dag, small), plan_of(dag), jobs=4, memory_limit=100.0, memory=memory)
    dr.execute([name for name in dag if name != "giant"])
    assert small.most == 80.0


def test_a_task_above_the_limit_is_skipped_when_the_setting_says_so() -> None:
    dag = {"giant": [], "child": ["giant"], "small": []}
    executor = planned(dr := driver_of(dag), plan_of(dag), memory_limit=1.0, memory={"giant": 2.0}, oversize="skip")
    assert dr.execute(every(dag)) == {"small": "small"}
    assert executor.outcome.nodes["giant"].reason == "over memory limit"
    assert executor.outcome.nodes["child"].cause == "giant"


class Thing:
    """Something whose life can be watched."""


def test_results_are_freed_at_their_last_use() -> None:
    alive: weakref.WeakSet[Thing] = weakref.WeakSet()
    most = [0]

    def body(_name: str, _given: Mapping[str, Any]) -> Thing:
        thing = Thing()
        alive.add(thing)
        most[0] = max(most[0], len(alive))
        return thing

    dag = {f"t{i:03}": [f"t{i - 1:03}"] if i else [] for i in range(100)}
    planned(dr := driver_of(dag, body), plan_of(dag), jobs=2)
    last = dr.execute(["t099"])["t099"]
    assert most[0] <= 3
    assert list(alive) == [last]


def test_a_failed_tasks_arguments_do_not_outlive_it() -> None:
    alive: weakref.WeakSet[Thing] = weakref.WeakSet()

    def body(name: str, given: Mapping[str, Any]) -> Thing:
        if given:
            raise ValueError(name)
        thing = Thing()
        alive.add(thing)
        return thing

    dag = {"a": [], "b": ["a"]}
    executor = planned(dr := driver_of(dag, body), plan_of(dag))
    dr.execute(["b"])
    gc.collect()
    assert executor.outcome.failed["b"].__traceback__ is not None
    assert list(alive) == []


def test_an_interrupt_stops_submission_at_once_and_leaves_a_record() -> None:
    release, started = threading.Event(), threading.Event()
    told: list[Any] = []
    finished: list[str] = []

    def body(name: str, _given: Mapping[str, Any]) -> str:
        if name == "stuck":
            started.set()
            release.wait(30)
            finished.append(name)
        return name

    dag = {"first": [], "stuck": ["first"], "after": ["stuck"], "aside": ["first"], "beside": ["aside"]}
    weights = {"stuck": 9.0}
    executor = planned(dr := driver_of(dag, body), plan_of(dag, weights), jobs=1, on_interrupt=told.append)
    threading.Thread(target=lambda: started.wait(30) and executor.interrupt(), daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        dr.execute(["after", "beside"])
    assert finished == []
    release.set()
    assert executor.outcome.interrupted
    assert told == [executor.outcome]
    assert {name: o.status for name, o in executor.outcome.nodes.items()} == {
        "first": "ran", "stuck": "interrupted", "after": "interrupted", "aside": "interrupted",
        "beside": "interrupted",
    }  # fmt: skip


def test_parallelizable_is_refused_because_it_has_no_static_plan() -> None:
    dr = driver.Builder().with_modules(parallel).build()
    planned(dr, plan_of({"item": [], "doubled": ["item"], "total": ["doubled"]}))
    with pytest.raises(InvalidExecutorException, match="item, total"):
        dr.execute(["total"])


def test_materializers_run_under_the_same_admission(tmp_path: Path) -> None:
    dr = driver.Builder().with_modules(diamond).build()
    planned(dr, plan_of(DIAMOND))
    with pytest.raises(AdmissionError, match="saved: not in plan"):
        dr.materialize(to.pickle(id="saved", dependencies=["joined"], path=str(tmp_path / "joined.pickle")))
    assert list(tmp_path.iterdir()) == []


class Recorder(
    GraphExecutionHook, TaskGroupingHook, TaskSubmissionHook, TaskExecutionHook, NodeExecutionHook, TaskReturnHook
):
    """Every lifecycle hook that Hamilton has for a static graph."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def run_before_graph_execution(self, **_about: Any) -> None:
        self.seen.append(("before graph", ""))

    def run_after_graph_execution(self, *, success: bool, **_about: Any) -> None:
        self.seen.append(("after graph", str(success)))

    def run_after_task_grouping(self, *, task_ids: list[str], **_about: Any) -> None:
        self.seen.append(("grouping", " ".join(task_ids)))

    def run_after_task_expansion(self, **_about: Any) -> None:
        raise AssertionError

    def run_before_task_submission(self, *, task_id: str, purpose: NodeGroupPurpose, **_about: Any) -> None:
        assert purpose is NodeGroupPurpose.EXECUTE_SINGLE
        self.seen.append(("submission", task_id))

    def run_before_task_execution(self, *, task_id: str, **_about: Any) -> None:
        self.seen.append(("before task", task_id))

    def run_before_node_execution(self, *, node_name: str, task_id: str | None, **_about: Any) -> None:
        assert task_id is None
        self.seen.append(("before node", node_name))

    def run_after_node_execution(self, *, node_name: str, success: bool, **_about: Any) -> None:
        self.seen.append((f"after node {success}", node_name))

    def run_after_task_execution(self, *, task_id: str, success: bool, **_about: Any) -> None:
        self.seen.append((f"after task {success}", task_id))

    def run_after_task_return(self, *, task_id: str, success: bool, **_about: Any) -> None:
        self.seen.append((f"return {success}", task_id))


def test_all_hooks_of_hamiltons_lifecycle_fire_in_its_order() -> None:
    hook = Recorder()
    dag = {"a": [], "bad": ["a"], "child": ["bad"]}
    planned(dr := driver_of(dag, failing({"bad"}, ValueError()), hook), plan_of(dag))
    dr.execute(["child"])
    assert hook.seen == [
        ("before graph", ""),
        ("grouping", "a"), ("grouping", "bad"), ("grouping", "child"),
        ("submission", "a"), ("before task", "a"), ("before node", "a"), ("after node True", "a"),
        ("after task True", "a"), ("return True", "a"),
        ("submission", "bad"), ("before task", "bad"), ("before node", "bad"), ("after node False", "bad"),
        ("after task False", "bad"), ("return False", "bad"),
        ("after graph", "True"),
    ]  # fmt: skip


def test_hamiltons_cache_works_unchanged_with_many_threads() -> None:
    ran: list[str] = []

    def body(name: str, _given: Mapping[str, Any]) -> str:
        ran.append(name)
        return name

    dag = {"root": []} | {f"w{i:02}": ["root"] for i in range(60)}
    dag["end"] = sorted(set(dag) - {"root"})
    stores = {"metadata_store": InMemoryMetadataStore(), "result_store": InMemoryResultStore()}
    module = driver_of(dag, body).graph_modules[0]
    for expected in (62, 0):
        ran.clear()
        dr = driver.Builder().with_modules(module).with_cache(**stores).build()
        executor = planned(dr, plan_of(dag), jobs=8)
        assert dr.execute(["end"]) == {"end": "end"}
        assert len(ran) == expected
        assert len(dr.cache.cache_keys[dr.cache.last_run_id]) == 62
        assert {o.status for o in executor.outcome.nodes.values()} == {"ran"}


class Refusing(TaskSubmissionHook):
    def run_before_task_submission(self, *, task_id: str, **_about: Any) -> None:
        if task_id == "joined":
            raise AdmissionError({task_id: "not in plan"})


def test_a_hook_that_raises_ends_the_run_after_what_is_running() -> None:
    dr = driver.Builder().with_modules(diamond).with_adapters(Refusing()).build()
    executor = planned(dr, plan_of(DIAMOND))
    with pytest.raises(AdmissionError):
        dr.execute(["joined"])
    assert executor.outcome.nodes["left"].status == "ran"
    assert executor.outcome.nodes["joined"].status == "interrupted"


def test_an_executor_can_be_used_again() -> None:
    dr = driver.Builder().with_modules(diamond).build()
    executor = planned(dr, plan_of(DIAMOND), jobs=3)
    first = [dr.execute(["joined"]), executor.outcome.order]
    assert [dr.execute(["joined"]), executor.outcome.order] == first
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("plan-")]


def test_at_least_one_job_is_needed() -> None:
    dr = driver.Builder().with_modules(diamond).build()
    with pytest.raises(ValueError, match="jobs is 0"):
        planned(dr, plan_of(DIAMOND), jobs=0)


SLEEPER = """
import sys, time
from tests.executor.generated import driver_of, plan_of, planned

def body(name, given):
    print(name, flush=True)
    time.sleep(60 if name == "stuck" else 0)

dag = {"first": [], "stuck": ["first"], "after": ["stuck"]}
executor = planned(dr := driver_of(dag, body), plan_of(dag))
try:
    dr.execute(["after"])
except KeyboardInterrupt:
    print({name: o.status for name, o in executor.outcome.nodes.items()})
    sys.exit(130)
"""


def test_ctrl_c_leaves_with_a_record_while_a_task_does_not_answer() -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    with process:
        while process.stdout.readline() != "stuck\n":
            pass
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)  # half of what it would sleep
    assert process.returncode == 130
    assert said == "{'after': 'interrupted', 'first': 'ran', 'stuck': 'interrupted'}\n"


def test_a_task_of_several_nodes_took_the_seconds_in_which_one_of_them_ran() -> None:
    def ran(node: str, started: float, ended: float) -> NodeOutcome:
        return NodeOutcome(node, "t", "ran", started=started, ended=ended, released=0)

    nodes = {n.node: n for n in (ran("t", 9.0, 10.0), ran("t_check", 2.0, 5.0), ran("t_late", 9.5, 12.0))}
    task = ExecutionOutcome(nodes).tasks()["t"]
    assert (task.started, task.ended, task.seconds) == (2.0, 12.0, 6.0)

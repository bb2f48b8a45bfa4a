"""CPU of the plan executor on trivial tasks, against Hamilton's own task-based executor in the same run.

    python benchmarks/executor.py [--sizes 1000 5000 10000] [--anchor 5000] [--runs 1000] [--json FILE]

Two workers throughout. `--anchor 0` leaves the comparison out (it takes minutes: Hamilton's executor is quadratic).
Also measured: the CPU that waiting for a 5 s sleep costs, the most results alive on a chain of 100, and how many of
`--runs` clean randomised runs raise a drift alarm.
"""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import random
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hamilton import ad_hoc_utils, driver
from hamilton.driver import TaskBasedGraphExecutor
from hamilton.execution.executors import ExecutionManager, MultiThreadingExecutor, TaskExecutor
from hamilton.execution.grouping import GroupByRepeatableBlocks
from hamilton.execution.state import TaskImplementation

from codeintel.hamilton_pipeline.plan_executor import PlanGraphExecutor
from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan
from codeintel.relspec.plan_drift import drift
from codeintel.relspec.task import Task

Dag = Mapping[str, Iterable[str]]


def chain(size: int) -> Dag:
    return {f"t{i:06}": [f"t{i - 1:06}"] if i else [] for i in range(size)}


def wide(size: int) -> Dag:
    return {"root": []} | {f"t{i:06}": ["root"] for i in range(size - 1)}


def layered(size: int) -> Dag:
    chance, names, width = random.Random(0), [f"t{i:06}" for i in range(size)], int(size**0.5)
    dag = {}
    for i, name in enumerate(names):
        start = i - i % width
        dag[name] = sorted({names[chance.randrange(start - width, start)] for _ in range(3)}) if start else []
    return dag


SHAPES = {"chain": chain, "wide": wide, "layered": layered}


def plan_of(dag: Dag, weights: Mapping[str, float] | None = None) -> ExecutionPlan:
    tasks = [
        Task.of_parts(name, "view", dict.fromkeys(inputs, "whole"), {}, {"sql": name}) for name, inputs in dag.items()
    ]
    return compile_execution_plan(tasks, weights=weights)


def driver_of(dag: Dag, body: Callable[[str, Mapping[str, Any]], Any]) -> driver.Driver:
    functions = []
    for name, inputs in dag.items():

        def run(name: str = name, **given: Any) -> Any:
            return body(name, given)

        parameters = [inspect.Parameter(i, inspect.Parameter.KEYWORD_ONLY, annotation=object) for i in inputs]
        run.__name__ = run.__qualname__ = name
        vars(run)["__signature__"] = inspect.Signature(parameters, return_annotation=object)
        run.__annotations__ = dict.fromkeys(inputs, object) | {"return": object}
        functions.append(run)
    return driver.Builder().with_modules(ad_hoc_utils.create_temporary_module(*functions)).build()


def ends(dag: Dag) -> list[Any]:
    """Tasks that nothing reads: asking for them runs everything and lets results go."""
    read = {source for inputs in dag.values() for source in inputs}
    return [name for name in dag if name not in read]


def cost(dr: driver.Driver, targets: list[Any]) -> tuple[float, float]:
    """CPU and wall seconds of one execution."""
    cpu, wall = time.process_time(), time.perf_counter()
    dr.execute(targets)
    return time.process_time() - cpu, time.perf_counter() - wall


class TwoThreads(ExecutionManager):
    """Every task of Hamilton's executor on two threads; its default sends single nodes to the caller's own."""

    def __init__(self) -> None:
        self.threads = MultiThreadingExecutor(2)
        super().__init__([self.threads])

    def get_executor_for_task(self, task: TaskImplementation) -> TaskExecutor:  # noqa: ARG002 - the interface's
        return self.threads


def measure_overhead(sizes: list[int], anchor: int) -> list[dict[str, Any]]:
    rows = []
    for shape, build in SHAPES.items():
        for size in sizes:
            dag = build(size)
            dr = driver_of(dag, lambda _name, _given: 1)
            dr.graph_executor = PlanGraphExecutor(dr.adapter, plan_of(dag), jobs=2)
            cpu, wall = min(cost(dr, ends(dag)) for _ in range(3))
            row = {"shape": shape, "tasks": size, "cpu_s": cpu, "wall_s": wall, "ms_per_task": 1000 * cpu / size}
            if size == anchor:
                adapter: Any = dr.adapter
                dr.graph_executor = TaskBasedGraphExecutor(TwoThreads(), GroupByRepeatableBlocks(), adapter)
                row["hamilton_cpu_s"], row["hamilton_wall_s"] = cost(dr, ends(dag))
                row["times_cheaper"] = row["hamilton_cpu_s"] / cpu
            rows.append(row)
            print(json.dumps(row), file=sys.stderr)
    return rows


def measure_waiting(seconds: float) -> float:
    dag = {"sleeper": []}
    dr = driver_of(dag, lambda _name, _given: time.sleep(seconds))
    dr.graph_executor = PlanGraphExecutor(dr.adapter, plan_of(dag), jobs=2)
    return cost(dr, ["sleeper"])[0]


class Thing:
    """A result whose life can be watched."""


def measure_alive() -> int:
    alive: weakref.WeakSet[Thing] = weakref.WeakSet()
    most = [0]

    def body(_name: str, _given: Mapping[str, Any]) -> Thing:
        alive.add(thing := Thing())
        most[0] = max(most[0], len(alive))
        return thing

    dag = chain(100)
    dr = driver_of(dag, body)
    dr.graph_executor = PlanGraphExecutor(dr.adapter, plan_of(dag), jobs=2)
    dr.execute(ends(dag))
    return most[0]


def measure_drift(runs: int) -> int:
    """How many of that many clean runs of random graphs, with reuse and failures, raise an alarm."""
    logging.disable(logging.ERROR)
    alarmed = 0
    for seed in range(runs):
        chance = random.Random(seed)
        names = [f"t{i:02}" for i in range(chance.randint(2, 25))]
        chance.shuffle(names)
        dag = {name: sorted(chance.sample(names[:i], chance.randint(0, min(3, i)))) for i, name in enumerate(names)}
        broken = {name for name in names if chance.random() < 0.05}

        def body(name: str, _given: Mapping[str, Any], broken: set[str] = broken) -> str:
            if name in broken:
                raise ValueError(name)
            return name

        plan = plan_of(dag, {name: chance.choice([0.0, 1.0, chance.random()]) for name in names})
        if chance.random() < 0.5:
            plan = plan.restricted_to(chance.sample(names, chance.randint(1, len(names))))
        targets: list[Any] = list(plan.tasks) if chance.random() < 0.8 else [next(iter(plan.tasks))]
        dr = driver_of(dag, body)
        dr.graph_executor = executor = PlanGraphExecutor(dr.adapter, plan, jobs=chance.randint(1, 4))
        dr.execute(targets, overrides={name: name for name in plan.tasks if chance.random() < 0.2})
        alarmed += any(row.alarm for row in drift(plan, executor.outcome))
    logging.disable(logging.NOTSET)
    return alarmed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000, 10000])
    parser.add_argument("--anchor", type=int, default=5000, help="size at which Hamilton's own executor runs as well")
    parser.add_argument("--runs", type=int, default=1000, help="clean randomised runs checked for drift")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    asked = parser.parse_args()
    rows = measure_overhead(asked.sizes, asked.anchor)
    waiting, alive, alarmed = measure_waiting(5.0), measure_alive(), measure_drift(asked.runs)
    print(f"{'shape':9}{'tasks':>8}{'CPU s':>9}{'ms/task':>9}{'growth':>8}{'Hamilton CPU s':>16}{'cheaper':>9}")
    first: dict[str, float] = {}
    for row in rows:
        growth = row["cpu_s"] / first.setdefault(row["shape"], row["cpu_s"])
        theirs = f"{row['hamilton_cpu_s']:16.2f}{row['times_cheaper']:8.0f}x" if "hamilton_cpu_s" in row else ""
        print(f"{row['shape']:9}{row['tasks']:8,}{row['cpu_s']:9.3f}{row['ms_per_task']:9.4f}{growth:7.1f}x{theirs}")
    print("targets: 0.2 ms/task at 10,000; growth 15x from 1,000 to 10,000; 25x cheaper than Hamilton at 5,000")
    print(f"waiting for a 5 s sleep: {waiting:.4f} CPU s (target 0.02)")
    print(f"most results alive on a chain of 100: {alive} (target 3)")
    print(f"clean randomised runs with a drift alarm: {alarmed} of {asked.runs} (target 0)")
    if asked.json:
        found = {"overhead": rows, "waiting_cpu_s": waiting, "most_alive": alive, "drift_alarms": alarmed}
        asked.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

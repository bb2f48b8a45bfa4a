"""Makespan of public task graphs under the executor's own release order, with simulated durations.

    python benchmarks/ordering.py ../shared/suites/estee_graphs.jsonl.gz [--json FILE]

Prints makespan / max(critical path, work / k): means per number of workers k, and the headline over the cases where
order matters (work / (k · critical path) between 0.5 and 2). `learnt` has seen two noisy runs (lognormal, sigma 0.5)
through `learn_weights`; `static` weighs every task alike, which is what a plan without history does to graphs whose
tasks are all of one kind; `fifo` is Hamilton's own order.
"""

from __future__ import annotations

import argparse
import gzip
import heapq
import json
import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan
from codeintel.relspec.rustworkx_schedule import ReleaseOrder, learn_weights
from codeintel.relspec.task import Task

WORKERS = (2, 4, 8, 16)
DRAWS = 5
SIGMA = 0.5
ORDERS = ("fifo", "static", "learnt", "true")


class FirstInFirstOut(ReleaseOrder):
    """The same machinery with the order of readiness in place of urgency."""

    def _make_ready(self, task: int) -> None:
        if not self._ready and not self.running:
            self._task_at = []
        heapq.heappush(self._ready, len(self._task_at))
        self._task_at.append(task)


def plans(path: Path) -> Iterator[tuple[str, ExecutionPlan]]:
    """Each graph of the suite as a plan weighed with its true seconds."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            graph = json.loads(line)
            inputs: dict[int, list[str]] = {number: [] for number, _, _ in graph["tasks"]}
            for source, target in graph["edges"]:
                inputs[target].append(f"t{source:05}")
            tasks = [
                Task.of_parts(f"t{n:05}", "view", dict.fromkeys(inputs[n], "whole"), {}, {"sql": str(n)})
                for n, _, _ in graph["tasks"]
            ]
            yield graph["id"], compile_execution_plan(tasks, weights={f"t{n:05}": s for n, _, s in graph["tasks"]})


def makespan(order: ReleaseOrder, seconds: Sequence[float]) -> float:
    """When the last task ends, if each takes its true seconds and leaves as `order` says."""
    now, running = 0.0, []
    while True:
        while (task := order.take()) is not None:
            heapq.heappush(running, (now + seconds[task], task))
        if not running:
            return now
        now, task = heapq.heappop(running)
        order.finish(task)


def release_order(plan: ExecutionPlan, weights: Mapping[str, float] | None, workers: int) -> ReleaseOrder:
    if weights is None:
        return FirstInFirstOut(plan.graph.full, [0.0] * len(plan.tasks), jobs=workers)
    criticality = plan.with_weights(weights).schedule.criticality
    return ReleaseOrder(plan.graph.full, [criticality[name] for name in plan.graph.names], jobs=workers)


def measure(path: Path) -> dict[str, dict[str, float]]:
    ratios: dict[str, dict[str, list[float]]] = {order: {} for order in ORDERS}
    for name, plan in plans(path):
        true = plan.schedule.weights
        seconds, work = [true[task] for task in plan.graph.names], sum(true.values())
        for k in WORKERS:
            bound = max(plan.schedule.critical_path_length, work / k)
            matters = 0.5 < work / (k * plan.schedule.critical_path_length) < 2
            groups = [f"k={k}", "all", *(["headline"] if matters else [])]
            for order in ORDERS:
                chance = random.Random(f"{name} {k}")
                for _ in range(DRAWS if order == "learnt" else 1):
                    noisy = [(t, s * chance.lognormvariate(0, SIGMA)) for _ in range(2) for t, s in true.items()]
                    weights = {
                        "fifo": None, "static": dict.fromkeys(true, 1.0), "learnt": learn_weights(noisy), "true": true,
                    }[order]  # fmt: skip
                    ratio = makespan(release_order(plan, weights, k), seconds) / bound
                    for group in groups:
                        ratios[order].setdefault(group, []).append(ratio)
    return {order: {group: statistics.mean(found) for group, found in by.items()} for order, by in ratios.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    asked = parser.parse_args()
    if not asked.suite.exists():
        print(f"{asked.suite} is not there; nothing measured", file=sys.stderr)
        return 0
    found = measure(asked.suite)
    groups = [*(f"k={k}" for k in WORKERS), "all", "headline"]
    print(f"{'order':8}" + "".join(f"{group:>10}" for group in groups))
    for order in ORDERS:
        print(f"{order:8}" + "".join(f"{found[order][group]:10.3f}" for group in groups))
    for group in ("all", "headline"):
        excess = found["learnt"][group] / found["true"][group] - 1
        print(f"learnt over true, {group}: {excess:+.1%} (target: at most +3 %)")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""CPU seconds of compiling plans; with inference before it, and its targets, they are in `inference.py`.

    python benchmarks/kernel.py [--sizes 1000 10000] [--json FILE]

`cold` compiles with an empty cache, `warm` with the cache of that compile, `changed` with it after one view's SQL
changed. The anchor is `rx.transitive_reduction` of the same graph in the same run, and its edges must be ours.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import rustworkx as rx

from codeintel.relspec.execution_plan import compile_execution_plan, plan_from_json, plan_to_json
from codeintel.relspec.plan_rendering import plan_document
from codeintel.relspec.rustworkx_graph import irredundant_edges
from codeintel.relspec.task import Task

T = TypeVar("T")
REPEATS = 5


def view(name: str, inputs: set[str], sql: str) -> Task:
    columns = {table: frozenset({"path", "bucket", "bstart"}) for table in inputs}
    return Task.of_parts(name, "view", dict.fromkeys(inputs, "whole"), columns, {"sql": sql, "engine": "55.0.0"})


def layered(size: int, seed: int = 0) -> dict[str, set[str]]:
    """About sqrt(size) layers; one to three inputs each, four in five of them from the layer before."""
    chance, names = random.Random(seed), [f"t{i:06}" for i in range(size)]
    width = max(int(size**0.5), 1)
    dag: dict[str, set[str]] = {}
    for i, name in enumerate(names):
        start = i - i % width
        dag[name] = {
            names[chance.randrange(max(0, start - width), start) if chance.random() < 0.8 else chance.randrange(start)]
            for _ in range(chance.randint(1, 3) if start else 0)
        }
    return dag


def cpu(work: Callable[[], T], repeats: int = REPEATS) -> tuple[float, T]:
    """The median run."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        result = work()
        times.append(time.process_time() - began)
    return sorted(times)[len(times) // 2], result


def measure(size: int) -> dict[str, float]:
    dag = layered(size)
    tasks = [view(name, inputs, name) for name, inputs in dag.items()]
    middle = len(tasks) // 2
    edited = [*tasks[:middle], view(tasks[middle].name, dag[tasks[middle].name], "edited"), *tasks[middle + 1 :]]
    cache: dict[str, bytes] = {}
    found: dict[str, float] = {}
    found["cold"], plan = cpu(lambda: compile_execution_plan(tasks, cache={}))
    compile_execution_plan(tasks, cache=cache)
    found["warm"], _ = cpu(lambda: compile_execution_plan(tasks, cache=cache))
    found["changed"], changed = cpu(lambda: compile_execution_plan(edited, cache=cache))
    found["reduction alone"], ours = cpu(lambda: sorted(irredundant_edges(plan.graph.full)))
    found["impacted_by"], _ = cpu(lambda: plan.impacted_by({tasks[middle].name}))
    found["restricted_to"], _ = cpu(lambda: plan.restricted_to({tasks[-1].name}))
    found["plan_to_json"], saved = cpu(lambda: plan_to_json(plan))
    found["plan_from_json"], again = cpu(lambda: plan_from_json(saved, cache))
    found["plan_document"], _ = cpu(lambda: plan_document(plan))
    found["rx.transitive_reduction"], (theirs, _) = cpu(lambda: rx.transitive_reduction(plan.graph.full), 1)
    if sorted(theirs.edge_list()) != ours or again != plan or changed.signature == plan.signature or len(cache) != 1:
        raise AssertionError("the kernel computed something else than it should")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    asked = parser.parse_args()
    found = {size: measure(size) for size in asked.sizes}
    print(f"{'CPU seconds':26}" + "".join(f"{size:>12,}" for size in found))
    for row in next(iter(found.values())):
        print(f"{row:26}" + "".join(f"{found[size][row]:12.4f}" for size in found))
    for size, row in found.items():
        ratio = row["rx.transitive_reduction"] / row["reduction alone"]
        print(f"{size:,}: the reduction takes 1/{ratio:.0f} of rx.transitive_reduction's CPU")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

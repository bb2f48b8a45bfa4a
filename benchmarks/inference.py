"""What planning costs: inference over many views and the plan of their tasks, cold, warm, and after one view changed.

Each case runs in a process of its own, with the caches that the one before left, and prints CPU seconds, imports
excluded, beside the anchor: `ast.parse` of this package's own source in the same run. With `--repeats` each case but
the cold one runs as often, and the median is printed. A warm plan imports neither engine nor parser, which the warm
process checks.

    python benchmarks/inference.py [--views 10000] [--repeats 5] [--json]
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import pyarrow as pa

import codeintel
from codeintel.datafusion_engine.inference import PlanCache, infer
from codeintel.relspec.execution_plan import compile_execution_plan
from codeintel.relspec.task import Task
from codeintel.store.directory import KeptBytes

FACTS = {
    name: pa.schema(
        [("path", pa.string()), ("bucket", pa.int32()), ("id", pa.int64()), ("parent", pa.int64())]
        + [(f"c{i}", pa.string()) for i in range(8)]
    )
    for name in ("nodes", "scopes", "calls", "names")
}
SHAPES = (
    "SELECT n.path, n.bucket, n.id, n.parent, n.c0, s.c1 FROM nodes n JOIN {t} s ON n.path = s.path AND n.id = s.id",
    "SELECT path, bucket, id, parent, c0, c1 FROM {t} WHERE c0 = '{n}' AND id IN (SELECT id FROM calls WHERE c2 <> '')",
    "SELECT path, bucket, min(id) AS id, max(parent) AS parent, c0, max(c1) AS c1 FROM {t} GROUP BY path, bucket, c0",
    """WITH r AS (SELECT *, row_number() OVER (PARTITION BY path ORDER BY id) AS k FROM {t})
    SELECT path, bucket, id, parent, c0, c1 FROM r WHERE k = {n}""",
    "SELECT path, bucket, id, parent, c0, c1 FROM {t} UNION ALL SELECT path, bucket, id, {n}, c3, c4 FROM names",
)
CASES = ("cold", "warm", "one view changed")
TARGETS = {"warm": 0.3, "one view changed": 0.6}  # CPU seconds of inference and plan, at 10,000 views


def views(count: int) -> dict[str, str]:
    """`count` views of five shapes in layers: each reads a fact table or an earlier view."""
    made: dict[str, str] = {}
    for number in range(count):
        table = list(FACTS)[number % 4] if number < 40 else f"v{number // 2}"
        made[f"v{number}"] = SHAPES[number % 5].replace("{t}", table).replace("{n}", str(number))
    return made


def seconds(work: Callable[[], object]) -> float:
    started = process_time()
    work()
    return process_time() - started


def anchor() -> float:
    files = [path.read_bytes() for path in Path(codeintel.__file__).parent.rglob("*.py")]
    return seconds(lambda: [ast.parse(each) for each in files])


def measured(case: str, count: int, caches: Path) -> tuple[float, float]:
    """CPU seconds, in this process, of one inference over `count` views and of compiling the plan of their tasks."""
    many = views(count)
    if case == "one view changed":
        last = f"v{count - 1}"
        many[last] = many[last].replace("SELECT", "SELECT DISTINCT", 1)
    if case != "warm":
        infer(views(5), FACTS)  # loads the engine and the parser
    tasks = [Task.of_parts(table, "source", {}, {}, {}) for table in FACTS]
    inference = seconds(lambda: tasks.extend(infer(many, FACTS, cache=PlanCache(caches / "plans.json")).tasks))
    plan = seconds(lambda: compile_execution_plan(tasks, cache=KeptBytes(caches / "plans")))
    assert case != "warm" or not {"datafusion", "sqlglot"} & sys.modules.keys()
    return inference, plan


def repeated(case: str, count: int, caches: Path, repeats: int) -> tuple[float, float, float]:
    """The medians of inference, plan and both, every time from the caches as they are now."""
    runs = []
    for _ in range(1 if case == "cold" else repeats):
        with tempfile.TemporaryDirectory() as directory:
            own = caches if case == "cold" else shutil.copytree(caches, directory, dirs_exist_ok=True)
            command = [sys.executable, __file__, "--views", str(count), "--caches", str(own), "--case", case]
            runs.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    return median(i for i, _ in runs), median(p for _, p in runs), median(i + p for i, p in runs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--views", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--caches", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        print(json.dumps(measured(chosen.case, chosen.views, chosen.caches)))
        return
    unit = anchor()
    with tempfile.TemporaryDirectory() as directory:
        cpu = {case: repeated(case, chosen.views, Path(directory), chosen.repeats) for case in CASES}
    if chosen.json:
        print(json.dumps({"views": chosen.views, "anchor_s": unit, "cpu_s": cpu}))
        return
    print(f"{chosen.views:,} views; anchor {unit:.3f} CPU s")
    print(f"{'CPU seconds':18} {'inference':>9} {'plan':>9} {'both':>9} {'x anchor':>9}")
    for case, (inference, plan, both) in cpu.items():
        target = f"   target at 10,000: {TARGETS[case]}" if case in TARGETS else ""
        print(f"{case:18} {inference:9.3f} {plan:9.3f} {both:9.3f} {both / unit:9.2f}{target}")


if __name__ == "__main__":
    main()

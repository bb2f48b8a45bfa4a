"""What planning costs: inference over many views, cold, warm, and after one view of them changed.

Each case runs in a process of its own and prints CPU seconds, imports excluded, beside the anchor: `ast.parse` of this
package's own source in the same run. A warm plan imports neither engine nor parser, which the warm process checks.

    python benchmarks/inference.py [--views 1000] [--json]
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pyarrow as pa

import codeintel
from codeintel.datafusion_engine.inference import PlanCache, infer

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


def measured(case: str, count: int, cache: Path) -> float:
    """CPU seconds of one inference over `count` views in this process."""
    many = views(count)
    if case == "one view changed":
        last = f"v{count - 1}"
        many[last] = many[last].replace("SELECT", "SELECT DISTINCT", 1)
    if case != "warm":
        infer(views(5), FACTS)  # loads the engine and the parser
    taken = seconds(lambda: infer(many, FACTS, cache=PlanCache(cache)))
    assert case != "warm" or not {"datafusion", "sqlglot"} & sys.modules.keys()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--views", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        print(measured(chosen.case, chosen.views, chosen.cache))
        return
    unit = anchor()
    with tempfile.TemporaryDirectory() as directory:
        command = [
            sys.executable,
            __file__,
            "--views",
            str(chosen.views),
            "--cache",
            f"{directory}/plans.json",
            "--case",
        ]
        cpu = {
            case: float(subprocess.run([*command, case], stdout=subprocess.PIPE, check=True).stdout) for case in CASES
        }
    if chosen.json:
        print(json.dumps({"views": chosen.views, "anchor_s": unit, "cpu_s": cpu}))
        return
    print(f"{chosen.views} views; anchor {unit:.3f} CPU s")
    for case, value in cpu.items():
        print(f"{case:18} {value:8.3f} CPU s {value / unit:8.2f} x anchor {1000 * value / chosen.views:8.3f} ms a view")


if __name__ == "__main__":
    main()

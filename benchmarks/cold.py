"""Cold builds of named corpora, against `ast.parse` + `ast.walk` over the same files in the same run.

    python benchmarks/cold.py [--corpora requests,rich,stdlib,django] [--jobs 2] [--runs 1] [--json FILE]

CPU seconds are user and system with all children, as the operating system accounts finished processes. `ratio` is the
build's CPU, less `START_UP` seconds, over the anchor's, which runs before and after it.
Peak memory is the sum of every process's own peak.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from corpora import corpus

START_UP = 3.0

ANCHOR = """
import ast, sys, warnings
warnings.simplefilter("ignore")
count = 0
for line in sys.stdin:
    with open(line.rstrip("\\n"), "rb") as file:
        content = file.read()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        continue
    for node in ast.walk(tree):
        count += 1
print(count)
"""


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(command: list[str], text: str = "") -> tuple[float, float, str]:
    """(CPU seconds, wall seconds, stdout) of a process and its children."""
    cpu, wall = children_cpu(), perf_counter()
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return children_cpu() - cpu, perf_counter() - wall, done.stdout


def size_of(folder: Path) -> int:
    seen: dict[int, int] = {}  # a Delta table's file and its object are one file under two names
    for file in folder.rglob("*"):
        facts = file.lstat()
        seen[facts.st_ino] = facts.st_size
    return sum(seen.values())


def measured(name: str, jobs: int, place: Path) -> dict[str, object]:
    root = corpus(name)
    files = sorted(p for p in root.rglob("*.py") if p.is_file())
    anchor = [sys.executable, "-c", ANCHOR], "".join(f"{p}\n" for p in files)
    before, anchor_wall, nodes = timed(*anchor)
    store = Path(tempfile.mkdtemp(dir=place)) / "store"
    command = [
        sys.executable,
        "-m",
        "codeintel",
        "build",
        str(root),
        "--store",
        str(store),
        "--jobs",
        str(jobs),
        "--json",
    ]
    build_cpu, build_wall, report = timed(command)
    anchor_cpu = (before + timed(*anchor)[0]) / 2  # the machine is not the same for a minute
    result = json.loads(report)
    return {
        "corpus": name,
        "files": result["files"]["total"],
        "failed": result["files"]["failed"],
        "lines": sum(p.read_bytes().count(b"\n") for p in files),
        "walked_nodes": int(nodes),
        "anchor_cpu_s": round(anchor_cpu, 2),
        "build_cpu_s": round(build_cpu, 2),
        "ratio": round((build_cpu - START_UP) / anchor_cpu, 2),
        "plain_ratio": round(build_cpu / anchor_cpu, 2),
        "anchor_wall_s": round(anchor_wall, 2),
        "build_wall_s": round(build_wall, 2),
        "peak_mb": result["peak_rss_mb"],
        "store_mb": round(size_of(store) / 1e6, 1),
        "rows": {table: facts["rows"] for table, facts in result["tables"].items()},
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--corpora", default="requests,rich,stdlib,django")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--runs", type=int, default=1)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    found = []
    columns = (
        "corpus",
        "files",
        "lines",
        "anchor_cpu_s",
        "build_cpu_s",
        "ratio",
        "build_wall_s",
        "peak_mb",
        "store_mb",
    )
    print("  ".join(f"{c:>13}" for c in columns), flush=True)
    # Stores are removed at the end: a file system makes new files more slowly where it has just removed many.
    with tempfile.TemporaryDirectory(prefix="codeintel-cold-") as place:
        for name in given.corpora.split(","):
            for _ in range(given.runs):
                row = measured(name, given.jobs, Path(place))
                found.append(row)
                print("  ".join(f"{row[c]!s:>13}" for c in columns), flush=True)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

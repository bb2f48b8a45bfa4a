"""A corpus on Ray against the same on the process pool, in one run; and what a killed node costs.

    python benchmarks/ray_executor.py [--corpus django] [--jobs 2] [--json FILE]

CPU seconds of all processes, Ray's own included, with the start of a cluster of two workers, which does nothing,
taken out of `beyond`. Then a cluster of two nodes, whole and with the second raylet killed in the middle of extraction.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpora import corpus
from process_tree import Tree, built, watched

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.ray.two_nodes import two_nodes

import codeintel

START = """
import time
from codeintel.hamilton_pipeline.ray_workers import ray_cluster
with ray_cluster("", {jobs}, None) as cluster:
    cluster.connect()
    time.sleep({seconds})
"""
LOOPBACK = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def versions(store: Path) -> dict[str, str]:
    return {name: handle.handle(name).version for name, handle in codeintel.open(store).manifest.handles.items()}


def edit(root: Path) -> None:
    """Change one function's body."""
    file = next(path for path in sorted(root.rglob("*.py")) if path.read_text("utf-8", "replace").count("def ") > 20)
    file.write_text(file.read_text() + "\n\ndef benchmark_edit(value):\n    return [value]\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--corpus", default="django")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    jobs = ("--jobs", str(given.jobs))
    found: dict[str, Any] = {}
    print(f"{'build':<28}{'CPU s':>9}{'driver':>9}{'wall s':>9}{'peak MB':>9}", flush=True)

    def told(name: str, tree: Tree) -> Tree:
        found[name] = {
            "cpu_s": round(tree.cpu_s, 2), "driver_cpu_s": round(tree.driver_cpu_s, 2),
            "wall_s": round(tree.wall_s, 2), "peak_mb": round(tree.peak / 1e6),
        }  # fmt: skip
        figures = "".join(f"{value!s:>9}" for value in found[name].values())
        print(f"{name:<28}{figures}", flush=True)
        return tree

    with tempfile.TemporaryDirectory(prefix="codeintel-ray-bench-") as place:
        root = Path(shutil.copytree(corpus(given.corpus), Path(place, "corpus")))
        pool, ray, two, drill = (Path(place, name) for name in ("pool", "ray", "two", "drill"))
        ray_on = ("--executor", "ray", *jobs)
        local, _ = built(root, pool, *jobs)
        told("pool, cold", local)
        remote, _ = built(root, ray, *ray_on)
        told("Ray, cold", remote)
        # As long as the build, since processes of Ray's use something while they wait.
        start = told(
            "starting Ray",
            watched([sys.executable, "-c", START.format(jobs=given.jobs, seconds=max(1.0, remote.wall_s - 6))]),
        )
        cold = versions(pool)
        found["equal_cold"] = cold == versions(ray)
        found["beyond_cold"] = round((remote.cpu_s - start.cpu_s) / local.cpu_s - 1, 3)
        with two_nodes(max(1, given.jobs // 2)) as cluster:
            about = {"beside": [p.pid for p in cluster.raylets.values()], "environment": os.environ | LOOPBACK}  # noqa: TID251 - for a command
            on = ("--executor", "ray", "--ray-address", cluster.address, *jobs)
            told("two nodes, cold", built(root, two, *on, **about)[0])
            found["equal_two_nodes"] = cold == versions(two)
            edit(root)
            told("pool, edit", built(root, pool, *jobs)[0])
            told("two nodes, edit", built(root, two, *on, **about)[0])
            found["equal_edit"] = versions(pool) == versions(two)

            def kill(_driver: int) -> None:
                if cluster.raylets[cluster.second].poll() is None and len([*drill.glob("objects/*/*.arrow")]) > 300:
                    cluster.kill_second()

            tree, said = built(corpus(given.corpus), drill, *on, meanwhile=kill, **about)
            told("two nodes, one killed", tree)
            found["killed"] = cluster.raylets[cluster.second].poll() is not None
            found["equal_drill"] = cold == versions(drill)
            found["drill_tasks"] = said["tasks"]
    for name, value in found.items():
        if not isinstance(value, dict) or name == "drill_tasks":
            print(name, value)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

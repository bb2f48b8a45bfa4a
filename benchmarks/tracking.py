"""Builds that are tracked, against the same builds that are not, while the tracking server does well and badly.

    python benchmarks/tracking.py [--corpus requests] [--rounds 5] [--flush 0.5] [--jobs 2] [--json FILE]

Each round builds the corpus cold, edited and unchanged, first untracked, then against every server; differences are
between neighbours of one round. The server is on loopback: `real` the Hamilton UI itself, the others the stub of the
tests. Goal: tables and exit codes are the same, and no difference of walls above a second and the flush.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from corpora import corpus

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.telemetry.stub import Server, served

SERVERS = ("refused", "latency of 10 s", "errors 500", "dies after half the tasks", "stub", "real")


@contextmanager
def server(name: str, work: Path) -> Iterator[str]:
    match name:
        case "refused":
            yield "http://127.0.0.1:9"
        case "real":
            command = [sys.executable, "-m", "codeintel", "ui", "--port", "0", "--data-dir", str(work / "ui")]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
                assert started.stdout is not None, "it was asked for"
                found = re.search(r"http://127\.0\.0\.1:\d+", started.stdout.readline())
                assert found, "the UI has started"
                yield found[0]
                started.terminate()
        case _:
            # Half of a cold build's updates are one request.
            faults = {"latency of 10 s": {"latency": 10.0}, "errors 500": {"status": 500}}.get(name, {})
            until = "dag_runs_bulk" if name.startswith("dies") else ""
            with served(Server(until=until, **faults)) as stub:  # type: ignore[arg-type]
                yield stub.url


def built(root: Path, store: Path, jobs: int, flush: float, url: str) -> tuple[float, dict[str, Any], int]:
    """Wall seconds, what the build prints and its exit code."""
    environment = {**os.environ, "CODEINTEL_TELEMETRY_FLUSH": str(flush)}  # noqa: TID251 - a command has one
    environment |= {"CODEINTEL_HAMILTON_API_URL": url} if url else {}
    command = [sys.executable, "-m", "codeintel", "build", str(root), "--store", str(store), "--json"]
    began = perf_counter()
    done = subprocess.run(
        [*command, "--jobs", str(jobs), *(["--track"] if url else [])],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    return perf_counter() - began, json.loads(done.stdout), done.returncode


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def shown(told: dict[str, Any]) -> object:
        return told["status"], told["tasks"], told["files"], {n: t["rows"] for n, t in told["tables"].items()}

    return shown(one) == shown(other)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--corpus", default="requests")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--flush", type=float, default=0.5)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    work = Path(tempfile.mkdtemp(prefix="codeintel-tracking-"))
    found: dict[tuple[str, str], list[float]] = {}
    said: dict[str, str] = {}
    differing: list[str] = []
    try:
        for name in SERVERS:
            with server(name, work) as url:
                for number in range(given.rounds):
                    root = work / "repository"
                    shutil.copytree(corpus(given.corpus), root)
                    # Apart from one another, because a tracker goes on for some seconds in the store of its build.
                    stores = {"": work / f"untracked {name} {number}", url: work / f"tracked {name} {number}"}
                    for phase in ("cold", "edit", "no-op"):
                        if phase == "edit":
                            with next(root.rglob("*.py")).open("a") as file:
                                file.write("\nedited = True\n")
                        seconds, told, code = {}, {}, {}
                        for kind, store in stores.items():
                            seconds[kind], told[kind], code[kind] = built(root, store, given.jobs, given.flush, kind)
                        found.setdefault((name, phase), []).append(seconds[url] - seconds[""])
                        said[name] = told[url]["telemetry"]["tracking"]
                        if not same(told[""], told[url]) or code[""] != code[url]:
                            differing.append(f"{name} {phase} {number}")
                    shutil.rmtree(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{'server':26} {'build':6} {'median s':>9} {'least s':>8} {'most s':>7}  said last")
    for (name, phase), values in found.items():
        print(f"{name:26} {phase:6} {median(values):9.2f} {min(values):8.2f} {max(values):7.2f}  {said[name][:60]}")
    print("builds that differ from the untracked ones:", ", ".join(differing) or "none")
    if given.json:
        rows = [{"server": n, "build": p, "seconds": values} for (n, p), values in found.items()]
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

"""Cold build, no-op and one-file edit of a corpus, as whole processes in one run.

    python benchmarks/rebuild.py [--corpus django] [--edit django/shortcuts.py] [--jobs 2] [--json FILE]

CPU seconds are user and system with all children. The edit adds a statement to the first function of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cold import timed
from corpora import corpus


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--corpus", default="django")
    arguments.add_argument("--edit", default="django/shortcuts.py")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    work = Path(tempfile.mkdtemp(prefix="codeintel-rebuild-"))
    root = work / "repository"
    shutil.copytree(corpus(given.corpus), root)
    command = [sys.executable, "-m", "codeintel", "build", str(root), "--jobs", str(given.jobs), "--json"]
    found: list[dict[str, object]] = []
    file = root / given.edit
    before = file.read_text("utf-8")
    cold = 0.0
    print(f"{'build':10} {'CPU s':>8} {'of cold':>8} {'wall s':>8} {'extracted':>10} {'ran':>5} {'reused':>7}")
    try:
        for phase in ("cold", "no-op", "edit", "undo"):
            if phase == "edit":
                file.write_text(re.sub(r"(?m)^(def .*\n(?:.*\n)*?)(    return)", r"\1    len(())\n\2", before, count=1))
            elif phase == "undo":
                file.write_text(before)
            cpu, wall, report = timed(command)
            cold = cpu if phase == "cold" else cold
            result = json.loads(report)
            row = {
                "phase": phase, "cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "files": result["files"],
                "tasks": result["tasks"],
            }  # fmt: skip
            found.append(row)
            print(
                f"{phase:10} {cpu:8.2f} {cpu / cold:8.3f} {wall:8.2f} {result['files']['extracted']:10,} "
                f"{result['tasks']['ran']:5} {result['tasks']['reused']:7}",
                flush=True,
            )
    finally:
        shutil.rmtree(work)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""How a build grows: CPU, wall, memory and disk over lines, of corpora from the package index.

    python benchmarks/scaling.py [--corpora django,m1,m2,big] [--jobs 2] [--memory-limit 4000] [--targets T,…]

CPU seconds of all processes, `driver` those of the one that plans and commits; memory is resident and summed over all
processes at one time, looked at every 50 ms. With `--edit` the build is repeated after
a statement is added to a function, and again after a function is added to the file; in `big` also after one is added
to a file of Django, and to one of its largest program.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from cold import size_of
from corpora import corpus
from process_tree import built

import codeintel


def lines_of(root: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in root.rglob("*") if path.suffix in (".py", ".pyi"))


def heaviest(store: Path) -> list[tuple[str, float, float]]:
    """Tasks by the megabytes of one worker: (task, CPU seconds, megabytes)."""
    runs = codeintel.open(store).manifest.tasks
    found = sorted(((run.worker_mb, name, run.cpu_s) for name, run in runs.items()), reverse=True)
    return [(name, cpu_s, worker_mb) for worker_mb, name, cpu_s in found[:6]]


def edit(root: Path, kind: str) -> None:
    """Change the module of middle size: what a function in it does, or one function more."""
    files = sorted((path for path in root.rglob("*.py")), key=lambda path: (path.stat().st_size, path))
    file = next(path for path in files[len(files) // 2 :] if _FUNCTION.search(path.read_text()))
    content = file.read_text()
    file.unlink()  # it may be linked to from another corpus
    if kind == "body":
        content = _FUNCTION.sub(r"\g<0>    len(())\n", content, count=1)
    else:
        content += "\n\ndef scaling_edit(value):\n    return [value]\n"
    file.write_text(content)


# A function at the top of a module, its head on one line; what follows it is no docstring.
_FUNCTION = re.compile(r"^def \w+\([^\n]*\).*:\n(?=    [a-z])", re.MULTILINE)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--corpora", default="django,m1,m2,big")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--memory-limit", type=int)
    arguments.add_argument("--targets", default="")
    arguments.add_argument("--edit", action="store_true")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    more = ["--jobs", str(given.jobs)]
    more += ["--memory-limit", str(given.memory_limit)] if given.memory_limit else []
    more += [part for target in given.targets.split(",") if target for part in ("--targets", target)]
    found: list[dict[str, Any]] = []
    columns = ("corpus", "build", "files", "lines", "cpu_s", "driver_s", "wall_s", "peak_mb", "store_mb", "cpu_us_line")
    print("".join(f"{name:>18}" for name in columns), flush=True)
    for name in given.corpora.split(","):
        with tempfile.TemporaryDirectory(prefix="codeintel-scaling-") as place:
            root = Path(shutil.copytree(corpus(name), Path(place, "corpus"), copy_function=os.link))
            store, lines = Path(place, "store"), lines_of(corpus(name))
            edits = {"body": root, "function": root} if given.edit else {}
            if edits and name == "big":
                edits |= {f"in {program}": root / program for program in ("django", "homeassistant")}
            for build in ("cold", *edits):
                if build in edits:
                    edit(edits[build], build)
                tree, said = built(root, store, *more)
                files = said["files"]
                row = {
                    "corpus": name, "build": build, "files": files["total"], "lines": lines,
                    "cpu_s": round(tree.cpu_s, 1), "driver_s": round(tree.driver_cpu_s, 1),
                    "wall_s": round(tree.wall_s, 1), "peak_mb": round(tree.peak / 1e6),
                    "store_mb": round(size_of(store) / 1e6), "cpu_us_line": round(tree.cpu_s / lines * 1e6, 1),
                    "resolved": codeintel.open(store).manifest.tasks["resolutions"].reason,
                    "broken": files["failed"] + files["recovered"], "heaviest": heaviest(store),
                }  # fmt: skip
                found.append(row)
                print("".join(f"{row[column]!s:>18}" for column in columns), flush=True)
                print(f"{'':>24}resolutions: {row['resolved']}", flush=True)
                for task, cpu_s, worker_mb in row["heaviest"]:
                    print(f"{'':>24}{task}: {cpu_s:.1f} CPU s, {worker_mb:.0f} MB a worker", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Two hundred small repositories in one `build-many`, with one worker killed and three of them broken on purpose.

    python benchmarks/many.py [--repositories 200] [--jobs 2] [--json FILE]

They are folders of the large corpus, the smallest first that have three files. Then the same command again, and once
more after the three were put right.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from corpora import corpus
from process_tree import EVERY, Tree, children, watched

import codeintel

BROKEN = 3


def split(place: Path, count: int) -> list[Path]:
    """Copies of so many folders that hold Python files."""
    folders = sorted({file.parent for file in corpus("big").rglob("__init__.py")})
    small = [folder for folder in folders if 3 <= len([*folder.glob("*.py")]) <= 30][
        :: max(1, len(folders) // count // 3)
    ]
    chosen = small[:count]
    assert len(chosen) == count, f"{len(chosen)} folders, {count} wanted"
    copies = []
    for number, folder in enumerate(chosen):
        copy = place / f"{number:03}-{folder.name}"
        copy.mkdir()
        for file in folder.glob("*.py"):
            shutil.copy(file, copy)
        copies.append(copy)
    return copies


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--repositories", type=int, default=200)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="codeintel-many-") as name:
        place = Path(name)
        shelf, stores = place / "shelf", place / "stores"
        shelf.mkdir()
        copies = split(shelf, given.repositories)
        listed = place / "list.txt"
        listed.write_text("".join(f"{copy}\n" for copy in copies))
        no_folder, foreign, unreadable = copies[1], copies[len(copies) // 3], copies[len(copies) // 2]
        shutil.rmtree(no_folder)
        (stores / foreign.name).mkdir(parents=True)
        (stores / foreign.name / "somebody's").touch()
        shutil.rmtree(unreadable)
        unreadable.touch()
        command = [sys.executable, "-m", "codeintel", "build-many", str(listed), "--store-root", str(stores), "--json"]
        command += ["--jobs", str(given.jobs)]
        killed: list[int] = []

        def kill(driver: int) -> None:
            if not killed and len([*stores.glob("*/current")]) > given.repositories // 4:
                workers = [pid for pid, command in children(driver).items() if b"spawn_main" in command]
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])

        def told(run: str, tree: Tree) -> None:
            said = json.loads(tree.told)
            found[run] = {key: said[key] for key in ("listed", "done", "unchanged", "failed")} | {
                "cpu_s": round(tree.cpu_s, 1), "wall_s": round(tree.wall_s, 1), "peak_mb": round(tree.peak / 1e6),
                "reasons": [each["reason"] for each in said["repositories"] if each["status"] == "failed"],
            }  # fmt: skip
            print(run, json.dumps(found[run], indent=1), flush=True)

        told("first", watched(command, meanwhile=kill, allowed=(0, 1)))
        print(f"workers killed: {len(killed)}")
        told("second", watched(command, allowed=(0, 1)))
        for copy in (no_folder, unreadable):
            if copy.is_file():
                copy.unlink()
            shutil.copytree(copies[0], copy)
        (stores / foreign.name / "somebody's").unlink()
        told("third", watched(command))
        united = codeintel.open_many(stores)
        (row,) = united.rows("SELECT count(*) AS n, count(DISTINCT repository) AS r FROM cpg_nodes").to_pylist()
        print(f"united: {row['n']:,} nodes of {row['r']} repositories; looked at every {EVERY} s")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

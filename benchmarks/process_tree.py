"""What a command and everything it starts use: CPU seconds, and resident memory summed over all of them at a time.

Linux alone: `/proc` is looked at every 50 ms, so a process is seen though nobody waits for it, as Ray's are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter, sleep
from typing import Any

EVERY = 0.05
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGESIZE")


@dataclass
class Tree:
    """CPU seconds by process, the largest sum of resident bytes, and what of it was the first process's own."""

    cpu: dict[int, float] = field(default_factory=dict)
    peak: int = 0
    wall_s: float = 0.0
    told: str = ""
    root: int = 0

    @property
    def cpu_s(self) -> float:
        return sum(self.cpu.values())

    @property
    def driver_cpu_s(self) -> float:
        return self.cpu.get(self.root, 0.0)

    def look(self, roots: Sequence[int]) -> None:
        """Add what all processes below `roots`, and those seen before, have used by now."""
        found: dict[int, tuple[int, float, int]] = {}
        for place in Path("/proc").iterdir():
            if place.name.isdecimal():
                try:
                    facts = (place / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                found[int(place.name)] = int(facts[1]), (int(facts[11]) + int(facts[12])) / TICKS, int(facts[21]) * PAGE
        ours = {pid for pid in self.cpu if pid in found} | set(roots)
        grown = True
        while grown:
            more = {pid for pid, (parent, _, _) in found.items() if parent in ours} - ours
            ours |= more
            grown = bool(more)
        self.peak = max(self.peak, sum(found[pid][2] for pid in ours if pid in found))
        for pid in ours & found.keys():
            self.cpu[pid] = max(self.cpu.get(pid, 0.0), found[pid][1])


def watched(
    command: Sequence[str],
    *,
    beside: Sequence[int] = (),
    meanwhile: Callable[[int], None] = lambda _pid: None,
    environment: dict[str, str] | None = None,
    allowed: Sequence[int] = (0,),
) -> Tree:
    """Run a command to its end.

    `beside` are processes whose descendants count too; `meanwhile` is called often, with the command's process id.
    Raises CalledProcessError for an exit code that is not `allowed`.
    """
    tree, before = Tree(), Tree()
    before.look(beside)
    began = perf_counter()
    # Not a pipe: nobody reads from it meanwhile, and one that is full stops the command.
    with TemporaryFile("w+") as told, subprocess.Popen(command, stdout=told, env=environment) as process:
        tree.root = process.pid
        while process.poll() is None:
            tree.look([process.pid, *beside])
            meanwhile(process.pid)
            sleep(EVERY)
        told.seek(0)
        tree.told = told.read()
    tree.wall_s = perf_counter() - began
    if process.returncode not in allowed:
        raise subprocess.CalledProcessError(process.returncode, command, tree.told)
    for pid, seconds in before.cpu.items():
        tree.cpu[pid] = tree.cpu.get(pid, seconds) - seconds
    return tree


def children(parent: int) -> dict[int, bytes]:
    """Command lines of a process's children, by process id."""
    found = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                if int((place / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found[int(place.name)] = (place / "cmdline").read_bytes()
            except OSError:
                continue
    return found


def build_command(root: Path, store: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "codeintel", "build", str(root), "--store", str(store), "--json", *more]


def built(root: Path, store: Path, *more: str, **about: Any) -> tuple[Tree, dict[str, Any]]:
    """A build as a command, and what it said."""
    tree = watched(build_command(root, store, *more), **about)
    return tree, json.loads(tree.told)

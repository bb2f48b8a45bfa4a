"""Builds that are killed, and what has to be true after that."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import codeintel
from tests.build.edits import Repository, data_versions, delta_rows, edits, small_repository, write_edit

BUCKETS = 3


@contextmanager
def started(*arguments: object, wait: float = 120.0) -> Iterator[subprocess.Popen[str]]:
    """A `codeintel` command in a process group of its own, which nothing of outlives the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "codeintel", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
        process.wait(wait)
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """`kill -9` for the process and its workers, at once; they are a group that this process started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def command(*arguments: object, wait: float = 120.0) -> subprocess.CompletedProcess[str]:
    with started(*arguments) as process:
        out, err = process.communicate(timeout=wait)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def killed(store: Path, delay: float, *arguments: object) -> bool:
    """Kill a command `delay` seconds after it took the store's lock; whether it was still running."""
    owner = store / "owner.json"
    with started(*arguments) as process:
        while process.poll() is None and not owner.exists():
            time.sleep(0.002)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            kill(process)
            return True
    return False


def kept_results(store: Path) -> dict[str, int]:
    """When each result was remembered, by key. A result that is computed again is remembered again."""
    file = store / "cache" / "results.sqlite"
    if not file.exists():
        return {}
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return dict(connection.execute("SELECT key, sequence FROM results").fetchall())
    except sqlite3.OperationalError:  # killed before there was a table
        return {}
    finally:
        connection.close()


@dataclass
class Trial:
    """One repository and its store, through any number of killed builds."""

    folder: Path
    chance: random.Random
    seconds: float = 1.0  # that a build holds the lock for, about
    files: Repository = field(default_factory=dict)
    kills: int = 0
    wrong: list[str] = field(default_factory=list)
    kept: int = 0
    """Results that a killed build had remembered."""

    @property
    def root(self) -> Path:
        return self.folder / "repository"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def build(self, store: Path | None = None) -> codeintel.BuildResult:
        return codeintel.build(self.root, store=store or self.store, jobs=1, bucket_count=BUCKETS)

    def edit(self, count: int) -> str:
        names = []
        for kind, after in islice(edits(self.files, self.chance), count):
            write_edit(self.root, self.files, after)
            self.files = after
            names.append(kind)
        return ", ".join(names)

    def start(self, *, kills: int = 0) -> None:
        """The first build, after some of it that were killed before there was any run."""
        self.files = small_repository(self.chance)
        write_edit(self.root, {}, self.files)
        (self.root / "pyproject.toml").write_text(f"[tool.codeintel]\nbucket_count = {BUCKETS}\njobs = 2\n")
        for _ in range(kills):
            self.kills += killed(self.store, self.chance.uniform(0, 1), "build", self.root, "--store", self.store)
        with self.told(f"first build after {self.kills} killed ones"):
            before = time.perf_counter()
            self.build()
            self.seconds = time.perf_counter() - before

    def kill_one(self) -> None:
        """Edit, kill a build at a random moment, read, build, compare with a clean build."""
        about = f"kill {self.kills + 1}: {self.edit(self.chance.randint(1, 3))}"
        before = delta_rows(self.store)
        known = kept_results(self.store)
        collecting = self.chance.random() < 0.1
        arguments: tuple[object, ...] = ("build", self.root, "--store", self.store)
        if collecting:
            arguments = ("gc", "--keep", 0, "--store", self.store)
        delay = self.chance.uniform(0, 0.02 if collecting else self.seconds)
        if not killed(self.store, delay, *arguments):
            before = delta_rows(self.store)  # it was done before that
        else:
            self.kills += 1
            about += f", {'gc' if collecting else 'build'} killed {delay:.3f} s after it had the lock"
            with self.told(f"{about}: reading"):
                if delta_rows(self.store) != before and not self._published():
                    self.wrong.append(f"{about}: the run before reads otherwise")
        left = kept_results(self.store)
        self.kept += len(left.keys() - known.keys())
        with self.told(f"{about}: building"):
            self.build()
            again = [key for key, when in kept_results(self.store).items() if key in left and left[key] != when]
            if again and not collecting:
                self.wrong.append(f"{about}: {len(again)} of {len(left)} results were computed again")
            clean = self.folder / "clean"
            self.build(clean)
            if data_versions(self.store) != data_versions(clean):
                self.wrong.append(f"{about}: data versions differ from a clean build's")
            if delta_rows(self.store, head=True) != delta_rows(clean):
                self.wrong.append(f"{about}: heads differ from a clean build's")
        shutil.rmtree(self.folder / "clean", ignore_errors=True)

    def _published(self) -> bool:
        """Whether the killed build had got as far as making its run the current one: then all of it is there."""
        clean = self.folder / "published"
        self.build(clean)
        same = delta_rows(self.store) == delta_rows(clean)
        shutil.rmtree(clean)
        return same

    @contextmanager
    def told(self, about: str) -> Iterator[None]:
        """Whatever is raised is one more thing that is wrong."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a crash is what is looked for
            self.wrong.append(f"{about}: {type(error).__name__}: {error}")


DYING = """
import os, signal, sys
import codeintel.api, codeintel.hamilton_pipeline.pipeline_run
from codeintel.store import delta
real, done = delta.commit_table, []

def commit_table(*arguments, **more):
    version = real(*arguments, **more)
    done.append(version)
    if len(done) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return version

for module in list(sys.modules.values()):
    if getattr(module, "commit_table", None) is real:
        module.commit_table = commit_table
codeintel.build(sys.argv[1], store=sys.argv[2], jobs=1, bucket_count=3)
"""


def die_after_commits(root: Path, store: Path, commits: int) -> None:
    """Build, and die when that many public tables have been committed and nothing has been published."""
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(root), str(store), str(commits)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done


IN_A_SMALL_PLACE = """
import os, subprocess, sys
from pathlib import Path
import codeintel
from tests.build.edits import data_versions, delta_rows
from tests.build.kills import command

root, place = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
store, rest = place / "store", place / "rest"
codeintel.build(root, store=store, jobs=1, bucket_count=3)
run, rows = codeintel.open(store).manifest.run_id, delta_rows(store)
(root / "more.py").write_text("def more():\\n    return 1\\n" * 50)


def fails():
    failed = command("build", root, "--store", store)
    print(failed.returncode, (failed.stdout + failed.stderr).strip())
    assert codeintel.open(store).manifest.run_id == run, "another run is current"
    assert delta_rows(store) == rows, "the last run reads otherwise"


with rest.open("wb", buffering=0) as filling:
    try:
        while True:
            filling.write(b"0" * 4096)
    except OSError:
        pass
fails()
rest.unlink()
subprocess.run(["mount", "-o", "remount,ro", place], check=True)
fails()
subprocess.run(["mount", "-o", "remount,rw", place], check=True)
codeintel.build(root, store=store, jobs=1, bucket_count=3)
clean = root.parent / "clean"
codeintel.build(root, store=clean, jobs=1, bucket_count=3)
assert data_versions(store) == data_versions(clean), "differs from a clean build"
assert delta_rows(store, head=True) == delta_rows(clean), "heads differ from a clean build's"
sys.stdout.flush()
os._exit(0)
"""


def can_mount() -> bool:
    """Whether this user may mount a file system of its own, in a name space of its own."""
    try:
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"], capture_output=True, check=False
        )
    except OSError:
        return False
    return not done.returncode


def in_a_small_place(root: Path, place: Path) -> tuple[str, str]:
    """Build on a file system that is then full, then read-only, then well again; what two commands said meanwhile."""
    place.mkdir()
    (root / "pyproject.toml").write_text(f"[tool.codeintel]\nbucket_count = {BUCKETS}\njobs = 1\n")
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", IN_A_SMALL_PLACE, str(root), str(place)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr
    full, _, read_only = done.stdout.strip().partition("\n")
    return full, read_only


def together(count: int, *arguments: object) -> list[tuple[int, str]]:
    """Exit code and what was said on stderr, of commands that are started at once."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "codeintel", *map(str, arguments)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    told = []
    try:
        for process in processes:
            said = process.communicate(timeout=300)[1]
            told.append((process.returncode, said))
    finally:
        for process in processes:
            kill(process)
    return told


MODULES = "SELECT (SELECT count(*) FROM files) AS f, (SELECT count(*) FROM cpg_nodes WHERE kind = 'Module') AS m"
"""Two counts that are equal in every run, of tables that are committed one after the other."""


def mixed_states(root: Path, store: Path, builds: int, ask: Callable[[], dict[str, Any]]) -> tuple[int, list[str]]:
    """Ask while builds go on, each of a file more; how often, and which answers no single run can give."""
    asked, wrong, least = 0, [], 0
    for n in range(builds):
        (root / f"more_{n}.py").write_text(f"x = {n}\n")
        with started("build", root, "--store", store) as process:
            while process.poll() is None:
                row = ask()
                asked += 1
                if row["f"] != row["m"] or row["f"] < least:
                    wrong.append(f"build {n}: {row} after {least} files")
                least = max(least, row["f"])
    return asked, wrong

"""Kills of real builds at random moments, deaths between a commit and publishing, full disks, crowds and readers.

    python benchmarks/crash.py [--kills 300] [--seed 1] [--json FILE]

A kill is `kill -9` of a command and its workers, a random while after it took the store's lock; one in ten is of `gc`.
After each the current run is read, then there is a build, which must equal a clean one in every row of every table and
data version, heads of Delta tables included, and must not compute again what the killed build had remembered.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build.edits import data_versions, delta_rows
from tests.build.kills import (
    BUCKETS,
    MODULES,
    Trial,
    can_mount,
    command,
    die_after_commits,
    in_a_small_place,
    mixed_states,
    together,
)

import codeintel

PER_REPOSITORY = 20


def kills(count: int, seed: int, work: Path) -> dict[str, Any]:
    done, kept, wrong = 0, 0, list[str]()
    while done < count:
        trial = Trial(work / f"kills-{done}", random.Random(f"{seed} {done}"))
        trial.start(kills=2)
        while trial.kills < min(PER_REPOSITORY, count - done):
            trial.kill_one()
        done += trial.kills
        kept += trial.kept
        wrong += [f"seed {seed} {done - trial.kills}, {each}" for each in trial.wrong]
        shutil.rmtree(trial.folder)
        print(f"{done} kills, {kept} results kept by what was killed, {len(wrong)} wrong", flush=True)
    return {"kills": done, "results_kept": kept, "wrong": wrong}


def small(work: Path, name: str) -> Trial:
    trial = Trial(work / name, random.Random(name))
    trial.start()
    return trial


def dying(work: Path) -> str:
    """After each number of commits: the edit is undone, and the heads equal a clean build's."""
    for commits in range(1, 6):
        trial = small(work, f"dying-{commits}")
        before = delta_rows(trial.store)
        touched = trial.root / "pkg/m0.py"
        text = touched.read_text()
        touched.write_text("import json\n\n\ndef anew(x):\n    return json.dumps([x, 'new'])\n")
        (trial.root / "broken.py").write_text("def f(:\n")  # so that every public table changes
        die_after_commits(trial.root, trial.store, commits)
        assert delta_rows(trial.store) == before, "the run before reads otherwise"
        touched.write_text(text)
        (trial.root / "broken.py").unlink()
        trial.build()
        trial.build(trial.folder / "clean")
        assert delta_rows(trial.store, head=True) == delta_rows(trial.folder / "clean"), f"{commits} commits"
        assert data_versions(trial.store) == data_versions(trial.folder / "clean"), f"{commits} commits"
    return "1 to 5 tables committed, then died, edit undone: heads equal a clean build's"


def small_disk(work: Path) -> str:
    if not can_mount():
        return "left out: this user may not mount a file system in a name space"
    trial = small(work, "disk")
    full, read_only = in_a_small_place(trial.root, trial.folder / "place")
    assert full.startswith("3 error: "), full
    assert read_only.startswith("3 error: "), read_only
    return f"last run current, then equal to a clean build; said:\n  {full}\n  {read_only}"


def crowd(work: Path) -> str:
    trial = small(work, "crowd")
    trial.edit(3)
    arguments = ("build", trial.root, "--store", trial.store)
    leaving = together(4, *arguments)
    assert any(code == 0 for code, _ in leaving), leaving
    assert all(code == 0 or (code == 3 and "is busy" in said) for code, said in leaving), leaving
    trial.edit(3)
    waiting = together(4, *arguments, "--wait", 200)
    assert [code for code, _ in waiting] == [0] * 4, waiting
    trial.build(trial.folder / "clean")
    assert delta_rows(trial.store, head=True) == delta_rows(trial.folder / "clean")
    return f"of 4 at once {sum(code == 3 for code, _ in leaving)} left with a message; with --wait all 4 ended well"


def readers(work: Path) -> str:
    trial = small(work, "readers")

    def ask() -> dict[str, Any]:
        done = command("sql", MODULES, "--store", trial.store, "--json")
        assert not done.returncode, done.stderr
        return json.loads(done.stdout)[0]

    asked, wrong = mixed_states(trial.root, trial.store, 10, ask)
    more, as_well = mixed_states(
        trial.root, trial.store, 10, lambda: codeintel.open(trial.store).rows(MODULES).to_pylist()[0]
    )
    assert not [*wrong, *as_well], [*wrong, *as_well]
    return f"{asked} processes and {more} queries of one process asked during 20 builds: no mixed state"


def pinned(work: Path) -> str:
    """Every run that `gc` keeps reads as it did, through Delta by version and through its objects."""
    trial = small(work, "pinned")
    runs = []
    for _ in range(4):
        trial.edit(3)
        trial.build()
        manifest = codeintel.open(trial.store).manifest
        runs.append((manifest, all_rows(trial, manifest.run_id), delta_rows(trial.store)))
    opened = codeintel.open(trial.store, runs[1][0].run_id)
    done = json.loads(command("gc", "--keep", 3, "--store", trial.store, "--json").stdout)
    assert {manifest.run_id for manifest, _, _ in runs[1:]} <= set(done["kept"]), done
    for manifest, rows, delta in runs[1:]:
        assert all_rows(trial, manifest.run_id) == rows
        for name, table in manifest.tables.items():
            found = DeltaTable(trial.store / table.path, version=table.version).to_pyarrow_table()
            assert sorted(map(repr, found.select(sorted(found.schema.names)).to_pylist())) == delta[name]
    assert opened.rows("SELECT count(*) AS n FROM cpg_nodes").num_rows == 1
    return f"3 kept runs of 4 read as before, {done['files']} files went"


def all_rows(trial: Trial, run: str) -> dict[str, list[dict[str, Any]]]:
    snapshot = codeintel.open(trial.store, run)
    return {name: snapshot.table(name).to_pylist() for name in snapshot.manifest.handles}


CHECKS: tuple[Callable[[Path], str], ...] = (dying, small_disk, crowd, readers, pinned)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--kills", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    work = Path(tempfile.mkdtemp(prefix="codeintel-crash-"))
    found: dict[str, Any] = {"buckets": BUCKETS}
    failed = False
    try:
        for check in CHECKS:
            try:
                found[check.__name__] = check(work)
            except (AssertionError, codeintel.CodeintelError, subprocess.SubprocessError) as error:
                found[check.__name__], failed = f"WRONG: {type(error).__name__}: {error}", True
            print(f"{check.__name__}: {found[check.__name__]}", flush=True)
        found["kills"] = kills(given.kills, given.seed, work)
    finally:
        shutil.rmtree(work)
    wrong = found["kills"]["wrong"]
    print("\n".join(wrong))
    print(f"{found['kills']['kills']} kills: {len(wrong)} times something was stale, unreadable or repeated")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return bool(wrong or failed)


if __name__ == "__main__":
    raise SystemExit(main())

"""Kills, full disks and crowds; `python benchmarks/crash.py` has hundreds of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import codeintel
from tests.build.conftest import write_repository
from tests.build.edits import data_versions, delta_rows
from tests.build.kills import (
    MODULES,
    Trial,
    can_mount,
    die_after_commits,
    in_a_small_place,
    mixed_states,
    together,
)

FILES = {"a.py": "x = 1\n", "b.py": "from a import x\n\n\ndef f():\n    return x\n", "c.py": "import b\nb.f()\n"}


@pytest.mark.parametrize("seed", range(5))
def test_a_build_after_a_killed_one_equals_a_clean_one_and_repeats_nothing(tmp_path: Path, seed: int) -> None:
    trial = Trial(tmp_path, random.Random(seed))
    trial.start()
    trial.kill_one()
    assert trial.wrong == []


def test_what_a_build_had_committed_when_it_died_is_gone_after_its_edit_is_undone(tmp_path: Path) -> None:
    root, store, clean = write_repository(tmp_path / "r", FILES), tmp_path / "store", tmp_path / "clean"
    codeintel.build(root, store=store, jobs=1, bucket_count=3)
    run = codeintel.open(store).manifest.run_id
    write_repository(root, {"b.py": "def g(y):\n    return [y, 'new']\n"})
    die_after_commits(root, store, 2)
    assert codeintel.open(store).manifest.run_id == run
    assert delta_rows(store) != delta_rows(store, head=True)
    write_repository(root, FILES)
    codeintel.build(root, store=store, jobs=1, bucket_count=3)
    codeintel.build(root, store=clean, jobs=1, bucket_count=3)
    assert delta_rows(store, head=True) == delta_rows(store) == delta_rows(clean)
    assert data_versions(store) == data_versions(clean)


@pytest.mark.skipif(not can_mount(), reason="needs a name space to mount in")
def test_a_disk_that_is_full_or_read_only_is_told_and_the_last_run_stays_current(tmp_path: Path) -> None:
    full, read_only = in_a_small_place(write_repository(tmp_path / "r", FILES), tmp_path / "place")
    assert full.startswith("3 error: ")
    assert full.endswith("No space left on device")
    assert read_only.startswith("3 error: ")
    assert read_only.endswith("Read-only file system")


def test_of_builds_started_at_once_one_runs_and_the_others_leave_or_wait_as_asked(tmp_path: Path) -> None:
    root, store = write_repository(tmp_path / "r", FILES), tmp_path / "store"
    leaving = together(2, "build", root, "--store", store)
    assert 0 in {code for code, _ in leaving}, leaving
    assert all(code == 0 or (code == 3 and "is busy" in said) for code, said in leaving), leaving
    assert [code for code, _ in together(2, "build", root, "--store", store, "--wait", 100)] == [0, 0]


def test_who_reads_while_builds_go_on_sees_one_run_at_a_time(tmp_path: Path) -> None:
    root, store = write_repository(tmp_path / "r", FILES), tmp_path / "store"
    codeintel.build(root, store=store, jobs=1)
    asked, wrong = mixed_states(root, store, 1, lambda: codeintel.open(store).rows(MODULES).to_pylist()[0])
    assert asked > 5
    assert wrong == []

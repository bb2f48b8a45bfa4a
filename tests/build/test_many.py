"""Many repositories: each its own store, shared workers, and what is wrong with one is nothing to the others."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import codeintel
from codeintel.errors import StoreError, UsageError
from codeintel.many import Outcome, repositories
from codeintel.settings import Settings
from tests.build.conftest import FILES, write_repository

SMALL = Settings(jobs=1, bucket_count=4)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Four repositories, of which `gone` is none and `taken` has no place for its store."""
    for name in ("one", "two", "taken", "three"):
        write_repository(tmp_path / "shelf" / name, FILES | {f"{name}.py": f"import shop\n\ndef {name}():\n    pass\n"})
    (tmp_path / "shelf" / "gone").touch()
    (tmp_path / "stores" / "taken").mkdir(parents=True)
    (tmp_path / "stores" / "taken" / "somebody's").touch()
    return tmp_path / "shelf"


def listed(shelf: Path) -> dict[str, Path]:
    return {name: shelf / name for name in ("one", "gone", "two", "taken", "three")}


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_what_is_wrong_with_one_stops_no_other_and_a_second_run_does_what_is_missing(shelf: Path) -> None:
    stores = shelf.parent / "stores"
    first = codeintel.build_many(listed(shelf), stores, settings=SMALL)
    assert statuses(first) == ["done", "failed", "done", "failed", "done"]
    assert "is a file" in first[1].reason
    assert "is not a codeintel store" in first[3].reason
    (stores / "taken" / "somebody's").unlink()
    assert statuses(codeintel.build_many(listed(shelf), stores, settings=SMALL)) == [
        "unchanged", "failed", "unchanged", "done", "unchanged",
    ]  # fmt: skip


def test_tables_are_those_of_single_builds_and_ask_as_one(shelf: Path, tmp_path: Path) -> None:
    stores = shelf.parent / "stores"
    codeintel.build_many({name: shelf / name for name in ("one", "two")}, stores, settings=SMALL)
    codeintel.build(shelf / "two", store=tmp_path / "alone", jobs=1, bucket_count=4, namespace="two")
    alone, of_many = codeintel.open(tmp_path / "alone"), codeintel.open(stores / "two")
    for table in of_many.manifest.tables:
        assert of_many.table(table).equals(alone.table(table))
    united = codeintel.open_many(stores)
    (counted,) = united.rows(
        "SELECT count(*) AS rows, count(DISTINCT n.node_id) AS ids, count(DISTINCT n.repository) AS repositories "
        "FROM cpg_nodes AS n JOIN files AS f ON f.repository = n.repository AND f.path = n.path"
    ).to_pylist()
    own = [
        codeintel.open(stores / name).table("cpg_nodes", ["node_id"], "path <> '<external>'") for name in ("one", "two")
    ]
    assert counted == {"rows": sum(t.num_rows for t in own), "ids": sum(t.num_rows for t in own), "repositories": 2}
    assert not [*stores.glob(".asked-*")]


def test_a_worker_that_is_killed_between_builds_costs_none_of_them(shelf: Path) -> None:
    killed: list[int] = []

    def kill(_outcome: Outcome) -> None:
        for process in [] if killed else multiprocessing.active_children():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.pid)

    found = {name: shelf / name for name in ("one", "two", "three")}
    outcomes = codeintel.build_many(found, shelf.parent / "stores", settings=SMALL, told=kill)
    assert [o.reason for o in outcomes] == [""] * 3
    assert len(killed) == 1
    assert multiprocessing.active_children() == []


def test_a_list_may_be_a_folder_or_a_file_and_names_stay_apart(shelf: Path, tmp_path: Path) -> None:
    assert [*repositories(shelf, tmp_path)] == ["one", "taken", "three", "two"]
    (tmp_path / "list.txt").write_text(f"# mine\nshelf/one\n\n{shelf / 'two'}\nother/one\nshelf/one\n")
    named = repositories(tmp_path / "list.txt", tmp_path)
    assert [name.split("-")[0] for name in named] == ["one", "two", "one"]
    assert [*named.values()] == [shelf / "one", shelf / "two", tmp_path / "other" / "one"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="names no repository"):
        repositories(tmp_path / "empty", tmp_path)


def test_a_repository_keeps_its_store_when_another_of_its_name_is_listed_and_may_have_any_name(tmp_path: Path) -> None:
    for path in ("r", "x/r", "plans"):
        write_repository(tmp_path / path, {"a.py": "x = 1\n"})
    stores = tmp_path / "stores"
    (tmp_path / "list.txt").write_text("r\nplans\n")
    first = codeintel.build_many(repositories(tmp_path / "list.txt", stores), stores, settings=SMALL)
    assert [(o.name, o.status) for o in first] == [("r", "done"), ("plans", "done")]
    (tmp_path / "list.txt").write_text("x/r\nr\nplans\n")
    again = codeintel.build_many(repositories(tmp_path / "list.txt", stores), stores, settings=SMALL)
    assert [o.status for o in again] == ["done", "unchanged", "unchanged"]
    assert again[1].name == "r"


def test_without_built_stores_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no built stores"):
        codeintel.open_many(tmp_path)


def test_the_command_line_tells_each_and_exits_1_if_any_failed(shelf: Path) -> None:
    stores = shelf.parent / "stores"
    file = shelf.parent / "list"
    file.write_text("shelf/one\nshelf/gone\n")
    command = [sys.executable, "-m", "codeintel", "build-many", str(file), "--store-root", str(stores), "--jobs", "1"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["failed"], json.loads(done.stdout)["done"]) == (1, 1, 1)
    asked = [sys.executable, "-m", "codeintel", "sql", "--store-root", str(stores), "--format", "csv"]
    told = subprocess.run(
        [*asked, "SELECT repository, count(*) AS n FROM files GROUP BY 1"], capture_output=True, text=True
    )
    assert told.stdout == "repository,n\none,8\n"
    wrong = subprocess.run([*asked, "--run", "x", "SELECT 1"], capture_output=True, text=True)
    assert (wrong.returncode, "no --store, --run or --artifacts" in wrong.stderr) == (2, True)

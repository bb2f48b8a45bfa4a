"""Garbage collection: what kept runs reach can be read and reused afterwards; the rest is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import codeintel
from codeintel.store.collection import collect
from codeintel.store.directory import open_store

Make = Callable[[Mapping[str, str | bytes]], Path]


def count(root: Path, run: str | None = None) -> int:
    found = codeintel.open(root / ".codeintel", run).sql("SELECT count(*) AS n FROM cpg_nodes").to_arrow_table()
    return found.to_pylist()[0]["n"]


def objects(root: Path) -> int:
    return sum(1 for path in (root / ".codeintel/objects").rglob("*") if path.is_file())


def collected(root: Path, keep: int, *, dry_run: bool = False) -> tuple[int, int]:
    store = open_store(root / ".codeintel")
    with store.writing(datetime.now(UTC), 0):
        done = collect(store, keep, dry_run=dry_run)
    return len(done.runs), done.files


def test_a_kept_run_stays_readable_and_what_only_others_reached_goes(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n", "b.py": "y = 2\n"})
    runs, counts = [], []
    for text in ("x = 1\n", "x = 1 + 1\n", "x = 1 + 1 + 1\n"):
        (root / "a.py").write_text(text)
        runs.append(codeintel.build(root, jobs=1).run_id)
        counts.append(count(root))
    before = objects(root)
    would = collected(root, 2, dry_run=True)
    assert objects(root) == before
    assert collected(root, 2) == would
    assert would[0] == 1
    assert objects(root) < before
    assert (count(root, runs[1]), count(root)) == (counts[1], counts[2])
    assert codeintel.build(root, jobs=1).files["extracted"] == 0
    (root / "a.py").write_text("x = 1\n")
    result = codeintel.build(root, jobs=1)
    assert (result.status, result.files["extracted"], count(root)) == ("ok", 1, counts[0])


def test_collecting_twice_finds_nothing_more(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    codeintel.build(root, jobs=1)
    codeintel.build(root, jobs=1)
    assert collected(root, 0)[0] == 1
    assert collected(root, 0) == (0, 0)
    assert codeintel.build(root, jobs=1).tasks["ran"] == 3

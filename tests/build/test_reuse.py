"""Reuse: what nothing it was made of has changed is not made again, and what is made again is right."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codeintel
from codeintel.hamilton_pipeline.lifecycle import Watch
from codeintel.store.directory import open_store
from codeintel.store.handles import object_path
from tests.build.conftest import FILES, write_repository

Make = Callable[[Mapping[str, str | bytes]], Path]
SOURCES = {"repo_files", "node_kinds", "external_file"}


def outcomes(store: Path) -> dict[str, str]:
    return {name: run.outcome for name, run in codeintel.open(store).manifest.tasks.items()}


def ran(store: Path) -> set[str]:
    return {name for name, outcome in outcomes(store).items() if outcome == "ran"}


def reasons(store: Path) -> dict[str, str]:
    return {name: run.reason for name, run in codeintel.open(store).manifest.tasks.items()}


def versions(store: Path) -> dict[str, str]:
    return {name: h.handle(name).version for name, h in codeintel.open(store).manifest.handles.items()}


def rows(store: Path) -> dict[str, list[dict[str, object]]]:
    """Every public table as a reader of Delta sees it."""
    snapshot = codeintel.open(store)
    names = snapshot.manifest.tables
    return {
        name: sorted(snapshot.sql(f"SELECT * FROM {name}").to_arrow_table().to_pylist(), key=repr) for name in names
    }


def test_a_build_in_which_nothing_changed_runs_only_the_sources_and_commits_nothing(make_repository: Make) -> None:
    root = make_repository(FILES)
    first = codeintel.build(root, jobs=1)
    second = codeintel.build(root, jobs=1)
    assert ran(root / ".codeintel") <= SOURCES
    assert second.files == {"total": 7, "extracted": 0, "reused": 7, "recovered": 0, "failed": 1}
    assert second.tables == first.tables


def test_a_body_edit_extracts_one_file_and_its_undoing_none(make_repository: Make) -> None:
    root = make_repository(FILES)
    store = root / ".codeintel"
    codeintel.build(root, jobs=1)
    before = versions(store)
    text = (root / "shop/prices.py").read_text()
    (root / "shop/prices.py").write_text(text.replace("return default", "unread = 1\n    return default"))
    edited = codeintel.build(root, jobs=1)
    assert edited.files["extracted"] == 1
    assert {n for n, o in outcomes(store).items() if o == "reused"} >= {
        "modules",
        "import_targets",
        "import_edges",
        "external_nodes",
    }
    assert reasons(store)["cpg_nodes"] == f"1 of {len({*rows_by_bucket(store, 'cpg_nodes')})} buckets"
    (root / "shop/prices.py").write_text(text)
    undone = codeintel.build(root, jobs=1)
    assert undone.files["extracted"] == 0
    assert ran(store) <= SOURCES
    assert versions(store) == before


def rows_by_bucket(store: Path, table: str) -> dict[int, int]:
    handle = codeintel.open(store).manifest.handles[table].handle(table)
    return {bucket: part.rows for bucket, part in handle.partitions.items()}


def test_only_the_changed_file_of_a_bucket_is_extracted_again(make_repository: Make) -> None:
    root = make_repository({f"m{i}.py": f"def f{i}(x):\n    return x + {i}\n" for i in range(12)})
    codeintel.build(root, jobs=1, bucket_count=1)
    (root / "m3.py").write_text("def f3(x, y):\n    return x * y\n")
    assert codeintel.build(root, jobs=1, bucket_count=1).files == {
        "total": 12, "extracted": 1, "reused": 11, "recovered": 0, "failed": 0,
    }  # fmt: skip
    clean = root.parent / "clean"
    codeintel.build(root, jobs=1, bucket_count=1, store=clean)
    assert versions(root / ".codeintel") == versions(clean)


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "delete", "rename"]),
        st.sampled_from(["a.py", "b.py", "pkg/__init__.py", "pkg/c.py", "pkg/d.py"]),
        st.sampled_from([
            "x = 1\n", "import os\nfrom pkg import c\n\ndef f(a):\n    return os.path.join(a, c.g)\n",
            "from .d import *\nclass C:\n    def m(self): return len(self.x)\n", "def broken(:\n", "",
            "g = [i for i in range(3) if i]\n__all__ = ['g']\n",
        ]),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EDITS, min_size=1, max_size=3))
def test_incremental_builds_equal_clean_ones_row_for_row(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str, str]]]
) -> None:
    base = tmp_path_factory.mktemp("edits")
    root = write_repository(base / "r", {"keep.py": "import a\nprint(a)\n", "pkg/c.py": "g = 1\n"})
    codeintel.build(root, jobs=1, bucket_count=3)
    for edits in rounds:
        for action, name, text in edits:
            file = root / name
            if action == "delete":
                file.unlink(missing_ok=True)
            elif action == "rename" and file.exists():
                file.rename(file.with_name(f"moved_{file.name}"))
            else:
                write_repository(root, {name: text})
        codeintel.build(root, jobs=1, bucket_count=3)
    clean = base / "clean"
    codeintel.build(root, jobs=1, bucket_count=3, store=clean)
    assert versions(root / ".codeintel") == versions(clean)
    assert rows(root / ".codeintel") == rows(clean)


def test_a_changed_view_disturbs_only_what_reads_it(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository({"a.py": "def f():\n    return 1\n"})
    store, views = root / ".codeintel", tmp_path / "views"
    write_repository(views, {
        "functions.sql": "SELECT node_id, path, bucket FROM cpg_nodes WHERE label = 'METHOD'",
        "how_many.sql": "SELECT count(*) AS n FROM functions", "other.sql": "SELECT path FROM files",
    })  # fmt: skip
    codeintel.build(root, views=(views,), jobs=1)
    write_repository(
        views, {"functions.sql": "-- said anew\nSELECT node_id,  path, bucket FROM cpg_nodes WHERE label = 'METHOD'"}
    )
    codeintel.build(root, views=(views,), jobs=1)
    assert ran(store) <= SOURCES
    write_repository(views, {"functions.sql": "SELECT node_id, path, bucket FROM cpg_nodes WHERE kind = 'FunctionDef'"})
    codeintel.build(root, views=(views,), jobs=1)
    assert ran(store) - SOURCES == {"functions"}  # its rows are the same, so what reads them is not disturbed


def test_a_setting_that_rows_depend_on_is_part_of_their_keys(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n", "b.py": "y = 2\n" * 50})
    codeintel.build(root, jobs=1)
    assert codeintel.build(root, jobs=1, max_file_bytes=100).files["failed"] == 1
    again = codeintel.build(root, jobs=1)
    assert (again.files["failed"], again.files["extracted"]) == (0, 0)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_or_missing_object_is_made_again_and_never_read(
    make_repository: Make, tmp_path: Path, damage: bytes | None
) -> None:
    root = make_repository(FILES)
    store = root / ".codeintel"
    codeintel.build(root, jobs=1)
    clean, before = tmp_path / "clean", rows(store)
    shutil.copytree(store, clean)
    place = open_store(store)
    for name, stored in codeintel.open(store).manifest.handles.items():
        for part in stored.handle(name).partitions.values():
            path = object_path(place.objects, part)
            if damage is None:
                path.unlink(missing_ok=True)
            elif path.exists():
                path.write_bytes(damage)
    (root / "shop/prices.py").write_text((root / "shop/prices.py").read_text() + "\nNEW = 1\n")
    assert codeintel.build(root, jobs=1).status == "ok"
    codeintel.build(root, jobs=1, store=clean)
    assert rows(store) == rows(clean)
    assert rows(store) != before


def test_the_policy_off_computes_everything(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    codeintel.build(root, jobs=1)
    result = codeintel.build(root, jobs=1, cache_policy="off")
    assert (result.tasks["reused"], result.files["extracted"]) == (0, 1)


def test_a_second_build_after_a_failure_repeats_none_of_the_work_that_was_done(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository(FILES)
    views = write_repository(tmp_path / "views", {"bad.sql": "SELECT path, CAST(module AS INT) AS n FROM files"})
    assert codeintel.build(root, views=(views,), jobs=1).status == "failed"
    result = codeintel.build(root, jobs=1)
    assert (result.status, result.files["extracted"]) == ("ok", 0)


def test_a_file_that_changed_or_was_gone_while_it_was_read_is_read_when_it_is_as_before(
    make_repository: Make, tmp_path: Path
) -> None:
    files = {f"m{i}.py": f"def f{i}():\n    return {i}\n" for i in range(6)}
    root, store, clean = make_repository(files), tmp_path / "store", tmp_path / "clean"

    def interfere(_task: str, done: int, _total: int) -> None:
        if not done:  # all are listed, and none is read
            (root / "m1.py").write_text("def other(): pass\n")
            (root / "m2.py").unlink()

    codeintel.build(root, store=store, jobs=1, watch=Watch(progress=interfere))
    errors = codeintel.open(store).rows("SELECT path, error FROM extract_errors ORDER BY path").to_pylist()
    assert errors == [{"path": "m1.py", "error": "Changed"}, {"path": "m2.py", "error": "FileNotFoundError"}]
    write_repository(root, files)
    codeintel.build(root, store=store, jobs=1)
    codeintel.build(root, store=clean, jobs=1)
    assert codeintel.open(store).rows("SELECT * FROM extract_errors").num_rows == 0
    assert versions(store) == versions(clean)

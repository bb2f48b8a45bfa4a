"""Builds as a whole: same bytes in, same rows out; failures that lose nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

import codeintel
from codeintel.errors import PlanError, StoreError, UsageError
from tests.build.conftest import FILES

Make = Callable[[Mapping[str, str | bytes]], Path]
PUBLIC = ("cpg_edges", "cpg_nodes", "cpg_props", "extract_errors", "files", "unresolved_calls")


def test_a_second_store_two_jobs_and_another_hash_seed_give_the_same_versions(shop: Path, tmp_path: Path) -> None:
    first = codeintel.open(shop / ".codeintel").manifest
    script = f"import codeintel\ncodeintel.build({str(shop)!r}, store={str(tmp_path / 's')!r}, jobs=2)\n"
    (tmp_path / "build.py").write_text(script)
    subprocess.run([sys.executable, tmp_path / "build.py"], check=True, env={"PYTHONHASHSEED": "7"})
    second = codeintel.open(tmp_path / "s").manifest
    assert second.plan_signature == first.plan_signature
    assert {n: h.handle(n).version for n, h in second.handles.items()} == {
        n: h.handle(n).version for n, h in first.handles.items()
    }


def test_a_build_publishes_all_public_tables_and_counts_files(shop: Path) -> None:
    manifest = codeintel.open(shop / ".codeintel").manifest
    assert tuple(manifest.tables) == PUBLIC
    assert manifest.files == {"total": 7, "extracted": 7, "reused": 0, "recovered": 0, "failed": 1}
    assert {run.outcome for run in manifest.tasks.values()} == {"ran"}


def test_building_again_commits_nothing_new(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    first, second = codeintel.build(root, jobs=1), codeintel.build(root, jobs=1)
    assert {t["version"] for t in second.tables.values()} == {0}
    assert first.tables == second.tables


def test_an_edit_in_one_function_and_a_new_import_move_no_id_of_another_owner(make_repository: Make) -> None:
    text = "import os\n\n\ndef f(a):\n    return a + 1\n\n\nclass C:\n    def m(self):\n        return f(2)\n"
    root = make_repository({"a.py": text})

    def ids() -> dict[int, tuple[str, str | None]]:
        codeintel.build(root, jobs=1)
        found = (
            codeintel.open(root / ".codeintel")
            .sql("""
            SELECT n.node_id, coalesce(o.qualname, n.qualname) AS owner, n.kind FROM cpg_nodes AS n
            LEFT JOIN cpg_nodes AS o ON o.node_id = n.owner_id
            WHERE n.path = 'a.py'
        """)
            .to_arrow_table()
        )
        return {r["node_id"]: (r["owner"], r["kind"]) for r in found.to_pylist()}

    before = ids()
    (root / "a.py").write_text(text.replace("    return a + 1", "    a *= 2\n    return a + 1"))
    after_edit = ids()
    assert {i: o for i, o in before.items() if o[0] != "a.f"} == {i: o for i, o in after_edit.items() if o[0] != "a.f"}
    (root / "a.py").write_text("import sys\n" + text)
    after_import = ids()
    assert {i: o for i, o in before.items() if o[0] != "a"} == {i: o for i, o in after_import.items() if o[0] != "a"}


@pytest.mark.parametrize(
    ("files", "message"),
    [({}, "does not exist"), ({"readme.txt": "hello"}, "no Python")],
)
def test_a_path_that_holds_no_python_is_wrong_use_and_nothing_is_written(
    make_repository: Make, files: dict[str, str], message: str
) -> None:
    root = make_repository(files)
    with pytest.raises(UsageError, match=message):
        codeintel.build(root)
    assert not (root / ".codeintel").exists()


def test_a_store_that_is_not_ours_or_newer_is_refused(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    for content in ('{"format": "other", "format_version": 1, "bucket_count": 1, "namespace": ""}', "{", "[]"):
        store = root.parent / "foreign"
        store.mkdir(exist_ok=True)
        (store / "store.json").write_text(content)
        with pytest.raises(StoreError, match="not a codeintel store"):
            codeintel.build(root, store=store)
    (store / "store.json").write_text(
        '{"format": "codeintel", "format_version": 99, "bucket_count": 64, "namespace": ""}'
    )
    with pytest.raises(StoreError, match="newer"):
        codeintel.build(root, store=store)


def test_a_busy_store_names_its_owner(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    codeintel.build(root, jobs=1)
    script = f"""
import datetime, pathlib, sys, time
from codeintel.store.directory import open_store
with open_store(pathlib.Path({str(root / ".codeintel")!r})).writing(datetime.datetime.now(datetime.UTC), 0):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {owner.pid} on"):
            codeintel.build(root, jobs=1)
        owner.kill()
    assert codeintel.build(root, jobs=1).status == "ok"


def test_a_file_that_kills_its_worker_costs_a_row_and_no_more(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({f"m{i}.py": f"x = {i}\n" for i in range(9)} | {"deadly.py": "x = 'die here'\n"})
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    from tests.build import deadly  # noqa: PLC0415

    result = codeintel.build_pipeline(deadly.PIPELINE, root / ".codeintel", parameters={"repository": root.resolve()})
    assert result.status == "ok"
    found = codeintel.open(root / ".codeintel")
    errors = found.table("extract_errors").to_pylist()
    assert [(e["path"], e["stage"]) for e in errors] == [("deadly.py", "scan")]
    assert "died" in errors[0]["message"]
    assert found.sql("SELECT count(*) AS n FROM files WHERE status = 'ok'").to_arrow_table().to_pylist() == [{"n": 9}]


def test_own_views_are_planned_run_and_published_like_ours(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository(FILES)
    views = tmp_path / "views"
    views.mkdir()
    (views / "functions.sql").write_text(
        "-- key: node_id\nSELECT node_id, qualname, path, bucket FROM cpg_nodes WHERE label = 'METHOD'"
    )
    (views / "function_count.sql").write_text("SELECT count(*) AS n FROM functions")
    result = codeintel.build(root, views=(views,), jobs=1)
    assert result.tables["functions"]["rows"] == 6
    snapshot = codeintel.open(root / ".codeintel")
    assert snapshot.table("function_count").to_pylist() == [{"n": 6}]
    plan = codeintel.compile_plan(root, views=(views,))
    assert plan.tasks["functions"].inputs == {"cpg_nodes": "same_bucket"}
    assert plan.tasks["functions"].columns == {"cpg_nodes": {"node_id", "qualname", "label", "path", "bucket"}}


def test_targets_build_only_what_they_need(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    result = codeintel.build(root, targets=("files",), jobs=1)
    assert tuple(result.tables) == ("files",)
    with pytest.raises(PlanError, match="did you mean cpg_nodes"):
        codeintel.build(root, targets=("cpg_node",))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM cpg_node", "v.sql.*cpg_nodes"),
        ("SELECT pth FROM files", "v.sql.*path"),
        ("SELECT\n  path FRM files", "v.sql"),
        ("DELETE FROM files", "v.sql"),
        ("SELECT path, now() AS t FROM files", "now"),
    ],
)
def test_bad_sql_in_a_view_is_told_with_its_file(make_repository: Make, tmp_path: Path, sql: str, message: str) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "v.sql").write_text(sql)
    with pytest.raises(PlanError, match=message):
        codeintel.build(root, views=(tmp_path / "views",))
    assert not (root / ".codeintel").exists()


def test_a_failing_view_skips_its_readers_and_leaves_the_last_run_current(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    first = codeintel.build(root, jobs=1)
    views = tmp_path / "views"
    views.mkdir()
    (views / "bad.sql").write_text("SELECT path, CAST(module AS INT) AS n FROM files")
    (views / "worse.sql").write_text("SELECT n FROM bad")
    result = codeintel.build(root, views=(views,), jobs=1)
    assert result.status == "failed"
    assert list(result.errors) == ["bad"]
    assert sorted(result.skipped) == ["bad_v1", "worse", "worse_v1"]
    assert all("bad" in reason for reason in result.skipped.values())
    assert result.tables == {}
    assert codeintel.open(root / ".codeintel").manifest.run_id == first.run_id


def test_the_example_pipeline_gives_what_its_arithmetic_says(tmp_path: Path) -> None:
    from examples import orders  # noqa: PLC0415

    orders.write_files(tmp_path)
    result = codeintel.build_pipeline(orders.orders_pipeline(tmp_path), tmp_path / "store")
    assert result.status == "ok"
    snapshot = codeintel.open(tmp_path / "store")
    assert snapshot.table("country_totals").to_pylist() == [
        {"country": "IS", "total": 45.0},
        {"country": "NO", "total": 50.0},
    ]
    assert [r["customer"] for r in snapshot.table("best_customers").to_pylist()] == [1, 2]
    assert isinstance(snapshot.table("never_ordered"), pa.Table)

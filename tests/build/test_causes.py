"""Lineage and causes: what every task was made of, and why it was made again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hamilton import ad_hoc_utils, driver
from hamilton.caching import cache_key as hamilton_keys
from hypothesis import given
from hypothesis import strategies as st

import codeintel
from codeintel import api
from codeintel.errors import PlanError, UsageError
from codeintel.hamilton_pipeline.cache_adapter import CausalCacheAdapter, NodeMetadata, NodeValues
from codeintel.hamilton_pipeline.cache_lineage import LINEAGE, lineage_of
from codeintel.hamilton_pipeline.cache_policy import POLICIES
from codeintel.settings import load_settings
from codeintel.store.directory import open_store
from codeintel.store.results import Results, cache_key
from tests.build.conftest import FILES, write_repository

Make = Callable[[Mapping[str, str | bytes]], Path]
NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1)


@given(NAMES, NAMES, st.dictionaries(NAMES, NAMES, max_size=4))
def test_keys_are_hamiltons_own_and_its_decoder_reads_them(node: str, code: str, dependencies: dict[str, str]) -> None:
    key = cache_key(node, code, dependencies)
    assert key == hamilton_keys.create_cache_key(node, code, dependencies)
    assert hamilton_keys.decode_key(key)["dependencies_data_versions"] == dependencies


def test_lineage_has_every_task_decodes_and_is_the_same_in_a_second_store(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository(FILES)
    runs = [codeintel.build(root, jobs=1, store=tmp_path / name) for name in ("one", "two")]
    one, two = (lineage_of(open_store(Path(r.store)), r.run_id) for r in runs)
    assert one == two
    assert [row.node_name for row in one] == sorted(codeintel.open(tmp_path / "one").manifest.tasks)
    for row in one:
        decoded = hamilton_keys.decode_key(row.cache_key)
        assert decoded == {
            "node_name": row.node_name,
            "code_version": row.task_signature,
            "dependencies_data_versions": row.dependencies_data_versions,
        }
        assert row.behavior == ("default" if row.dependencies_data_versions else "recompute")
    outputs = {row.node_name: row for row in one if row.node_name.endswith("_v1")}
    assert len(outputs) == 6
    assert {row.dependencies_data_versions["plan_signature"] for row in outputs.values()} == {runs[0].plan_signature}
    assert not [
        row for row in one if row.node_name not in outputs and "plan_signature" in row.dependencies_data_versions
    ]


def test_lineage_of_a_build_without_changes_has_the_hits_and_can_be_asked_in_sql(make_repository: Make) -> None:
    root = make_repository(FILES)
    first, second = codeintel.build(root, jobs=1), codeintel.build(root, jobs=1)
    place = open_store(root / ".codeintel")
    before, after = lineage_of(place, first.run_id), lineage_of(place, second.run_id)
    assert [row[:7] for row in before] == [row[:7] for row in after]
    assert {row.outcome for row in after if row.behavior == "default"} == {"reused"}
    assert {row.cause for row in after} == {""}
    query = f"SELECT count(*) AS n FROM {LINEAGE} WHERE run_id = '{second.run_id}' AND outcome = 'reused'"
    assert codeintel.open(root / ".codeintel").rows(query, artifacts=True).to_pylist() == [{"n": len(after) - 3}]


def test_external_reads_are_made_again_even_when_everything_is_cached(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    codeintel.build(root, jobs=1)
    for text in ("x = 2\n", "x = 1\n", "x = 3\n"):  # of one size, and in the same second
        (root / "a.py").write_text(text)
        codeintel.build(root, jobs=1)
        query = "SELECT value FROM cpg_props WHERE key = 'value'"
        values = codeintel.open(root / ".codeintel").rows(query).to_pylist()
        assert values == [{"value": text[4]}]


def test_why_names_the_file_that_changed(make_repository: Make) -> None:
    root = make_repository(FILES)
    store = root / ".codeintel"
    codeintel.build(root, jobs=1)
    assert {step.cause for step in codeintel.why(store, "cpg_edges").chain} == {"new"}
    (root / "shop/prices.py").write_text("PRICES = {}\n")
    (root / "tools/new.py").write_text("")
    (root / "latin.py").unlink()
    codeintel.build(root, jobs=1)
    found = codeintel.why(store, "cpg_edges")
    assert [step.outcome for step in found.chain] == ["ran"] * len(found.chain)
    assert found.chain[-1].name == "repo_files"
    assert found.chain[-1].cause == "file latin.py deleted; file shop/prices.py changed; file tools/new.py added"
    for above, below in pairwise(found.chain):
        assert above.cause == f"input {below.name} changed"
    assert codeintel.why(store, "shop/prices.py").chain[0].cause == "file shop/prices.py changed"
    assert codeintel.why(store, "shop/cart.py").outcome == "reused"
    assert codeintel.why(store, "latin.py").outcome == "deleted"
    codeintel.build(root, jobs=1)
    assert codeintel.why(store, "cpg_edges").outcome == "reused"
    with pytest.raises(UsageError, match="shop/cart"):
        codeintel.why(store, "shop/card.py")


def test_why_names_the_view_the_setting_and_the_failed_ancestor(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    store, views = root / ".codeintel", tmp_path / "views"
    write_repository(views, {"one.sql": "SELECT path FROM files", "two.sql": "SELECT count(*) AS n FROM one"})
    codeintel.build(root, views=(views,), jobs=1)
    write_repository(views, {"one.sql": "SELECT path || 'x' AS path FROM files"})
    codeintel.build(root, views=(views,), jobs=1)
    assert [(s.name, s.cause) for s in codeintel.why(store, "two_v1").chain] == [
        ("two_v1", "plan changed"),
    ]
    assert [(s.name, s.cause) for s in codeintel.why(store, "two").chain] == [
        ("two", "input one changed"), ("one", "sql changed"),
    ]  # fmt: skip
    codeintel.build(root, views=(views,), jobs=1, max_file_bytes=1)
    assert codeintel.why(store, "cpg_nodes").chain[-1].cause == "setting max_file_bytes changed"
    write_repository(views, {"one.sql": "SELECT CAST(path AS INT) AS path FROM files"})
    failed = codeintel.build(root, views=(views,), jobs=1)
    chain = codeintel.why(store, "two", failed.run_id).chain
    assert [(step.name, step.outcome) for step in chain] == [("two", "skipped"), ("one", "failed")]


NO_OP = """
import sys
from codeintel.cli import main
sys.argv = ["codeintel", "build", sys.argv[1], "--json"]
import os
leave = os._exit
def told(code):
    sys.stderr.write(" ".join(sorted({n.partition(".")[0] for n in sys.modules})))
    sys.stderr.flush()
    leave(code)
os._exit = told
main()
"""


def test_a_build_without_changes_imports_no_engine(make_repository: Make) -> None:
    root = make_repository(FILES)
    codeintel.build(root)
    done = subprocess.run([sys.executable, "-c", NO_OP, str(root)], capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert "codeintel" in imported
    assert not imported & {"hamilton", "datafusion", "pyarrow", "numpy", "pandas", "deltalake", "sqlglot"}
    assert len(codeintel.open(root / ".codeintel").manifest.handles) > 20


def test_plan_says_what_the_build_then_does(make_repository: Make) -> None:
    root = make_repository(FILES)
    settings = load_settings({"jobs": 1}, {}, {}, repository=root)

    def actions() -> dict[str, str]:
        plan = api.compile_plan(root, settings=settings)
        return {name: action for name, (action, _) in api.plan_actions(root, plan, settings).items()}

    assert set(actions().values()) == {"run"}
    codeintel.build(root, settings=settings)
    predicted = actions()
    assert set(predicted.values()) == {"run", "reuse"}
    (root / "shop/prices.py").write_text("PRICES = {}\n")
    predicted = actions()
    assert predicted["python_facts"] == "maybe"
    codeintel.build(root, settings=settings)
    ran = {name for name, run in codeintel.open(root / ".codeintel").manifest.tasks.items() if run.outcome == "ran"}
    assert ran <= {name for name, action in predicted.items() if action in ("run", "maybe")}


def test_policies_never_disable_what_stands_above_a_planned_task() -> None:
    strict = POLICIES["strict_causal"]
    assert (strict.planned, strict.loader, strict.saver) == ("default", "recompute", "disable")
    assert "disable" not in (strict.plan_node, strict.plain, strict.loader, strict.planned)
    assert strict.unversioned_input == "error"
    assert all(policy.log_to_file for policy in POLICIES.values())


def test_hamiltons_own_view_of_a_run_has_every_task_hits_included(make_repository: Make) -> None:
    root = make_repository(FILES)
    codeintel.build(root, jobs=1)
    second = codeintel.build(root, jobs=1)
    place = open_store(root / ".codeintel")
    with closing(Results(place.cache, place.objects)) as results:
        metadata = NodeMetadata(place, results)
        assert metadata.get_run_ids()[-1] == metadata.last_run_id == second.run_id
        rows = metadata.get_run(second.run_id)
        assert len(rows) == second.tasks["planned"]
        for row in rows:
            if row["behavior"] == "default":
                assert metadata.get(row["cache_key"]) == row["data_version"]
                assert NodeValues(results).exists(row["data_version"])


def reader(handle: object) -> str:
    return str(handle)


def test_a_value_without_a_version_is_refused_and_never_pickled(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    codeintel.build(root, jobs=1)
    place = open_store(root / ".codeintel")
    plan = codeintel.compile_plan(root)
    with closing(Results(place.cache, place.objects)) as results:
        cache = CausalCacheAdapter(plan, POLICIES["strict_causal"], place, results)
        module = ad_hoc_utils.create_temporary_module(reader, module_name="readers")
        built = driver.Builder().with_modules(module).with_adapters(cache).build()
        with pytest.raises(PlanError, match="'handle' has a value of type object, which carries no version"):
            built.execute(["reader"], inputs={"handle": object()})
        assert len(NodeMetadata(place, results)) == results.count_nodes() > 0


def test_a_truncated_memory_of_results_costs_work_and_nothing_else(make_repository: Make) -> None:
    root = make_repository(FILES)
    store = root / ".codeintel"
    codeintel.build(root, jobs=1)
    before = {n: h.handle(n).version for n, h in codeintel.open(store).manifest.handles.items()}
    database = store / "cache" / "results.sqlite"
    sqlite3.connect(database).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.write_bytes(database.read_bytes()[:5000])
    assert codeintel.build(root, jobs=1).status == "ok"
    assert {n: h.handle(n).version for n, h in codeintel.open(store).manifest.handles.items()} == before
    tasks = codeintel.build(root, jobs=1).tasks
    assert (tasks["ran"], tasks["reused"]) == (3, tasks["planned"] - 3)  # its sources

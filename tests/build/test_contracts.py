"""Contracts through the real build: each rule, broken, publishes nothing and says what is wrong, where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import codeintel
from codeintel.api import catalog, catalog_faults
from codeintel.cpg.pipeline import PIPELINE
from codeintel.errors import PlanError
from codeintel.hamilton_pipeline.modules import outputs
from codeintel.hamilton_pipeline.semantic_registry import REGISTRY, REQUIRED_TAGS, semantic_tags
from codeintel.obs.diagnostics import read_artifact, write_artifacts
from codeintel.relspec.pipeline import Contract, Pipeline, Source, Table
from codeintel.settings import Settings

Make = Callable[[Mapping[str, str | bytes]], Path]
FILES = {
    "a.py": "import os\n\n\ndef f(x):\n    return os.sep + str(x)\n",
    "b.py": "y = 1\n\n\ndef g(x):\n    return x\n",
}
ROWS = "SELECT path, bucket, line, kind, node_id AS node FROM cpg_nodes WHERE line IS NOT NULL"
RETURNS = ROWS + " AND kind = 'Return'"
NODE = "-- references: node -> cpg_nodes.node_id\n"
PARENTS = "-- references: parent -> cpg_nodes.node_id\n"
BROKEN = {  # SQL, the rule, and how a row that breaks it is shown
    "key": (f"-- key: path, line\n{ROWS} AND path = 'b.py'", "path, line is unique", "b.py:4"),
    "key in two buckets": (
        f"-- key: kind\nSELECT kind, path, bucket, min(line) AS line FROM ({RETURNS}) GROUP BY 1, 2, 3",
        "kind is unique",
        "a.py:5: kind 'Return'",
    ),
    "null": (
        f"-- not_null: name\n{RETURNS.replace('node_id AS node', 'name')}",
        "name is never null",
        "a.py:5: name None",
    ),
    "allowed": (
        f"-- allowed kind: Name\n{ROWS} AND kind IN ('Name', 'Return')",
        "kind has one of its allowed values",
        "b.py:5: kind 'Return'",
    ),
    "reference": (
        f"{NODE}{RETURNS.replace('node_id', 'node_id + 1000')} AND path = 'b.py'",
        "node is in cpg_nodes.node_id",
        "b.py:5: node ",
    ),
    "reference of a table without lines": (
        f"{PARENTS}{NODE}SELECT path, bucket, src AS parent, dst + 1000 AS node FROM cpg_edges WHERE kind = 'ARGUMENT'",
        "node is in cpg_nodes.node_id",
        "a.py:5: node ",
    ),
}


def view(folder: Path, sql: str) -> dict[str, Any]:
    (folder / "views").mkdir(exist_ok=True)
    (folder / "views" / "mine.sql").write_text(sql)
    return {"views": (folder / "views",)}


@pytest.mark.parametrize(("sql", "rule", "row"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_publishes_nothing_and_names_rule_count_and_rows(
    make_repository: Make, tmp_path: Path, sql: str, rule: str, row: str
) -> None:
    root = make_repository(FILES)
    first = codeintel.build(root, jobs=1)
    result = codeintel.build(root, jobs=1, **view(tmp_path, sql))
    assert (result.status, result.tables) == ("failed", {})
    (message,) = result.errors.values()
    head, *rows = message.splitlines()
    assert head.startswith("mine: ")
    assert rule in head
    assert 1 <= len([each for each in rows if each.startswith("  ")]) <= 5
    assert any(each.startswith(f"  {row}") for each in rows), message
    snapshot = codeintel.open(root / ".codeintel")
    assert snapshot.manifest.run_id == first.run_id
    told = codeintel.open(root / ".codeintel", result.run_id).sql(
        "SELECT rule, count FROM contract_results WHERE outcome = 'broken'", artifacts=True
    )
    assert [found["rule"] for found in told.to_arrow_table().to_pylist()] == [rule]
    assert codeintel.build(root, jobs=1, **view(tmp_path, sql)).errors == result.errors  # not once only


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "null"])
def test_a_broken_rule_of_severity_warn_is_told_at_every_build_and_fails_a_strict_one(
    make_repository: Make, tmp_path: Path, name: str
) -> None:
    sql, rule, row = BROKEN[name]
    root = make_repository(FILES)
    mine = view(tmp_path, f"-- severity: warn\n{sql}")
    results = [codeintel.build(root, jobs=1, **mine)]
    results.append(codeintel.build(root, jobs=1, **mine))  # nothing runs
    (root / "b.py").write_text(FILES["b.py"] + "\n")
    results.append(codeintel.build(root, jobs=1, **mine))
    for result in results:
        assert (result.status, result.errors) == ("ok", {})
        assert rule in result.warnings["mine"]
        assert row in result.warnings["mine"]
        assert result.tables["mine"]["rows"] > 0
    assert results[1].tasks["ran"] == 3
    strict = codeintel.build(root, jobs=1, strict=True, **mine)
    assert (strict.status, strict.tables, list(strict.warnings)) == ("failed", {}, ["mine"])


def test_a_null_that_must_not_be_fails_whatever_the_severity(make_repository: Make, tmp_path: Path) -> None:
    sql, rule, _ = BROKEN["null"]
    result = codeintel.build(make_repository(FILES), jobs=1, **view(tmp_path, f"-- severity: warn\n{sql}"))
    assert rule in result.errors["mine"]


def test_a_repaired_table_warns_no_more(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository({"a.py": "x = 1\n", "b.py": "print()\n"})
    mine = view(tmp_path, f"-- severity: warn\n-- allowed kind: Module, Assign, Name, Constant\n{ROWS}")
    assert "b.py:1: kind 'Call'" in codeintel.build(root, jobs=1, **mine).warnings["mine"]
    (root / "b.py").write_text("x = 1\n")
    assert codeintel.build(root, jobs=1, **mine).warnings == {}
    (root / "b.py").write_text("print()\n")
    assert "b.py:1: kind 'Call'" in codeintel.build(root, jobs=1, **mine).warnings["mine"]


def test_what_a_contract_means_reruns_its_check_and_no_query(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository(FILES)
    codeintel.build(root, jobs=1, **view(tmp_path, f"-- column line: where\n{ROWS}"))
    result = codeintel.build(root, jobs=1, **view(tmp_path, f"-- column line: line, from 1\n{ROWS}"))
    ran = {n for n, task in codeintel.open(root / ".codeintel").manifest.tasks.items() if task.outcome == "ran"}
    assert result.status == "ok"
    assert "mine_v1" in ran
    assert "mine" not in ran


NUMBERS = Contract(
    Table(pa.schema({"n": pa.int64()}), ("n",)), "one row per number", {}, entity="number", join_keys=("n",)
)


def numbers() -> pa.Table:
    return pa.table({"n": [1, 2]})


@pytest.mark.parametrize("tag", ["entity", "grain", "entity_keys", "join_keys", "version", "stability"])
def test_a_contract_that_lacks_what_the_catalog_needs_gets_no_driver(tmp_path: Path, tag: str) -> None:
    empty: dict[str, dict[str, Any]] = {
        "entity_keys": {"table": Table(NUMBERS.table.schema, ())},
        "join_keys": {"join_keys": ()},
    }
    contract = replace(NUMBERS, **empty.get(tag, {tag: ""}))
    source = {"numbers": Source(contract.table, numbers)}
    with pytest.raises(PlanError, match=rf"'numbers_\w*' lacks the tag '{tag}'"):
        codeintel.build_pipeline(Pipeline("p", source, contracts={"numbers": contract}), tmp_path / "store")
    assert not (tmp_path / "store/current").exists()


@pytest.mark.parametrize("tag", REQUIRED_TAGS)
def test_a_public_output_without_a_required_tag_gets_no_driver(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    def lacking(table: str, contract: Contract) -> dict[str, str | list[str]]:
        tags = semantic_tags(table, contract)
        return {name: tags[name] for name in tags if (table, name) != ("files", tag)}

    monkeypatch.setattr(outputs, "semantic_tags", lacking)
    root = make_repository(FILES)
    with pytest.raises(PlanError, match=f"'files_v1' lacks the tag '{tag}'"):
        codeintel.build(root, jobs=1)
    assert not (root / ".codeintel/current").exists()


@pytest.mark.parametrize("table", sorted(PIPELINE.contracts))
def test_a_public_view_without_a_contract_is_no_plan(make_repository: Make, tmp_path: Path, table: str) -> None:
    contracts = {name: replace(c, references=()) for name, c in PIPELINE.contracts.items() if name != table}
    pipeline = replace(PIPELINE, contracts=contracts)
    with pytest.raises(PlanError, match=f"'{table}' .*semantic.{table}_v1 .*has no contract"):
        codeintel.build_pipeline(pipeline, tmp_path / "store", parameters={"repository": make_repository(FILES)})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-- grane: one row", "line 1, says 'grane'; did you mean grain?"),
        ("-- key: paht", "line 1, declares the key column 'paht', which it does not output; did you mean path?"),
        ("-- severity: loud", "has the severity 'loud'; known: fail, warn"),
        ("-- references: node", "write it as `column -> table.column`"),
        (
            "-- references: node -> cpg_nods.node_id",
            "refers to 'cpg_nods', which nothing derives",
        ),
        ("-- references: node -> cpg_nodes.id", "refers to cpg_nodes by the column 'id'"),
        ("-- column lin: where", "declares the column column 'lin'"),
    ],
)
def test_front_matter_that_cannot_be_meant_says_what_would_have_been_right(
    make_repository: Make, tmp_path: Path, line: str, said: str
) -> None:
    with pytest.raises(PlanError) as error:
        codeintel.build(make_repository(FILES), jobs=1, **view(tmp_path, f"{line}\n{ROWS}"))
    assert said in str(error.value)


def test_the_catalog_has_every_public_table_with_its_contract_and_what_was_published(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository(FILES)
    front = "-- entity: line\n-- key: path, line, node\n-- unit line: lines\n-- column line: line, from 1\n"
    front += "-- stability: stable\n-- version: v3\n"
    result = codeintel.build(root, jobs=1, **view(tmp_path, f"{front}{ROWS}"))
    entries = {entry["table"]: entry for entry in catalog(root / ".codeintel")}
    assert entries.keys() == result.tables.keys() == PIPELINE.contracts.keys() | {"mine"}
    for table, entry in entries.items():
        assert (entry["rows"], entry["delta_version"]) == (result.tables[table]["rows"], 0)
    mine = entries["mine"]
    assert {name: mine[name] for name in REQUIRED_TAGS} == {
        "layer": "semantic", "semantic_id": "semantic.mine_v3", "kind": "table", "entity": "line",
        "grain": "one row per path, line, node", "entity_keys": ["path", "line", "node"], "join_keys": ["path"],
        "schema_ref": "mine/v3", "version": "v3", "stability": "stable",
    }  # fmt: skip
    assert mine["upstream_tables"] == ["cpg_nodes"]
    assert "cpg_nodes.line" in mine["upstream_columns"]
    line = {"name": "line", "type": "int32", "nullable": True, "unit": "lines", "meaning": "line, from 1"}
    assert line in mine["columns"]
    settings = Settings(store=root / ".codeintel", views=(tmp_path / "views",))
    assert catalog_faults(root / ".codeintel", settings) == []


def test_a_check_of_the_catalog_tells_what_is_not_as_it_says(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository(FILES)
    store = root / ".codeintel"
    run = codeintel.build(root, jobs=1, **view(tmp_path, ROWS)).run_id
    (tmp_path / "views/mine.sql").write_text(f"-- grain: one row per node with a line\n{ROWS}")
    settings = Settings(store=store, views=(tmp_path / "views",))
    assert catalog_faults(store, settings) == ["mine: grain has changed since the run; build again"]
    assert catalog_faults(store) == ["mine: no longer published; build again"]
    folder = store / "runs" / run / "artifacts"
    rows = [[*row] for row in read_artifact(folder, REGISTRY) if row[0] != "files"]
    (nodes,) = [row for row in rows if row[0] == "cpg_nodes"]
    nodes[5], nodes[14] = "", nodes[14].replace('"name":"line","type":"int32"', '"name":"line","type":"int64"')
    write_artifacts(folder, {REGISTRY: rows})
    faults = catalog_faults(store, settings)
    assert "files: published, and not in the catalog" in faults
    assert "cpg_nodes: the tag 'entity' is missing" in faults
    assert "cpg_nodes.line is int32, in the catalog int64" in faults

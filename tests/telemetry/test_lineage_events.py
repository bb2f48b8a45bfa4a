"""Runs as OpenLineage events: each keeps the specification, and together they tell what was made from what."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.build.conftest import write_repository
from tests.telemetry.birds import metadata, quick_build
from tests.telemetry.conftest import Project, command
from tests.telemetry.stub import Server

pytest.importorskip("openlineage.client")
jsonschema = pytest.importorskip("jsonschema")
from tests.telemetry.openlineage import validate  # noqa: E402 - of the same extra


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_events_of_a_real_build_keep_the_specification_with_schemas_and_column_lineage(project: Project) -> None:
    file = project.root.parent / "events.jsonl"
    told = project.build("--openlineage", file)
    assert told["telemetry"] == {"openlineage": f"sent: {2 + 2 * told['tasks']['ran']} events"}
    events = events_of(file.read_text())
    names = {name for event in events for name in validate(event)}
    assert {"columnLineage", "schema", "version", "symlinks", "outputStatistics", "parent", "jobType"} <= names
    first, last = events[0], events[-1]
    assert (first["eventType"], last["eventType"]) == ("START", "COMPLETE")
    assert (first["job"]["namespace"], first["job"]["name"]) == ("codeintel.canary_place", "cpg")
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in events[1:-1]} == {first["run"]["runId"]}
    states: dict[str, list[str]] = {}
    for event in events:
        states.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert {tuple(each) for each in states.values()} == {("START", "COMPLETE")}

    made = {out["name"]: out for event in events if event["eventType"] == "COMPLETE" for out in event["outputs"]}
    fields = made["files"]["facets"]["columnLineage"]["fields"]
    asked = command(
        "sql", "SELECT input, input_column FROM plan_lineage WHERE task = 'files' AND \"column\" = 'module'",
        "--artifacts", "--json", "--store", project.store,
    )  # fmt: skip
    expected = {(row["input"], row["input_column"]) for row in json.loads(asked.stdout)}
    assert {(each["name"], each["field"]) for each in fields["module"]["inputFields"]} == expected != set()
    published = made["cpg_nodes_v1"]["facets"]
    (handed_on,) = published["columnLineage"]["fields"]["qualname"]["inputFields"]
    assert (handed_on["name"], handed_on["field"]) == ("cpg_nodes", "qualname")
    assert published["symlinks"]["identifiers"][0]["name"] == told["tables"]["cpg_nodes"]["path"]
    assert {field["name"]: field["type"] for field in published["schema"]["fields"]}["node_id"] == "int64"
    assert all(field["description"] for field in published["schema"]["fields"])
    rows = made["cpg_nodes_v1"]["outputFacets"]["outputStatistics"]["rowCount"]
    assert rows == told["tables"]["cpg_nodes"]["rows"]


def test_the_check_of_the_specification_can_fail(tmp_path: Path) -> None:
    quick_build(tmp_path / "store", openlineage=str(tmp_path / "events"))
    told = events_of((tmp_path / "events").read_text())
    event = next(e for e in told if e["outputs"] and "columnLineage" in e["outputs"][0]["facets"])
    validate(event)
    lineage = event["outputs"][0]["facets"]["columnLineage"]
    for broken in ("fields", "_producer"):
        without = copy.deepcopy(event)
        without["outputs"][0]["facets"]["columnLineage"] = {k: v for k, v in lineage.items() if k != broken}
        with pytest.raises(jsonschema.ValidationError, match=broken):
            validate(without)
    with pytest.raises(jsonschema.ValidationError, match="uuid"):
        validate({**event, "run": {**event["run"], "runId": "1"}})


def test_a_failed_run_says_what_failed_and_telling_it_again_tells_the_same(project: Project, tmp_path: Path) -> None:
    views = write_repository(tmp_path / "views", {"own.sql": "SELECT path, CAST(module AS INT) AS number FROM files"})
    told = project.build("--views", views, "--openlineage", tmp_path / "events")
    assert told["exit"] == 1
    events = events_of((tmp_path / "events").read_text())
    for event in events:
        validate(event)
    failed = {event["job"]["name"]: event["run"]["facets"] for event in events if event["eventType"] == "FAIL"}
    assert failed.keys() == {"cpg", "cpg.own"}
    assert failed["cpg.own"]["errorMessage"]["message"] == told["errors"]["own"]
    again = command("export", "openlineage", "--run", told["run_id"], "--store", project.store)
    assert (again.returncode, again.stderr) == (0, f"sent: {len(events)} events\n")
    ids = [(event["run"]["runId"], event["eventType"], event["eventTime"]) for event in events]
    assert [(e["run"]["runId"], e["eventType"], e["eventTime"]) for e in events_of(again.stdout)] == ids


def test_events_go_to_a_server_and_one_that_is_slow_or_refuses_changes_nothing(tmp_path: Path, server: Server) -> None:
    done = quick_build(tmp_path, openlineage=server.url)
    sent = server.bodies("POST", "lineage")
    assert done.telemetry == {"openlineage": f"sent: {len(sent)} events"}
    assert [validate(event) for event in sent]
    server.latency = 10
    slow = quick_build(tmp_path, flush=0.2, openlineage=server.url)
    assert (slow.status, slow.telemetry) == ("ok", {"openlineage": "failed: nothing was confirmed within 0.2 s"})
    assert metadata(tmp_path)["openlineage"] == "failed: nothing was confirmed within 0.2 s"
    server.latency, server.status = 0, 500
    refused = quick_build(tmp_path, openlineage=server.url)
    assert refused.status == "ok"
    assert refused.telemetry["openlineage"].startswith("failed: RetryError: ")
    assert "500" in refused.telemetry["openlineage"]

"""Runs as OpenTelemetry spans: one tree each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codeintel.api import plan_of_run
from codeintel.reporting.finished_run import finished_run
from codeintel.store.directory import open_store
from tests.build.conftest import write_repository
from tests.telemetry.birds import quick_build
from tests.telemetry.conftest import Project, command
from tests.telemetry.stub import Server

pytest.importorskip("opentelemetry.sdk")
from codeintel.reporting.trace_spans import trace_spans


def test_the_spans_of_a_run_form_one_tree_with_no_orphan_and_say_what_became_of_each_task(
    project: Project, tmp_path: Path
) -> None:
    views = write_repository(tmp_path / "views", {"own.sql": "SELECT path, CAST(module AS INT) AS number FROM files"})
    told = project.build("--views", views)
    found = trace_spans(finished_run(open_store(project.store), told["run_id"]))
    spans: list[dict[str, Any]] = [json.loads(span.to_json()) for span in found]
    *tasks, root = spans
    assert root["parent_id"] is None
    assert {span["parent_id"] for span in tasks} == {root["context"]["span_id"]}
    assert {span["context"]["trace_id"] for span in tasks} == {root["context"]["trace_id"]}
    assert len({span["context"]["span_id"] for span in spans}) == len(spans) == told["tasks"]["planned"] + 1
    moments = [(span["start_time"], span["end_time"]) for span in tasks]
    assert all(root["start_time"] <= began <= ended <= root["end_time"] for began, ended in moments)
    about = {span["name"]: span["attributes"] for span in tasks}
    assert about["own"]["codeintel.task.outcome"] == "failed"
    assert "own" in about["own_v1"]["codeintel.task.reason"]
    assert about["cpg_nodes"]["codeintel.task.cause"] == "new"
    plan = plan_of_run(project.store, told["run_id"])
    assert {name: each["codeintel.task.criticality_seconds"] for name, each in about.items()} == dict(
        plan.schedule.criticality
    )
    assert {name: each["codeintel.task.signature"] for name, each in about.items()} == {
        name: task.signature for name, task in plan.tasks.items()
    }
    assert {span["name"] for span in spans if span["status"]["status_code"] == "ERROR"} == {"own", root["name"]}


def test_spans_go_where_the_standards_variables_say_and_trouble_changes_nothing(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "my_service")
    done = quick_build(tmp_path, opentelemetry=True)
    assert done.telemetry == {"opentelemetry": f"sent: {done.tasks['planned'] + 1} spans"}
    assert [path for _, path, _, _ in server.seen] == ["v1/traces"]
    assert "my_service" in server.text
    server.status = 400
    assert quick_build(tmp_path, opentelemetry=True).telemetry["opentelemetry"].startswith("failed: RunError")
    server.status, server.latency = 200, 10
    late = quick_build(tmp_path, flush=0.2, opentelemetry=True)
    assert (late.status, late.telemetry) == ("ok", {"opentelemetry": "failed: nothing was confirmed within 0.2 s"})


def test_a_past_run_is_exported_on_demand(project: Project) -> None:
    spans = project.build()["tasks"]["planned"] + 1  # and one for the run
    done = command("export", "opentelemetry", "--store", project.store, environment={"OTEL_TRACES_EXPORTER": "console"})
    assert (done.returncode, done.stderr) == (0, f"sent: {spans} spans\n")
    assert '"codeintel.task.outcome": "ran"' in done.stdout
    none = command("export", "opentelemetry", "--store", project.store, environment={"OTEL_TRACES_EXPORTER": "nowhere"})
    assert (none.returncode, none.stderr) == (1, "error: no exporter 'nowhere' is installed\n")


def test_exports_cost_no_import_when_they_are_off(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, '.'); from tests.telemetry.birds import quick_build;"
        "quick_build(Path(sys.argv[1]));"
        "print(sorted({'openlineage', 'opentelemetry', 'requests', 'hamilton_sdk'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr

"""What a tracked build sends, what it keeps to itself, and what it does when nobody answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from codeintel.hamilton_pipeline.tracker_process import govern
from tests.telemetry.birds import metadata, quick_build
from tests.telemetry.conftest import Project, command, eventually
from tests.telemetry.stub import Server, served

pytest.importorskip("hamilton_sdk")

CANARIES = ("canary_file", "CanaryClass", "canary literal", "canary comment", "cart", "SELECT", "def ")


def test_a_tracked_build_sends_its_graph_its_tags_and_what_became_of_each_node(
    project: Project, server: Server
) -> None:
    told = project.build(url=server.url)
    assert (told["exit"], told["telemetry"]) == (0, {"tracking": "sent"})
    (template,), (run,), (end,) = (
        server.bodies("POST", "dag_templates"), server.bodies("POST", "dag_runs"), server.bodies("PUT", "dag_runs/11"),
    )  # fmt: skip
    assert template["name"] == "codeintel_semantic_v1"
    assert {"cpg_nodes", "cpg_nodes_v1", "plan_critical_path"} <= {node["name"] for node in template["nodes"]}
    assert run["tags"]["plan_signature"] == told["plan_signature"]
    assert run["tags"]["repository"] == "canary_place"
    assert end["run_status"] == "SUCCESS"
    assert run["run_start_time"] < end["run_end_time"]
    updates = [each for body in server.bodies("PUT", "dag_runs_bulk") for each in body["task_updates"]]
    assert {each["status"] for each in updates if each["end_time"]} == {"SUCCESS"}
    assert {each["node_name"] for each in updates} >= {"repo_files", "cpg_nodes", "cpg_edges_v1"}
    assert all(run["run_start_time"] < each["start_time"] for each in updates)


def test_with_the_defaults_no_value_leaves_the_machine(project: Project, server: Server) -> None:
    view = project.root.parent / "views" / "own.sql"
    view.parent.mkdir()
    view.write_text("SELECT path, CAST(module AS INT) AS number FROM files")  # fails, and its error quotes a value
    told = project.build("--views", view.parent, url=server.url)
    assert (told["exit"], told["telemetry"]) == (1, {"tracking": "sent"})
    assert "shop." in told["errors"]["own"]
    assert server.bodies("PUT", "dag_runs/11")[0]["run_status"] == "FAILURE"
    assert '"own"' in server.text
    found = [canary for canary in (*CANARIES, str(project.root), str(Path.home())) if canary in server.text]
    assert found == []


def test_values_are_sent_within_the_limits_when_the_users_environment_says_so(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAMILTON_CAPTURE_DATA_STATISTICS", "true")
    monkeypatch.setenv("HAMILTON_MAX_DICT_LENGTH_CAPTURE", "4")
    monkeypatch.setenv("HAMILTON_MAX_LIST_LENGTH_CAPTURE", "2")
    quick_build(tmp_path, server.url)
    values = {
        each["node_name"]: each["value"]["value"]
        for body in server.bodies("PUT", "dag_runs_bulk") for each in body["attributes"] if each["type"] == "dict"
    }  # fmt: skip
    assert values["birds"] == {"table": "birds", "rows": 3}
    assert values["plan_diagnostics"].pop("__truncated__")
    assert len(values["plan_diagnostics"]) == 4
    assert {len(part) for part in values["plan_diagnostics"].values() if isinstance(part, list)} <= {1, 2}
    said = metadata(tmp_path)
    assert {name: said[name] for name in sorted(said) if name.startswith(("HAMILTON", "capture", "tracking"))} == {
        "HAMILTON_CAPTURE_DATA_STATISTICS": "true",
        "HAMILTON_MAX_DICT_LENGTH_CAPTURE": "4",
        "HAMILTON_MAX_LIST_LENGTH_CAPTURE": "2",
        "capture": "limits",
        "tracking": "sent",
    }


def test_one_setting_takes_all_values_away_again() -> None:
    asked = {"HAMILTON_CAPTURE_DATA_STATISTICS": "true"}
    assert govern(asked, "limits")["HAMILTON_CAPTURE_DATA_STATISTICS"] == "true"
    assert govern(asked, "off")["HAMILTON_CAPTURE_DATA_STATISTICS"] == asked["HAMILTON_CAPTURE_DATA_STATISTICS"] == "0"


def test_a_build_with_nothing_to_do_is_told_too_and_still_imports_no_engine(project: Project, server: Server) -> None:
    project.build(url=server.url)
    code = (
        "import sys, codeintel; codeintel.build(sys.argv[1], store=sys.argv[2], track=True, jobs=1,"
        " telemetry_flush=30.0, hamilton_api_url=sys.argv[3]);"
        "print(sorted({'hamilton', 'hamilton_sdk', 'datafusion', 'deltalake', 'pandas', 'requests'} & {*sys.modules}))"
    )
    here = [sys.executable, "-c", code, str(project.root), str(project.store), server.url]
    assert subprocess.run(here, capture_output=True, text=True, check=True).stdout == "[]\n"
    first, second = server.bodies("POST", "dag_runs")
    assert first["tags"] == second["tags"]
    assert len(server.bodies("PUT", "dag_runs/11")) == 2


def test_trouble_with_the_tracker_changes_nothing_but_what_is_said_of_it(tmp_path: Path) -> None:
    def built(name: str, url: str, flush: float = 30.0) -> tuple[object, str]:
        told = quick_build(tmp_path / name, url, flush=flush)
        tables = {table: (facts["rows"], facts["version"]) for table, facts in told.tables.items()}
        said = metadata(tmp_path / name)["tracking"] if url else ""
        return (told.status, told.tasks, tables, told.errors, told.plan_signature), said

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{taken.getsockname()[1]}"
    untracked, _ = built("untracked", "")
    became, said = built("refused", refused)
    assert became == untracked
    assert said.startswith("failed: ConnectionRefusedError")

    with served(Server(status=500)) as server:
        became, said = built("errors", server.url)
        assert became == untracked
        assert said.startswith("failed: HTTPError: 500 Server Error")
        assert len(server.seen) == 1

    with served(Server(latency=10)) as server:
        became, said = built("slow", server.url, flush=0.1)
        assert became == untracked
        assert said.startswith("failed: not confirmed 0.1 s after the run's end")
        assert len(server.seen) <= 1

    with served(Server(until="dag_runs_bulk")) as server:
        became, said = built("dies", server.url)
        assert became == untracked
        assert said.startswith("failed: ")
        assert "onnection" in said
        assert len(server.bodies("POST", "dag_runs")) == 1
    left = list((tmp_path / "dies" / "cache" / "tracked_runs").iterdir())
    assert [json.loads(file.read_text())["status"] for file in left] == ["SUCCESS"]


def test_a_run_whose_end_did_not_arrive_is_ended_by_the_next_tracked_build(tmp_path: Path, server: Server) -> None:
    server.until = "dag_runs/11"
    assert quick_build(tmp_path, server.url).telemetry["tracking"].startswith("failed")
    with served(Server()) as again:
        folder = tmp_path / "cache" / "tracked_runs"
        (left,) = folder.iterdir()
        left.write_text(left.read_text().replace(server.url, again.url))  # the same server, back at another port
        assert quick_build(tmp_path, again.url).telemetry == {"tracking": "sent"}
        assert [body["run_status"] for body in again.bodies("PUT", "dag_runs/11")] == ["SUCCESS", "SUCCESS"]
        assert list(folder.iterdir()) == []


def test_a_build_that_is_killed_leaves_no_run_running(project: Project, server: Server) -> None:
    environment = {**os.environ, "CODEINTEL_HAMILTON_API_URL": server.url}  # noqa: TID251 - a command has one
    building = subprocess.Popen(
        [sys.executable, "-m", "codeintel", "build", str(project.root), "--store", str(project.store), "--track"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    assert eventually(lambda: bool(server.bodies("POST", "dag_runs")) or building.poll() is not None)
    building.send_signal(signal.SIGKILL)
    building.wait()
    assert eventually(lambda: bool(server.bodies("PUT", "dag_runs/11")))
    assert server.bodies("PUT", "dag_runs/11")[0]["run_status"] in ("FAILURE", "SUCCESS")


def test_a_tracker_outlives_its_build_by_some_seconds_only_however_slow_the_server_is(
    tmp_path: Path, server: Server
) -> None:
    server.latency = 60
    connect = {
        "kind": "connect", "capture": "limits", "api_url": server.url, "ui_url": server.url, "project": "codeintel",
        "user": "codeintel", "dag_name": "birds", "open_runs": str(tmp_path),
    }  # fmt: skip
    here = [sys.executable, "-m", "codeintel.hamilton_pipeline.tracker_process"]
    subprocess.run(here, input=json.dumps(connect), text=True, capture_output=True, check=True, timeout=45)
    assert len(server.seen) <= 1


def test_confirmation_that_comes_too_late_for_the_build_still_corrects_its_record(
    tmp_path: Path, server: Server
) -> None:
    assert quick_build(tmp_path, server.url, flush=0.0).telemetry["tracking"].startswith("failed: not confirmed")
    assert eventually(lambda: metadata(tmp_path)["tracking"] == "sent after the build had ended")


def test_tracking_without_the_sdk_is_wrong_use_that_says_how_to_get_it(project: Project, tmp_path: Path) -> None:
    # An interpreter that finds everything that is installed here but the SDK.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'hamilton_sdk' else found(name, *rest)\n"
    )
    path = os.pathsep.join([str(tmp_path / "hidden"), *filter(None, [os.environ.get("PYTHONPATH")])])  # noqa: TID251
    done = command("build", project.root, "--track", environment={"PYTHONPATH": path})
    assert done.returncode == 2
    assert "pip install 'codeintel[track]'" in done.stderr

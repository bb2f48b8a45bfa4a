"""The real Hamilton UI on loopback, started as users start it, and what its own interface says of tracked builds."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import codeintel
from codeintel.hamilton_pipeline.semantic_registry import REQUIRED_TAGS
from tests.build.conftest import write_repository
from tests.telemetry.birds import metadata
from tests.telemetry.conftest import Project, command

pytest.importorskip("hamilton_sdk")
pytest.importorskip("hamilton_ui")
requests = pytest.importorskip("requests")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and data directory of a running server, which Ctrl-C ends."""
    data = tmp_path_factory.mktemp("ui") / "data"
    with subprocess.Popen(
        [sys.executable, "-m", "codeintel", "ui", "--port", "0", "--data-dir", str(data)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None and server.stderr is not None  # noqa: PT018 - they were asked for
        said = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said + server.stderr.read()
        yield found[0], data
        server.send_signal(signal.SIGINT)
        assert (server.wait(30), server.stderr.read()) == (0, "")


def asked(address: str, path: str) -> Any:
    answer = requests.get(f"{address}/api/v1/{path}", headers={"x-api-user": "codeintel"}, timeout=30)
    answer.raise_for_status()
    return answer.json()


def runs(address: str) -> list[dict[str, Any]]:
    """The newest first."""
    (project,) = asked(address, "projects")
    assert project["name"] == "codeintel"
    return asked(address, f"dag_runs/latest/?project_id={project['id']}")


def graph_tags(store: Path) -> dict[str, dict[str, Any]]:
    """Tags by node as the driver's graph has them."""
    kept = msgspec.json.decode((store / "cache" / "tracked_graph.json").read_bytes())
    return {node["name"]: node["tags"] for node in kept["graph"]["nodes"]}


def registry_tags(store: Path) -> dict[str, dict[str, Any]]:
    """Tags by node of a public table, as the registry of the current run has them."""
    rows = codeintel.open(store).rows("SELECT * FROM semantic_registry", artifacts=True).to_pylist()
    return {row["node_name"]: {tag: row[tag] for tag in REQUIRED_TAGS} for row in rows}


def test_runs_are_logged_under_one_name_with_the_tags_of_plan_and_graph(ui: tuple[str, Path], project: Project) -> None:
    address, _ = ui
    first = project.build(url=address)
    assert first["telemetry"] == {"tracking": "sent"}
    second = project.build("--exclude", "canary_file.py", url=address)
    assert second["plan_signature"] != first["plan_signature"]
    kept = {told["run_id"]: metadata(project.store, told["run_id"]) for told in (first, second)}
    latest, before = runs(address)[:2]
    for told, run in ((first, before), (second, latest)):
        assert run["run_status"] == "SUCCESS"
        assert run["tags"]["plan_signature"] == told["plan_signature"]
        assert run["tags"]["reduced_plan_signature"] == told["reduced_plan_signature"]
        assert run["tags"]["plan_task_count"] == str(told["tasks"]["planned"])
        assert run["tags"] == {name: value for name, value in kept[told["run_id"]].items() if name in run["tags"]}
        assert {type(value) for value in run["tags"].values()} == {str}
    assert latest["dag_template_id"] == before["dag_template_id"]
    template = asked(address, f"dag_templates/{latest['dag_template_id']}")
    template = template[0] if isinstance(template, list) else template
    assert (template["name"], template["tags"], template["config"]) == ("codeintel_semantic_v1", {}, {})
    shown = {node["name"]: node["tags"] for node in template["nodes"]}
    assert shown == graph_tags(project.store)
    registry = registry_tags(project.store)
    assert {name: {tag: shown[name].get(tag) for tag in tags} for name, tags in registry.items()} == registry
    assert len(registry) == 6
    (details,) = asked(address, f"dag_runs/{before['id']}?attr=primitive&attr=dict&attr=error")
    logged = {node["node_name"]: node for node in details["node_runs"]}
    assert {"repo_files", "cpg_nodes", "cpg_nodes_v1"} <= logged.keys()
    assert {node["status"] for node in logged.values()} == {"SUCCESS"}
    values = {each["value"]["value"] for node in logged.values() for each in node["attributes"]}
    assert values == {"RESULT SUMMARY DISABLED"}


def test_with_statistics_on_the_limits_of_lists_and_mappings_apply(ui: tuple[str, Path], tmp_path: Path) -> None:
    address, _ = ui
    project = Project(tmp_path)
    write_repository(project.root, {f"many/m{number}.py": "x = 1\n" for number in range(150)})
    asked_for = {"HAMILTON_CAPTURE_DATA_STATISTICS": "true", "HAMILTON_MAX_LIST_LENGTH_CAPTURE": "5"}
    project.build(url=address, **asked_for)
    (details,) = asked(address, f"dag_runs/{runs(address)[0]['id']}?attr=dict")
    values = {node["node_name"]: each["value"]["value"] for node in details["node_runs"] for each in node["attributes"]}
    assert len(values["cpg_nodes"]) == 51, "table, rows and 64 buckets, of which 50 are kept, and a mark"
    lengths = {len(part) for part in values["plan_diagnostics"].values() if isinstance(part, list)}
    assert max(lengths) == 5, "of nine generations"


def test_the_server_is_this_machines_alone_and_keeps_a_secret_of_its_own(ui: tuple[str, Path]) -> None:
    address, data = ui
    port = int(address.rpartition(":")[2])
    elsewhere = {place[4][0] for place in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)} - {
        "127.0.0.1"
    }
    for other in elsewhere:
        with socket.socket() as asking:
            asking.settimeout(2)
            assert asking.connect_ex((other, port)) != 0, f"{other} answers too"
    secret = data / "secret_key"
    assert len(secret.read_text()) > 50
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert requests.get(f"{address}/api/v1/projects", headers={"host": "example.org"}, timeout=30).status_code == 400
    page = requests.get(address, timeout=30)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    missing = requests.get(f"{address}/api/v1/dag_runs/none", headers={"x-api-user": "codeintel"}, timeout=30)
    assert "DEBUG" not in missing.text


def test_a_port_that_is_taken_is_told_in_one_line(ui: tuple[str, Path], tmp_path: Path) -> None:
    port = ui[0].rpartition(":")[2]
    done = command("ui", "--port", port, "--data-dir", tmp_path / "other")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: port {port} cannot be used: .*; choose another --port\n", done.stderr)
    done = command("ui", cwd=tmp_path, environment={"CODEINTEL_STORE": str(tmp_path / "none")})
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert os.fspath(tmp_path / "none") in done.stderr

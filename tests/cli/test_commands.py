"""The command line as a user meets it: a process, its two streams and its exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from tests.build.conftest import FILES, write_repository

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def shop_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_repository(tmp_path_factory.mktemp("cli") / "shop", FILES)
    assert run("build", root).returncode == 0
    return root / ".codeintel"


def run(
    *arguments: object, env: Mapping[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "codeintel", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "100", **(env or {})}  # noqa: TID251 - a command has one
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, **options)  # type: ignore[call-overload]


def test_build_says_what_came_of_it_and_json_has_the_documented_shape(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    shown = run("build", root)
    assert shown.returncode == 0
    assert re.search(r"ok: 1 files, 1 extracted, 0 failed; (\d+) of \1 tasks ran, 0 reused", shown.stdout)
    assert shown.stderr == ""
    told = json.loads(run("build", root, "--json").stdout)
    assert list(told)[:12] == [
        "run_id", "status", "plan_signature", "reduced_plan_signature", "tasks", "files", "tables", "wall_s", "cpu_s",
        "peak_rss_mb", "store", "errors",
    ]  # fmt: skip
    assert set(told["tasks"]) == {"planned", "ran", "reused", "skipped", "failed"}
    assert set(told["files"]) == {"total", "extracted", "reused", "recovered", "failed"}
    assert set(told["tables"]["files"]) == {"rows", "version", "path"}


def test_a_failing_view_is_told_in_five_lines_and_exits_with_1(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    views = write_repository(tmp_path / "views", {
        "bad.sql": "SELECT path, CAST(module AS INT) AS n FROM files", "worse.sql": "SELECT n FROM bad",
    })  # fmt: skip
    done = run("build", root, "--views", views)
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) <= 5
    text = "\n".join(lines)
    assert "failed bad: " in text
    assert "skipped (ancestor failed: bad): bad_v1, worse, worse_v1" in text
    assert "the run before stays current" in text
    assert "Traceback" not in text


def test_plan_shows_tasks_by_generation_and_runs_nothing(shop_store: Path) -> None:
    before = sorted(shop_store.joinpath("runs").iterdir())
    shown = run("plan", shop_store.parent).stdout
    assert "critical path" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())
    told = json.loads(run("plan", shop_store.parent, "--json").stdout)
    assert {"signature", "reduced_signature", "tasks", "edges", "reduced_edges", "node_map", "critical_path",
            "critical_path_length", "isolates"} <= set(told)  # fmt: skip
    assert set(told["tasks"][0]) >= {"name", "kind", "inputs", "columns", "generation", "criticality", "slack",
                                     "weight", "action", "reason"}  # fmt: skip
    assert run("plan", shop_store.parent, "--mermaid").stdout.startswith("flowchart")
    assert run("plan", shop_store.parent, "--diff").stdout == "the plan is that of the current run\n"
    assert sorted(shop_store.joinpath("runs").iterdir()) == before


def test_plan_diff_names_what_a_new_view_adds(shop_store: Path, tmp_path: Path) -> None:
    views = write_repository(tmp_path / "views", {"mine.sql": "SELECT path FROM files"})
    shown = run("plan", shop_store.parent, "--diff", "--views", views).stdout
    assert shown.splitlines() == ["+ mine", "+ mine_v1", "+ files → mine", "+ mine → mine_v1"]


def test_the_plan_page_is_one_file_that_loads_nothing(shop_store: Path, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    assert run("plan", shop_store.parent, "--html", page).returncode == 0
    text = page.read_text()
    assert "cpg_nodes" in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(("form", "expected"), [
    ("csv", "path,status\nbroken.py,failed\n"),
    ("json", '[\n  {\n    "path": "broken.py",\n    "status": "failed"\n  }\n]\n'),
    ("table", "path       status\nbroken.py  failed\n"),
])  # fmt: skip
def test_sql_writes_rows_in_the_format_asked_for(shop_store: Path, form: str, expected: str) -> None:
    query = "SELECT path, status FROM files WHERE status = 'failed'"
    done = run("sql", query, "--store", shop_store, "--format", form)
    assert "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n" == expected


def test_sql_writes_arrow_and_reads_a_query_from_stdin(shop_store: Path) -> None:
    command = [sys.executable, "-m", "codeintel", "sql", "-", "--store", str(shop_store), "--format", "arrow"]
    done = subprocess.run(command, input=b"SELECT count(*) AS n FROM files", capture_output=True, check=True)
    assert pa.ipc.open_stream(done.stdout).read_all().to_pylist() == [{"n": 7}]


def test_columns_of_one_name_are_kept_apart(shop_store: Path) -> None:
    query = "SELECT a.path, b.path FROM files AS a JOIN files AS b ON a.path = b.path WHERE a.path = 'broken.py'"
    assert run("sql", query, "--store", shop_store, "--format", "csv").stdout == "path,path_2\nbroken.py,broken.py\n"


def test_runs_lists_the_current_one(shop_store: Path) -> None:
    (told,) = json.loads(run("runs", "--store", shop_store, "--json").stdout)
    assert (told["current"], told["status"], told["files"]) == (True, "ok", 7)
    assert told["run_id"] in run("runs", "--store", shop_store).stdout


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (("build", "nowhere"), 2, "nowhere does not exist"),
    (("build", ".", "--executor", "abacus"), 2, "must be one of local, hamilton, ray"),
    (("build", ".", "--executor", "ray", "--ray-address", "ray://h:1"), 2, "takes the cluster itself"),
    (("build", ".", "--jobs", "0"), 2, "--jobs must be a whole number of at least 1"),
    (("build", ".", "--targets", "cpg_node"), 2, "did you mean cpg_nodes"),
    (("sql", "SELECT 1"), 3, "no store at"),
    (("runs",), 3, "no store at"),
    (("buidl",), 2, "No such command"),
])  # fmt: skip
def test_wrong_use_is_one_clear_line_and_its_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    write_repository(tmp_path, {"a.py": "x = 1\n"})
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".codeintel").exists()


def test_bad_sql_is_told_with_line_and_nearest_names(shop_store: Path) -> None:
    done = run("sql", "SELECT *\nFROM cpg_node", "--store", shop_store)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cpg_nodes" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_come_from_flags_then_environment_then_pyproject(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "r", {
        "a.py": "x = 1\n", "gen/b.py": "y = 2\n", "pyproject.toml": '[tool.codeintel]\nexclude = ["gen/"]\n',
    })  # fmt: skip

    def files(*flags: str, env: Mapping[str, str] | None = None) -> int:
        return json.loads(run("build", root, "--json", *flags, env=env).stdout)["files"]["total"]

    assert files() == 1
    assert files(env={"CODEINTEL_EXCLUDE": "nothing/"}) == 2
    assert files("--exclude", "gen/", env={"CODEINTEL_EXCLUDE": "nothing/"}) == 1

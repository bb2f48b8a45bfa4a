"""What a report says: of builds that went well, badly or not at all, of two runs, and of names that mean harm."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import codeintel
from codeintel.errors import StoreError, UsageError
from codeintel.reporting.run_report import report_facts
from codeintel.store.directory import open_store
from tests.build.conftest import FILES, write_repository

from .big import large_pipeline

HOSTILE = "</script><img src=x onerror=alert(1)>.py"


class Page(HTMLParser):
    """The elements of a page, the text of its scripts, and every address that it could load from."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self.addresses: list[str] = []
        self._is_code = False
        self.facts: dict[str, Any] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append(tag)
        self._is_code = tag == "script"
        self.policy = self.policy or (told.get("content") or "" if told.get("http-equiv") else "")
        self.addresses += [
            value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "action", "data")
        ]

    def handle_data(self, data: str) -> None:
        if self._is_code:
            self.scripts.append(data)
            self._is_code = False
            if len(self.scripts) == 1:
                self.facts = json.loads(data)


def facts_of(store: Path, run: str | None = None, diff: str | None = None) -> dict[str, Any]:
    return report_facts(open_store(store), run, diff)[0]


def by_name(facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["name"]: task for task in facts["tasks"]}


def chain(facts: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """Task and cause from `name` to the root, as the page follows them."""
    task = by_name(facts)[name]
    steps = [(task["name"], task["cause"])]
    while task["via"] >= 0:
        task = facts["tasks"][task["via"]]
        steps.append((task["name"], task["cause"]))
    return steps


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A store of two builds, the second after an edit and with a view more; and their runs."""
    root = write_repository(tmp_path_factory.mktemp("report") / "shop", FILES)
    views = write_repository(tmp_path_factory.mktemp("views"), {
        "calls_in.sql": "-- severity: warn\n-- allowed kind: Name\n"
        "SELECT path, bucket, line, kind, count(*) AS n FROM cpg_nodes WHERE kind = 'Call' GROUP BY 1, 2, 3, 4",
    })  # fmt: skip
    first = codeintel.build(root, jobs=1)
    file = root / "shop/prices.py"
    file.write_text(file.read_text().replace("3.5", "4.5"))
    second = codeintel.build(root, jobs=1, views=(views,))
    assert second.status == "ok"
    return root / ".codeintel", first.run_id, second.run_id


def test_every_task_has_its_outcome_and_the_chain_to_the_root_of_its_cause(edited: tuple[Path, str, str]) -> None:
    store, first, second = edited
    tasks = by_name(facts_of(store, first))
    assert {task["outcome"] for task in tasks.values()} == {"ran"}
    assert tasks["cpg_nodes"]["cause"] == "new"
    facts = facts_of(store)
    assert facts["run"]["id"] == second
    tasks = by_name(facts)
    assert tasks["import_targets"]["outcome"] == "reused"
    assert chain(facts, "cpg_props") == [
        ("cpg_props", "input ast_props changed"),
        ("ast_props", "input python_facts changed"),
        ("python_facts", "input repo_files changed"),
        ("repo_files", "file shop/prices.py changed"),
    ]
    for name in tasks:  # what `why` tells in the terminal
        told = codeintel.why(store, name)
        assert len(chain(facts, name)) == len(told.chain), name
    assert facts["changes"] == {"total": 1, "rows": [["repo_files", "file shop/prices.py", "changed"]]}


def test_a_file_with_a_syntax_error_is_listed_with_its_line(edited: tuple[Path, str, str]) -> None:
    errors = facts_of(edited[0])["errors"]
    assert errors["total"] == 1
    path, line, _column, stage, error, *_ = errors["rows"][0]
    assert (path, line, stage, error) == ("broken.py", 1, "parse", "SyntaxError")


def test_times_are_within_the_run_and_nobody_does_two_things_at_a_time(edited: tuple[Path, str, str]) -> None:
    facts = facts_of(edited[0], edited[1])
    lanes = {lane["name"]: lane["spans"] for lane in facts["lanes"]}
    assert list(lanes) == ["driver", "plan-0", "worker 0"]
    for spans in lanes.values():
        ends = 0.0
        for _task, start, end in spans:
            assert ends <= start <= end <= facts["run"]["wall_s"]
            ends = end
    worked = {name: {facts["tasks"][task]["name"] for task, _, _ in spans} for name, spans in lanes.items()}
    assert worked["driver"] == {"repo_files", "node_kinds", "external_file"}
    assert worked["worker 0"] == {"python_facts"}  # so few rows are no work for a process
    assert worked["plan-0"] == set(by_name(facts))
    assert lanes["driver"][-1][2] <= lanes["plan-0"][0][1]  # sources are read before anything runs
    facts_at = next(span for span in lanes["plan-0"] if facts["tasks"][span[0]]["name"] == "python_facts")
    assert facts_at[1] <= lanes["worker 0"][0][1] <= lanes["worker 0"][-1][2] <= facts_at[2]
    began = {task: start for task, start, _ in reversed(lanes["plan-0"])}
    for number, task in enumerate(facts["tasks"]):
        assert all(began[read] < began[number] for read in task["inputs"])


def test_a_broken_rule_that_warns_is_told_with_its_rows(edited: tuple[Path, str, str]) -> None:
    facts = facts_of(edited[0])
    broken = [rule for rule in facts["contracts"] if rule["outcome"] == "broken"]
    assert [(rule["table"], rule["severity"]) for rule in broken] == [("calls_in", "warn")]
    assert broken[0]["count"] == 5
    assert any("shop/cart.py" in row for row in broken[0]["rows"])
    assert list(facts["run"]["warnings"]) == ["calls_in"]


def test_the_catalog_says_what_rows_and_columns_mean(edited: tuple[Path, str, str]) -> None:
    catalog = {table["table"]: table for table in facts_of(edited[0])["catalog"]}
    assert list(catalog) == [
        "calls_in",
        "cpg_edges",
        "cpg_nodes",
        "cpg_props",
        "extract_errors",
        "files",
        "unresolved_calls",
    ]
    nodes = catalog["cpg_nodes"]
    assert (nodes["entity"], nodes["grain"], nodes["keys"]) == ("node", "one row per node of the graph", ["node_id"])
    assert nodes["rows"] > 100
    assert nodes["columns"][0]["meaning"] == "edit-stable identity of the node"


def test_a_difference_names_plan_sources_tables_and_tasks(edited: tuple[Path, str, str]) -> None:
    store, first, second = edited
    found = facts_of(store, second, first)["difference"]
    assert found["old"]["id"] == first
    assert found["plan"]["added"] == ("calls_in", "calls_in_v1")
    assert found["plan"]["edges_added"] == (("calls_in", "calls_in_v1"), ("cpg_nodes", "calls_in"))
    assert not found["plan"]["changed"]
    assert not found["plan"]["edges_removed"]
    assert found["sources"] == {"total": 1, "rows": [("repo_files", "shop/prices.py", "changed")]}
    tables = {name: (was, now, data) for name, was, now, _, _, data in found["tables"]}
    assert tables["calls_in"] == (None, 5, "one run")
    assert tables["cpg_nodes"][2] == "same"
    assert tables["cpg_props"][2] == "changed"
    tasks = {name: (was, now, data, cause) for name, was, now, _, _, data, cause in found["tasks"]}
    assert tasks["import_targets"][:3] == ("ran", "reused", "same")
    assert tasks["python_facts"] == ("ran", "ran", "changed", "input repo_files changed")
    back = facts_of(store, first, second)["difference"]
    assert back["plan"]["removed"] == found["plan"]["added"]


def test_a_failed_run_says_what_failed_and_what_was_skipped_for_it(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    bad = write_repository(tmp_path / "views", {
        "bad.sql": "SELECT path, CAST(module AS INT) AS n FROM files", "worse.sql": "SELECT n FROM bad",
    })  # fmt: skip
    result = codeintel.build(root, jobs=1, views=(bad,))
    facts = facts_of(root / ".codeintel")  # there is no complete run: the newest
    assert (facts["run"]["id"], facts["run"]["status"]) == (result.run_id, "failed")
    assert list(facts["run"]["errors"]) == ["bad"]
    tasks = by_name(facts)
    assert tasks["bad"]["outcome"] == "failed"
    assert "module" in tasks["bad"]["cause"] or "cast" in tasks["bad"]["cause"].lower()
    assert [step for step, _ in chain(facts, "worse_v1")] == ["worse_v1", "bad"]
    assert Page(codeintel.report(root / ".codeintel")).facts["run"]["status"] == "failed"


def test_a_run_without_artifacts_plan_or_rows_still_has_a_page(edited: tuple[Path, str, str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(edited[0], store)
    run = store / "runs" / edited[2]
    shutil.rmtree(run / "artifacts")
    (run / "plan.json").unlink()
    shutil.rmtree(store / "objects")
    facts = facts_of(store, edited[2], edited[1])
    assert {task["outcome"] for task in facts["tasks"]} == {"ran", "reused"}
    assert facts["errors"]["note"].startswith("object ")
    assert facts["difference"]["plan"] is None
    assert "left no plan to draw" in codeintel.report(store)


def test_a_run_of_an_earlier_version_has_no_timeline_but_a_page(edited: tuple[Path, str, str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(edited[0], store)
    run = store / "runs" / edited[2]
    (run / "artifacts/spans.json.z").unlink()
    facts = facts_of(store)
    assert facts["lanes"] == []
    assert facts["critical_path"]
    assert Page(codeintel.report(store)).facts["run"]["id"] == edited[2]


def test_a_run_or_store_that_is_not_there_is_one_clear_line(edited: tuple[Path, str, str], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        codeintel.report(tmp_path)
    with pytest.raises(UsageError, match="no run 'x'"):
        codeintel.report(edited[0], "x")
    with pytest.raises(UsageError, match="no run 'y'"):
        codeintel.report(edited[0], None, "y")


def test_the_page_loads_nothing_and_lets_no_script_run_but_its_own(edited: tuple[Path, str, str]) -> None:
    page = Page(codeintel.report(edited[0], edited[2], edited[1]))
    assert all(address.startswith("#") for address in page.addresses)
    assert "'unsafe-inline'" not in page.policy.partition("script-src")[2]
    assert page.policy.startswith("default-src 'none';")
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts[1:]]
    assert re.findall(r"'sha256-(.*?)'", page.policy) == digests


def test_no_name_ends_the_place_it_stands_in(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "r", {"a/" + HOSTILE: "def f(:\n", "a.py": "x = 1\n"})
    folder = tmp_path / "<b>$$x$$"
    write_repository(folder, {"v.sql": "SELECT path FROM files"})
    renamed = root.rename(root.parent / "<img src=x onerror=alert(2)>")
    codeintel.build(renamed, jobs=1, views=(folder,), store=tmp_path / "store")
    text = codeintel.report(tmp_path / "store")
    page = Page(text)
    assert page.tags.count("img") == 0
    assert page.tags.count("script") == 6
    assert page.facts["errors"]["rows"][0][0] == f"a/{HOSTILE}"
    assert page.facts["run"]["name"] == "<img src=x onerror=alert(2)>"
    assert "onerror=alert" in text


def test_the_same_run_gives_the_same_bytes(edited: tuple[Path, str, str], tmp_path: Path) -> None:
    pages = []
    for seed in ("1", "2"):
        file = tmp_path / f"{seed}.html"
        command = [
            sys.executable,
            "-m",
            "codeintel",
            "report",
            "--store",
            edited[0],
            "--diff",
            edited[1],
            "--output",
            file,
        ]
        environment = {**os.environ, "PYTHONHASHSEED": seed}  # noqa: TID251 - a command has one
        done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert done.stderr.startswith("wrote ")
        pages.append(file.read_bytes())
    assert pages[0] == pages[1]
    assert len(pages[0]) < 2_000_000


def test_json_tells_the_same_without_a_page(edited: tuple[Path, str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codeintel", "report", "--store", str(edited[0]), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(done.stdout) == Page(codeintel.report(edited[0])).facts
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_a_report_says_how_to_get_it(edited: tuple[Path, str, str], tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['bokeh'] = None; sys.argv[0] = 'codeintel'; from codeintel.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "report", "--store", str(edited[0])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: a report needs the extra [report]; get it with: pip install 'codeintel[report]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_thousands_of_tasks_is_folded_into_groups_that_lose_no_task(tmp_path: Path) -> None:
    result = codeintel.build_pipeline(large_pipeline(600, 40, failing="mart_of_003_0003"), tmp_path / "store")
    assert result.status == "failed"
    facts = facts_of(tmp_path / "store")
    assert len(facts["tasks"]) == 601
    assert len(facts["boxes"]) == 61  # four words in each of 15 generations, and the source
    assert sorted(task for members in facts["boxes"] for task in members) == [*range(601)]
    text = codeintel.report(tmp_path / "store")
    assert text.count("<rect") == 61
    assert len(text) < 3_000_000
    failed = next(i for i, m in enumerate(facts["boxes"]) if by_name(facts)["mart_of_003_0003"] is facts["tasks"][m[0]])
    assert f'data-box="{failed}"' in text
    (box,) = re.findall(r'<g class="(task [^"]*)" data-box="\d+" tabindex="0"><title>mart_of_003_0003', text)
    assert box.split()[:2] == ["task", "failed"]

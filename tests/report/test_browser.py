"""Reports in a real browser, offline: nothing is asked for, nothing goes wrong, and a reader finds what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import codeintel
from codeintel.relspec.execution_plan import compile_execution_plan
from codeintel.relspec.plan_drawing import Mark, draw_plan
from codeintel.reporting.page import report_page
from codeintel.reporting.run_report import report_facts
from codeintel.store.directory import open_store
from tests.build.conftest import FILES, write_repository
from tests.relspec.random_plans import task

from .big import large_pipeline
from .browser import Browser, browser, chromium

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="no Chromium here"),
    pytest.mark.xdist_group("browser"),
]
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def shown() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_repository(tmp_path_factory.mktemp("browser") / "shop", FILES)
    codeintel.build(root, jobs=1)
    file = root / "shop/prices.py"
    file.write_text(file.read_text().replace("3.5", "4.5"))
    codeintel.build(root, jobs=1)
    return root / ".codeintel"


def written(file: Path, page: str) -> Path:
    file.write_text(page, "utf-8")
    return file


def quiet(shown: Browser) -> bool:
    """Whether the page asked for nothing but itself, and the console heard nothing."""
    asked = [url for url in shown.requests if not url.startswith("data:")]
    return shown.problems == [] and len(asked) == 1 and asked[0].startswith("file:")


@pytest.mark.parametrize("dark", [False, True])
def test_a_report_draws_everything_without_a_request_or_a_complaint(
    shown: Browser, store: Path, tmp_path: Path, dark: bool
) -> None:
    first = min(path.name for path in (store / "runs").iterdir())
    shown.open(written(tmp_path / "r.html", codeintel.report(store, None, first)), dark=dark)
    assert quiet(shown), (shown.problems, shown.requests)
    assert shown.evaluate("document.querySelectorAll('.chart .bk-Figure, .chart > div').length") >= 3
    assert shown.text("h1").split()[:2] == ["shop", "ok"]
    assert "broken.py:1" in shown.text("#errors")
    assert "one row per node of the graph" in shown.text("#catalog")
    assert "file shop/prices.py" in shown.text("#tasks")
    assert "shop/prices.py" in shown.text("#difference")
    slowest = shown.text("#slowest tbody tr")
    assert shown.evaluate("report.slowest[0].name") in slowest
    assert shown.text("#summary .card dd.name") in slowest


def test_a_click_on_a_task_tells_the_chain_to_its_root(shown: Browser, store: Path, tmp_path: Path) -> None:
    shown.open(written(tmp_path / "r.html", codeintel.report(store)))
    assert shown.evaluate("document.getElementById('detail').hidden")
    box = shown.evaluate("report.facts.boxes.findIndex(b => report.tasks[b[0]].name === 'cpg_props')")
    shown.click(f'[data-box="{box}"] rect')
    shown.until("!document.getElementById('detail').hidden")
    steps = shown.evaluate("[...document.querySelectorAll('#detail .why > li')].map(li => li.innerText)")
    assert [step.split()[0] for step in steps] == ["cpg_props", "ast_props", "python_facts", "repo_files"]
    assert steps[-1].endswith("file shop/prices.py changed")
    shown.click("#detail .why a")
    shown.until("document.querySelector('#detail h2').innerText === 'ast_props'")
    assert quiet(shown), shown.problems


def test_tables_are_searched_sorted_filtered_and_paged(shown: Browser, store: Path, tmp_path: Path) -> None:
    shown.open(written(tmp_path / "r.html", codeintel.report(store)))
    rows = "[...document.querySelectorAll('#slowest tbody td:first-child')].map(td => td.innerText)"
    names = shown.evaluate("report.slowest.map(t => t.name)")
    assert shown.evaluate(rows) == names[:10]
    shown.click("#slowest .tools button[aria-label='next page']")
    assert shown.evaluate(rows) == names[10:20]
    shown.click("#slowest thead th button")
    assert shown.evaluate(rows) == sorted(names)[:10]
    shown.evaluate(
        "{const s = document.querySelector('#slowest input'); s.value = 'PYTHON'; s.dispatchEvent(new Event('input'))}"
    )
    assert shown.evaluate(rows) == ["python_facts"]
    every = shown.evaluate("report.tasks.filter(t => t.outcome === 'reused').length")
    shown.click("#tasks .tools button:nth-of-type(2)")
    assert shown.text("#tasks .count").endswith(f"of {every} tasks")


def test_hostile_names_are_text_wherever_they_stand(shown: Browser, store: Path, tmp_path: Path) -> None:
    facts: dict[str, Any] = report_facts(open_store(store))[0]
    for i, told in enumerate(facts["tasks"]):
        told |= {"name": f"$$\\x^{i}$$ {HOSTILE}", "cause": HOSTILE, "reason": HOSTILE, "kind": HOSTILE}
    facts["run"] |= {"name": HOSTILE, "errors": {HOSTILE: HOSTILE}, "warnings": {HOSTILE: HOSTILE}}
    facts["catalog"][0]["columns"][0] |= {"name": HOSTILE, "meaning": HOSTILE}
    facts["metadata"] = [(HOSTILE, HOSTILE)]
    facts["boxes"] = [[0], [1]]
    plan = compile_execution_plan([task(HOSTILE), task(f"{HOSTILE}2", HOSTILE)])
    marks = {name: Mark("ran", HOSTILE, HOSTILE, 1.0) for name in plan.tasks}
    shown.open(written(tmp_path / "r.html", report_page(facts, draw_plan(plan, marks))))
    assert quiet(shown), (shown.problems, shown.requests)
    assert shown.evaluate("document.querySelectorAll('img').length") == 0
    assert shown.text("h1").startswith(HOSTILE)
    assert HOSTILE in shown.text("#summary .alert")
    assert HOSTILE in shown.text("#tasks tr.link td")
    shown.click("#tasks tr.link")
    shown.until("!document.getElementById('detail').hidden")
    assert HOSTILE in shown.text("#detail h2")
    assert quiet(shown), shown.problems


def test_groups_of_a_large_plan_unfold_to_their_tasks(shown: Browser, tmp_path: Path) -> None:
    codeintel.build_pipeline(large_pipeline(600, 40, failing="mart_of_003_0003"), tmp_path / "store")
    shown.open(written(tmp_path / "r.html", codeintel.report(tmp_path / "store")))
    assert quiet(shown), shown.problems
    shown.click(".task.group.failed rect")
    shown.until("!document.getElementById('detail').hidden")
    assert shown.text("#detail h2") == "10 tasks of generation 4"
    names = shown.evaluate("[...document.querySelectorAll('#detail tbody tr')].map(tr => tr.innerText.split('\\t')[0])")
    assert names == [f"mart_of_003_{n:04}" for n in range(3, 40, 4)]
    shown.click("#detail tbody tr")
    shown.until("document.querySelector('#detail h2').innerText === 'mart_of_003_0003'")
    assert "ZeroDivisionError" in shown.text("#detail .why")

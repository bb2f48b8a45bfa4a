"""A plan shown: the same plan gives the same bytes, nothing is left out, and no name escapes its place."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan
from codeintel.relspec.plan_diff import TaskChange, diff_plans
from codeintel.relspec.plan_page import plan_page
from codeintel.relspec.plan_rendering import mermaid, plan_document, plan_text

from .random_plans import dags, task, tasks_of

HOSTILE = """</title><script>alert("x")</script>&'`"""


def small_plan() -> ExecutionPlan:
    return compile_execution_plan(
        [task("scan", kind="source"), task("ast", "scan"), task("calls", "ast", "scan"), task("alone")],
        weights={"scan": 1.0, "ast": 2.0, "calls": 0.25, "alone": 1.5},
    )


def test_the_document_has_every_part_of_the_contract() -> None:
    document = plan_document(small_plan(), {"ast": ("run", "view ast changed: sql")})
    assert json.loads(json.dumps(document)) == document
    assert document["edges"] == [["ast", "calls"], ["scan", "ast"], ["scan", "calls"]]
    assert document["reduced_edges"] == [["ast", "calls"], ["scan", "ast"]]
    assert document["critical_path"] == ["scan", "ast", "calls"]
    assert document["critical_path_length"] == 3.25
    assert document["isolates"] == ["alone"]
    assert document["node_map"].keys() == {"scan", "ast", "calls", "alone"}
    ast = next(row for row in document["tasks"] if row["name"] == "ast")
    assert {key: ast[key] for key in ast if key != "signature"} == {
        "name": "ast", "kind": "view", "inputs": {"scan": "whole"}, "columns": {"scan": ["id"]}, "generation": 1,
        "criticality": 2.25, "slack": 0.0, "weight": 2.0, "action": "run", "reason": "view ast changed: sql",
    }  # fmt: skip


def test_the_text_shows_generations_slack_and_the_critical_path() -> None:
    plan = small_plan()
    assert plan_text(plan, actions={"ast": ("run", "view ast changed: sql")}) == (
        f"4 tasks in 3 generations; plan {plan.signature[:12]}",
        "critical path 3.2 s: scan → ast → calls",
        "generation 0",
        "  alone view         1.5 s slack    1.8 s",
        "* scan  source       1.0 s slack     0 ms",
        "generation 1",
        "* ast   view         2.0 s slack     0 ms  run: view ast changed: sql",
        "generation 2",
        "* calls view        250 ms slack     0 ms  ← ast, scan",
    )


@given(dags(), st.integers(20, 140))
def test_the_text_fits_its_width_and_names_every_task(dag: dict[str, frozenset[str]], width: int) -> None:
    lines = plan_text(compile_execution_plan(tasks_of(dag)), width)
    assert max(map(len, lines)) <= width
    assert all(any(name in line for line in lines[2:]) for name in dag)


def test_a_mermaid_label_cannot_end_its_quotes() -> None:
    chart = mermaid(compile_execution_plan([task("a"), task(HOSTILE, "a")]))
    label = re.findall(r't1\["(.*)"\]', chart)[0]
    assert not set(label) & set("<>\"'`&[]")
    assert "  t0 ==> t1" in chart.splitlines()
    assert chart == mermaid(compile_execution_plan([task(HOSTILE, "a"), task("a")]))


class Page(HTMLParser):
    """Counts what a browser would see, and every address it might load from."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@given(dags())
def test_the_page_draws_every_task_and_reduced_edge_and_loads_nothing(dag: dict[str, frozenset[str]]) -> None:
    plan = compile_execution_plan(tasks_of(dag))
    html = plan_page(plan)
    page = Page()
    page.feed(html)
    assert page.open == []
    assert page.tags.count("rect") == len(dag)
    assert page.tags.count("path") == len(plan.graph.reduced_edges())
    assert page.addresses == []
    assert "url(" not in html
    assert "default-src 'none'" in html
    assert html == plan_page(compile_execution_plan(tasks_of(dict(reversed(dag.items())))))


def test_no_name_or_reason_escapes_into_the_page() -> None:
    page = Page()
    page.feed(plan_page(compile_execution_plan([task(HOSTILE)]), HOSTILE, {HOSTILE: ("run", HOSTILE)}))
    assert page.open == []
    assert page.tags.count("script") == 1
    assert page.text.count(HOSTILE) >= 3


def test_boxes_do_not_overlap() -> None:
    dag = {f"t{i:02}": [f"t{j:02}" for j in range(i) if (i * 7 + j * 3) % 5 == 0] for i in range(40)}
    html = plan_page(compile_execution_plan(tasks_of(dag)))
    boxes = [
        tuple(map(float, box)) for box in re.findall(r'<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', html)
    ]
    assert len(boxes) == 40
    for i, (x, y, w, h) in enumerate(boxes):
        for other_x, other_y, other_w, other_h in boxes[:i]:
            apart = x + w <= other_x or other_x + other_w <= x or y + h <= other_y or other_y + other_h <= y
            assert apart


def test_an_empty_plan_can_be_shown() -> None:
    plan = compile_execution_plan([])
    assert plan_document(plan)["tasks"] == []
    assert "<svg" in plan_page(plan)
    assert mermaid(plan) == "flowchart LR\n"


def test_a_diff_names_what_changed_and_the_part_that_did() -> None:
    old = small_plan()
    new = compile_execution_plan(
        [task("scan", kind="source", engine="2"), task("ast", "scan"), task("calls", "ast"), task("new", "ast")]
    )
    diff = diff_plans(old, new)
    assert (diff.added, diff.removed) == (("new",), ("alone",))
    assert diff.changed == (TaskChange("calls", ("columns", "inputs")), TaskChange("scan", ("engine",)))
    assert diff.edges_added == (("ast", "new"),)
    assert diff.edges_removed == (("scan", "calls"),)
    assert diff
    assert not diff_plans(old, old.with_weights({"ast": 50.0}))

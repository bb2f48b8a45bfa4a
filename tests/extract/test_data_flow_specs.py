"""Pages under `data_flow_specs/`: a Python block, then which definitions reach which uses.

A `def-use` block has one line per use: the use, then what reaches it, with the confidence where it is not 1, and the
dotted path where it is one: `3:Name x <- 1:Name x, 2:alias x [0.5]`. An `undefined` block lists the uses that may come
before any definition. Nodes are named as in the specs of control flow. Blocks that are left out are not checked.
`python -m tests.extract.test_data_flow_specs` writes the pages anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.extract.test_flow_specs import names_of, rewritten, rows_of, sources_of

PAGES = sorted((Path(__file__).parent / "data_flow_specs").glob("*.md"))
CASE = re.compile(r"```python\n(.*?)```((?:\n+```(?:def-use|undefined)\n.*?```)*)", re.DOTALL)
READ = ("ast_nodes", "flow_nodes", "reaching_definitions", "undefined_uses")


def shown(source: str) -> dict[str, str]:
    (facts,) = rows_of([source], read=READ)
    names = names_of(facts)
    reaching: dict[str, list[str]] = {}
    for row in facts["reaching_definitions"]:
        path = f" as {row['name']}" if "." in row["name"] else ""
        sure = "" if row["confidence"] == 1 else f" [{row['confidence']:g}]"
        reaching.setdefault(names[row["dst"]] + path, []).append(names[row["src"]] + sure)
    lines = {
        "def-use": [f"{use} <- {', '.join(definitions)}" for use, definitions in reaching.items()],
        "undefined": [f"{names[row['node_id']]} {row['certainty']}" for row in facts["undefined_uses"]],
    }
    return {block: "".join(f"{line}\n" for line in listed) for block, listed in lines.items()}


def rewritten_page(page: str) -> str:
    return rewritten(page, map(shown, sources_of(page, CASE)), CASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_reaches_what(page: Path) -> None:
    text = page.read_text("utf-8")
    assert CASE.search(text)
    assert rewritten_page(text) == text


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(rewritten_page(path.read_text("utf-8")), "utf-8")

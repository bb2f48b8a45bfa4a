"""Pages under `specs/`: a Python block, then its control flow, control dependence and dead code.

A `straight` block shows the steps without a label between nodes as chains, a `cfg` block all the others, one a line:
`2:If -> 3:Name f [true]`; `implicit` are exceptions that nothing names or catches. Nodes are their line, kind and name,
numbered from the second one of the same name on (`2:Name x#2`). `cdg`, `dom`, `pdom` and `unreachable` show what their
names say. Blocks that are left out are not checked. `python -m tests.extract.test_flow_specs` writes the pages anew.
"""

from __future__ import annotations

import ast
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from codeintel.extract.grammar import CLASSES, Unparsed
from codeintel.extract.python_facts import python_facts
from tests.extract.conftest import Rows, Sources, dominance_rows, scanned

NEEDS = {"type_parameters": (3, 12), "type_defaults": (3, 13)}  # what a page's syntax came with
PAGES = sorted(
    page for page in (Path(__file__).parent / "specs").glob("*.md") if sys.version_info >= NEEDS.get(page.stem, ())
)
READ = ("ast_nodes", "flow_nodes", "cfg_edges", "dominance_edges", "unreachable_nodes")
CASE = re.compile(r"```python\n(.*?)```((?:\n+```(?:cfg|straight|cdg|dom|pdom|unreachable)\n.*?```)*)", re.DOTALL)
SHOWN = re.compile(r"```([\w-]+)\n(.*?)```", re.DOTALL)


Extract = Callable[..., dict[str, pa.Table]]


def rows_of(sources: list[str], extract: Extract = python_facts, read: Sequence[str] = READ) -> list[Rows]:
    """Some of the facts of each source, as a file of its own."""
    named: Sources = {f"m{number:04}.py": source for number, source in enumerate(sources)}
    with tempfile.TemporaryDirectory() as folder:
        tables = extract(scanned(Path(folder), named), Path(folder), "", 1 << 20)
    found: dict[str, Rows] = {path: {name: [] for name in read} for path in named}
    for name in read:
        for row in tables[name].to_pylist():
            found[row["path"]][name].append(row)
    return list(found.values())


def names_of(facts: Rows) -> dict[int, str]:
    """A readable name for each node, entry and exit."""
    names: dict[int, str] = {}
    met: Counter[str] = Counter()
    for node in facts["ast_nodes"]:
        text = f"{node['line'] or ''}:{node['kind']}" + (f" {node['name']}" if node["name"] else "")
        met[text] += 1
        names[node["node_id"]] = text if met[text] == 1 else f"{text}#{met[text]}"
    for end in facts["flow_nodes"]:
        names[end["node_id"]] = f"{end['kind'].lower()} of {names[end['unit_id']]}"
    return names


def shown(facts: Rows) -> dict[str, str]:
    """What each block has to say of one file."""
    names = names_of(facts)
    ends = {end["node_id"] for end in facts["flow_nodes"]}
    steps, straight = [], []
    for edge in facts["cfg_edges"]:
        label = f" [{edge['label']}]" if edge["label"] else ""
        step = f"{names[edge['src']]} -> {names[edge['dst']]}{label}{' implicit' if edge['is_implicit'] else ''}"
        if label or edge["src"] in ends or edge["dst"] in ends:
            steps.append(step)
        else:
            straight.append((names[edge["src"]], names[edge["dst"]]))
    chains: list[list[str]] = []
    for begin, end in straight:
        if chains and chains[-1][-1] == begin:
            chains[-1].append(end)
        else:
            chains.append([begin, end])
    found = {
        "cfg": steps,
        "straight": [" -> ".join(chain) for chain in chains],
        "unreachable": [names[row["node_id"]] for row in facts["unreachable_nodes"]],
    }
    dominance = dominance_rows(facts)
    for block, kind in (("cdg", "CDG"), ("dom", "DOMINATE"), ("pdom", "POST_DOMINATE")):
        found[block] = [
            f"{names[row['src']]} -> {names[row['dst']]}" + (f" [{row['label']}]" if row["label"] else "")
            for row in dominance[kind]
        ]
    return {block: "".join(f"{line}\n" for line in lines) for block, lines in found.items()}


def sources_of(page: str, cases: re.Pattern[str] = CASE) -> list[str]:
    return [match[1] for match in cases.finditer(page)]


def rewritten(page: str, found: Iterable[Mapping[str, str]], cases: re.Pattern[str] = CASE) -> str:
    """The page with the blocks it has as they are found for its cases."""
    each = iter(found)

    def case(match: re.Match[str]) -> str:
        now = next(each)
        blocks = SHOWN.findall(match[2])
        return f"```python\n{match[1]}```" + "".join(f"\n```{name}\n{now[name]}```" for name, _ in blocks)

    return cases.sub(case, page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_the_flow_there_is(page: Path) -> None:
    text = page.read_text("utf-8")
    sources = sources_of(text)
    assert sources
    assert rewritten(text, map(shown, rows_of(sources))) == text


def test_the_pages_have_every_kind_of_statement_expression_and_pattern() -> None:
    seen = {type(node) for page in PAGES for source in sources_of(page.read_text("utf-8"))
            for node in ast.walk(ast.parse(source))}  # fmt: skip
    assert set(CLASSES) - seen <= {*ast.mod.__subclasses__(), ast.TypeIgnore, Unparsed} - {ast.Module}


if __name__ == "__main__":
    for path in PAGES:
        read = path.read_text("utf-8")
        path.write_text(rewritten(read, map(shown, rows_of(sources_of(read)))), "utf-8")

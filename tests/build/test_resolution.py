"""What is resolved across files follows edits, and only those that matter to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import codeintel

Make = Callable[..., Path]

FILES = {
    "lib.py": "def work(x):\n    return x\n\n\ndef rest(x):\n    return x\n",
    "app.py": "import lib\n\n\ndef main():\n    # begin\n    return lib.work('a text')\n",
    "other.py": "def alone():\n    return 1\n",
}


def outcome(root: Path, task: str = "resolutions") -> str:
    result = codeintel.build(root, jobs=1)
    assert result.status == "ok", result.errors
    return codeintel.open(root / ".codeintel").manifest.tasks[task].outcome


def test_an_edit_that_changes_no_flow_resolves_nothing_anew(make_repository: Make) -> None:
    root = make_repository(FILES)
    assert outcome(root) == "ran"
    text = (root / "app.py").read_text()
    (root / "app.py").write_text("# moved\n\n" + text.replace("a text", "another text").replace("# begin", "pass"))
    assert outcome(root) == "reused"
    (site,) = codeintel.open(root / ".codeintel").callers("lib.work")
    assert site.line == 8


def test_a_renamed_function_is_resolved_anew_and_equals_a_clean_build(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository(FILES)
    codeintel.build(root, jobs=1)
    (root / "lib.py").write_text(FILES["lib.py"].replace("work", "labour"))
    (root / "app.py").write_text(FILES["app.py"].replace("work", "labour"))
    assert outcome(root) == "ran"
    snapshot = codeintel.open(root / ".codeintel")
    assert snapshot.callgraph() == {"app.main": ["lib.labour"]}
    codeintel.build(root, store=tmp_path / "clean", jobs=1)
    clean = codeintel.open(tmp_path / "clean").manifest
    assert {n: h.handle(n).version for n, h in snapshot.manifest.handles.items()} == {
        n: h.handle(n).version for n, h in clean.handles.items()
    }


def test_a_call_that_goes_away_takes_its_edge_with_it(make_repository: Make) -> None:
    root = make_repository(FILES)
    codeintel.build(root, jobs=1)
    (root / "app.py").write_text("import lib\n\n\ndef main():\n    return lib.rest\n")
    codeintel.build(root, jobs=1)
    snapshot = codeintel.open(root / ".codeintel")
    assert snapshot.callgraph() == {}
    assert snapshot.table("unresolved_calls").num_rows == 0


TYPES = """
    SELECT b.name, t.qualname FROM cpg_edges AS e
    JOIN cpg_nodes AS b ON b.node_id = e.src JOIN cpg_nodes AS t ON t.node_id = e.dst
    WHERE e.kind = 'EVAL_TYPE' AND b.kind = 'Binding' ORDER BY 1, 2
"""
TYPED = """\
class Tool:
    def copy(self):
        return Tool()


def use(tool, times=1):
    texts = [str(times)]
    for text in texts:
        print(text, texts)
    return tool.copy()


made = use(Tool())
again = made or use("none")
"""


def test_variables_and_parameters_have_the_types_of_what_reaches_them(make_repository: Make) -> None:
    root = make_repository({"shop.py": TYPED})
    codeintel.build(root, jobs=1)
    rows = codeintel.open(root / ".codeintel").rows(TYPES).to_pylist()
    assert [(row["name"], row["qualname"]) for row in rows] == [
        ("again", "shop.Tool"), ("made", "shop.Tool"), ("self", "shop.Tool"), ("text", "builtins.str"),
        ("texts", "builtins.list"), ("times", "builtins.int"), ("tool", "builtins.str"), ("tool", "shop.Tool"),
    ]  # fmt: skip

"""What is resolved across files follows edits, and only those that matter to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import codeintel
from codeintel.store.handles import object_path

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


SHOP = {
    "shop/__init__.py": "",
    "shop/cart.py": "class Cart:\n    def pay(self):\n        self.total()\n\n    def total(self): pass\n",
    "shop/desk.py": "from shop.cart import Cart\n\n\ndef sell():\n    return Cart().pay()\n",
}
FARM = {
    "farm/__init__.py": "",
    "farm/barn.py": "from farm.cow import Cow\n\n\ndef feed(animal):\n    animal.eat()\n\n\nfeed(Cow())\n",
    "farm/cow.py": "class Cow:\n    def eat(self): pass\n",
}


def rebuilt(root: Path, clean: Path) -> str:
    """How much was resolved anew. Every table is that of a clean build."""
    result = codeintel.build(root, jobs=1)
    codeintel.build(root, store=clean, jobs=1)
    tables, wanted = (codeintel.open(store).manifest.handles for store in (root / ".codeintel", clean))
    assert {n: h.handle(n).version for n, h in tables.items()} == {n: h.handle(n).version for n, h in wanted.items()}
    return codeintel.open(result.store).manifest.tasks["resolutions"].reason


@pytest.mark.parametrize(
    ("edits", "anew"),
    [
        ({"shop/desk.py": SHOP["shop/desk.py"] + "\n\ndef give():\n    sell()\n"}, "1 of 2 components"),
        ({"tool.py": "def main():\n    main()\n"}, "1 of 3 components"),
        (dict.fromkeys(FARM), "0 of 1 components"),
        ({"farm/barn.py": "from shop.cart import Cart\n" + FARM["farm/barn.py"]}, "1 of 1 components"),
        ({"farm/barn.py": "__all__ = ['feed']\n" + FARM["farm/barn.py"]}, "1 of 2 components"),
        ({"shop/desk.py": "def sell(): sell()\n", "farm/barn.py": "def feed(): feed()\n"}, "2 of 2 components"),
    ],
    ids=["a function more", "a program more", "a program less", "one by an import", "exports", "both"],
)
def test_only_the_program_that_an_edit_is_in_is_resolved_anew(
    make_repository: Make, tmp_path: Path, edits: Mapping[str, str | None], anew: str
) -> None:
    root = make_repository({**SHOP, **FARM})
    codeintel.build(root, jobs=1)
    for path, text in edits.items():
        if text is None:
            (root / path).unlink()
        else:
            (root / path).write_text(text)
    assert rebuilt(root, tmp_path / "clean") == anew


def test_programs_that_part_are_resolved_anew_once_more(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository({**SHOP, **FARM, "shop/both.py": "import farm.barn\nfarm.barn.evening()\n"})
    assert codeintel.build(root, jobs=1).status == "ok"
    (root / "shop/both.py").unlink()
    assert rebuilt(root, tmp_path / "clean") == "2 of 2 components"


@pytest.mark.parametrize("told", [True, False], ids=["new", "of the same time"])
def test_what_was_resolved_before_and_is_damaged_is_resolved_again(
    make_repository: Make, tmp_path: Path, told: bool
) -> None:
    root = make_repository({**SHOP, **FARM})
    codeintel.build(root, jobs=1)
    store = root / ".codeintel"
    for part in codeintel.open(store).manifest.handles["resolutions"].handle("resolutions").partitions.values():
        path = object_path(store / "objects", part)
        times = path.stat()
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        if not told:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (root / "shop/desk.py").write_text(SHOP["shop/desk.py"] + "\n\ndef give():\n    sell()\n")
    assert rebuilt(root, tmp_path / "clean") == "2 of 2 components"

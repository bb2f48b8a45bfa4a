"""`callers`, `callees`, `refs` and `export callgraph` on one small repository, and the same in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import codeintel
from codeintel.errors import UsageError
from tests.build.conftest import write_repository
from tests.cli.test_commands import run

FILES = {
    "shop/__init__.py": "from .cart import Cart\n",
    "shop/cart.py": "class Cart:\n    def __init__(self):\n        self.goods = []\n\n    def add(self, good):\n"
    "        self.goods.append(good)\n        return self.total()\n\n"
    "    def total(self):\n        return len(self.goods)\n",
    "app.py": "from shop import Cart\n\n\ndef main():\n    cart = Cart()\n    cart.add(good='tea')\n\n\nmain()\n",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_repository(tmp_path_factory.mktemp("questions") / "r", FILES)
    codeintel.build(root, jobs=1)
    return root / ".codeintel"


def test_callers_are_told_with_path_and_line_and_as_deep_as_asked(store: Path) -> None:
    found = json.loads(run("callers", "total", "--store", store, "--depth", "3", "--json").stdout)
    assert [(each["caller"], each["path"], each["line"], each["depth"]) for each in found] == [
        ("shop.cart.Cart.add", "shop/cart.py", 7, 1),
        ("app.main", "app.py", 6, 2),
        ("app", "app.py", 9, 3),
    ]
    assert "shop/cart.py:7" in run("callers", "Cart.total", "--store", store).stdout


def test_a_name_under_which_it_is_imported_is_enough(store: Path) -> None:
    snapshot = codeintel.open(store)
    assert snapshot.callers("shop.Cart") == snapshot.callers("shop.cart.Cart") != []


def test_callees_are_those_of_the_body(store: Path) -> None:
    found = json.loads(run("callees", "app.main", "--store", store, "--json").stdout)
    assert [(each["callee"], each["origin"]) for each in found] == [
        ("shop.cart.Cart", "constructor"), ("shop.cart.Cart.__init__", "constructor"), ("shop.cart.Cart.add", "call")
    ]  # fmt: skip
    assert {each["confidence"] for each in found} == {0.95}


def test_what_is_less_certain_is_left_out_if_asked(store: Path) -> None:
    snapshot = codeintel.open(store)
    assert len(snapshot.callers("add", confidence=0.95)) == 1
    assert snapshot.callgraph(confidence=0.95)["app"] == ["app.main"]
    assert snapshot.callers("add", confidence=0.96) == []


def test_references_go_through_imports_to_other_files(store: Path) -> None:
    found = json.loads(run("refs", "shop.cart.Cart", "--store", store, "--json").stdout)
    assert [(each["path"], each["line"], each["kind"]) for each in found] == [
        ("app.py", 1, "alias"), ("app.py", 5, "Name"), ("shop/__init__.py", 1, "alias")
    ]  # fmt: skip


def test_attributes_of_instances_and_names_of_arguments_are_references(store: Path) -> None:
    snapshot = codeintel.open(store)
    assert [(m.line, m.kind) for m in snapshot.refs("Cart.goods")] == [(6, "Attribute"), (10, "Attribute")]
    assert [(m.path, m.line, m.kind) for m in snapshot.refs("Cart.add.good")] == [
        ("app.py", 6, "keyword"), ("shop/cart.py", 6, "Name")
    ]  # fmt: skip


def test_the_call_graph_is_exported_by_qualified_names(store: Path) -> None:
    shown = run("export", "callgraph", "--store", store, "--format", "json")
    assert json.loads(shown.stdout) == codeintel.open(store).callgraph() == {
        "app": ["app.main"],
        "app.main": ["shop.cart.Cart.__init__", "shop.cart.Cart.add"],
        "shop.cart.Cart.add": ["<**PyList**>.append", "shop.cart.Cart.total"],
        "shop.cart.Cart.total": ["<builtin>.len"],
    }  # fmt: skip


def test_a_name_that_nothing_has_is_told_with_the_nearest(store: Path) -> None:
    shown = run("callers", "totl", "--store", store)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "nothing in the graph is called 'totl'; did you mean total" in shown.stderr
    with pytest.raises(
        UsageError, match="no variable, function, class or attribute of the repository is called 'nope'"
    ):
        codeintel.open(store).refs("nope")
    assert codeintel.open(store).callers("app") == []

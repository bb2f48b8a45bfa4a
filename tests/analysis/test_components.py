"""What is not connected is resolved as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pytest

from codeintel.analysis.components import program_components
from tests.analysis.conftest import Facts, resolved

FactsOf = Callable[[Mapping[str, str]], Facts]
SHOP = {
    "shop/__init__.py": "",
    "shop/cart.py": "class Cart:\n    def checkout(self): pass\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\ndef test():\n    Cart().checkout()\n",
}
FARM = {
    "farm/cow.py": "class Cow:\n    def milk(self): pass\n\n    def checkout(self): pass\n",
    "farm/barn.py": "def evening(animal):\n    animal.checkout()\n",
}


def grouped(facts: Facts) -> list[set[str]]:
    found: dict[str, set[str]] = {}
    for row in program_components(facts["value_flows"].to_reader()).to_pylist():
        found.setdefault(row["component"], set()).add(row["path"])
    assert all(component == min(paths) for component, paths in found.items())
    return [*found.values()]


@pytest.mark.parametrize(
    ("more", "one"),
    [
        ({}, False),
        ({"both.py": "import shop.cart\nfrom farm import barn\n"}, True),
        ({"shop/a.py": "import importlib\nimportlib.import_module('farm.cow')\n"}, True),
        ({"shop/a.py": "from farm.barn import *\n"}, True),
        ({"shop/a.py": "'farm cow'\n"}, False),
        ({"shop/a.py": "import importlib\nimportlib.import_module('yard')\n", "'yard.py": ""}, False),
    ],
)
def test_imports_and_names_of_modules_connect(facts_of: FactsOf, more: Mapping[str, str], one: bool) -> None:
    found = grouped(facts_of({**SHOP, **FARM, **more}))
    assert any({*SHOP} <= group for group in found)
    assert any({*SHOP, *FARM} <= group for group in found) is one


def rows(table: pa.Table) -> set[tuple[object, ...]]:
    return {tuple(row.values()) for row in table.drop(["bucket"]).to_pylist()}


def test_together_they_have_the_rows_that_each_has_alone(facts_of: FactsOf) -> None:
    alone = rows(resolved(facts_of(SHOP))) | rows(resolved(facts_of(FARM)))
    assert rows(resolved(facts_of({**SHOP, **FARM}))) == alone

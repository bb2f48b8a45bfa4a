"""Laws of `resolutions`: no order of files or rows shows, positions do not matter, orders of classes are CPython's."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeintel.analysis.mro import linearised
from tests.analysis.conftest import Facts, resolved

FactsOf = Callable[[Mapping[str, str]], Facts]

FILES = {
    "app.py": "from pkg import *\nfrom pkg.shapes import Circle\nCircle().draw()\nhelp_me(Circle)\n",
    "pkg/__init__.py": "from .shapes import Shape\nfrom .tools import help_me\n",
    "pkg/shapes.py": "class Shape:\n    def draw(self):\n        self.outline()\n"
    "class Circle(Shape):\n    def outline(self):\n        self.size = 1\n        return self.size\n",
    "pkg/tools.py": "def help_me(make):\n    return make().draw()\n",
    "tests/shapes.py": "from pkg.shapes import Shape\nclass Square(Shape):\n    def outline(self): pass\n",
    "wide.py": "def run(f):\n    f()\n" + "".join(f"def f{i}(): pass\nrun(f{i})\n" for i in range(70)),
}


@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_files_shows(facts_of: FactsOf, seed: int) -> None:
    facts = facts_of(FILES)
    paths = sorted(FILES)
    random.Random(seed).shuffle(paths)
    shuffled = {
        name: pa.concat_tables([facts[name].filter(pc.equal(facts[name]["path"], path)) for path in paths])
        for name in ("value_flows", "exports")
    }
    assert resolved(shuffled).equals(resolved(facts))


def test_moved_lines_comments_and_longer_texts_change_no_flow(facts_of: FactsOf) -> None:
    source = 'def f(a, b):\n    if a:\n        b = "x y"\n    return g(b)\n\ndef g(c):\n    return c\n'
    moved = (
        '# more\n\n\ndef f(a, b):\n    if a:  # so\n        b = "x, y and z"\n    pass\n    return g(b)\n'
        "def g(c): return c\n"
    )
    assert facts_of({"m.py": source})["value_flows"].equals(facts_of({"m.py": moved})["value_flows"])


def test_an_edit_in_one_function_leaves_the_flows_of_others_alone(facts_of: FactsOf) -> None:
    def rows(source: str) -> set[tuple[object, ...]]:
        return {tuple(row.values()) for row in facts_of({"m.py": source})["value_flows"].to_pylist()}

    before = rows("def f():\n    return len('x')\n\ndef g():\n    return f()\n")
    after = rows("def f():\n    a = print\n    return a(len('x'))\n\ndef g():\n    return f()\n")
    ids = {row[2] for row in before if row[1] == "define" and row[5] == "m.g"}
    of_g = {row for row in before if ids & {row[2], row[3], row[4]}}
    assert of_g
    assert of_g <= after


@st.composite
def hierarchies(draw: st.DrawFn) -> dict[int, list[int]]:
    """Bases by class, bases before classes, none twice."""
    return {
        cls: draw(st.lists(st.integers(0, cls - 1), max_size=3, unique=True)) if cls else []
        for cls in range(draw(st.integers(1, 9)))
    }


@given(hierarchies())
def test_the_order_of_classes_is_that_of_cpython(bases: dict[int, list[int]]) -> None:
    made: dict[int, type] = {}
    for cls, own in bases.items():
        try:
            made[cls] = type(str(cls), tuple(made[base] for base in own), {})
        except (TypeError, KeyError):  # no order, or of a class that has none
            continue
    orders = linearised(bases)
    for cls, real in made.items():
        assert [str(each) for each in orders[cls]] == [each.__name__ for each in real.__mro__[:-1]]

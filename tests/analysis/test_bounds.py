"""Shapes that are hostile to a whole-program analysis end, and what is not known of them is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from codeintel.analysis.values import WIDE
from tests.analysis.conftest import Facts, Graph, call_graph, resolved

FactsOf = Callable[[Mapping[str, str]], Facts]
CallsIn = Callable[[Mapping[str, str] | str], Graph]


def test_ten_thousand_functions_that_call_one_another_in_a_circle(calls_in: CallsIn) -> None:
    count = 10_000
    graph = calls_in("".join(f"def f{i}(x):\n    return f{(i + 1) % count}(x)\n" for i in range(count)))
    assert graph == {f"m.f{i}": [f"m.f{(i + 1) % count}"] for i in range(count)}


def test_a_generated_file_of_a_hundred_thousand_lines(facts_of: FactsOf) -> None:
    count = 25_000
    functions = (f"def f{i}(x):\n    y = x\n    return f{(i + 1) % count}(y)\n\n" for i in range(count))
    facts = facts_of({"m.py": "".join(functions)})
    found = resolved(facts)
    assert "unresolved" not in found["relation"].unique().to_pylist()
    assert call_graph(facts, found) == {f"m.f{i}": [f"m.f{(i + 1) % count}"] for i in range(count)}


def test_two_hundred_levels_of_inheritance(calls_in: CallsIn) -> None:
    levels = ["class C0:\n    def run(self):\n        pass\n"]
    levels += [f"class C{i}(C{i - 1}):\n    pass\n" for i in range(1, 200)]
    assert calls_in("".join([*levels, "C199().run()\n"])) == {"m": ["m.C0.run"]}


def test_a_class_that_inherits_from_itself(calls_in: CallsIn) -> None:
    assert calls_in("class A(A):\n    def f(self):\n        self.g()\n    def g(self): pass\n") == {"m.A.f": ["m.A.g"]}


def test_a_hundred_modules_that_star_import_one_another_in_a_circle(calls_in: CallsIn) -> None:
    files = {f"m{i}.py": f"from m{(i + 1) % 100} import *\nrun()\n" for i in range(100)}
    files["m50.py"] += "def run():\n    pass\n"
    assert calls_in(files) == {f"m{i}": ["m50.run"] for i in range(100)}


def test_a_chain_of_two_thousand_star_imports(calls_in: CallsIn) -> None:
    files = {f"m{i}.py": f"from m{i + 1} import *\n" for i in range(2000)}
    files["m2000.py"] = "def run():\n    pass\n"
    files["m0.py"] += "run()\n"
    assert calls_in(files) == {"m0": ["m2000.run"]}


def test_a_list_of_exports_made_at_run_time_hides_nothing(calls_in: CallsIn) -> None:
    assert calls_in({
        "lib.py": "__all__ = [n for n in globals()]\ndef run(): pass\n",
        "app.py": "from lib import *\nrun()\n",
    }) == {"app": ["lib.run"], "lib": ["builtins.globals"]}  # fmt: skip


def test_three_thousand_decorators_on_one_function(calls_in: CallsIn) -> None:
    graph = calls_in("def d(f):\n    return f\n" + "@d\n" * 3000 + "def run(): pass\nrun()\n")
    assert graph == {"m": ["m.d", "m.run"]}


def test_a_function_that_calls_itself_with_ever_more_arguments(calls_in: CallsIn) -> None:
    assert calls_in("def f(*args):\n    f(f, *args)\n    args[0]()\nf(f)\n") == {"m": ["m.f"], "m.f": ["m.f"]}


def test_partial_objects_of_themselves(calls_in: CallsIn) -> None:
    graph = calls_in("from functools import partial\ndef f(*a): pass\nfor i in x:\n    f = partial(f, 1)\nf()\n")
    assert graph == {"m": ["functools.partial", "m.f"]}


def test_containers_that_hold_themselves(calls_in: CallsIn) -> None:
    assert calls_in("x = []\nx.append(x)\nx[0][0].append(len)\nx = x[1:]\nx[0](x)\n")["m"] == [
        "builtins.len", "builtins.list.append"
    ]  # fmt: skip


@pytest.mark.parametrize("extra", [0, 1])
def test_a_set_that_grows_too_large_is_told(facts_of: FactsOf, extra: int) -> None:
    count = WIDE + extra
    source = "".join(f"def f{i}(): pass\n" for i in range(count)) + "def run(step):\n    step()\n"
    facts = facts_of({"m.py": source + "".join(f"run(f{i})\n" for i in range(count))})
    found = resolved(facts)
    reasons = [row["origin"] for row in found.to_pylist() if row["relation"] == "unresolved"]
    assert reasons == ["too many values"] * extra
    assert len(call_graph(facts, found)["m.run"]) <= WIDE


def test_what_is_not_known_has_a_reason(facts_of: FactsOf) -> None:
    facts = facts_of({"m.py": "import ext\ndef f(x):\n    x()\n    ext.thing()()\n    (1)()\n"})
    rows = resolved(facts).to_pylist()
    assert sorted(row["origin"] for row in rows if row["relation"] == "unresolved") == [
        "it comes from outside", "not callable", "nothing is known of it"
    ]  # fmt: skip

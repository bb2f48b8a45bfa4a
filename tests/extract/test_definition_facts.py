"""Definitions, parameters, decorators, bases, calls, imports and exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.extract.conftest import Facts


def pick(rows: Any, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in rows]


def text_of(rows: Any, source: str) -> Callable[[int | None], str | None]:
    spans = {n["node_id"]: source[n["bstart"] : n["bend"]] for n in rows["ast_nodes"] if n["bstart"] is not None}
    return spans.get


def test_definitions_have_qualified_names_docstrings_and_returns(facts: Facts) -> None:
    source = (
        '"""Module."""\nclass A:\n    """  Class.\n    """\n    async def m(self) -> int:\n        yield 1\n'
        "def f():\n    'doc'\n    g = lambda: (yield)\n    def h(x=lambda: 0):\n        return [lambda: 1 for _ in x]\n"
        "    return lambda: (lambda: 2)\n"
    )
    rows = facts(source)
    text = text_of(rows, source)
    assert pick(rows["definitions"], "qualname", "name", "kind", "is_async", "is_generator", "docstring") == [
        ("m", "m", "Module", False, False, "Module."), ("m.A", "A", "ClassDef", False, False, "  Class.\n    "),
        ("m.A.m", "m", "AsyncFunctionDef", True, True, None), ("m.f", "f", "FunctionDef", False, False, "doc"),
        ("m.f.<lambda1>", "<lambda1>", "Lambda", False, True, None), ("m.f.h", "h", "FunctionDef", False, False, None),
        ("m.f.<lambda2>", "<lambda2>", "Lambda", False, False, None),
        ("m.f.h.<lambda1>", "<lambda1>", "Lambda", False, False, None),
        ("m.f.<lambda3>", "<lambda3>", "Lambda", False, False, None),
        ("m.f.<lambda3>.<lambda1>", "<lambda1>", "Lambda", False, False, None),
    ]  # fmt: skip
    assert [text(d["returns_id"]) for d in rows["definitions"] if d["returns_id"]] == ["int"]
    owners = {d["node_id"]: d["qualname"] for d in rows["definitions"]}
    assert [owners[d["owner_id"]] for d in rows["definitions"]] == [
        "m", "m", "m.A", "m", "m.f", "m.f", "m.f.h", "m.f.h", "m.f", "m.f",
    ]  # fmt: skip


def test_packages_are_named_by_their_folder(facts: Facts) -> None:
    rows = facts({"p/__init__.py": "def f(): pass\n", "p/q/r.py": "class C: pass\n"})
    assert [d["qualname"] for d in rows["definitions"]] == ["p", "p.f", "p.q.r", "p.q.r.C"]


def test_parameters_have_kinds_defaults_and_annotations(facts: Facts) -> None:
    source = "def f(a, b=1, /, c: int = lambda x: x, *args: str, d, e=5, **kw): pass\nlambda p, q=2, *, r=3: p\n"
    rows = facts(source)
    text = text_of(rows, source)
    assert [
        (p["name"], p["position"], p["kind"], text(p["default_id"]), text(p["annotation_id"]))
        for p in rows["parameters"]
    ] == [
        ("a", 0, "positional_only", None, None), ("b", 1, "positional_only", "1", None),
        ("c", 2, "positional_or_keyword", "lambda x: x", "int"), ("x", 0, "positional_or_keyword", None, None),
        ("args", 3, "var_positional", None, "str"), ("d", 4, "keyword_only", None, None),
        ("e", 5, "keyword_only", "5", None), ("kw", 6, "var_keyword", None, None),
        ("p", 0, "positional_or_keyword", None, None), ("q", 1, "positional_or_keyword", "2", None),
        ("r", 2, "keyword_only", "3", None),
    ]  # fmt: skip


def test_decorators_and_bases_are_named_by_their_dotted_text(facts: Facts) -> None:
    source = "@a.b\n@c.d(1)\n@e[0]\nclass C(x.Y, Generic[T], f(), metaclass=m.M, **kw): pass\n"
    rows = facts(source)
    assert pick(rows["decorators"], "position", "name") == [(0, "a.b"), (1, "c.d"), (2, None)]
    assert pick(rows["class_bases"], "position", "keyword", "name") == [
        (0, None, "x.Y"), (1, None, "Generic"), (2, None, None), (3, "metaclass", "m.M"), (4, None, "kw"),
    ]  # fmt: skip


def test_calls_have_receivers_and_arguments_in_the_order_of_the_source(facts: Facts) -> None:
    source = "f(1, g(2), *a, k=3, *b, **kw)\nx.y.z(f()(4).w())\n"
    rows = facts(source)
    text = text_of(rows, source)
    calls = [(c["name"], text(c["func_id"]), text(c["receiver_id"]), c["n_arguments"]) for c in rows["calls"]]
    assert calls == [
        ("f", "f", None, 6), ("g", "g", None, 1), ("x.y.z", "x.y.z", "x.y", 1), ("w", "f()(4).w", "f()(4)", 0),
        (None, "f()", None, 1), ("f", "f", None, 0),
    ]  # fmt: skip
    given = [(str(text(a["call_id"]))[:2], text(a["node_id"]), a["position"], a["keyword"], a["kind"]) for a in
             rows["arguments"]]  # fmt: skip
    assert given == [
        ("f(", "1", 0, None, "positional"), ("f(", "g(2)", 1, None, "positional"), ("g(", "2", 0, None, "positional"),
        ("f(", "*a", 2, None, "starred"), ("f(", "3", 3, "k", "keyword"), ("f(", "*b", 4, None, "starred"),
        ("f(", "kw", 5, None, "double_starred"), ("x.", "f()(4).w()", 0, None, "positional"),
        ("f(", "4", 0, None, "positional"),
    ]  # fmt: skip


def test_imports_lead_to_absolute_paths(facts: Facts) -> None:
    source = "import a.b, c as d\nfrom e.f import g as h, i\nfrom . import j\nfrom ..k import l\n"
    source += "from ... import n\nfrom o import *\n"
    rows = facts({"p/q/r.py": source})
    columns = ("kind", "module", "level", "name", "asname", "bound_name", "target", "target_module")
    assert pick(rows["imports"], *columns) == [
        ("import", None, 0, "a.b", None, "a", "a.b", "a.b"), ("import", None, 0, "c", "d", "d", "c", "c"),
        ("from", "e.f", 0, "g", "h", "h", "e.f.g", "e.f"), ("from", "e.f", 0, "i", None, "i", "e.f.i", "e.f"),
        ("from", None, 1, "j", None, "j", "p.q.j", "p.q"), ("from", "k", 2, "l", None, "l", "p.k.l", "p.k"),
        ("from", None, 3, "n", None, "n", "...n", "..."), ("from", "o", 0, "*", None, None, "o", "o"),
    ]  # fmt: skip


def test_a_packages_own_file_is_inside_the_package(facts: Facts) -> None:
    assert pick(facts({"p/__init__.py": "from .a import b\nfrom . import c\n"})["imports"], "target") == [
        ("p.a.b",), ("p.c",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "names", "complete"),
    [
        ("__all__ = ['a', 'b']", ["a", "b"], True),
        ("__all__ = ('a',) + ('b',)\n__all__ += ['c']", ["a", "b", "c"], True),
        ("__all__: list = ['a']\n__all__.extend(['b'])\n__all__.append('c')\n__all__.remove('a')", ["b", "c"], True),
        ("__all__ = ['a'] + other.__all__", ["a"], False),
        ("__all__ = ['a', *names]", ["a"], False),
        ("__all__ = ['a']\nif x:\n    __all__.append('b')", ["a"], False),
        ("__all__ = ['a']\n__all__[0] = 'b'", ["a"], False),
        ("__all__ = ['a']\n__all__ = __all__ + ['b']", ["a", "b"], True),
        ("__all__ = ['a']\nprint(__all__)", ["a"], True),
        ("__all__ = ['\\ud800']", ["\\ud800"], True),
        ("x = 1", [], None),
    ],
)
def test_exports_say_whether_they_are_complete(
    facts: Facts, source: str, names: list[str], complete: bool | None
) -> None:
    rows = facts(source + "\n")["exports"]
    assert pick(rows, "position", "name", "is_complete") == [(i, name, complete) for i, name in enumerate(names)]

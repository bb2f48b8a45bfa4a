"""Scopes, symbols, and what each name is bound to and refers to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.extract.conftest import Facts

Resolve = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def resolve(facts: Facts) -> Resolve:
    """`(name, line, resolution, qualname of the binding or path of the builtin)` of each reference, in order."""

    def resolved(source: str) -> list[tuple[Any, ...]]:
        rows = facts(source)
        names = {b["binding_id"]: b["qualname"] for b in rows["bindings"]}
        names |= {e["external_id"]: e["name"] for e in rows["external_names"]}
        lines = {n["node_id"]: n["line"] for n in rows["ast_nodes"]}
        return [
            (r["name"], lines[r["node_id"]], r["resolution"], names.get(r["target_id"])) for r in rows["references"]
        ]

    return resolved


def binders(rows: Any) -> list[tuple[str, str, str]]:
    names = {b["binding_id"]: (b["qualname"], b["kind"]) for b in rows["bindings"]}
    return [(*names[b["binding_id"]], b["how"]) for b in rows["binders"]]


def test_names_are_looked_up_locally_then_around_then_globally_then_in_builtins(
    resolve: Resolve,
) -> None:
    source = "g = 1\ndef f(a):\n    b = a\n    def h():\n        return b, g, len, nowhere\n    return h\n"
    assert resolve(source) == [
        ("a", 3, "local", "m.f.a"), ("b", 5, "closure", "m.f.b"), ("g", 5, "global", "m.g"),
        ("len", 5, "builtin", "builtins.len"), ("nowhere", 5, "unresolved", None), ("h", 6, "local", "m.f.h"),
    ]  # fmt: skip


def test_methods_look_past_their_class_and_class_bodies_do_not(resolve: Resolve) -> None:
    source = "x = 0\nclass C:\n    x = 1\n    y = x\n    def m(self):\n        return x\n    z = [x for _ in x]\n"
    assert [r[1:] for r in resolve(source) if r[0] == "x"] == [
        (4, "class", "m.C.x"), (6, "global", "m.x"), (7, "global", "m.x"), (7, "class", "m.C.x"),
    ]  # fmt: skip


def test_a_class_body_reads_the_module_until_it_has_bound_the_name_itself(
    resolve: Resolve,
) -> None:
    source = "g = 1\nclass C:\n    g = g\n    h = g\n    list = list\n    def str(self) -> str: pass\n    n: str\n"
    assert [r[:3] for r in resolve(source)] == [
        ("g", 3, "global"), ("g", 4, "class"), ("list", 5, "builtin"), ("str", 6, "builtin"), ("str", 7, "class"),
    ]  # fmt: skip


def test_global_binds_in_the_module_even_if_only_functions_do(facts: Facts, resolve: Resolve) -> None:
    source = "def f():\n    global made, never\n    made = 1\ndef g():\n    return made, never\n"
    assert resolve(source) == [("made", 5, "global", "m.made"), ("never", 5, "global", "m.never")]
    kinds = {b["qualname"]: b["kind"] for b in facts(source)["bindings"]}
    assert kinds == {"m.f": "function", "m.g": "function", "m.made": "assignment", "m.never": "declared"}


def test_nonlocal_binds_in_the_nearest_function_that_owns_the_name(facts: Facts) -> None:
    source = "def f():\n    n = 0\n    def g():\n        def h():\n            nonlocal n\n            n += 1\n"
    assert [b for b in binders(facts(source)) if b[0].endswith(".n")] == [
        ("m.f.n", "assignment", "assignment"), ("m.f.n", "assignment", "augmented"),
    ]  # fmt: skip


def test_a_walrus_in_a_comprehension_binds_around_it(facts: Facts, resolve: Resolve) -> None:
    assert ("m.f.y", "walrus", "walrus") in binders(facts("def f(s):\n    return [y := x for x in s], y\n"))
    assert ("y", 2, "local", "m.f.y") in resolve("def f(s):\n    return [y := x for x in s], y\n")
    nested = "def g():\n    y = 1\n    def f(s):\n        [[y := x for x in t] for t in s]\n        return y\n"
    assert ("y", 5, "local", "m.g.f.y") in resolve(nested)
    assert ("y", 2, "global", "m.y") in resolve("[y := x for x in s]\ny\n")


def test_comprehension_variables_belong_to_the_comprehension_alone(facts: Facts, resolve: Resolve) -> None:
    source = "x = 1\ndef f(s):\n    [x for x in s]\n    return x\n"
    assert [r[1:3] for r in resolve(source) if r[0] == "x"] == [(3, "local"), (4, "global")]
    assert [b["kind"] for b in facts(source)["bindings"] if b["name"] == "x"] == ["assignment", "comprehension"]


def test_every_way_to_bind_a_name_is_told_apart(facts: Facts) -> None:
    source = (
        "import a.b\nfrom c import d as e\nfrom z import *\nfor i, [j, *k] in s: pass\nwith o as (p, q): pass\n"
        "try: pass\nexcept E as err: pass\nmatch t:\n    case {'k': u, **w}: pass\n    case [v, *r]: pass\n"
        "x: int\ny: int = 1\ny += 1\n(z := 1)\ndef fn(arg): pass\nclass Cl: pass\ndel x\n(nothing): int\nat.tr = 1\n"
    )
    assert [(name.removeprefix("m."), how) for name, _, how in binders(facts(source))] == [
        ("a", "import"), ("e", "import"), ("i", "for"), ("j", "for"), ("k", "for"), ("p", "with"), ("q", "with"),
        ("err", "except"), ("w", "match"), ("u", "match"), ("v", "match"), ("r", "match"), ("x", "annotation"),
        ("y", "assignment"), ("y", "augmented"), ("z", "walrus"), ("fn", "function"), ("fn.arg", "parameter"),
        ("Cl", "class"), ("x", "del"),
    ]  # fmt: skip


def test_private_names_are_mangled_in_classes_and_written_as_written(facts: Facts, resolve: Resolve) -> None:
    source = (
        "__g = 1\nclass _C:\n    __x = 1\n    def m(self, __y):\n        import __z\n        return __x, __y, __z\n"
    )
    rows = facts(source)
    assert {b["name"] for b in rows["bindings"]} >= {"__g", "_C__x", "_C__y", "_C__z"}
    assert resolve(source) == [
        ("__x", 6, "unresolved", None), ("__y", 6, "local", "m._C.m._C__y"), ("__z", 6, "local", "m._C.m._C__z"),
    ]  # fmt: skip


def test_names_nobody_binds_but_the_interpreter_are_implicit(facts: Facts, resolve: Resolve) -> None:
    source = "class C:\n    q = __qualname__\n    def m(self):\n        return __class__, __name__, __file__\n"
    assert resolve(source) == [
        ("__qualname__", 2, "class", "m.C.__qualname__"), ("__class__", 4, "class", "m.C.__class__"),
        ("__name__", 4, "global", "m.__name__"), ("__file__", 4, "global", "m.__file__"),
    ]  # fmt: skip
    assert {b["name"] for b in facts(source)["bindings"] if b["kind"] == "implicit"} == {
        "__qualname__", "__class__", "__name__", "__file__",
    }  # fmt: skip


def test_defaults_decorators_and_annotations_are_read_where_the_function_stands(
    resolve: Resolve,
) -> None:
    source = "def f(x, y):\n    @y\n    def g(x=x) -> y:\n        return x\n"
    assert [(r[0], r[1], r[2]) for r in resolve(source)] == [
        ("y", 2, "local"), ("x", 3, "local"), ("y", 3, "local"), ("x", 4, "local"),
    ]  # fmt: skip


def test_annotations_the_compiler_does_not_evaluate_are_resolved_all_the_same(
    resolve: Resolve,
) -> None:
    source = "from __future__ import annotations\nclass A: pass\ndef f(a: A) -> list[A]: pass\n"
    assert [r[:3] for r in resolve(source)] == [("A", 3, "global"), ("list", 3, "builtin"), ("A", 3, "global")]


def test_deleting_and_augmenting_read_the_name(resolve: Resolve) -> None:
    assert [r[:3] for r in resolve("x = 1\nx += 1\ndel x\n")] == [("x", 2, "global"), ("x", 3, "global")]


def test_scopes_on_one_line_keep_their_nodes(facts: Facts) -> None:
    source = (
        "h = (lambda a: (lambda b: b)(a), lambda c=(lambda d: d): c, lambda e: e)\n"
        "k = {(lambda f: f): (lambda g: g), (lambda i: i): [j for j in [l for l in k]]}\n"
        "n = (lambda o: o) if (lambda p: p) else (lambda q: q)\n"
        "r = {(s for s in s): (t for t in t) for u in u if (v for v in v)}\n"
    )
    rows = facts(source)
    own = {n["node_id"]: source[n["bstart"] : n["bend"]] for n in rows["ast_nodes"] if n["bstart"] is not None}
    nodes = {n["node_id"]: n for n in rows["ast_nodes"]}
    scope_names = {}
    for symbol in rows["symbols"]:
        scope_names.setdefault(symbol["scope_id"], set()).add(symbol["name"])
    variables = [n for n in rows["ast_nodes"] if n["kind"] == "arg" or (n["kind"] == "Name" and n["ctx"] == "Store")]
    binding_of = {b["node_id"]: b["binding_id"] for b in rows["binders"]}
    scope_of = {b["binding_id"]: b["scope_id"] for b in rows["bindings"]}
    for node in variables:
        scope = scope_of[binding_of[node["node_id"]]]
        assert node["name"] in scope_names[scope]
        assert own[node["node_id"]] in own[scope] or nodes[scope]["kind"] == "Module"
    assert len({scope_of[binding_of[n["node_id"]]] for n in variables if n["kind"] == "arg"}) == 11


def test_symbols_lead_to_bindings_of_the_file(facts: Facts) -> None:
    rows = facts("a = 1\ndef f(b):\n    global a\n    return a, b, len, (c for c in b)\n")
    names = {b["binding_id"]: b["qualname"] for b in rows["bindings"]}
    kinds = {s["scope_id"]: s["kind"] for s in rows["scopes"]}
    found = {(kinds[s["scope_id"]], s["name"]): names.get(s["binding_id"]) for s in rows["symbols"]}
    assert found["function", "a"] == found["module", "a"] == "m.a"
    assert found["function", "b"] == "m.f.b"
    assert found["function", "len"] is None
    assert found["genexpr", "c"] == "m.f.c"
    assert found["genexpr", ".0"] is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with 3.12")
def test_annotations_of_generic_methods_see_the_class(resolve: Resolve) -> None:
    source = "class C:\n    class D: pass\n    def f[T](self, a: D) -> T: return D\n"
    assert [r[:3] for r in resolve(source)] == [("D", 3, "class"), ("T", 3, "local"), ("D", 3, "unresolved")]

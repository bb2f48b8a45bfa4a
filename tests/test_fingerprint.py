"""Digests of values and of code: what changes them, and what does not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeintel import code_fingerprint
from codeintel.code_fingerprint import code_digest
from codeintel.fingerprint import digest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(VALUES, VALUES)
def test_digests_are_equal_only_for_equal_values_of_equal_types(one: object, other: object) -> None:
    assert (digest(one) == digest(other)) == (
        repr(one) == repr(other) or (one == other and _typed(one) == _typed(other))
    )


def _typed(value: object) -> object:
    match value:
        case dict():
            return {key: _typed(inner) for key, inner in value.items()}
        case tuple():
            return tuple(map(_typed, value))
        case _:
            return (type(value), repr(value))


def test_order_of_sets_and_mappings_does_not_count_and_unknown_types_are_refused() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(frozenset("abc")) == digest(frozenset("cba"))
    with pytest.raises(TypeError, match="object has no stable digest"):
        digest(object())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], str]:
    """Write a package `made` with these modules and give the code digest of `made.main.f`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # within one second, bytecode would hide an edit

    def digested(modules: dict[str, str]) -> str:
        folder = tmp_path / "made"
        folder.mkdir(exist_ok=True)
        for name, text in {"__init__": "", **modules}.items():
            (folder / f"{name}.py").write_text(text)
        for name in [n for n in sys.modules if n.partition(".")[0] == "made"]:
            del sys.modules[name]
        for cached in vars(code_fingerprint).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
        importlib.invalidate_caches()
        return code_digest(importlib.import_module("made.main").f)

    return digested


MAIN = "from made.help import g\nK = 1\n\n\ndef f(x, y=2):\n    '''Doc.'''\n    return g(x) + K + y\n"
HELP = "from made import deep\n\n\ndef g(x):\n    return deep.h(x)\n"
DEEP = "def h(x):\n    return x\n"


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("main", MAIN.replace("+ K", "- K")),
        ("main", MAIN.replace("K = 1", "K = 2")),
        ("main", MAIN.replace("y=2", "y=3")),
        ("help", HELP.replace("deep.h(x)", "deep.h(x) + 1")),
        ("deep", DEEP.replace("return x", "return -x")),
    ],
)
def test_a_change_of_body_constant_default_or_helper_changes_the_digest(
    package: Callable[[dict[str, str]], str], module: str, text: str
) -> None:
    modules = {"main": MAIN, "help": HELP, "deep": DEEP}
    before = package(modules)
    assert package({**modules, module: text}) != before
    assert package(modules) == before


def test_comments_formatting_and_docstrings_do_not_count(package: Callable[[dict[str, str]], str]) -> None:
    before = package({"main": MAIN, "help": HELP, "deep": DEEP})
    told = MAIN.replace("'''Doc.'''", "'''Other words.'''").replace(
        "return g(x) + K + y", "return (g(x)\n    + K + y)  # so"
    )
    assert package({"main": told, "help": HELP, "deep": "# why\n" + DEEP}) == before


def made(k: object) -> Callable[[int], object]:
    def inner(x: int) -> object:
        return x, k

    return inner


def test_closures_partials_and_wrapped_functions_count_by_value() -> None:
    assert code_digest(made(1)) == code_digest(made(1))
    assert code_digest(made(1)) != code_digest(made(2))
    assert code_digest(made(made(1))) != code_digest(made(made(2)))
    assert code_digest(partial(made, 1)) == code_digest(partial(made, 1))
    assert code_digest(partial(made, 1)) != code_digest(partial(made, 2))


def test_what_has_no_stable_content_is_never_the_same_again() -> None:
    assert code_digest(made(object())) != code_digest(made(object()))
    captured = object()
    assert code_digest(made(captured)) != code_digest(made(captured))
    assert code_digest(len) != code_digest(len)

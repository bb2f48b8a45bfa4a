"""The facts agree with `ast` and `symtable` over the standard library's trickiest modules."""

from __future__ import annotations

import ast
import asyncio
import collections
import contextlib
import dataclasses
import enum
import inspect
import symtable
import typing
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.extract.conftest import Facts, Row

FLAGS = ("is_referenced", "is_parameter", "is_global", "is_declared_global", "is_local", "is_free", "is_nonlocal",
         "is_imported", "is_assigned", "is_annotated", "is_namespace")  # fmt: skip
NOT_ROWS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)

MODULES = [
    Path(str(module.__file__)) for module in (ast, typing, dataclasses, enum, inspect, collections, contextlib)
] + sorted(Path(str(asyncio.__file__)).parent.glob("*.py"))

TRICKY = '''\
def top(x):
    """`symtable` takes any table named top for the module's."""
    y = x
    class top:
        z = y
    return [top for top in y if (lambda top: top)(y)]
class K:
    __p = 1
    a = [b for b in range(3) if [c for c in (lambda: b)()]]
    def __init__(self, __q=lambda: K.__p):
        super().__init__()
        nonlocal_ = {d: e for d, e in __class__.__dict__.items() if (w := d)}
        async def inner():
            nonlocal nonlocal_
            async for __r in w:
                del nonlocal_
            yield
        global inner2
        def inner2(): return inner
'''


def compiler_tree(table: symtable.SymbolTable) -> tuple[Any, ...]:
    symbols = sorted((s.get_name(), *(bool(getattr(s, flag)()) for flag in FLAGS)) for s in table.get_symbols())
    children = sorted(map(compiler_tree, table.get_children()))
    return (table.get_name(), table.get_lineno(), table.is_nested(), table.is_optimized(), table.has_children(),
            symbols, children)  # fmt: skip


def our_tree(scopes: list[Row], symbols: list[Row]) -> tuple[Any, ...]:
    flags, below = defaultdict(list), defaultdict(list)
    for symbol in symbols:
        flags[symbol["scope_id"]].append((symbol["name"], *(symbol[flag] for flag in FLAGS)))
    for scope in scopes:
        below[scope["parent_scope_id"]].append(scope)

    def tree(scope: Row) -> tuple[Any, ...]:
        children = sorted(map(tree, below[scope["scope_id"]]))
        return (scope["name"], scope["line"], scope["is_nested"], scope["is_optimized"], scope["has_children"],
                sorted(flags[scope["scope_id"]]), children)  # fmt: skip

    [module] = below[None]
    return tree(module)


@pytest.fixture
def agree(facts: Facts) -> Callable[[bytes], None]:
    def check(raw: bytes) -> None:
        rows = facts(raw)
        expected = [n for n in ast.walk(ast.parse(raw)) if not isinstance(n, NOT_ROWS)]
        assert Counter(r["kind"] for r in rows["ast_nodes"]) == Counter(type(n).__name__ for n in expected)
        assert sum(r["parent_id"] is not None for r in rows["ast_nodes"]) == len(expected) - 1
        assert len({r["node_id"] for r in rows["ast_nodes"]}) == len(expected)
        table = symtable.symtable(raw.decode(), "m.py", "exec")
        assert our_tree(rows["scopes"], rows["symbols"]) == compiler_tree(table)
        nodes = {r["node_id"]: r for r in rows["ast_nodes"]}
        for scope in rows["scopes"]:
            if scope["scope_id"] in nodes and scope["kind"] != "module":
                assert nodes[scope["scope_id"]]["line"] == scope["line"]
        bindings = {b["binding_id"] for b in rows["bindings"]}
        externals = {e["external_id"] for e in rows["external_names"]}
        for reference in rows["references"]:
            known = externals if reference["resolution"] == "builtin" else bindings
            assert (reference["target_id"] in known) == (reference["resolution"] != "unresolved")

    return check


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_syntax_scopes_and_symbols_agree_with_the_compiler(agree: Callable[[bytes], None], path: Path) -> None:
    agree(path.read_bytes())


def test_tricky_scopes_agree_with_the_compiler(agree: Callable[[bytes], None]) -> None:
    agree(TRICKY.encode())

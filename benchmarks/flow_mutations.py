"""Takes parts of the flow modules away, one at a time: does a page of `tests/extract/specs` turn red?

    python benchmarks/flow_mutations.py [--modules statement_flow,...] [--json FILE]

A *mutant* is one module with one part changed: a condition that never or always holds, a `case` that never matches,
one side of a conditional expression or of `and`, `or`, `&` and `|`, a statement that acts on something left out, or an
entry of a table. A page that shows something else kills it, and so do an error and too much time. Survivors are listed,
but for those that `flow_mutations.txt` names with the reason why nothing can be seen of them; exits with 1 if there are
any.

Each mutant runs in a process of its own, forked once everything is imported.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.extract import test_flow_specs as specs  # noqa: E402

MODULES = ("evaluation_order", "pattern_flow", "statement_flow", "control_flow", "dominance")
DEPENDANTS = (*MODULES, "chunk_tables", "python_facts")
SECONDS = 20
KNOWN = Path(__file__).with_suffix(".txt")
Change = tuple[str, Callable[[], None]]


def changes(tree: ast.Module) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """What can be done to a tree, in the order of its nodes: line, what, and a function that does it to this tree."""
    top = {id(n) for statement in tree.body if not isinstance(statement, ast.FunctionDef | ast.ClassDef)
           for n in ast.walk(statement)}  # fmt: skip
    for node in ast.walk(tree):
        for what, act in changes_of(node, id(node) in top):
            yield getattr(node, "lineno", 0), what, act
        for field in ("body", "orelse"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                for place, statement in enumerate(statements):
                    if acts(statement):
                        what = f"without: {ast.unparse(statement).splitlines()[0]}"
                        yield statement.lineno, what, partial(statements.__setitem__, place, ast.Pass())


def changes_of(node: Any, is_table: bool) -> Iterator[Change]:
    def put(field: str, value: Any) -> Callable[[], None]:
        return lambda: setattr(node, field, value)

    def drop(field: str, *places: int) -> Callable[[], None]:
        return lambda: setattr(node, field, [v for i, v in enumerate(getattr(node, field)) if i not in places])

    match node:
        case ast.If():
            text = ast.unparse(node.test)
            yield f"never: if {text}", put("test", ast.Constant(False))
            yield f"always: if {text}", put("test", ast.Constant(True))
        case ast.IfExp():
            yield f"never: … if {ast.unparse(node.test)}", put("test", ast.Constant(False))
            yield f"always: … if {ast.unparse(node.test)}", put("test", ast.Constant(True))
        case ast.match_case(guard=guard):
            yield f"never: case {ast.unparse(node.pattern)}", put("guard", ast.Constant(False))
            if guard:
                yield f"always: case {ast.unparse(node.pattern)} if {ast.unparse(guard)}", put("guard", None)
        case ast.BoolOp() if len(node.values) > 1:
            for place, value in enumerate(node.values):
                yield f"without: {ast.unparse(value)} in {ast.unparse(node)}", drop("values", place)
        case ast.Call(func=ast.Name("is_kind")):
            for place, value in enumerate(node.args):
                yield f"without: {ast.unparse(value)} in {ast.unparse(node)[:60]}", drop("args", place)
        case ast.Dict(keys=keys) if is_table:
            for place, key in enumerate(keys):
                if key is not None:
                    yield (
                        f"without: {ast.unparse(key)} in {ast.unparse(node)[:60]}",
                        partial(without_entry, node, place),
                    )
        case ast.Tuple() if is_table and isinstance(node.ctx, ast.Load):
            if isinstance(node.elts[0], ast.Tuple):
                for place, value in enumerate(node.elts):
                    yield f"without: {ast.unparse(value)} in a table", drop("elts", place)


def without_entry(table: ast.Dict, place: int) -> None:
    del table.keys[place], table.values[place]


def acts(statement: ast.stmt) -> bool:
    """Whether a statement does something to what there is, rather than giving a name to something new."""
    match statement:
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            return True
        case ast.Assign(targets=targets):
            return any(isinstance(target, ast.Subscript | ast.Attribute) for target in targets)
    return False


def operands(tree: ast.Module) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """The masks: either side of each `&` and `|` alone."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            listed = value if isinstance(value, list) else [value]
            for place, node in enumerate(listed):
                if (
                    isinstance(node, ast.BinOp)
                    and isinstance(node.op, ast.BitAnd | ast.BitOr)
                    and field != "annotation"
                ):
                    for side in (node.left, node.right):
                        put = value.__setitem__ if isinstance(value, list) else partial(setattr, parent)
                        act = partial(put, place if isinstance(value, list) else field, side)
                        yield node.lineno, f"only: {ast.unparse(side)} of {ast.unparse(node)}", act


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    for listed in (changes, operands):
        for number in range(len(list(listed(ast.parse(source))))):
            tree = ast.parse(source)
            line, what, act = list(listed(tree))[number]
            act()
            yield line, what, ast.fix_missing_locations(tree)


def killed(module: str, tree: ast.Module) -> bool:
    """Run every page on the mutant, in a fork of this process."""
    child = os.fork()
    if not child:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 (until the process ends)
        signal.alarm(SECONDS)
        verdict = 1
        try:
            verdict = not is_shown_by_the_pages(module, tree)
        finally:
            os._exit(verdict)
    _, status = os.waitpid(child, 0)
    return status != 0


def is_shown_by_the_pages(module: str, tree: ast.Module) -> bool:
    name = f"codeintel.extract.{module}"
    loaded = sys.modules[name]
    exec(compile(tree, str(loaded.__file__), "exec"), vars(loaded))
    for dependant in DEPENDANTS[DEPENDANTS.index(module) + 1 :]:
        importlib.reload(sys.modules[f"codeintel.extract.{dependant}"])
    extract = sys.modules["codeintel.extract.python_facts"].python_facts
    pages = [page.read_text("utf-8") for page in specs.PAGES]
    facts = iter(specs.rows_of([source for page in pages for source in specs.sources_of(page)], extract))
    found = map(specs.shown, facts)
    return all(specs.rewritten(page, found) == page for page in pages)


def known() -> dict[str, str]:
    """Reasons by mutant, as `module: what`."""
    if not KNOWN.exists():
        return {}
    lines = [line.partition(" # ") for line in KNOWN.read_text("utf-8").splitlines() if line.strip()]
    return {mutant.strip(): reason.strip() for mutant, _, reason in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", default=",".join(MODULES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    reasons = known()
    for module in given.modules.split(","):
        file = ROOT / "src/codeintel/extract" / f"{module}.py"
        source = file.read_text("utf-8")
        if not is_shown_by_the_pages(module, ast.parse(source)):
            sys.exit("the pages are red without any mutant")
        begun = time.perf_counter()
        for line, what, tree in mutants(source):
            verdict = "killed" if killed(module, tree) else "known" if f"{module}: {what}" in reasons else "survived"
            counts[verdict] += 1
            if verdict != "killed":
                rows.append({"module": module, "line": line, "mutant": what, "verdict": verdict})
            if verdict == "survived":
                print(f"{module}:{line}: {what}", flush=True)
        print(f"{module}: {dict(counts)} {time.perf_counter() - begun:.0f} s", flush=True)
    if given.json:
        given.json.write_text(json.dumps({"counts": counts, "not killed": rows}, indent=2) + "\n")
    sys.exit(counts["survived"] > 0)


if __name__ == "__main__":
    main()

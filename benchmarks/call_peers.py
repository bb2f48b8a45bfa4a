"""What another tool takes for the calls of a folder, one line of JSON.

    python call_peers.py jedi|pyan3|PyCG FOLDER

It is a list of `[caller, callee, site]`: definitions are `[path, line]` of a `def` (line 0: the module), the site is
`[path, line, end line, column, end column]` of the call for jedi, and nothing for the others, which do not tell.
Runs in an environment with the tool; reads the folder and runs none of it.
"""

from __future__ import annotations

import ast
import json
import resource
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

MEMORY = 4 << 30
Row = list[Any]


def functions(folder: Path) -> Iterator[tuple[str, str, ast.AST]]:
    """Qualified name, path and node of each module and each definition."""
    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder).as_posix()
        tree = ast.parse(file.read_bytes())
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        yield from named(tree, module, path)


def named(node: ast.AST, name: str, path: str) -> Iterator[tuple[str, str, ast.AST]]:
    yield name, path, node
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        child = waiting.pop()
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from named(child, f"{name}.{child.name}", path)
        else:
            waiting += ast.iter_child_nodes(child)


def by_name(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        name: (path, getattr(node, "lineno", 0))
        for name, path, node in functions(folder)
        if not isinstance(node, ast.ClassDef)
    }


def with_names(folder: Path, edges: Iterator[tuple[str, str]]) -> list[Row]:
    known = by_name(folder)
    return [[known[a], known[b], None] for a, b in edges if a in known and b in known and known[b][1]]


def pycg(folder: Path) -> list[Row]:
    sys.modules["pycg"] = import_module("PyCG")  # installed under the one name, imports itself under the other
    files = [str(file) for file in sorted(folder.rglob("*.py"))]
    operation = import_module("pycg.utils.constants").CALL_GRAPH_OP
    generator = import_module("pycg.pycg").CallGraphGenerator(files, str(folder), -1, operation)
    generator.analyze()
    return with_names(folder, ((a, b) for a, b in generator.output_edges()))


def pyan3(folder: Path) -> list[Row]:
    files = [str(file) for file in sorted(folder.rglob("*.py"))]
    visitor = import_module("pyan.analyzer").CallGraphVisitor(files, root=str(folder))
    return with_names(
        folder, ((a.get_name(), b.get_name()) for a, callees in visitor.uses_edges.items() for b in callees)
    )


def with_jedi(folder: Path) -> list[Row]:
    jedi = import_module("jedi")
    project = jedi.Project(folder)
    lines = {(path, getattr(node, "lineno", 0)): node for _, path, node in functions(folder)}
    found: list[Row] = []
    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder).as_posix()
        script = jedi.Script(path=file, project=project)
        tree = ast.parse(file.read_bytes())
        for _, _, node in named(tree, "", path):
            if isinstance(node, ast.ClassDef):
                continue
            home = [path, getattr(node, "lineno", 0)]
            for call, place in calls_of(node):
                site = [path, call.lineno, call.end_lineno, call.col_offset, call.end_col_offset]
                try:
                    meant = script.infer(*place)
                except Exception:  # noqa: BLE001 - a tool that fails at one place is asked at the next
                    continue
                for each in meant:
                    target = callee(each, folder, lines)
                    if target is not None:
                        found.append([home, target, site])
    return found


def calls_of(definition: ast.AST) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Calls and decorators that the code of a definition runs, with where the callee's name stands."""
    waiting: list[ast.AST] = list(getattr(definition, "body", []))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for each in node.decorator_list:
                yield each, name_of(each)
            waiting += [*node.decorator_list, *node.args.defaults]
            continue
        if isinstance(node, ast.Call):
            yield node, name_of(node.func)
        waiting += ast.iter_child_nodes(node)


def name_of(node: Any) -> tuple[int, int]:
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute):
        return node.end_lineno or 0, (node.end_col_offset or 1) - 1
    return node.lineno, node.col_offset


def callee(meant: Any, folder: Path, lines: dict[tuple[str, int], ast.AST]) -> list[Any] | None:
    if meant.module_path is None or not meant.module_path.is_relative_to(folder) or meant.line is None:
        return None
    path = meant.module_path.relative_to(folder).as_posix()
    node = lines.get((path, meant.line))
    if isinstance(node, ast.ClassDef):
        node = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    return [path, node.lineno] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None


def main() -> None:
    tool, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.setrecursionlimit(20_000)
    rows = {"jedi": with_jedi, "pyan3": pyan3, "PyCG": pycg}[tool](folder)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()

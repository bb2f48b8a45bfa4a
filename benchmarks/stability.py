"""Do edits leave the ids of everything else alone? A line in one function, and an import at the top of its module.

    python benchmarks/stability.py [CORPUS] [--files N]

Copies the corpus and builds it, inserts a statement into the middle function of each of its N largest files and builds
again, then instead an import at the top of each of those files. Counts the nodes of owners (modules, classes,
functions) that were not edited, and those of them that came or went. Exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import ast
import shutil
import sys
from collections.abc import Set
from pathlib import Path
from tempfile import TemporaryDirectory

from corpora import corpus

import codeintel

OWNERS = frozenset({"Module", "ClassDef", "FunctionDef", "AsyncFunctionDef"})
EXTERNAL = "<external>"
Node = tuple[int, int, str, str | None, str]  # id, id of its owner, kind, name, path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", default="django", help="(%(default)s)")
    parser.add_argument("--files", type=int, default=100, help="how many files to edit (%(default)s)")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        shutil.copytree(corpus(arguments.corpus), root, symlinks=True)
        texts = {path: path.read_text("utf-8") for path in files_with_functions(root)[: arguments.files]}
        before = nodes(root)
        moved = 0
        for what, kinds, edit in (
            ("a line in a function", OWNERS - {"Module"}, with_line_in_function),
            ("an import at the top", {"Module"}, with_import),
        ):
            edited = set()
            for path, text in texts.items():
                changed, line = edit(text)
                path.write_text(changed, "utf-8")
                edited.add(owner_at(before, path.relative_to(root).as_posix(), kinds, line))
            others = unedited(before, edited)
            different = others ^ unedited(nodes(root), edited)
            moved += len(different)
            print(f"{what} of {len(texts)} files: {len(different)} of {len(others):,} nodes of other owners moved")
            for node in sorted(different, key=str)[:5]:
                print("  ", *node)
            for path, text in texts.items():
                path.write_text(text, "utf-8")
    sys.exit(bool(moved))


def nodes(root: Path) -> dict[Node, int]:
    """Every node of a fresh build, with its line. An owner's own node belongs to it, a binding to its scope's owner."""
    codeintel.build(root)
    query = "SELECT node_id, owner_id, kind, name, path, line FROM cpg_nodes"
    rows = codeintel.open(root / ".codeintel").rows(query).to_pylist()
    owner = {r["node_id"]: r["node_id"] if r["kind"] in OWNERS else r["owner_id"] for r in rows}

    def home(node: int) -> int:
        around = owner.get(node)
        return node if around is None or around == node else home(around)

    return {(r["node_id"], home(r["node_id"]), r["kind"], r["name"], r["path"]): r["line"] or 0 for r in rows}


def owner_at(found: dict[Node, int], path: str, kinds: Set[str], line: int) -> int:
    (owner,) = (node[0] for node, at in found.items() if node[4] == path and node[2] in kinds and at == line)
    return owner


def unedited(found: dict[Node, int], edited: Set[int]) -> set[Node]:
    """Nodes of the repository that belong to other owners than these."""
    return {node for node in found if node[1] not in edited and node[4] != EXTERNAL}


def functions(text: str) -> list[ast.FunctionDef]:
    """Functions that a line can be put into, in the order of the source."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return sorted((f for f in found if f.body[-1].lineno > f.lineno), key=lambda f: f.lineno)


def files_with_functions(root: Path) -> list[Path]:
    """Files that parse and hold a function, the largest first."""
    found = []
    for path in sorted(root.rglob("*.py"), key=lambda path: (-path.stat().st_size, path)):
        try:
            found += [path] if functions(path.read_text("utf-8")) else []
        except (SyntaxError, UnicodeDecodeError):
            continue
    return found


def with_line_in_function(text: str) -> tuple[str, int]:
    """The text with a line before the last statement of its middle function, and the line of that function."""
    candidates = functions(text)
    function = candidates[len(candidates) // 2]
    last = function.body[-1]
    at = min([last.lineno, *(decorator.lineno for decorator in getattr(last, "decorator_list", ()))])
    return inserted(text, at, " " * last.col_offset + "inserted = len([1, 2])"), function.lineno


def with_import(text: str) -> tuple[str, int]:
    """The text with an import before its first statement that may have one before it, and the line of the module."""
    for statement in ast.parse(text).body:
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_docstring and not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
            at = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
            return inserted(text, at, "import zipimport"), 1
    return text + "import zipimport\n", 1


def inserted(text: str, at: int, line: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: at - 1], f"{line}\n", *lines[at - 1 :]])


if __name__ == "__main__":
    main()

"""Random edits of a repository, and whether a build after them equals a clean one.

A repository is held as text by path. An edit takes that and gives another; on disk only what differs is written.
"""

from __future__ import annotations

import ast
import io
import random
import re
import tokenize
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deltalake import DeltaTable

import codeintel

Repository = Mapping[str, str]
Edit = Callable[[Repository, random.Random, int], "Repository | None"]
"""The repository after an edit, the n-th, or None where it cannot be made."""

BROKEN = "\n\ndef broken(:\n"

HEADS = (
    "import os\nfrom os import path as osp\n", "from . import {other}\n", "from pkg.{other} import *\n",
    "from pkg.sub.{other} import f0 as g\nimport pkg.sub\n", "import {other}\n", "",
)  # fmt: skip
PARTS = (
    "def f{n}(a, b=1):\n    c = a + b\n    return g(c, key=a)\n",
    "class C{n}(Base):\n    size = {n}\n\n    def m(self, x):\n        self.x = x\n        return [y for y in x]\n",
    "class D{n}:\n    def m(self):\n        return super().m()\n\n    def m(self, x):\n        return self.m\n",
    "async def a{n}(*xs, **more):\n    async for x in xs:\n        yield lambda z: z + x\n",
    "x{n} = {{'k': f0(1)}}\n", "for i{n} in range(3):\n    print(i{n})\n", "__all__ = ['f{n}', 'C{n}']\n",
)  # fmt: skip
FOLDERS = ("", "pkg/", "pkg/sub/", "src/app/", "tools/")


def small_repository(chance: random.Random) -> dict[str, str]:
    files = {"pkg/__init__.py": "from pkg.m0 import f0\n", "pkg/sub/__init__.py": "", "pkg/m0.py": PARTS[0].format(n=0)}
    for n in range(1, 7):
        files[f"{chance.choice(FOLDERS)}m{n}.py"] = made_up(chance, n)
    return files


def made_up(chance: random.Random, n: int) -> str:
    parts = chance.sample(PARTS, chance.randint(1, 3))
    return "\n\n".join(
        [chance.choice(HEADS).format(other=f"m{chance.randrange(7)}"), *(part.format(n=n) for part in parts)]
    )


def functions(text: str) -> list[ast.FunctionDef]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def edited_lines(text: str, change: Callable[[list[str]], None]) -> str:
    lines = text.splitlines(keepends=True)
    change(lines)
    return "".join(lines)


def _in_one_file(change: Callable[[str, random.Random, int], str | None]) -> Edit:
    """An edit of the text of one file, the first of a random order in which it can be made."""

    def edit(files: Repository, chance: random.Random, n: int) -> Repository | None:
        for path in chance.sample(sorted(files), len(files)):
            text = change(files[path], chance, n) if path.endswith(".py") else None
            if text is not None and text != files[path]:
                return {**files, path: text}
        return None

    edit.__name__ = change.__name__
    return edit


def _function(text: str, chance: random.Random, suits: Callable[[ast.FunctionDef], bool]) -> ast.FunctionDef | None:
    if "\f" in text or "\r" in text:  # lines are not where ast counts them
        return None
    found = [node for node in functions(text) if suits(node)]
    return chance.choice(found) if found else None


@_in_one_file
def body(text: str, chance: random.Random, n: int) -> str | None:
    """A statement more in a function, not before its docstring."""
    node = _function(text, chance, lambda f: f.body[-1].lineno > f.body[0].lineno or f.body[0].lineno > f.lineno)
    if node is None or (last := node.body[-1]).lineno == node.lineno or last.col_offset <= node.col_offset:
        return None
    first = min([last.lineno, *(d.lineno for d in getattr(last, "decorator_list", []))])
    return edited_lines(text, lambda lines: lines.insert(first - 1, f"{' ' * last.col_offset}len(({n},))\n"))


@_in_one_file
def signature(text: str, chance: random.Random, n: int) -> str | None:
    """A parameter more, with a default."""
    node = _function(
        text, chance, lambda f: not (f.args.vararg or f.args.kwarg or f.args.kwonlyargs or f.args.posonlyargs)
    )
    if node is None:
        return None
    depth = 0
    for token in tokenize.generate_tokens(
        io.StringIO("".join(text.splitlines(keepends=True)[node.lineno - 1 :])).readline
    ):
        if token.string in ("(", "[", "{"):
            depth += 1
        elif token.string in (")", "]", "}"):
            depth -= 1
            if not depth:
                row, column = token.start
                break
    else:
        return None

    def insert(lines: list[str]) -> None:
        line = lines[node.lineno + row - 2]
        before = "".join(lines[node.lineno - 1 : node.lineno + row - 2]) + line[:column]
        comma = "" if before.rstrip().endswith((",", "(")) else ", "
        lines[node.lineno + row - 2] = f"{line[:column]}{comma}added_{n}=None{line[column:]}"

    return edited_lines(text, insert)


@_in_one_file
def insert_function(text: str, chance: random.Random, n: int) -> str | None:
    return (
        None
        if BROKEN in text
        else f"{text.rstrip()}\n\n\ndef added_{n}(a, *, b={chance.randrange(9)}):\n    return f0(a, b)\n"
    )


@_in_one_file
def delete_function(text: str, chance: random.Random, _: int) -> str | None:
    node = _function(text, chance, lambda f: not f.col_offset)
    if node is None:
        return None
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])

    def cut(lines: list[str]) -> None:
        lines[first - 1 : node.end_lineno] = ["pass\n"]

    return edited_lines(text, cut)


@_in_one_file
def rename_function(text: str, chance: random.Random, n: int) -> str | None:
    node = _function(text, chance, lambda _: True)
    if node is None:
        return None

    def rename(lines: list[str]) -> None:
        lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"def {node.name}", f"def {node.name}_{n}", 1)

    return edited_lines(text, rename)


@_in_one_file
def imports(text: str, chance: random.Random, n: int) -> str | None:
    """An import more, or one of another name."""
    if chance.random() < 0.5 and re.search(r"(?m)^import (\w+)$", text):
        return re.sub(r"(?m)^import (\w+)$", rf"import \1 as named_{n}", text, count=1)
    module = chance.choice(["os.path", "pkg.m0", "pkg.sub", "json", "nowhere.at_all"])
    return None if BROKEN in text else f"{text.rstrip()}\nfrom {module} import f0 as late_{n}\n"


@_in_one_file
def comment(text: str, _: random.Random, n: int) -> str | None:
    return f"# {n}\n{text}" if not text.startswith(("#", "\ufeff")) else None


@_in_one_file
def break_syntax(text: str, _: random.Random, __: int) -> str | None:
    return None if BROKEN in text else text + BROKEN


@_in_one_file
def mend_syntax(text: str, _: random.Random, __: int) -> str | None:
    return text.replace(BROKEN, "") if BROKEN in text else None


def insert_file(files: Repository, chance: random.Random, n: int) -> Repository | None:
    folder = chance.choice(sorted({path.rpartition("/")[0] for path in files}))
    return {**files, f"{folder}/new_{n}.py".lstrip("/"): made_up(chance, n)}


def _some_file(files: Repository, chance: random.Random) -> str:
    return chance.choice(sorted(path for path in files if path.endswith(".py")))


def delete_file(files: Repository, chance: random.Random, _: int) -> Repository | None:
    gone = _some_file(files, chance)
    return {path: text for path, text in files.items() if path != gone} if len(files) > 3 else None


def rename_file(files: Repository, chance: random.Random, n: int) -> Repository | None:
    old = _some_file(files, chance)
    new = f"{old.removesuffix('.py').rpartition('_')[0] or old.removesuffix('.py')}_{n}.py"
    return {new if path == old else path: text for path, text in files.items()}


def move_file(files: Repository, chance: random.Random, _: int) -> Repository | None:
    old = _some_file(files, chance)
    folder = chance.choice(sorted({path.rpartition("/")[0] for path in files}))
    new = f"{folder}/{old.rpartition('/')[2]}".lstrip("/")
    return None if new in files else {new if path == old else path: text for path, text in files.items()}


KINDS: tuple[Edit, ...] = (
    body, signature, insert_function, delete_function, rename_function, imports, comment, break_syntax, mend_syntax,
    insert_file, delete_file, rename_file, move_file,
)  # fmt: skip


def edits(files: Repository, chance: random.Random) -> Iterator[tuple[str, Repository]]:
    """Kind and repository after each of random edits, one upon the other, without end."""
    n = 0
    while True:
        n += 1
        kind = chance.choice(KINDS)
        if (after := kind(files, chance, n)) is not None:
            files = after
            yield kind.__name__, files


def write_edit(root: Path, before: Repository, after: Repository) -> tuple[str, ...]:
    """Make `root` what `after` says, given that it is what `before` says; the paths that have other bytes now."""
    for path in before.keys() - after.keys():
        (root / path).unlink()
    changed = tuple(sorted(path for path, text in after.items() if before.get(path) != text))
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(after[path], "utf-8", newline="")
    return changed


def data_versions(store: Path) -> dict[str, str]:
    """Data version of every table of the current run, public or not."""
    return {name: kept.handle(name).version for name, kept in codeintel.open(store).manifest.handles.items()}


def delta_rows(store: Path, *, head: bool = False) -> dict[str, list[str]]:
    """Sorted rows of every public table as Delta has them: of the version that the current run pins, or of the head."""
    found = {}
    for name, table in codeintel.open(store).manifest.tables.items():
        rows = DeltaTable(store / table.path, version=None if head else table.version).to_pyarrow_table()
        found[name] = sorted(map(repr, rows.select(sorted(rows.schema.names)).to_pylist()))
    return found

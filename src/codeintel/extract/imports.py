"""What a file imports and what it exports by `__all__`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codeintel.extract.grammar import CONTEXTS, KIND
from codeintel.extract.reading import SourceFile
from codeintel.extract.syntax import Syntax, Texts


@dataclass(slots=True)
class Imports:
    """Columns over aliases in preorder. Texts are None where the table has null; `bound` is None for a star."""

    node: np.ndarray
    kind: list[str]
    module: list[str | None]
    level: list[int]
    name: list[str]
    asname: list[str | None]
    bound: list[str | None]
    target: list[str]
    target_module: list[str]


def imports(files: Sequence[SourceFile], syntax: Syntax, texts: Texts) -> Imports:
    """Every imported name with the absolute dotted path it leads to."""
    node = np.flatnonzero(syntax.kind == KIND["alias"])
    statement = syntax.parent[node]
    listed = list(texts)
    written = {key: syntax.values_of(key) for key in ("module", "level", "asname")}
    found = Imports(node, [], [], [], [], [], [], [], [])
    is_from = (syntax.kind[statement] == KIND["ImportFrom"]).tolist()
    columns = zip(
        node.tolist(), statement.tolist(), syntax.file[node].tolist(), syntax.name[node].tolist(), is_from, strict=True
    )
    for alias, parent, file, code, of_module in columns:
        name = listed[code] or ""
        asname = written["asname"].get(alias)
        found.name.append(name)
        found.asname.append(asname)
        if of_module:
            module, level = written["module"].get(parent), written["level"].get(parent, 0)
            base = absolute_module(files[file], module, level)
            found.kind.append("from")
            found.module.append(module)
            found.level.append(level)
            found.bound.append(None if name == "*" else asname or name)
            found.target.append(base if name == "*" else f"{base}{'' if base.endswith('.') else '.'}{name}")
            found.target_module.append(base)
        else:
            found.kind.append("import")
            found.module.append(None)
            found.level.append(0)
            found.bound.append(asname or name.partition(".")[0])
            found.target.append(name)
            found.target_module.append(name)
    return found


def absolute_module(file: SourceFile, module: str | None, level: int) -> str:
    """The absolute form of what `from <dots><module> import` names; beyond the top level the dots stay."""
    if not level:
        return module or ""
    # Each dot after the first leaves one more package; a package's own file is already inside it.
    is_package = file.path.rpartition("/")[2] in ("__init__.py", "__init__.pyi")
    parts = file.module.split(".") if file.module else []
    kept = len(parts) - level + is_package
    if kept <= 0:
        return "." * level + (module or "")
    return ".".join([*parts[:kept], *([module] if module else [])])


def changes_of_all(syntax: Syntax, texts: Texts) -> dict[int, set[tuple[int, int]]]:
    """By file, the `(line, column)` of each `__all__` that is not merely read: set, or a method or part of it used."""
    names = np.flatnonzero((syntax.name == texts["__all__"]) & (syntax.kind == KIND["Name"]))
    above = syntax.parent[names]
    used = syntax.kind[above] == KIND["Attribute"]
    used |= (syntax.kind[above] == KIND["Subscript"]) & (CONTEXTS.index("Load") != syntax.ctx[above])
    changed = names[used | (CONTEXTS.index("Load") != syntax.ctx[names])]
    found: dict[int, set[tuple[int, int]]] = {}
    for file, line, col in zip(*(c[changed].tolist() for c in (syntax.file, syntax.line, syntax.col)), strict=True):
        found.setdefault(file, set()).add((line, col))
    return found


def exported_names(tree: ast.Module, changes: set[tuple[int, int]]) -> tuple[list[str], bool]:
    """The names in `__all__` in the order they are listed, and whether they are all; `changes` is where it changes.

    Understood at the top level of the module: lists and tuples of strings, `+`, `+=`, `.extend([…])`, `.append('…')`
    and `.remove('…')`. Whatever else touches `__all__` leaves the list incomplete.
    """
    names: list[str] | None = None
    complete = True
    understood: set[tuple[int, int]] = set()
    for statement in tree.body:
        change = _change(statement)
        if change is None:
            continue
        how, mention, value = change
        understood.add((mention.lineno, mention.col_offset))
        listed, whole = _strings(value, names or [])
        if how == "set":
            names, complete = listed, whole
        elif how == "remove":
            names = [name for name in names or [] if name not in listed]
            complete &= whole
        else:
            names, complete = [*(names or []), *listed], complete and whole
    return names or [], complete and names is not None and changes <= understood


_METHODS = {"extend": "add", "append": "append", "remove": "remove"}


def _change(statement: ast.stmt) -> tuple[str, ast.Name, ast.expr] | None:
    """`(set | add | append | remove, the mention of __all__, the value)` of a statement that changes `__all__`."""
    match statement:
        case ast.Assign(targets=[ast.Name(id="__all__") as name], value=value):
            return "set", name, value
        case ast.AnnAssign(target=ast.Name(id="__all__") as name, value=ast.expr() as value):
            return "set", name, value
        case ast.AugAssign(target=ast.Name(id="__all__") as name, op=ast.Add(), value=value):
            return "add", name, value
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id="__all__") as name, attr=method), args=[value], keywords=[]
            )
        ) if method in _METHODS:
            how = _METHODS[method]
            return ("add", name, value) if how == "add" else (how, name, ast.List(elts=[value]))
    return None


def _strings(value: ast.expr, so_far: list[str]) -> tuple[list[str], bool]:
    """The strings a list expression holds as far as they are literal, and whether those are all. Left to right."""
    found: list[str] = []
    complete = True
    waiting = [value]
    while waiting:
        match waiting.pop():
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                waiting += [right, left]
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                waiting += reversed(elements)
            case ast.Starred(value=inner):
                waiting.append(inner)
            case ast.Constant(value=str() as text):
                found.append(text)
            case ast.Name(id="__all__"):
                found += so_far
            case _:
                complete = False
    return found, complete

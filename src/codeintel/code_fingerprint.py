"""Digests of code: of what a function's results depend on besides its arguments, part by part."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import platform
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import ModuleType

from codeintel.fingerprint import digest


def code_digest(function: Callable[..., object]) -> str:
    """Digest of a function and of all it can reach in its own package: of `code_parts`."""
    return digest(code_parts(function))


def code_parts(function: Callable[..., object]) -> dict[str, str]:
    """Digests of what a function's results depend on besides its arguments, by name.

    `module NAME`: the module that defines it and, transitively, every module of the same top-level package that those
    import, each as its syntax tree without docstrings: comments and formatting do not count. `code of`, `defaults of`,
    `closure of` and `arguments of NAME`: which function it is, and its defaults, closure cells and arguments of
    partials by value; the same for whatever decorators wrapped. `python` and `library NAME`: versions of Python and of
    the installed packages that those modules import. `environment variable NAME`: the value of a variable that those
    modules read by a literal name; `environment`: of all of them where they read it otherwise. What has neither source
    nor stable content gets a digest that never comes again: it can be run, and is never reused.
    """
    parts = {"python": digest(platform.python_version())}
    layer: object = function
    depth = 0
    while layer is not None:
        if isinstance(layer, partial):
            values = [_captured(a) for a in layer.args], _captured_map(layer.keywords)
            parts[f"arguments of {_name(layer.func)}{'' if not depth else f' {depth}'}"] = digest(*values)
            layer, depth = layer.func, depth + 1
            continue
        if not inspect.isfunction(layer):
            return parts | {f"code of {_name(layer)}": _unknowable()}
        name = f"{layer.__qualname__}{'' if not depth else f' {depth}'}"
        parts[f"code of {name}"] = digest(layer.__module__, layer.__qualname__)
        if layer.__closure__:
            parts[f"closure of {name}"] = digest([_captured(cell.cell_contents) for cell in layer.__closure__])
        if layer.__defaults__ or layer.__kwdefaults__:
            defaults = [_captured(default) for default in layer.__defaults__ or ()]
            parts[f"defaults of {name}"] = digest(defaults, _captured_map(layer.__kwdefaults__ or {}))
        parts |= _module_parts(layer.__module__)
        parts |= _environment_parts(layer.__module__)
        layer, depth = getattr(layer, "__wrapped__", None), depth + 1
    return parts


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


@cache
def _module_parts(module: str) -> Mapping[str, str]:
    """Parts of the modules and libraries that can be reached from a module, whichever of its functions is meant."""
    reached = sorted(_reachable(module))
    parts = {f"module {name}": _module_digest(name) for name in reached}
    return parts | {f"library {name}": digest(_version(name)) for each in reached for name in _foreign(each)}


def _environment_parts(module: str) -> Mapping[str, str]:
    variables = _environment_of(module)
    environment = os.environ if variables else {}  # noqa: TID251 - what that code reads, not what this package does
    parts = {f"environment variable {name}": digest(environment.get(name)) for name in variables - {None} if name}
    return parts | ({"environment": digest(dict(environment))} if None in variables else {})


@cache
def _environment_of(module: str) -> frozenset[str | None]:
    return frozenset(name for reached in _reachable(module) for name in _syntax(reached)[2])


def _unknowable() -> str:
    return digest("unknowable", uuid.uuid4().hex)


def _captured(value: object) -> str:
    if inspect.isfunction(value) or isinstance(value, partial):
        return code_digest(value)
    if isinstance(value, ModuleType | type):
        return digest(type(value).__name__, getattr(value, "__module__", ""), value.__name__)
    try:
        return digest(value)
    except TypeError:
        return _unknowable()


def _captured_map(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _captured(value) for name, value in values.items()}


def _reachable(module: str) -> set[str]:
    found, waiting = {module}, [module]
    while waiting:
        for imported in _imports(waiting.pop()):
            if imported not in found:
                found.add(imported)
                waiting.append(imported)
    return found


@cache
def _tree(module: str) -> ast.Module | None:
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec and spec.has_location else None
    if origin is None or not origin.endswith(".py"):
        return None
    return ast.parse(Path(origin).read_bytes())


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of the same top-level package that `module` imports, wherever in it."""
    root = module.partition(".")[0]
    names = {name for name in _syntax(module)[1] if name.partition(".")[0] == root and _tree(name) is not None}
    return tuple(sorted(names))


@cache
def _foreign(module: str) -> frozenset[str]:
    """Top-level packages that `module` imports from outside its own package and the standard library."""
    roots = {name.partition(".")[0] for name in _syntax(module)[1]}
    return frozenset(roots - sys.stdlib_module_names - {module.partition(".")[0]})


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # not the name of a distribution; the module may still know
        return str(getattr(sys.modules.get(package), "__version__", ""))


def _module_digest(module: str) -> str:
    return _syntax(module)[0] or _unknowable()


@cache
def _syntax(module: str) -> tuple[str, frozenset[str], frozenset[str | None]]:
    """Digest of a module without docstrings (none without source), names it may import, and environment it reads."""
    tree, names = _tree(module), set[str]()
    if tree is None:
        return "", frozenset(), frozenset()
    package = module if hasattr(sys.modules.get(module), "__path__") else module.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    base = importlib.util.resolve_name("." * node.level + base, package)
                names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if ast.get_docstring(node, clean=False) is not None:
                    node.body = node.body[1:] or [ast.Pass()]
    variables = frozenset(_variables(tree) if "os" in names else ())
    return digest(ast.dump(tree)), frozenset(names), variables


def _variables(tree: ast.Module) -> Iterator[str | None]:
    """Environment variables that a module reads by a literal name; None for each other use of the environment."""
    literal: dict[int, str] = {}  # by id of the node that names the environment
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=used, slice=ast.Constant(str(name))):
                literal[id(used)] = name
            case ast.Call(func=ast.Attribute(value=used, attr="get"), args=[ast.Constant(str(name)), *_]):
                literal[id(used)] = name
            case ast.Call(func=used, args=[ast.Constant(str(name)), *_]):
                literal[id(used)] = name
            case ast.Compare(left=ast.Constant(str(name)), ops=[ast.In() | ast.NotIn()], comparators=[used]):
                literal[id(used)] = name
    wanted = {"environ", "environb", "getenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            wanted |= {alias.asname for alias in node.names if alias.asname and alias.name in wanted}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute | ast.Name)
            and (node.attr if isinstance(node, ast.Attribute) else node.id) in wanted
        ):
            yield literal.get(id(node))

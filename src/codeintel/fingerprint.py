"""Digests of values and of code.

Every identity in this package is one of these: BLAKE3, 20 bytes, as 40 hexadecimal digits. Values are encoded with
their type and length, so that `1`, `"1"` and `("1",)` differ, and mappings and sets in sorted order, so that insertion
order and hash seeds never show.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import platform
import sys
import uuid
from collections.abc import Callable, Mapping, Set
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import ModuleType

from blake3 import blake3

SIZE = 20


def digest(*values: object) -> str:
    """Digest of plain values: None, bool, int, float, str, bytes, paths, sequences, sets and mappings of them.

    Raises TypeError for anything else: what has no stable content must not enter an identity.
    """
    return digest_bytes(*map(_encoded, values))


def digest_bytes(*chunks: bytes | memoryview) -> str:
    """Digest of the concatenation of `chunks`."""
    state = blake3()
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest(SIZE)


def _encoded(value: object) -> bytes:
    match value:
        case None | bool() | int() | float():
            body = repr(value).encode()
        case str():
            body = value.encode("utf-8", "surrogatepass")
        case bytes():
            body = value
        case Path():
            body = bytes(value)
        case Mapping():
            body = b"".join(sorted(_encoded(item) for item in value.items()))
        case Set():
            body = b"".join(sorted(map(_encoded, value)))
        case tuple() | list():
            body = b"".join(map(_encoded, value))
        case _:
            raise TypeError(f"{type(value).__qualname__} has no stable digest")
    kind = "map" if isinstance(value, Mapping) else "set" if isinstance(value, Set) else type(value).__name__
    return f"{kind}:{len(body)}:".encode() + body


def code_digest(function: Callable[..., object]) -> str:
    """Digest of a function and of all it can reach in its own package.

    Covers the module that defines it and, transitively, every module of the same top-level package that those import,
    each as its syntax tree without docstrings: comments and formatting do not count. Defaults, closure cells, arguments
    of partials and what decorators wrapped count by value. So do the versions of Python and of the installed packages
    that those modules import. What has neither source nor stable content gets a digest that never comes again: it can
    be run, and is never reused.
    """
    layers: list[object] = [platform.python_version()]
    layer: object = function
    while layer is not None:
        if isinstance(layer, partial):
            layers.append(("partial", [_captured(a) for a in layer.args], _captured_map(layer.keywords)))
            layer = layer.func
            continue
        if not inspect.isfunction(layer):
            return digest("unknowable", uuid.uuid4().hex)
        cells = [_captured(cell.cell_contents) for cell in layer.__closure__ or ()]
        defaults = [_captured(default) for default in layer.__defaults__ or ()]
        named = _captured_map(layer.__kwdefaults__ or {})
        layers.append((layer.__module__, layer.__qualname__, cells, defaults, named))
        modules = sorted(_reachable(layer.__module__))
        layers.append([(module, _module_digest(module)) for module in modules])
        layers.append(sorted({(name, _version(name)) for module in modules for name in _foreign(module)}))
        layer = getattr(layer, "__wrapped__", None)
    return digest(*layers)


def _captured(value: object) -> str:
    if inspect.isfunction(value) or isinstance(value, partial):
        return code_digest(value)
    if isinstance(value, ModuleType | type):
        return digest(type(value).__name__, getattr(value, "__module__", ""), value.__name__)
    try:
        return digest(value)
    except TypeError:
        return digest("unknowable", uuid.uuid4().hex)


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
    return _syntax(module)[0] or digest("unknowable", uuid.uuid4().hex)


@cache
def _syntax(module: str) -> tuple[str, frozenset[str]]:
    """Digest of a module without docstrings, and every name it may import; no digest where there is no source."""
    tree, names = _tree(module), set[str]()
    if tree is None:
        return "", frozenset()
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
    return digest(ast.dump(tree)), frozenset(names)

"""Digests of code: of what a function's results depend on besides its arguments, part by part."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import platform
import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import CodeType, ModuleType

import msgspec

from codeintel.fingerprint import digest, digest_bytes


def code_digest(function: Callable[..., object]) -> str:
    """Digest of a function and of all it can reach in its own package: of `code_parts`."""
    return digest(code_parts(function))


def code_parts(function: Callable[..., object]) -> dict[str, str]:
    """Digests of what a function's results depend on besides its arguments, by name.

    `module NAME`: the module that defines it and, transitively, every module that those import of the same top-level
    package, or of none that was installed, each as its syntax tree without docstrings: comments and formatting do not
    count. `code of`, `defaults of`,
    `closure of` and `arguments of NAME`: which function it is, and its defaults, closure cells and arguments of
    partials by value; the same for whatever decorators wrapped. `python` and `library NAME`: versions of Python and of
    the installed packages that those modules import. `environment variable NAME`: the value of a variable that those
    modules read by a literal name; `environment`: of all of them where they read it otherwise. What has neither source
    nor stable content gets a digest that never comes again: it can be run, and is never reused.
    """
    parts = {"python": platform.python_version()}
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
        module = layer.__globals__["__name__"]  # where its code is, whatever a decorator has copied to `__module__`
        if "<lambda>" in layer.__qualname__:
            parts[f"code of {name}"] = digest(module, layer.__qualname__, _content(layer.__code__))
        else:
            parts[f"code of {name}"] = digest_bytes(f"{module}\n{layer.__qualname__}".encode())
        if layer.__closure__:
            parts[f"closure of {name}"] = digest([_captured(cell.cell_contents) for cell in layer.__closure__])
        if layer.__defaults__ or layer.__kwdefaults__:
            defaults = [_captured(default) for default in layer.__defaults__ or ()]
            parts[f"defaults of {name}"] = digest(defaults, _captured_map(layer.__kwdefaults__ or {}))
        parts |= _module_parts(module)
        parts |= _environment_parts(module)
        layer, depth = getattr(layer, "__wrapped__", None), depth + 1
    return parts


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


@cache
def _module_parts(module: str) -> Mapping[str, str]:
    """Parts of the modules and libraries that can be reached from a module, whichever of its functions is meant."""
    reached = sorted(_reachable(module))
    parts = {f"module {name}": _module_digest(name) for name in reached}
    return parts | {f"library {name}": digest(_versions(name)) for each in reached for name in _foreign(each)}


def _environment_parts(module: str) -> Mapping[str, str]:
    variables = _environment_of(module)
    environment = os.environ if variables else {}  # noqa: TID251 - what that code reads, not what this package does
    parts = {f"environment variable {name}": digest(environment.get(name)) for name in variables - {None} if name}
    return parts | ({"environment": digest(dict(environment))} if None in variables else {})


@cache
def _environment_of(module: str) -> frozenset[str | None]:
    return frozenset(name for reached in _reachable(module) for name in _syntax(reached).variables)


def _unknowable() -> str:
    return digest("unknowable", uuid.uuid4().hex)


def _captured(value: object) -> str:
    if inspect.isfunction(value) or isinstance(value, partial):
        return code_digest(value)
    if isinstance(value, ModuleType):
        return digest("module", value.__name__, _code_of(value.__name__))
    if isinstance(value, type):
        return digest("class", value.__module__, value.__qualname__, _code_of(value.__module__))
    try:
        return digest(value)
    except TypeError:
        return _unknowable()


def _code_of(module: str) -> object:
    """What stands for the code of a module: a version if it was installed under one, else all that it reaches."""
    root = module.partition(".")[0]
    if root in sys.stdlib_module_names:
        return ()
    return _module_parts(module) if _is_loose(root) else _versions(root)


def _content(code: CodeType) -> list[object]:
    """What code does, wherever it stands: two lambdas of one scope share a name."""
    constants = [_content(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, constants]


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
def _source(module: str) -> bytes | None:
    """Source text of a module that is loaded or could be; None if it has none."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec and spec.has_location else None
    return Path(origin).read_bytes() if origin and origin.endswith(".py") else None


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules that `module` imports, wherever in it, of the same top-level package or of one that has no version."""
    root = module.partition(".")[0]
    names = {name for name in _syntax(module).imports if (top := name.partition(".")[0]) == root or _is_loose(top)}
    return tuple(
        sorted(name for name in names if _may_be_module(name) and (_source(name) is not None or _binary(name)))
    )


@cache
def _may_be_module(name: str) -> bool:
    """Whether what stands before the last dot is a package. To look further would import what may be none."""
    parent = name.rpartition(".")[0]
    if not parent or name in sys.modules:
        return True
    if parent in sys.modules:
        return hasattr(sys.modules[parent], "__path__")
    try:
        spec = importlib.util.find_spec(parent) if _may_be_module(parent) else None
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None and spec.submodule_search_locations is not None


@cache
def _foreign(module: str) -> frozenset[str]:
    """Installed packages that `module` imports, the standard library and its own apart."""
    roots = {name.partition(".")[0] for name in _syntax(module).imports} - {module.partition(".")[0]}
    return frozenset(root for root in roots - sys.stdlib_module_names if not _is_loose(root))


def _is_loose(root: str) -> bool:
    """Whether a top-level module belongs to nothing that was installed under a version."""
    return root not in sys.stdlib_module_names and not _version(root)


@cache
def _version(package: str) -> str:
    """Version of an installed package, by the name of its top-level module; empty if none is known."""
    distribution = _distribution(package)
    return metadata.version(distribution) if distribution else ""


@cache
def _distribution(package: str) -> str:
    try:
        return metadata.distribution(package).name
    except metadata.PackageNotFoundError:  # not the name of a distribution, but perhaps of a module in one
        return next(iter(_modules_of_distributions().get(package, ())), "")


@cache
def _modules_of_distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@cache
def _versions(package: str) -> tuple[tuple[str, str], ...]:
    """Distribution and version of a package and of all that it requires, as far as it is installed."""
    found: dict[str, str] = {}
    waiting = [_distribution(package)]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):
            continue
        found[name] = distribution.version
        needs = [line for line in distribution.requires or () if "extra ==" not in line]
        waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needs]
    return tuple(sorted(found.items()))


@cache
def _binary(module: str) -> bytes:
    """Content of a module that has no source; empty if there is no such module, or nothing but a folder."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return b""
    origin = spec.origin if spec and spec.has_location else None
    return Path(origin).read_bytes() if origin and not origin.endswith(".py") else b""


def _module_digest(module: str) -> str:
    if content := _binary(module):
        return digest(content)
    return _syntax(module).digest or _unknowable()


class _Syntax(msgspec.Struct, frozen=True, array_like=True):
    """Digest of a module without docstrings, names it may import, and environment variables it reads (None: any).

    The digest is empty without source, and where the name of an imported module is not in the source.
    """

    digest: str = ""
    imports: frozenset[str] = frozenset()
    variables: frozenset[str | None] = frozenset()


_KEPT: dict[str, _Syntax] = {}  # by digest of source and of what else the answer depends on, this code included
_READER = digest(sys.version, Path(__file__).read_bytes())


def load_syntax(file: Path) -> None:
    """Take from a file what was found out about modules, by the content of their source."""
    with suppress(OSError, msgspec.DecodeError):
        _KEPT.update(msgspec.json.decode(file.read_bytes(), type=dict[str, _Syntax]))


def save_syntax(file: Path) -> None:
    """Keep what is known of modules. A file that cannot be written costs the next plan time, nothing else."""
    content = msgspec.json.encode(_KEPT, order="deterministic")
    with suppress(OSError):
        if not file.exists() or file.stat().st_size != len(content):
            temporary = file.with_name(f"{file.name}.{os.getpid()}")
            temporary.write_bytes(content)
            temporary.replace(file)


@cache
def _syntax(module: str) -> _Syntax:
    source = _source(module)
    if source is None:
        return _Syntax()
    package = module if hasattr(sys.modules.get(module), "__path__") else module.rpartition(".")[0]
    key = digest(source, package, _READER)
    if key not in _KEPT:
        _KEPT[key] = _parsed(source, package)
    return _KEPT[key]


_FIELDS = {
    kind: tuple(field for field in kind._fields if field != "ctx")  # a place in the tree says which it is
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _written(node: ast.AST, text: list[str], importing: list[ast.AST]) -> None:
    """Add to `text` a tree without positions and docstrings, and to `importing` what of it may import modules.

    `ast.dump` and `ast.walk` take twice as long, and most of the time that a first plan takes.
    """
    if isinstance(node, (ast.Call, ast.Import, ast.ImportFrom)):
        importing.append(node)
    elif isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    text.append(type(node).__name__)
    for field in _FIELDS[type(node)]:
        value = getattr(node, field, None)
        if type(value) is list:
            text.append("[")
            for each in value:
                if isinstance(each, ast.AST):
                    _written(each, text, importing)
                else:
                    text.append(repr(each))
            text.append("]")
        elif isinstance(value, ast.AST):
            _written(value, text, importing)
        else:
            text.append(repr(value))


def _parsed(source: bytes, package: str) -> _Syntax:
    tree, text, importing = ast.parse(source), list[str](), list[ast.AST]()
    _written(tree, text, importing)
    names, is_known = set[str](), True
    for node in importing:
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    base = importlib.util.resolve_name("." * node.level + base, package)
                names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            case ast.Call(
                func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"), args=args
            ):
                match args:
                    case [ast.Constant(str(name)), *_] if not name.startswith("."):
                        names.add(name)
                    case _:
                        is_known = False
    reads_system = any(name.partition(".")[0] == "os" for name in names)
    content = "\n".join(text)
    # `environ`, `environb` and `getenv`: most modules that import `os` name none of them.
    variables = frozenset(_variables(tree) if reads_system and "env" in content else ())
    return _Syntax(digest(content) if is_known else "", frozenset(names), variables)


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
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
        if name in wanted:
            yield literal.get(id(node))

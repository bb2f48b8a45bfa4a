"""Scopes and symbols exactly as the compiler sees them, tied to the nodes that open them.

`_symtable` gives each file's tables in the order in which the compiler visits; the nodes that open scopes are known
from the syntax. The two are matched parent by parent on (line, name), and where that is ambiguous (several lambdas on
one line) by the compiler's order of visiting.
"""

from __future__ import annotations

import _symtable
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codeintel.extract.definitions import Definitions
from codeintel.extract.grammar import FIELDS, IS_OWNER, KINDS, is_kind
from codeintel.extract.ids import fields, hashed
from codeintel.extract.reading import SourceFile
from codeintel.extract.syntax import Syntax, Texts

# Constants of the compiler that the `symtable` module reads symbols with.
USE, DEF_PARAM, DEF_BOUND, DEF_IMPORT, DEF_LOCAL = (
    _symtable.USE, _symtable.DEF_PARAM, _symtable.DEF_BOUND, _symtable.DEF_IMPORT, _symtable.DEF_LOCAL,
)  # fmt: skip
DEF_NONLOCAL, DEF_ANNOT, SCOPE_OFF, SCOPE_MASK = (
    _symtable.DEF_NONLOCAL, _symtable.DEF_ANNOT, _symtable.SCOPE_OFF, _symtable.SCOPE_MASK,
)  # fmt: skip
LOCAL, GLOBAL_EXPLICIT, GLOBAL_IMPLICIT, FREE, CELL = (
    _symtable.LOCAL, _symtable.GLOBAL_EXPLICIT, _symtable.GLOBAL_IMPLICIT, _symtable.FREE, _symtable.CELL,
)  # fmt: skip

FUNCTION, CLASS, MODULE = _symtable.TYPE_FUNCTION, _symtable.TYPE_CLASS, _symtable.TYPE_MODULE
# Names of the newer types of scope; 3.12 and 3.13 name and number them differently.
TYPE_NAMES = {
    getattr(_symtable, constant): name
    for constant, name in {
        "TYPE_ANNOTATION": "annotation", "TYPE_TYPE_ALIAS": "type_alias", "TYPE_TYPE_PARAM": "type_parameters",
        "TYPE_TYPE_PARAMETERS": "type_parameters", "TYPE_TYPE_VAR_BOUND": "type_variable",
        "TYPE_TYPE_VARIABLE": "type_variable",
    }.items()
    if hasattr(_symtable, constant)
} | {MODULE: "module", CLASS: "class"}  # fmt: skip

_FUNCTION_KINDS = {"Lambda": "lambda", "ListComp": "listcomp", "SetComp": "setcomp", "DictComp": "dictcomp",
                   "GeneratorExp": "genexpr"}  # fmt: skip
COMPREHENSIONS = ("listcomp", "setcomp", "dictcomp", "genexpr")
OPENS = is_kind("FunctionDef", "AsyncFunctionDef", "ClassDef", "TypeAlias", *_FUNCTION_KINDS)
_IS_FUNCTION = is_kind("FunctionDef", "AsyncFunctionDef", *_FUNCTION_KINDS)
IS_TYPE_VARIABLE = is_kind("TypeVar", "ParamSpec", "TypeVarTuple")

# The compiler visits these fields in an order of its own, where scopes of one line could trade places.
_VISIT_ORDER = {
    "IfExp": ("test", "body", "orelse"),
    "Dict": ("keys", "values"),
    "Call": ("func", "args", "keywords"),
    "DictComp": ("generators", "value", "key"),
    "ListComp": ("generators", "elt"),
    "SetComp": ("generators", "elt"),
    "GeneratorExp": ("generators", "elt"),
    "arguments": ("defaults", "kw_defaults", "posonlyargs", "args", "vararg", "kwarg", "kwonlyargs"),
    "Lambda": ("args", "body"),
    "NamedExpr": ("value", "target"),
    "MatchMapping": ("keys", "patterns"),
    "ClassDef": ("type_params", "bases", "keywords", "decorator_list", "body"),
}
_AFTER_ALL_CHILDREN = (len(FIELDS), 0)


@dataclass(slots=True)
class Scopes:
    """Columns over scopes in the order of the nodes that open them, and over symbols by scope and name.

    `code` is the scope's code in `Syntax.scope`, or -1 for a table that no node opens. `of_code` goes the other way; -1
    in files without tables. `is_listed` is false where a node opens a scope for which the compiler has no table: a
    comprehension it inlines (PEP 709), or whatever stands in an annotation it does not evaluate. Those scopes own
    variables like any other but are no rows. `parent` is the compiler's (always a listed scope), `around` the source's.
    """

    file: np.ndarray
    code: np.ndarray
    is_listed: np.ndarray
    parent: np.ndarray
    around: np.ndarray
    type: np.ndarray
    kind: list[str]
    name: list[str]
    line: np.ndarray
    nested: np.ndarray
    has_children: np.ndarray
    of_code: np.ndarray
    symbol_scope: np.ndarray
    symbol_name: np.ndarray
    symbol_flags: np.ndarray
    symbol_namespace: np.ndarray

    @property
    def symbol_type(self) -> np.ndarray:
        """Where the compiler found each symbol to live: LOCAL, CELL, FREE, GLOBAL_IMPLICIT or GLOBAL_EXPLICIT."""
        return (self.symbol_flags >> SCOPE_OFF) & SCOPE_MASK

    @property
    def is_function_like(self) -> np.ndarray:
        return (self.type != CLASS) & (self.type != MODULE)


def match_scopes(files: list[SourceFile], syntax: Syntax, texts: Texts) -> Scopes:
    """All scopes of the files, with their symbols."""
    tables, parents, codes, table_files = _matched_tables(files, syntax, texts)
    unlisted = _unlisted(files, syntax, codes)
    tables += [_Unlisted(*at) for at in zip(unlisted.tolist(), syntax.line[unlisted].tolist(), strict=True)]
    n = len(tables)
    is_listed = np.arange(n) < len(codes)
    code = np.concatenate([np.array(codes, np.int64), 2 * unlisted])
    file = np.concatenate([np.array(table_files, np.int64), syntax.file[unlisted]])
    parents += [-1] * len(unlisted)
    # In the order of the source; of one node's scopes the type-parameter scope first, tables without a node last.
    place = np.where(code >= 0, code ^ 1, np.iinfo(np.int64).max)
    order = np.lexsort((np.arange(n), place, file))
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    tables = [tables[i] for i in order.tolist()]
    code, parent, is_listed = code[order], np.array(parents, np.int64)[order], is_listed[order]
    parent = np.where(parent >= 0, rank[parent], -1)
    of_code = np.full(2 * len(syntax), -1, np.int64)
    of_code[code[code >= 0]] = np.flatnonzero(code >= 0)
    _spread(of_code, syntax)
    around = np.where(code >= 0, _around(code, of_code, syntax), parent)
    for at in np.flatnonzero(~is_listed).tolist():  # what is around stands before
        parent[at] = around[at] if is_listed[around[at]] else parent[around[at]]

    symbols = [table.symbols for table in tables]
    children = [table.children for table in tables]
    lengths = np.fromiter(map(len, symbols), np.int64, n)
    names = texts.codes([name for table in symbols for name in table])
    flags = np.array([value for table in symbols for value in table.values()], np.int64)
    namespace = np.array(
        [
            name in spaces
            for table, below in zip(symbols, children, strict=True)
            for spaces in (frozenset(child.name for child in below),)
            for name in table
        ],
        bool,
    )
    scope = np.repeat(np.arange(n), lengths)
    by_name = np.lexsort((alphabetical(texts)[names], scope))
    kinds = [table.type for table in tables]
    return Scopes(
        file=file[order],
        code=code,
        is_listed=is_listed,
        parent=parent,
        around=around,
        type=np.array(kinds, np.int64),
        kind=[_kind(table.type, at, syntax) for table, at in zip(tables, code.tolist(), strict=True)],
        name=[table.name for table in tables],
        line=np.array([table.lineno for table in tables], np.int32),
        nested=np.array([table.nested for table in tables], bool),
        has_children=np.fromiter(map(bool, children), bool, n),
        of_code=of_code,
        symbol_scope=scope[by_name],
        symbol_name=names[by_name],
        symbol_flags=flags[by_name],
        symbol_namespace=namespace[by_name],
    )


def alphabetical(texts: Texts) -> np.ndarray:
    """The rank of each text among all of them, by code points; the codes themselves depend on what was read first."""
    listed = [text or "" for text in texts]
    rank = np.empty(len(listed), np.int64)
    rank[sorted(range(len(listed)), key=listed.__getitem__)] = np.arange(len(listed))
    return rank


def _kind(table_type: int, code: int, syntax: Syntax) -> str:
    if table_type != FUNCTION:
        return TYPE_NAMES.get(table_type, "annotation")
    return _FUNCTION_KINDS.get(KINDS[syntax.kind[code >> 1]], "function") if code >= 0 else "function"


def _matched_tables(
    files: list[SourceFile], syntax: Syntax, texts: Texts
) -> tuple[list[Any], list[int], list[int], list[int]]:
    """Every raw table with the index of its parent, its scope code (-1 for none) and its file."""
    modules = np.flatnonzero(syntax.parent < 0)
    below = _openers(syntax, texts)
    tables: list[Any] = []
    parents: list[int] = []
    codes: list[int] = []
    table_files: list[int] = []
    for file, module in zip(syntax.file[modules].tolist(), modules.tolist(), strict=True):
        if files[file].symbols is None:
            continue
        begin = len(tables)
        tables.append(files[file].symbols)
        parents.append(-1)
        codes.append(2 * module)
        for at in _growing(tables, begin):
            children = tables[at].children
            if not children:
                continue
            keys = frozenset((child.lineno, child.name.strip("<>")) for child in children)
            matched = _match_children(children, list(_offered(codes[at], below, keys)), syntax)
            tables += children
            parents += [at] * len(children)
            codes += matched
        table_files += [file] * (len(tables) - begin)
    return tables, parents, codes, table_files


def _growing(items: list[Any], begin: int) -> Iterator[int]:
    """Indices from `begin` of a list that grows while they are walked."""
    at = begin
    while at < len(items):
        yield at
        at += 1


def _openers(syntax: Syntax, texts: Texts) -> dict[int, list[tuple[int, str, int]]]:
    """By the code of the scope around it: `(line, name, code)` of each scope that a node opens, in preorder."""
    kind, generic = syntax.kind, syntax.has_type_parameters
    with_two = np.flatnonzero(OPENS[kind] & generic)
    variables = np.flatnonzero(IS_TYPE_VARIABLE[kind])
    plain = np.flatnonzero(OPENS[kind])
    codes = np.concatenate([2 * plain, 2 * with_two + 1, 2 * variables, 2 * variables + 1])
    around = np.concatenate([
        np.where(generic[plain], 2 * plain + 1, syntax.scope[plain]), syntax.scope[with_two],
        syntax.scope[variables], syntax.scope[variables],
    ])  # fmt: skip
    order = np.argsort(codes, kind="stable")
    codes, around = codes[order], around[order]
    nodes = codes >> 1
    listed = list(texts)
    anonymous = [_FUNCTION_KINDS.get(name, "") for name in KINDS]
    alias = {
        int(syntax.parent[i]): listed[syntax.name[i]]
        for i in np.flatnonzero(
            is_kind("TypeAlias")[kind[syntax.parent]] & (np.array(FIELDS) == "name")[syntax.field]
        ).tolist()
    }
    found: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    columns = (
        around.tolist(),
        codes.tolist(),
        syntax.line[nodes].tolist(),
        kind[nodes].tolist(),
        syntax.name[nodes].tolist(),
    )
    for outer, code, line, node_kind, name in zip(*columns, strict=True):
        text = anonymous[node_kind] or (listed[name] if name else alias.get(code >> 1, ""))
        found[outer].append((line, text, code))
    return found


def _offered(
    code: int, below: dict[int, list[tuple[int, str, int]]], keys: frozenset[tuple[int, str]]
) -> Iterator[tuple[int, str, int]]:
    """The openers in a scope; in place of a comprehension that the compiler inlined, those inside it."""
    waiting = [iter(below.get(code, ()))]
    while waiting:
        for opener in waiting[-1]:
            if opener[1] in COMPREHENSIONS and opener[:2] not in keys:
                waiting.append(iter(below.get(opener[2], ())))
                break
            yield opener
        else:
            waiting.pop()


def _match_children(children: list[Any], openers: Sequence[tuple[int, str, int]], syntax: Syntax) -> list[int]:
    """For each raw child table the code of the scope it is, or -1."""
    if len(children) == len(openers) == 1 and openers[0][:2] == (children[0].lineno, children[0].name.strip("<>")):
        return [openers[0][2]]
    waiting: dict[tuple[int, str], list[int]] = defaultdict(list)
    for line, name, code in openers:
        waiting[line, name].append(code)
    for codes in waiting.values():
        if len(codes) > 1:
            codes.sort(key=lambda code: (_visit_path(code >> 1, syntax), code & 1))
    found = []
    for child in children:
        codes = waiting.get((child.lineno, child.name.strip("<>")))
        found.append(codes.pop(0) if codes else -1)
    return found


def _visit_path(node: int, syntax: Syntax) -> list[tuple[int, int]]:
    """Where the compiler's walk opens the node's scope: what is evaluated around it comes before it."""
    path = [_AFTER_ALL_CHILDREN]
    while (parent := int(syntax.parent[node])) >= 0:
        field = FIELDS[syntax.field[node]]
        order = _VISIT_ORDER.get(KINDS[syntax.kind[parent]])
        rank = order.index(field) if order and field in order else int(syntax.field[node])
        if not order:
            rank = 0  # the preorder index below decides
        path.append((rank, node))
        node = parent
    return path[::-1]


@dataclass(frozen=True, slots=True)
class _Unlisted:
    """Stands in for a table that the compiler does not have."""

    node: int
    lineno: int
    type: int = FUNCTION
    name: str = ""
    nested: bool = False
    symbols: dict[str, int] = field(default_factory=dict)
    children: tuple[()] = ()


def _unlisted(files: list[SourceFile], syntax: Syntax, codes: list[int]) -> np.ndarray:
    """The nodes that open a scope for which there is no table, in files that have tables."""
    has_table = np.zeros(len(syntax), bool)
    matched = np.array(codes, np.int64)
    has_table[matched[(matched >= 0) & (matched & 1 == 0)] >> 1] = True
    in_file = np.array([file.symbols is not None for file in files], bool)
    return np.flatnonzero(_IS_FUNCTION[syntax.kind] & ~has_table & in_file[syntax.file])


def _around(code: np.ndarray, of_code: np.ndarray, syntax: Syntax) -> np.ndarray:
    """The scope that the source has around each scope, -1 for modules."""
    node = np.maximum(code, 0) >> 1
    own = (code & 1 == 0) & syntax.has_type_parameters[node]
    found = of_code[np.where(own, 2 * node + 1, syntax.scope[node])]
    return np.where(syntax.parent[node] < 0, -1, found)


def _spread(of_code: np.ndarray, syntax: Syntax) -> None:
    """Lead codes of type variables' scopes that are not there (no bound, no default) to the one around."""
    kind = syntax.kind
    nodes = np.flatnonzero(OPENS[kind] & syntax.has_type_parameters | IS_TYPE_VARIABLE[kind])
    for node in nodes.tolist():
        around = of_code[syntax.scope[node]]
        if of_code[2 * node + 1] < 0:
            of_code[2 * node + 1] = around
        if of_code[2 * node] < 0:
            of_code[2 * node] = of_code[2 * node + 1] if syntax.has_type_parameters[node] else around


def scope_ids(scopes: Scopes, syntax: Syntax, definitions: Definitions) -> tuple[np.ndarray, list[bytes]]:
    """The id of each scope, and the hash fields that ids of its bindings start from.

    A node's scope has the node's id. Scopes without a node of their own, and for bindings also lambdas and
    comprehensions, are told apart by their number among the scopes of their kind in their owner, never by position.
    """
    node = np.maximum(scopes.code, 0) >> 1
    opened = scopes.code >= 0
    own = opened & ((scopes.code & 1) == 0)
    ids = definitions.node_id[node]
    is_owner = IS_OWNER[syntax.kind[node]]
    home = definitions.at[np.where(is_owner, node, syntax.owner[node])]
    prefixes: list[bytes] = []
    seen: Counter[tuple[int, str, str]] = Counter()
    columns = (home.tolist(), opened.tolist(), own.tolist(), is_owner.tolist(), scopes.parent.tolist())
    for i, (at, has_node, is_own, owns, parent) in enumerate(zip(*columns, strict=True)):
        if is_own and owns:
            prefixes.append(definitions.prefix[at])
            continue
        place = definitions.prefix[at] if has_node else prefixes[parent]
        kind, name = scopes.kind[i], scopes.name[i]
        number = seen[at if has_node else -1 - parent, kind, name]
        seen[at if has_node else -1 - parent, kind, name] += 1
        prefixes.append(place + fields(kind, name, str(number)))
        if not is_own:
            ids[i] = hashed(_SCOPE + prefixes[i])
    return ids, prefixes


_SCOPE = fields("scope")

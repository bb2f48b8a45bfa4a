"""The order in which the nodes of a file are evaluated, as positions.

A *unit* is a stretch of code that runs on its own: a module, a function or lambda, a generator expression, a lazily
evaluated bound or alias of a type. Class bodies and the other comprehensions run where they stand and belong to the
unit around them. The nodes of a unit have consecutive positions, such that code without branches runs from each
position to the next: operands before their operator, the value of an assignment before its targets, and every
statement at the moment it acts. An annotation that is not evaluated (PEP 563 and 649, or of a local variable) has no
position.

Every node stands for one moment, mostly the one after its children. The others are:

- `If`, `While`, `Match`: the decision, after the test or subject; `For` and `comprehension`: asking for the next item,
  after the iterable; `ExceptHandler`: comparing the type, after evaluating it, and binding the name.
- `Try`, `TryStar`: entering; `withitem`: entering its context manager; `With`: leaving all of them.
- `MatchSequence`, `MatchMapping`, `MatchClass`: the check before any pattern inside; `match_case`: success.
- `Tuple`, `List` and `Starred` as targets: unpacking, before the targets inside.
- `AugAssign`: operating and storing; its target is the read.
- `arg` and `arguments`: binding, at the start of the function's own unit.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.grammar import FIELD, FIELDS, KIND, KINDS, is_kind
from codeintel.extract.syntax import Syntax, Texts

# Children in another order than the source's. Only calls and classes with a starred argument need theirs.
_ORDER = {
    "Assign": ("value", "targets"),
    "AnnAssign": ("value", "target", "annotation"),
    "NamedExpr": ("value", "target"),
    "TypeAlias": ("type_params", "value", "name"),
    "IfExp": ("test", "body", "orelse"),
    "For": ("iter", "target", "body", "orelse"),
    "AsyncFor": ("iter", "target", "body", "orelse"),
    "comprehension": ("iter", "target", "ifs"),
    "ListComp": ("generators", "elt"),
    "SetComp": ("generators", "elt"),
    "GeneratorExp": ("generators", "elt"),
    "DictComp": ("generators", "key", "value"),
    "arguments": ("defaults", "kw_defaults", "posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"),
    "Call": ("func", "args", "keywords"),
    "ClassDef": ("decorator_list", "type_params", "bases", "keywords", "body"),
}
_RANK = np.zeros((len(KINDS), len(FIELDS)), np.int64)
for _kind, _fields in _ORDER.items():
    for _rank, _field in enumerate(_fields):
        if _kind in KIND and _field in FIELD:
            _RANK[KIND[_kind], FIELD[_field]] = _rank
_IS_REORDERED = is_kind(*_ORDER.keys() - {"Call", "ClassDef"})

_ACTS_FIRST = is_kind("Try", "TryStar", "ExceptHandler", "MatchSequence", "MatchMapping")
_ACTS_AFTER = np.zeros((len(KINDS), len(FIELDS)), bool)
for _kind, _field in (
    ("If", "test"), ("While", "test"), ("For", "iter"), ("AsyncFor", "iter"), ("comprehension", "iter"),
    ("ExceptHandler", "type"), ("Match", "subject"), ("match_case", "pattern"), ("withitem", "context_expr"),
    ("MatchClass", "cls"),
):  # fmt: skip
    _ACTS_AFTER[KIND[_kind], FIELD[_field]] = True

_UNPACKS = is_kind("List", "Tuple", "Starred")
_STORE = 2

RUNS_IN_PLACE = is_kind("ClassDef", "ListComp", "SetComp", "DictComp")
_HAS_TYPE_PARAMETERS = is_kind("FunctionDef", "AsyncFunctionDef", "ClassDef", "TypeAlias")
_IS_FUNCTION = is_kind("FunctionDef", "AsyncFunctionDef")
_LAZY_ANNOTATIONS = sys.version_info >= (3, 14)


@dataclass(slots=True)
class Order:
    """`node` by position, and `position`, `first` and `last` by node: its own moment and those of its whole subtree.

    Nodes that are never evaluated have position -1. `unit` is the row of each position's unit; `code` says per unit
    which scope it is (twice its node, plus 1 for a second scope of that node), `start` and `stop` bound its positions.
    `first` and `last` leave out what runs in another unit.
    """

    node: np.ndarray
    position: np.ndarray
    first: np.ndarray
    last: np.ndarray
    unit: np.ndarray
    code: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def evaluation_order(syntax: Syntax, texts: Texts) -> Order:
    n = len(syntax)
    kind, field, parent, size = syntax.kind, syntax.field, syntax.parent, syntax.size
    below = np.flatnonzero(parent >= 0)
    enter = _enter_times(syntax, below)
    leave = enter + 2 * size - 1

    unpacks = _UNPACKS[kind] & (syntax.ctx == _STORE)
    moment = np.where(_ACTS_FIRST[kind] | unpacks, 2 * enter, 2 * leave)
    for children in (
        below[_ACTS_AFTER[kind[parent[below]], field[below]]],
        below[(field[below] == FIELD["guard"])],
    ):
        moment[parent[children]] = 2 * leave[children] + 1

    unit, code = _units(syntax, _never_evaluated(syntax, texts))
    keys = (unit + 1 << 32) | moment
    node = np.argsort(keys)
    keys = keys[node]
    skipped = int(np.searchsorted(keys, 1 << 32))
    node, keys = node[skipped:], keys[skipped:]
    position = np.full(n, -1, np.int64)
    position[node] = np.arange(len(node))
    first = np.searchsorted(keys, (unit + 1 << 32) | 2 * enter)
    last = np.searchsorted(keys, (unit + 1 << 32) | 2 * leave + 1, "right") - 1
    bounds = np.searchsorted(keys, np.arange(1, len(code) + 2) << 32)
    return Order(node, position, first, last, unit[node], code, bounds[:-1], bounds[1:])


def _enter_times(syntax: Syntax, below: np.ndarray) -> np.ndarray:
    """When a walk in evaluation order enters each node, counting entering and leaving as one step each."""
    n = len(syntax)
    kind, parent, size = syntax.kind, syntax.parent, syntax.size
    here = np.arange(n)
    moves = _IS_REORDERED[kind]
    starred = below[(kind[below] == KIND["Starred"]) & ((syntax.field[below] == FIELD["args"])
                                                        | (syntax.field[below] == FIELD["bases"]))]  # fmt: skip
    moves[parent[starred]] = True
    children = below[moves[parent[below]]]
    around = parent[children]
    order = np.argsort(around * 16 + _RANK[kind[around], syntax.field[children]], kind="stable")
    children, around = children[order], around[order]
    before = np.cumsum(size[children]) - size[children]
    firsts = np.flatnonzero(np.r_[True, around[1:] != around[:-1]]) if len(around) else np.zeros(0, np.int64)
    before -= np.repeat(before[firsts], np.diff(np.r_[firsts, len(around)]))
    moved_by = before - (children - around - 1)
    shift = np.zeros(n + 1, np.int64)
    shift[children] += moved_by
    np.subtract.at(shift, children + size[children], moved_by)
    depth = here - np.cumsum(np.bincount(here + size, minlength=n + 1))[:n]
    return 2 * (here + np.cumsum(shift)[:n]) - depth


def _never_evaluated(syntax: Syntax, texts: Texts) -> np.ndarray:
    """Over all nodes: whether it stands in an annotation that nothing evaluates where it stands."""
    kind, parent = syntax.kind, syntax.parent
    roots = np.flatnonzero((syntax.field == FIELD["annotation"]) | (syntax.field == FIELD["returns"]))
    lazy = np.zeros(int(syntax.file[-1]) + 1 if len(syntax) else 0, bool)
    if _LAZY_ANNOTATIONS:
        lazy[:] = True
    elif "annotations" in texts:
        aliases = np.flatnonzero((kind == KIND["alias"]) & (syntax.name == texts["annotations"]))
        imports = set(parent[aliases].tolist())
        for node, module in syntax.values_of("module").items():
            if module == "__future__" and node in imports:
                lazy[syntax.file[node]] = True
    local = (kind[parent[roots]] == KIND["AnnAssign"]) & _IS_FUNCTION[kind[syntax.scope[parent[roots]] >> 1]]
    roots = roots[lazy[syntax.file[roots]] | local]
    depth = np.zeros(len(syntax) + 1, np.int64)
    depth[roots] += 1
    np.subtract.at(depth, roots + syntax.size[roots], 1)
    return np.cumsum(depth)[:-1] > 0


def _units(syntax: Syntax, never: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over all nodes the row of its unit, -1 for those never evaluated and for modules; and each unit's scope."""
    kind, parent = syntax.kind, syntax.parent
    scope = syntax.scope.copy()
    arguments = np.flatnonzero(kind == KIND["arguments"])
    scope[arguments] = 2 * parent[arguments]
    parameters = np.flatnonzero(kind == KIND["arg"])
    scope[parameters] = 2 * parent[parent[parameters]]
    codes, inverse = np.unique(scope, return_inverse=True)
    while True:
        opener = kind[codes >> 1]
        through = np.flatnonzero(np.where(codes & 1, _HAS_TYPE_PARAMETERS[opener], RUNS_IN_PLACE[opener]))
        if not len(through):
            break
        codes[through] = syntax.scope[codes[through] >> 1]
    code = distinct(np.r_[codes, 2 * np.flatnonzero(kind == KIND["Module"])])
    code = code[~never[code >> 1]]
    unit = np.searchsorted(code, codes)[inverse]
    unit[never | (kind == KIND["Module"])] = -1
    return unit, code

"""Syntax trees as columns.

The trees of many files are taken apart together, level by level and class by class, with C-speed maps over whole lists
of nodes instead of a visitor's call per node; numpy then puts the levels into preorder. No depth of nesting matters.

Siblings stand in the order of the source (decorators before the name they decorate, keys beside their values), which
is what ordinals of ids, lambda numbers and argument positions are counted in.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter, truth
from typing import Any

import numpy as np

from codeintel.extract.grammar import (
    AUGMENTED,
    CHILDREN,
    CODE_OF_CLASS,
    CODE_OF_CONTEXT,
    HAS_POSITION,
    IS_INTERLEAVED,
    IS_OWNER,
    KIND,
    KINDS,
    NAME_FIELDS,
    OPERATORS,
    SLOTS,
    Child,
    Evaluated,
    Shape,
)
from codeintel.extract.syntax import Property, Syntax, Texts

POSITION = ("lineno", "col_offset", "end_lineno", "end_col_offset")
_VALUES = attrgetter("__dict__")


class _OperatorNames(dict[type, str]):
    def __init__(self, names: dict[str, str]) -> None:
        super().__init__((getattr(ast, cls), f"<operator>.{name}") for cls, name in names.items())


_NAMES_OF_OPERATORS, _NAMES_OF_ASSIGNMENTS = _OperatorNames(OPERATORS), _OperatorNames(AUGMENTED)
_OPERATION = {"BinOp": _NAMES_OF_OPERATORS, "UnaryOp": _NAMES_OF_OPERATORS, "BoolOp": _NAMES_OF_OPERATORS,
              "AugAssign": _NAMES_OF_ASSIGNMENTS}  # fmt: skip
_PROPERTIES = {
    "Constant": ("value", "kind"), "ImportFrom": ("module", "level"), "alias": ("asname",),
    "comprehension": ("is_async",), "FormattedValue": ("conversion",), "Interpolation": ("conversion", "str"),
    "AnnAssign": ("simple",), "Global": ("names",), "Nonlocal": ("names",), "MatchSingleton": ("value",),
    "MatchMapping": ("rest",), "MatchClass": ("kwd_attrs",),
}  # fmt: skip
# `None` is what these constants are, not their absence.
_NONE_IS_A_VALUE = {("Constant", "value"), ("MatchSingleton", "value")}


@dataclass(slots=True)
class _Level:
    """The nodes of one depth, and what is known of them from above. Indices count over all levels so far."""

    nodes: list[Any]
    parent: np.ndarray
    field: np.ndarray
    ordinal: np.ndarray
    scope: np.ndarray
    around: np.ndarray  # the scope that the parent is evaluated in
    owner: np.ndarray
    file: np.ndarray

    def taken(self, places: np.ndarray) -> _Level:
        nodes = list(map(self.nodes.__getitem__, places.tolist()))
        return _Level(
            nodes, self.parent[places], self.field[places], self.ordinal[places], self.scope[places],
            self.around[places], self.owner[places], self.file[places],
        )  # fmt: skip


class _Below:
    """The children of one level's nodes, as they are found class by class and field by field."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.counts: list[int] = []  # of each parent in each field
        self.fields: list[tuple[int, int, int, Evaluated, int]] = []  # parents from, to, field, where, children before
        self.holes = False

    def add(self, child: Child, begin: int, values: list[Any]) -> None:
        """The values of one field of the nodes of one class, the first of which is number `begin` of its level."""
        if child.shape is not Shape.ONE and not any(values):
            return
        self.fields.append((begin, begin + len(values), child.field, child.evaluated, len(self.nodes)))
        if child.shape is Shape.ONE:
            self.counts += [1] * len(values)
            self.nodes += values
        elif child.shape is Shape.OPTIONAL:
            self.counts += map(truth, values)
            self.nodes += filter(None, values)
        else:
            self.counts += map(len, values)
            self.nodes += chain.from_iterable(values)
            self.holes |= child.holes

    def level(self, above: _Level, offset: int, kind: np.ndarray, generic: np.ndarray) -> _Level:
        """The next level, with the scope, owner and file that its nodes get from their parents."""
        numbers = np.arange(len(kind))
        counts = np.fromiter(self.counts, np.int64, len(self.counts))
        parent = np.repeat(np.concatenate([numbers[:0], *[numbers[b:e] for b, e, *_ in self.fields]]), counts)
        bounds = np.array([*[first for *_, first in self.fields], len(parent)], np.int64)
        scope = above.scope[parent]
        opened, around = 2 * (parent + offset), above.around[parent]
        here = scope.copy()
        ordinal = np.arange(len(parent)) - np.repeat(np.cumsum(counts) - counts, counts)
        for (begin, end), (*_, evaluated, _) in zip(pairwise(bounds.tolist()), self.fields, strict=True):
            part = slice(begin, end)
            match evaluated:
                case Evaluated.HERE:
                    pass
                case Evaluated.INSIDE:
                    scope[part] = opened[part]
                case Evaluated.WITH_TYPE_PARAMETERS:
                    scope[part] = np.where(generic[parent[part]], opened[part] + 1, here[part])
                case Evaluated.AROUND:
                    scope[part] = around[part]
                case Evaluated.OUTERMOST_ITERABLE:
                    scope[part] = np.where(above.ordinal[parent[part]] == 0, around[part], here[part])
                case Evaluated.SECOND_INSIDE:
                    scope[part] = opened[part] + 1
        found = _Level(
            nodes=self.nodes,
            parent=parent + offset,
            field=np.repeat(np.array([field for _, _, field, *_ in self.fields], np.uint8), np.diff(bounds)),
            ordinal=ordinal.astype(np.int32),
            scope=scope,
            around=here,
            owner=np.where(IS_OWNER[kind[parent]], parent + offset, above.owner[parent]),
            file=above.file[parent],
        )
        if not self.holes:
            return found
        return found.taken(np.flatnonzero(np.fromiter(map(truth, self.nodes), bool, len(self.nodes))))


class Walk:
    """Takes trees apart; `columns` is the result. `texts` gets the names."""

    def __init__(self, trees: Sequence[ast.AST], line_starts: Sequence[np.ndarray], texts: Texts) -> None:
        self.texts = texts
        self.properties: list[Property] = []
        self.line_base = np.cumsum([0, *map(len, line_starts)])[:-1]
        self.line_starts = np.concatenate(line_starts) if line_starts else np.zeros(0, np.int64)
        self.columns = self._in_preorder(self._take_apart(list(trees)))

    def _take_apart(self, trees: list[Any]) -> list[dict[str, np.ndarray]]:
        n = len(trees)
        roots, none = np.arange(n), np.full(n, -1)
        level = _Level(trees, none, np.zeros(n, np.uint8), np.zeros(n, np.int32), 2 * roots, 2 * roots, roots, roots)
        done: list[dict[str, np.ndarray]] = []
        offset = 0
        while level.nodes or not done:
            offset += len(level.nodes)
            columns, level = self._level(level, offset - len(level.nodes))
            done.append(columns)
        return done

    def _level(self, found: _Level, offset: int) -> tuple[dict[str, np.ndarray], _Level]:
        """Columns of one level, sorted by class, and the level below."""
        n = len(found.nodes)
        kind = np.fromiter(map(CODE_OF_CLASS.__getitem__, map(type, found.nodes)), np.uint8, n)
        by_class = np.argsort(kind, kind="stable")
        kind, level = kind[by_class], found.taken(by_class)
        # One pass over the nodes: what follows only slices this list.
        values = list(chain.from_iterable(map(dict.values, map(_VALUES, level.nodes))))
        names: list[str | None] = []
        places: tuple[list[int], ...] = ([], [], [], [])
        ctx, generic = np.zeros(n, np.uint8), np.zeros(n, bool)
        below = _Below()
        begin = at = 0
        for code, count in enumerate(np.bincount(kind).tolist()):
            if not count:
                continue
            slots, end = SLOTS[code], begin + count
            width = len(slots)
            own = {name: values[at + slot : at + width * count : width] for name, slot in slots.items()}
            at += width * count
            for column, attribute in zip(places, POSITION, strict=True):
                column.extend(own.get(attribute) or [-1] * count)
            names += self._names(KINDS[code], own, begin + offset) or [None] * count
            if "ctx" in own:
                ctx[begin:end] = np.fromiter(map(CODE_OF_CONTEXT.__getitem__, map(type, own["ctx"])), np.uint8, count)
            if any(own.get("type_params", ())):
                generic[begin:end] = np.fromiter(map(truth, own["type_params"]), bool, count)
            for child in CHILDREN[code]:
                below.add(child, begin, own[child.name])
            begin = end
        columns = {
            "file": level.file, "kind": kind, "field": level.field, "ordinal": level.ordinal, "parent": level.parent,
            "owner": level.owner, "scope": level.scope, "name": self.texts.codes(names), "ctx": ctx, "generic": generic,
            "found": by_class + offset, "level": np.array([n]),
            **{name: np.fromiter(place, np.int32, n) for name, place in zip(POSITION, places, strict=True)},
        }  # fmt: skip
        return columns, below.level(level, offset, kind, generic)

    def _names(self, cls: str, own: dict[str, list[Any]], first: int) -> list[str | None] | None:
        """The names of the nodes of one class, if it has any; on the way their properties."""
        nodes = np.arange(first, first + len(next(iter(own.values()), ())))
        for key in _PROPERTIES.get(cls, ()):
            values, indices = own.get(key, []), nodes
            if (cls, key) not in _NONE_IS_A_VALUE and None in values:
                indices = nodes[np.fromiter((value is not None for value in values), bool, len(values))]
                values = [value for value in values if value is not None]
            if values:
                self.properties.append(Property(key, indices, values))
        if field := NAME_FIELDS.get(cls):
            return own[field]
        if names := _OPERATION.get(cls):
            operators = list(map(type, own["op"]))
            self.properties.append(Property("op", nodes, [operator.__name__ for operator in operators]))
            return [names[operator] for operator in operators]
        if cls == "Compare":
            chains = [tuple(map(type, operators)) for operators in own["ops"]]
            written = [",".join([operator.__name__ for operator in operators]) for operators in chains]
            self.properties.append(Property("ops", nodes, written))
            return [
                _NAMES_OF_OPERATORS[operators[0]] if len(operators) == 1 else "<operator>.compare"
                for operators in chains
            ]
        return None

    def _in_preorder(self, levels: list[dict[str, np.ndarray]]) -> Syntax:
        columns = {name: np.concatenate([level[name] for level in levels]) for name in levels[0]}
        ends = np.cumsum(columns.pop("level")).tolist()
        bstart, bend = self._spans(columns)
        sizes = _subtree_sizes(columns["parent"], ends)
        preorder = _preorder(columns, bstart, sizes, ends)
        at = np.empty(len(preorder), np.int64)
        at[preorder] = np.arange(len(preorder))
        columns = {name: column[at] for name, column in columns.items()}
        parent, scope = columns["parent"], columns["scope"]
        syntax = Syntax(
            file=columns["file"].astype(np.int32),
            kind=columns["kind"],
            field=columns["field"],
            ordinal=columns["ordinal"],
            parent=np.where(parent < 0, -1, preorder[parent]) if len(parent) else parent,
            owner=preorder[columns["owner"]],
            scope=2 * preorder[scope >> 1] + (scope & 1),
            size=sizes[at],
            name=columns["name"],
            ctx=columns["ctx"],
            line=columns["lineno"], col=columns["col_offset"],
            end_line=columns["end_lineno"], end_col=columns["end_col_offset"],
            bstart=bstart[at],
            bend=bend[at],
            has_type_parameters=columns["generic"],
            properties=[Property(p.key, preorder[p.nodes], p.values) for p in self.properties],
        )  # fmt: skip
        self._cover(syntax)
        return syntax

    def _spans(self, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Byte offsets into the UTF-8 text, -1 where a class has no place.

        Columns are cut at their line's end, as `ast.get_source_segment` does.
        """
        placed = HAS_POSITION[columns["kind"]]
        starts, base = self.line_starts, self.line_base[columns["file"]]
        last = max(len(starts) - 2, 0)

        def offset(line: np.ndarray, col: np.ndarray) -> np.ndarray:
            at = np.minimum(np.maximum(base + line - 1, 0), last)
            begin = starts[at]
            return np.where(placed, np.minimum(np.maximum(begin + col, begin), starts[at + 1]), -1)

        return (
            offset(columns["lineno"], columns["col_offset"]),
            offset(columns["end_lineno"], columns["end_col_offset"]),
        )

    def _cover(self, syntax: Syntax) -> None:
        """Give nodes without a place of their own the span of their children, and modules the whole file."""
        bare = ~HAS_POSITION[syntax.kind]
        children = np.flatnonzero(bare[syntax.parent] & (syntax.field != 0) & (syntax.bstart >= 0))
        children = children[syntax.kind[syntax.parent[children]] != KIND["Module"]]
        for start, line, col, sign in (("bstart", "line", "col", 1), ("bend", "end_line", "end_col", -1)):
            by_place = children[np.lexsort((sign * getattr(syntax, start)[children], syntax.parent[children]))]
            parents, first = np.unique(syntax.parent[by_place], return_index=True)
            for name in (start, line, col):
                getattr(syntax, name)[parents] = getattr(syntax, name)[by_place[first]]
        modules = np.flatnonzero(syntax.parent < 0)
        ends = np.r_[self.line_base[1:], len(self.line_starts)][: len(modules)]
        rest_starts = self.line_starts[ends - 2]
        syntax.bstart[modules], syntax.bend[modules] = 0, self.line_starts[ends - 1]
        syntax.line[modules], syntax.col[modules] = 1, 0
        syntax.end_line[modules] = ends - 1 - self.line_base[: len(modules)]
        syntax.end_col[modules] = syntax.bend[modules] - rest_starts


def _subtree_sizes(parent: np.ndarray, ends: list[int]) -> np.ndarray:
    """Nodes in each node's subtree, itself included; `ends` are where levels end."""
    sizes = np.ones(len(parent), np.int64)
    bounds = [0, *ends]
    for first, begin, end in reversed(list(zip(bounds, bounds[1:], bounds[2:], strict=False))):
        counted = np.bincount(parent[begin:end] - first, weights=sizes[begin:end], minlength=begin - first)
        sizes[first:begin] += counted.astype(np.int64)
    return sizes


def _preorder(columns: dict[str, np.ndarray], bstart: np.ndarray, sizes: np.ndarray, ends: list[int]) -> np.ndarray:
    """The preorder index of each node: behind its parent and its earlier siblings' subtrees.

    Siblings were found field by field in the order of the grammar tables, which is the order of the source except below
    the interleaved classes; there it is decided by where they begin.
    """
    parent, n = columns["parent"], len(sizes)
    key = parent << 32
    interleaved = IS_INTERLEAVED[columns["kind"]][parent] if n else parent.astype(bool)
    key += np.where(interleaved & (parent >= 0), bstart + 1, 0)
    by_finding = np.empty(n, np.int64)
    by_finding[columns["found"]] = np.arange(n)
    order = by_finding[np.argsort(key[by_finding], kind="stable")]
    ordered = parent[order]
    before = np.cumsum(sizes[order]) - sizes[order]
    firsts = np.flatnonzero(np.diff(ordered, prepend=-2))
    before -= np.repeat(before[firsts], np.diff(firsts, append=n))
    place = np.empty(n, np.int64)
    place[order] = before
    for begin, end in pairwise(ends):
        place[begin:end] += place[parent[begin:end]] + 1
    return place

"""Syntax trees as columns.

The trees of many files are taken apart together, level by level and class by class, with C-speed maps over whole lists
of nodes instead of a visitor's call per node; numpy then puts the levels into preorder. No depth of nesting matters.

Siblings stand in the order of the source (decorators before the name they decorate, keys beside their values), which
is what ordinals of ids, lambda numbers and argument positions are counted in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from codeintel.extract.grammar import (
    AUGMENTED,
    CHILDREN,
    CODE_OF_CLASS,
    CODE_OF_CONTEXT,
    HAS_CONTEXT,
    HAS_POSITION,
    IS_INTERLEAVED,
    IS_OWNER,
    KIND,
    KINDS,
    NAME_FIELDS,
    OPERATORS,
    Evaluated,
    Shape,
)
from codeintel.extract.syntax import Property, Syntax, Texts

POSITION = attrgetter("lineno", "col_offset", "end_lineno", "end_col_offset")
_GET_CONTEXT, _GET_OPERATOR, _GET_OPERATORS = attrgetter("ctx"), attrgetter("op"), attrgetter("ops")


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
    """The nodes of one depth in the order they were found, and what is known of them from above.

    `rank` is their order in the source; indices into the level above are `parent`.
    """

    nodes: list[ast.AST]
    parent: np.ndarray
    field: np.ndarray
    ordinal: np.ndarray
    scope: np.ndarray
    around: np.ndarray  # the scope that the parent is evaluated in
    owner: np.ndarray
    file: np.ndarray


class Walk:
    """Takes trees apart; `columns` is the result. `texts` gets the names."""

    def __init__(self, trees: Sequence[ast.AST], line_starts: Sequence[np.ndarray], texts: Texts) -> None:
        self.texts = texts
        self.properties: list[Property] = []
        self.line_base = np.cumsum([0, *map(len, line_starts)])[:-1]
        self.line_starts = np.concatenate(line_starts) if line_starts else np.zeros(0, np.int64)
        self.levels: list[dict[str, np.ndarray]] = []
        self.count = 0
        self.columns = self._in_preorder(self._take_apart(list(trees)))

    def _take_apart(self, trees: list[ast.AST]) -> list[dict[str, np.ndarray]]:
        n = len(trees)
        none = np.full(n, -1)
        level = _Level(
            trees,
            none,
            np.zeros(n, np.uint8),
            np.zeros(n, np.int32),
            2 * np.arange(n),
            2 * np.arange(n),
            np.arange(n),
            np.arange(n),
        )
        above = np.zeros(1, np.int64)
        done = []
        while level.nodes:
            columns, below = self._level(level, above)
            done.append(columns)
            above = columns["rank"]
            level = below
        return done

    def _level(self, level: _Level, rank_above: np.ndarray) -> tuple[dict[str, np.ndarray], _Level]:
        n, offset = len(level.nodes), self.count
        self.count += n
        kind = np.fromiter(map(CODE_OF_CLASS.__getitem__, map(type, level.nodes)), np.uint8, n)
        position = self._positions(level.nodes, kind)
        bstart, bend = self._spans(position, level.file, kind)
        name, ctx = np.zeros(n, np.int32), np.zeros(n, np.uint8)
        generic = np.zeros(n, bool)
        columns = {
            "rank": _source_order(level, rank_above, bstart, kind, self._kind_above),
            "file": level.file, "kind": kind, "field": level.field, "ordinal": level.ordinal,
            "parent": level.parent, "owner": level.owner, "scope": level.scope,
            "name": name, "ctx": ctx, "position": position, "bstart": bstart, "bend": bend, "generic": generic,
        }  # fmt: skip
        self._kind_above = kind

        objects = np.empty(n, object)
        objects[:] = level.nodes
        by_class = np.argsort(kind, kind="stable")
        objects = objects[by_class]
        bounds = np.flatnonzero(np.r_[True, np.diff(kind[by_class]) != 0, True]) if n else np.zeros(1, np.int64)
        found: list[tuple[list[ast.AST], np.ndarray, np.ndarray, int, Evaluated]] = []
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            here, nodes = by_class[begin:end], objects[begin:end].tolist()
            code = int(kind[here[0]])
            self._own_columns(code, nodes, here, offset, name, ctx)
            for child in CHILDREN[code]:
                values, parents, ordinals = _children(nodes, here, child.get, child.shape, child.holes)
                if child.name == "type_params":
                    generic[parents] = True
                if values:
                    found.append((values, parents, ordinals, child.field, child.evaluated))
        return columns, _below(level, found, offset, kind, generic)

    _kind_above = np.zeros(1, np.uint8)

    def _positions(self, nodes: list[ast.AST], kind: np.ndarray) -> np.ndarray:
        """`(n, 4)`: line, column, end line, end column as CPython gives them; -1 where a class has none."""
        placed = HAS_POSITION[kind]
        position = np.full((len(nodes), 4), -1, np.int32)
        if not placed.all():
            nodes = [node for node, has in zip(nodes, placed.tolist(), strict=True) if has]
        flat = np.fromiter(chain.from_iterable(map(POSITION, nodes)), np.int32, 4 * len(nodes))
        position[placed] = flat.reshape(-1, 4)
        return position

    def _spans(self, position: np.ndarray, file: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Byte offsets into the UTF-8 text. Columns are cut at their line's end, as `ast.get_source_segment` does."""
        placed = HAS_POSITION[kind]
        starts, base = self.line_starts, self.line_base[file]
        last = len(starts) - 2

        def offset(line: np.ndarray, col: np.ndarray) -> np.ndarray:
            at = np.clip(base + line - 1, 0, max(last, 0))
            return np.where(placed, np.clip(starts[at] + col, starts[at], starts[at + 1]), -1)

        return offset(position[:, 0], position[:, 1]), offset(position[:, 2], position[:, 3])

    def _own_columns(
        self, code: int, nodes: list[Any], here: np.ndarray, offset: int, name: np.ndarray, ctx: np.ndarray
    ) -> None:
        """What the nodes of one class say of themselves, apart from place and children."""
        cls, texts, n = KINDS[code], self.texts, len(nodes)
        if field := NAME_FIELDS.get(cls):
            name[here] = texts.codes(list(map(attrgetter(field), nodes)))
        elif names := _OPERATION.get(cls):
            operators = list(map(type, map(_GET_OPERATOR, nodes)))
            name[here] = texts.codes([names[operator] for operator in operators])
            self.properties.append(Property("op", here + offset, [operator.__name__ for operator in operators]))
        elif cls == "Compare":
            chains = [tuple(map(type, operators)) for operators in map(_GET_OPERATORS, nodes)]
            name[here] = texts.codes(
                [
                    _NAMES_OF_OPERATORS[operators[0]] if len(operators) == 1 else "<operator>.compare"
                    for operators in chains
                ]
            )
            written = [",".join([operator.__name__ for operator in operators]) for operators in chains]
            self.properties.append(Property("ops", here + offset, written))
        if HAS_CONTEXT[code]:
            ctx[here] = np.fromiter(map(CODE_OF_CONTEXT.__getitem__, map(type, map(_GET_CONTEXT, nodes))), np.uint8, n)
        for key in _PROPERTIES.get(cls, ()):
            values = list(map(attrgetter(key), nodes))
            indices = here + offset
            if (cls, key) not in _NONE_IS_A_VALUE and None in values:
                present = np.fromiter((value is not None for value in values), bool, n)
                values, indices = [value for value in values if value is not None], indices[present]
            if values:
                self.properties.append(Property(key, indices, values))

    def _in_preorder(self, levels: list[dict[str, np.ndarray]]) -> Syntax:
        sizes = _subtree_sizes(levels)
        preorder = np.concatenate([np.zeros(0, np.int64), *_preorder(levels, sizes)])  # by order of finding
        found = np.empty(self.count, np.int64)
        found[preorder] = np.arange(self.count)
        offsets = np.cumsum([0, 0, *[len(level["rank"]) for level in levels]])

        def column(name: str, dtype: type) -> np.ndarray:
            return np.concatenate([np.zeros(0, dtype), *[level[name] for level in levels]]).astype(dtype)[found]

        parents = [level["parent"] + offset for level, offset in zip(levels, offsets, strict=False)]
        parent = np.concatenate([np.zeros(0, np.int64), *parents])[found]
        is_root = column("field", np.uint8) == 0
        scope = column("scope", np.int64)
        position = np.concatenate([np.zeros((0, 4), np.int32), *[level["position"] for level in levels]])[found]
        syntax = Syntax(
            file=column("file", np.int32),
            kind=column("kind", np.uint8),
            field=column("field", np.uint8),
            ordinal=column("ordinal", np.int32),
            parent=np.where(is_root, -1, preorder[np.where(is_root, 0, parent)]),
            owner=preorder[column("owner", np.int64)],
            scope=2 * preorder[scope >> 1] + (scope & 1),
            size=np.concatenate([np.zeros(0, np.int64), *sizes])[found],
            name=column("name", np.int32),
            ctx=column("ctx", np.uint8),
            line=position[:, 0], col=position[:, 1], end_line=position[:, 2], end_col=position[:, 3],
            bstart=column("bstart", np.int64),
            bend=column("bend", np.int64),
            has_type_parameters=column("generic", bool),
            properties=[Property(p.key, preorder[p.nodes], p.values) for p in self.properties],
        )  # fmt: skip
        self._cover(syntax)
        return syntax

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


def _children(
    nodes: list[Any], here: np.ndarray, get: Any, shape: Shape, holes: bool
) -> tuple[list[ast.AST], np.ndarray, np.ndarray]:
    """The children in one field of nodes of one class: the nodes, the index of each one's parent, and the ordinals."""
    values = list(map(get, nodes))
    if shape is Shape.ONE:
        return values, here, np.zeros(len(values), np.int32)
    if shape is Shape.LIST:
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        flat = list(chain.from_iterable(values))
        parents = np.repeat(here, lengths)
        ordinals = (np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)).astype(np.int32)
        if not holes:
            return flat, parents, ordinals
        values, here = flat, parents
    else:
        ordinals = np.zeros(len(values), np.int32)
    if None in values:
        present = np.fromiter((value is not None for value in values), bool, len(values))
        values = [value for value in values if value is not None]
        here, ordinals = here[present], ordinals[present]
    return values, here, ordinals


def _below(
    level: _Level,
    found: list[tuple[list[ast.AST], np.ndarray, np.ndarray, int, Evaluated]],
    offset: int,
    kind: np.ndarray,
    generic: np.ndarray,
) -> _Level:
    """The next level, with the scope, owner and file that its nodes get from their parents."""
    nodes: list[ast.AST] = []
    for values, *_ in found:
        nodes += values
    if not nodes:
        empty = np.zeros(0, np.int64)
        return _Level([], empty, empty, empty, empty, empty, empty, empty)
    parent = np.concatenate([parents for _, parents, *_ in found])
    counts = [len(values) for values, *_ in found]
    opened = 2 * (parent + offset)
    here = level.scope[parent]
    scope = here.copy()
    begin = 0
    for count, (_, parents, _, _, evaluated) in zip(counts, found, strict=True):
        part = slice(begin, begin + count)
        begin += count
        match evaluated:
            case Evaluated.INSIDE:
                scope[part] = opened[part]
            case Evaluated.WITH_TYPE_PARAMETERS:
                scope[part] = np.where(generic[parents], opened[part] + 1, here[part])
            case Evaluated.AROUND:
                scope[part] = level.around[parents]
            case Evaluated.OUTERMOST_ITERABLE:
                scope[part] = np.where(level.ordinal[parents] == 0, level.around[parents], here[part])
            case Evaluated.SECOND_INSIDE:
                scope[part] = opened[part] + 1
    return _Level(
        nodes=nodes,
        parent=parent,
        field=np.repeat(np.array([field for *_, field, _ in found], np.uint8), counts),
        ordinal=np.concatenate([ordinals for _, _, ordinals, _, _ in found]),
        scope=scope,
        around=here,
        owner=np.where(IS_OWNER[kind[parent]], parent + offset, level.owner[parent]),
        file=level.file[parent],
    )


def _source_order(
    level: _Level, rank_above: np.ndarray, bstart: np.ndarray, kind: np.ndarray, kind_above: np.ndarray
) -> np.ndarray:
    """The place of each node among the level's nodes in the order of the source.

    Nodes were found field by field in the order of the grammar tables, which is the order of the source except below
    the interleaved classes; there it is decided by where they begin.
    """
    n = len(kind)
    if level.parent[0] < 0:
        return np.arange(n)
    key = rank_above[level.parent] << 32
    key += np.where(IS_INTERLEAVED[kind_above[level.parent]], bstart + 1, 0)
    rank = np.empty(n, np.int64)
    rank[np.argsort(key, kind="stable")] = np.arange(n)
    return rank


def _subtree_sizes(levels: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Nodes in each node's subtree, itself included, level by level."""
    sizes = [np.ones(len(level["rank"]), np.int64) for level in levels]
    for depth in range(len(levels) - 1, 0, -1):
        counted = np.bincount(levels[depth]["parent"], weights=sizes[depth], minlength=len(sizes[depth - 1]))
        sizes[depth - 1] += counted.astype(np.int64)
    return sizes


def _preorder(levels: list[dict[str, np.ndarray]], sizes: list[np.ndarray]) -> Iterable[np.ndarray]:
    """The preorder index of each node, level by level: behind its parent and its earlier siblings' subtrees."""
    above = np.zeros(0, np.int64)
    for level, size in zip(levels, sizes, strict=True):
        order = np.argsort(level["rank"], kind="stable")
        before = np.cumsum(size[order]) - size[order]
        parent = level["parent"][order]
        if parent[0] < 0:
            placed = before
        else:
            firsts = np.flatnonzero(np.r_[True, parent[1:] != parent[:-1]])
            siblings = np.diff(np.r_[firsts, len(parent)])
            placed = above[parent] + 1 + before - np.repeat(before[firsts], siblings)
        above = np.empty(len(order), np.int64)
        above[order] = placed
        yield above

"""What a file defines, and what hangs on it.

Modules, classes, functions and lambdas with their qualified names and ids; parameters, decorators and bases.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from codeintel.extract.grammar import FIELD, FIELDS, IS_DEFINITION, IS_OWNER, KIND, is_kind
from codeintel.extract.ids import consecutive, fields, hashed
from codeintel.extract.reading import SourceFile
from codeintel.extract.syntax import NO_TEXT, Syntax, Texts

_IS_FUNCTION = is_kind("FunctionDef", "AsyncFunctionDef", "Lambda")
_IS_YIELD = is_kind("Yield", "YieldFrom")


def is_field(*names: str) -> np.ndarray:
    """A lookup over field codes: true for the named fields."""
    return np.array([name in names for name in FIELDS])


@dataclass(slots=True)
class Definitions:
    """Columns over definitions in preorder. `at` maps a node's index to its row here, -1 for any other node.

    `inner` is the qualified name within the file (empty for the module), `prefix` the hash fields that identify an
    owner, which every id of something inside it starts from.
    """

    node: np.ndarray
    inner: list[str]
    qualname: list[str]
    duplicate: list[int]
    prefix: list[bytes]
    at: np.ndarray
    node_id: np.ndarray  # over all nodes, not over definitions


def define(files: list[SourceFile], syntax: Syntax, texts: Texts, namespace: str) -> Definitions:
    """Name every definition and number every node."""
    nodes = np.flatnonzero(IS_DEFINITION[syntax.kind])
    at = np.full(len(syntax), -1, np.int64)
    at[nodes] = np.arange(len(nodes))
    around = at[defined_in(syntax, nodes)].tolist()
    listed = list(texts)
    owner = IS_OWNER[syntax.kind[nodes]].tolist()
    inner: list[str] = []
    qualname: list[str] = []
    duplicate: list[int] = []
    prefix: list[bytes] = []
    bases = np.zeros(len(syntax), np.int64)
    seen: Counter[str] = Counter()
    lambdas: Counter[int] = Counter()
    module, in_file = "", b""
    columns = (syntax.parent[nodes].tolist(), around, owner, syntax.name[nodes].tolist(), syntax.file[nodes].tolist())
    for node, (parent, outer, owns, name, file) in zip(nodes.tolist(), zip(*columns, strict=True), strict=True):
        if parent < 0:
            seen.clear()
            module, in_file, inside = files[file].module, fields(namespace, files[file].path), ""
        else:
            if owns:
                text = listed[name]
            else:
                lambdas[outer] += 1
                text = f"<lambda{lambdas[outer]}>"
            inside = f"{inner[outer]}.{text}" if inner[outer] else str(text)
        inner.append(inside)
        qualname.append(f"{module}.{inside}" if inside else module)
        duplicate.append(seen[inside])
        seen[inside] += 1
        place = in_file + fields(inside, str(duplicate[-1])) if owns else b""
        prefix.append(place)
        if owns:
            bases[node] = hashed(_NODE + place)
    homes = np.where(IS_OWNER[syntax.kind], np.arange(len(syntax)), syntax.owner)
    return Definitions(nodes, inner, qualname, duplicate, prefix, at, consecutive(bases, homes))


_NODE = fields("node")


def flow_ids(openers: np.ndarray, syntax: Syntax, definitions: Definitions) -> np.ndarray:
    """Ids of the entry and the exit of each opener's own code, in turns: one hash per owner, plus the place inside it.

    The owner's own code comes first, then that of its lambdas and comprehensions in the order of the source.
    """
    home = np.where(IS_OWNER[syntax.kind[openers]], openers, syntax.owner[openers])
    order = np.lexsort((openers, home))
    owners, first, count = np.unique(home[order], return_index=True, return_counts=True)
    prefixes = [definitions.prefix[at] for at in definitions.at[owners].tolist()]
    ids = np.empty((len(openers), 2), np.int64)
    place = (np.arange(len(order)) - np.repeat(first, count)).astype(np.uint64)
    for column, domain in enumerate((_ENTRY, _EXIT)):
        bases = np.array([hashed(domain + prefix) for prefix in prefixes], np.int64)
        ids[order, column] = (np.repeat(bases, count).view(np.uint64) + place).view(np.int64)
    return ids.ravel()


_ENTRY, _EXIT = fields("entry"), fields("exit")


def defined_in(syntax: Syntax, nodes: np.ndarray) -> np.ndarray:
    """The module, class, function or lambda whose scope each node stands in, comprehensions looked through."""
    outer = syntax.scope[nodes] >> 1
    while len(through := np.flatnonzero(~IS_DEFINITION[syntax.kind[outer]])):
        outer[through] = syntax.scope[outer[through]] >> 1
    return outer


def generators(syntax: Syntax) -> np.ndarray:
    """Over all nodes: whether it is a function or lambda that yields."""
    found = np.zeros(len(syntax), bool)
    found[syntax.scope[_IS_YIELD[syntax.kind]] >> 1] = True
    return found & _IS_FUNCTION[syntax.kind]


def docstrings(syntax: Syntax, definitions: Definitions) -> list[str | None]:
    """The docstring of each definition as written, not dedented."""
    kind, parent = syntax.kind, syntax.parent
    found: list[str | None] = [None] * len(definitions.node)
    for values in (p for p in syntax.properties if p.key == "value"):
        statement = parent[values.nodes]
        first = (kind[statement] == KIND["Expr"]) & (syntax.ordinal[statement] == 0)
        first &= syntax.field[statement] == FIELD["body"]
        first &= IS_OWNER[kind[parent[statement]]]
        for i in np.flatnonzero(first).tolist():
            text = values.values[i]
            if isinstance(text, str):
                found[definitions.at[parent[statement[i]]]] = text
    return found


def child_in(syntax: Syntax, nodes: np.ndarray, field: str) -> np.ndarray:
    """For each of `nodes` the index of its one child in `field`, -1 for none."""
    slots = np.full(len(syntax) + 1, -1, np.int64)
    if field in FIELD:
        children = np.flatnonzero(syntax.field == FIELD[field])
        slots[syntax.parent[children]] = children
    return slots[nodes]


def order_within(groups: np.ndarray) -> np.ndarray:
    """Each row's position among the rows of its group, from 0. Groups may interleave: calls nest in arguments."""
    if not len(groups):
        return np.zeros(0, np.int32)
    order = np.argsort(groups, kind="stable")
    grouped = groups[order]
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]])
    positions = np.empty(len(groups), np.int32)
    positions[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(np.r_[starts, len(groups)]))
    return positions


PARAMETER_KINDS = ["positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"]
_PARAMETER_FIELDS = ["posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"]


@dataclass(slots=True)
class Parameters:
    """Columns over parameters in preorder; indices of nodes, -1 for none. `kind` indexes PARAMETER_KINDS."""

    node: np.ndarray
    function: np.ndarray
    position: np.ndarray
    kind: np.ndarray
    default: np.ndarray
    annotation: np.ndarray


def parameters(syntax: Syntax) -> Parameters:
    """Every parameter with its default."""
    node = np.flatnonzero(syntax.kind == KIND["arg"])
    kind_of_field = np.zeros(len(FIELDS), np.int64)
    for code, field in enumerate(_PARAMETER_FIELDS):
        kind_of_field[FIELD[field]] = code
    kind = kind_of_field[syntax.field[node]]
    arguments = syntax.parent[node]
    # Keyword-only defaults stand at their parameter's place in the list; positional ones belong to the last parameters.
    positional = kind <= 1
    count = np.bincount(arguments[positional], minlength=len(syntax))
    before = np.bincount(arguments[kind == 0], minlength=len(syntax))
    place = syntax.ordinal[node] + np.where(kind == 1, before[arguments], 0)
    default = np.full(len(node), -1, np.int64)
    for field, members, slot in (
        ("defaults", positional, place - count[arguments]),
        ("kw_defaults", kind == 3, place),
    ):
        values = np.flatnonzero(syntax.field == FIELD[field])
        owners = syntax.parent[values]
        number = syntax.ordinal[values].astype(np.int64)
        if field == "defaults":
            number -= np.bincount(owners, minlength=len(syntax))[owners]
        default[members] = _lookup(arguments[members], slot[members], owners, number, values)
    return Parameters(
        node, syntax.parent[arguments], order_within(arguments), kind, default, child_in(syntax, node, "annotation")
    )


def _lookup(
    group: np.ndarray, slot: np.ndarray, known_group: np.ndarray, known_slot: np.ndarray, value: np.ndarray
) -> np.ndarray:
    """`value` where `(group, slot)` is `(known_group, known_slot)`, else -1. Slots are within ±2^20."""
    if not len(value):
        return np.full(len(group), -1, np.int64)
    known = (known_group.astype(np.int64) << 21) + known_slot
    order = np.argsort(known, kind="stable")
    wanted = (group.astype(np.int64) << 21) + slot
    at = np.minimum(np.searchsorted(known, wanted, sorter=order), len(order) - 1)
    return np.where(known[order[at]] == wanted, value[order[at]], -1)


def pure_names(syntax: Syntax, texts: Texts, nodes: np.ndarray) -> np.ndarray:
    """The text codes of `nodes` that are pure `name.attribute.attribute` chains; NO_TEXT for any other."""
    value = child_in(syntax, np.arange(len(syntax)), "value")
    kind, name = syntax.kind, syntax.name
    chains: list[tuple[np.ndarray, np.ndarray]] = []
    live, current = np.arange(len(nodes)), np.asarray(nodes)
    result = np.full(len(nodes), NO_TEXT, np.int32)
    while len(live):
        ends = kind[current] == KIND["Name"]
        result[live[ends]] = name[current[ends]]
        goes_on = kind[current] == KIND["Attribute"]
        live, current = live[goes_on], current[goes_on]
        chains.append((live, name[current]))
        current = value[current]
    listed = list(texts)
    for all_rows, all_attributes in reversed(chains):
        rooted = result[all_rows] != NO_TEXT
        rows, attributes = all_rows[rooted], all_attributes[rooted]
        pairs = result[rows].astype(np.int64) << 32 | attributes
        distinct, inverse = np.unique(pairs, return_inverse=True)
        joined = [f"{listed[pair >> 32]}.{listed[pair & 0xFFFFFFFF]}" for pair in distinct.tolist()]
        codes = texts.codes(joined)
        listed = list(texts) if len(texts) != len(listed) else listed
        if len(rows):
            result[rows] = codes[inverse]
    return result


@dataclass(slots=True)
class Hanging:
    """Columns over expressions that hang on a definition, in preorder: decorators or bases."""

    node: np.ndarray
    target: np.ndarray
    position: np.ndarray
    name: np.ndarray
    keyword: np.ndarray


def decorators(syntax: Syntax, texts: Texts) -> Hanging:
    """Decorators, named by what is applied or, for `@name(…)`, called."""
    node = np.flatnonzero(syntax.field == FIELD["decorator_list"])
    called = child_in(syntax, node, "func")
    name = pure_names(syntax, texts, np.where(called >= 0, called, node))
    return Hanging(node, syntax.parent[node], syntax.ordinal[node], name, np.zeros(len(node), np.int32))


def class_bases(syntax: Syntax, texts: Texts) -> Hanging:
    """Bases and class keywords; `Generic[T]` is named `Generic`."""
    kind, field, parent = syntax.kind, syntax.field, syntax.parent
    is_base = field == FIELD["bases"]
    is_keyword = (kind[parent] == KIND["keyword"]) & (kind[parent[parent]] == KIND["ClassDef"]) & (field != 0)
    node = np.flatnonzero(is_base | is_keyword)
    by_keyword = is_keyword[node]
    target = np.where(by_keyword, parent[parent[node]], parent[node])
    named = np.where(kind[node] == KIND["Subscript"], child_in(syntax, node, "value"), node)
    keyword = np.where(by_keyword, syntax.name[parent[node]], NO_TEXT)
    return Hanging(node, target, order_within(target), pure_names(syntax, texts, named), keyword)

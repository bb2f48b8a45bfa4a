"""Calls with their receivers and arguments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codeintel.extract.definitions import child_in, order_within, pure_names
from codeintel.extract.grammar import FIELD, KIND
from codeintel.extract.syntax import Syntax, Texts

ARGUMENT_KINDS = ["positional", "starred", "keyword", "double_starred"]


@dataclass(slots=True)
class Calls:
    """Columns over calls in preorder: indices of nodes, -1 for none."""

    node: np.ndarray
    func: np.ndarray
    receiver: np.ndarray
    name: np.ndarray
    n_arguments: np.ndarray


@dataclass(slots=True)
class Arguments:
    """Columns over arguments in preorder; `kind` indexes ARGUMENT_KINDS."""

    call: np.ndarray
    node: np.ndarray
    position: np.ndarray
    keyword: np.ndarray
    kind: np.ndarray


def calls(syntax: Syntax, texts: Texts, given: Arguments) -> Calls:
    """Every call, named by its callee's dotted text or else by the last attribute of it."""
    node = np.flatnonzero(syntax.kind == KIND["Call"])
    func = child_in(syntax, node, "func")
    is_attribute = syntax.kind[func] == KIND["Attribute"]
    dotted = pure_names(syntax, texts, func)
    return Calls(
        node=node,
        func=func,
        receiver=np.where(is_attribute, child_in(syntax, func, "value"), -1),
        name=np.where(dotted != 0, dotted, np.where(is_attribute, syntax.name[func], 0)),
        n_arguments=np.bincount(given.call, minlength=len(syntax))[node],
    )


def arguments(syntax: Syntax) -> Arguments:
    """The arguments of every call, in the order of the source."""
    kind, field, parent = syntax.kind, syntax.field, syntax.parent
    is_call = kind == KIND["Call"]
    by_place = (field == FIELD["args"]) & is_call[parent]
    by_keyword = (kind[parent] == KIND["keyword"]) & is_call[parent[parent]] & (field == FIELD["value"])
    node = np.flatnonzero(by_place | by_keyword)
    named = by_keyword[node]
    call = np.where(named, parent[parent[node]], parent[node])
    keyword = np.where(named, syntax.name[parent[node]], 0)
    starred = np.where(kind[node] == KIND["Starred"], 1, 0)
    return Arguments(call, node, order_within(call), keyword, np.where(named, np.where(keyword != 0, 2, 3), starred))

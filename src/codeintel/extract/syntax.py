"""Syntax trees of many files as columns, and the texts that their names are codes of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

import numpy as np

NO_TEXT = 0  # the code of None in `Texts`


class Texts(dict[str | None, int]):
    """Codes of strings in order of first use. Code 0 is None."""

    def __init__(self) -> None:
        super().__init__({None: NO_TEXT})

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self)
        return code

    def codes(self, texts: Sequence[str | None]) -> np.ndarray:
        return np.fromiter(map(self.__getitem__, texts), np.int32, len(texts))


@dataclass(slots=True)
class Property:
    """Values of one property of some nodes: `nodes` are indices, parallel to `values`."""

    key: str
    nodes: np.ndarray  # in no order
    values: list[Any]


@dataclass(slots=True)
class Syntax:
    """Columns over all nodes of the files in preorder, file after file; every index counts in that order.

    `owner` is the owner around a node (of a def: the one around it; of a module: itself). `scope` says in which scope a
    node is evaluated: twice the index of the node that opens it, plus 1 for a type-parameter scope (or a type
    variable's second scope). `size` counts the nodes of the subtree. Spans are byte offsets, -1 for no place.
    """

    file: np.ndarray
    kind: np.ndarray
    field: np.ndarray
    ordinal: np.ndarray
    parent: np.ndarray
    owner: np.ndarray
    scope: np.ndarray
    size: np.ndarray
    name: np.ndarray
    ctx: np.ndarray
    line: np.ndarray
    col: np.ndarray
    end_line: np.ndarray
    end_col: np.ndarray
    bstart: np.ndarray
    bend: np.ndarray
    has_type_parameters: np.ndarray
    properties: list[Property]

    def __len__(self) -> int:
        return len(self.file)

    def values_of(self, *keys: str) -> dict[int, Any]:
        """By node, the value of the one of these properties that it has."""
        return {
            node: value
            for p in self.properties
            if p.key in keys
            for node, value in zip(p.nodes.tolist(), p.values, strict=True)
        }

    @classmethod
    def joined(cls, parts: Sequence[Syntax]) -> Syntax:
        """The parts one behind the other, with indices of nodes moved up."""
        node_offsets = np.cumsum([0, *map(len, parts)])[:-1]
        moved = {"owner": node_offsets, "scope": 2 * node_offsets}
        columns: dict[str, np.ndarray] = {}
        for name in (field.name for field in dataclass_fields(cls) if field.name != "properties"):
            pieces = [getattr(part, name) for part in parts]
            if name == "parent":
                pieces = [np.where(p < 0, -1, p + by) for p, by in zip(pieces, node_offsets, strict=True)]
            elif name in moved:
                pieces = [p + by for p, by in zip(pieces, moved[name], strict=True)]
            columns[name] = np.concatenate(pieces)
        properties = [
            Property(p.key, p.nodes + by, p.values)
            for part, by in zip(parts, node_offsets.tolist(), strict=True)
            for p in part.properties
        ]
        return cls(**columns, properties=properties)

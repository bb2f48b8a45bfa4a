"""Values of constants and the other fields of nodes that are neither children nor names, as text with its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from codeintel.extract.syntax import Property, Syntax

VALUE_TYPES = ["str", "int", "float", "complex", "bool", "bytes", "NoneType", "ellipsis", "str_escaped"]
_STR, _ESCAPED = 0, 8


def _integer(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # over the interpreter's limit of decimal digits
        return hex(value)


_TEXT: dict[type, Callable[[Any], str]] = {
    int: _integer, float: repr, complex: repr, bool: str, bytes: repr, type(None): str, type(...): str,
    list: ",".join,
}  # fmt: skip
_TYPE = {str: 0, int: 1, float: 2, complex: 3, bool: 4, bytes: 5, type(None): 6, type(...): 7, list: 0}


def property_columns(syntax: Syntax) -> tuple[np.ndarray, list[str], np.ndarray, pa.Array, np.ndarray]:
    """`(node, keys, index into keys, text, index into VALUE_TYPES)` by node in preorder, then key."""
    keys = sorted({p.key for p in syntax.properties})
    code_of = {key: code for code, key in enumerate(keys)}
    nodes = np.concatenate([np.zeros(0, np.int64), *[p.nodes for p in syntax.properties]])
    key = np.repeat(
        np.array([code_of[p.key] for p in syntax.properties], np.int32), [len(p.values) for p in syntax.properties]
    )
    texts, types = _texts(syntax.properties)
    order = np.argsort(nodes * len(keys) + key, kind="stable")
    return nodes[order], keys, key[order], texts.take(pa.array(order)), types[order]


def _texts(properties: list[Property]) -> tuple[pa.Array, np.ndarray]:
    values = [value for p in properties for value in p.values]
    classes = list(map(type, values))
    types = np.fromiter(map(_TYPE.__getitem__, classes), np.int32, len(values))
    texts = [value if cls is str else _TEXT[cls](value) for value, cls in zip(values, classes, strict=True)]
    try:
        return pa.array(texts, pa.string()), types
    except UnicodeEncodeError:  # lone surrogates, which no UTF-8 column can hold
        for i, text in enumerate(texts):
            if not _is_encodable(text):
                texts[i], types[i] = text.encode("utf-8", "backslashreplace").decode(), _ESCAPED
        return pa.array(texts, pa.string()), types


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

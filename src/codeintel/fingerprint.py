"""Digests of values.

Every identity in this package is one of these: BLAKE3, 20 bytes, as 40 hexadecimal digits. Values are encoded with
their type and length, so that `1`, `"1"` and `("1",)` differ, and mappings and sets in sorted order, so that insertion
order and hash seeds never show.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

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
        case str():
            kind, body = type(value).__name__, value.encode("utf-8", "surrogatepass")
        case None | bool() | int() | float():
            kind, body = type(value).__name__, repr(value).encode()
        case tuple() | list():
            kind, body = type(value).__name__, b"".join(map(_encoded, value))
        case bytes():
            kind, body = type(value).__name__, value
        case Mapping():
            kind, body = "map", b"".join(sorted(_encoded(item) for item in value.items()))
        case Set():
            kind, body = "set", b"".join(sorted(map(_encoded, value)))
        case Path():
            kind, body = type(value).__name__, bytes(value)
        case _:
            raise TypeError(f"{type(value).__qualname__} has no stable digest")
    return f"{kind}:{len(body)}:".encode() + body

"""Hashes that ids of nodes are made of: xxh64 with seed 0 over length-prefixed UTF-8, as signed 64-bit integers."""

from __future__ import annotations

import xxhash


def fields(*values: str) -> bytes:
    """The length-prefixed form of `values`: no two different tuples give the same bytes."""
    parts = []
    for value in values:
        text = value.encode("utf-8", "surrogatepass")
        parts.append(b"%d:%b" % (len(text), text))
    return b"".join(parts)


def hashed(data: bytes) -> int:
    """xxh64 of `data` as a signed 64-bit integer."""
    value = xxhash.xxh64_intdigest(data)
    return value - (1 << 64) if value >> 63 else value


def external_id(name: str) -> int:
    """The id of anything outside the repository, which is its import path alone, such as `builtins.len`."""
    return hashed(fields("external", name))

"""Ids that survive edits: one hash per owner, and for each of its nodes an ordinal added to it.

All hashes are xxh64 with seed 0 over length-prefixed UTF-8 fields, taken as signed 64-bit integers; sums wrap.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xxhash

from codeintel.hashing import external_id, fields, hashed

__all__ = ["all_hashed", "consecutive", "external_id", "fields", "hashed"]


def all_hashed(data: Iterable[bytes]) -> np.ndarray:
    """`hashed` of each of many."""
    return np.array(list(map(xxhash.xxh64_intdigest, data)), np.uint64).view(np.int64)


def consecutive(bases: np.ndarray, homes: np.ndarray) -> np.ndarray:
    """Ids of nodes in preorder: the base of each node's home owner plus its ordinal among that owner's nodes.

    `homes[i]` is the index of the owner whose sequence node i belongs to; `bases[i]` is the base of owner node i.
    """
    order = np.argsort(homes, kind="stable")
    grouped = homes[order]
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]]) if len(grouped) else np.zeros(0, np.int64)
    lengths = np.diff(np.r_[starts, len(grouped)])
    ordinals = np.empty(len(homes), np.uint64)
    ordinals[order] = np.arange(len(homes)) - np.repeat(starts, lengths)
    return (bases[homes].view(np.uint64) + ordinals).view(np.int64)

"""Rows of `resolutions` as numbers while they are found: there are millions of them, and few that differ."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from codeintel.arrays import distinct

_COLUMNS = {
    "path": pa.string(), "slot_id": pa.int64(), "relation": pa.string(), "ordinal": pa.int32(),
    "target_id": pa.int64(), "target_kind": pa.string(), "target_name": pa.string(), "origin": pa.string(),
    "confidence": pa.float32(), "bucket": pa.int32(),
}  # fmt: skip
RESOLUTIONS = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _COLUMNS.items()])

_LABELS = ("relation", "ordinal", "origin", "confidence")
_TARGETS = ("target_id", "target_kind", "target_name")
HALF = 32  # bits of a pair of numbers in one
_LOW = (1 << HALF) - 1


class ResolutionRows:
    """What slots were resolved to: slots with the number of a *group* of targets, for many slots have the same.

    A member of a group is a target with its label: what relation it is to the slot, and how sure.
    """

    def __init__(self) -> None:
        self._targets: dict[tuple[int, str, str], int] = {}
        self._labels: dict[tuple[str, int, str, float], int] = {}
        self._members, self._sizes = array("q"), array("i")
        self._slots = np.zeros(0, np.int64)
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # slots, their files and groups

    def number(self, slots: np.ndarray) -> None:
        """From here on the slot i is `slots[i]` of those that the rows are made of."""
        self._slots = slots

    def target(self, number: int, kind: str, name: str) -> int:
        return self._targets.setdefault((number, kind, name), len(self._targets))

    def label(self, relation: str, origin: str, confidence: float, ordinal: int = 0) -> int:
        return self._labels.setdefault((relation, ordinal, origin, confidence), len(self._labels))

    def group(self, members: Iterable[tuple[int, int]]) -> int:
        """The number of a new group of targets with their labels; -1 for none at all."""
        before = len(self._members)
        self._members.extend(target << HALF | label for target, label in members)
        if len(self._members) == before:
            return -1
        self._sizes.append(len(self._members) - before)
        return len(self._sizes) - 1

    def groups(self, targets: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> int:
        """The number of the first of new groups, each of so many targets."""
        first = len(self._sizes)
        self._members.frombytes((targets.astype(np.int64) << HALF | labels).tobytes())
        self._sizes.frombytes(sizes.astype(np.int32).tobytes())
        return first

    def add(
        self, slots: Sequence[int] | np.ndarray, paths: Sequence[int] | np.ndarray, groups: Sequence[int] | np.ndarray
    ) -> None:
        """Slots with the numbers of their files and groups; those that have no file or no group are left out."""
        slots, paths, groups = (np.asarray(each, np.int32) for each in (slots, paths, groups))
        kept = (paths >= 0) & (groups >= 0)
        self._found.append((self._slots[slots[kept]], paths[kept], groups[kept]))

    def tables(self, ids: np.ndarray, paths: Sequence[str], bucket_of_path: Sequence[int]) -> Iterator[pa.Table]:
        """The rows of one bucket after another, each once and in the order of the columns; then nothing is left.

        `ids` are those of the slots. Where these and the paths ascend, so do the rows.
        """
        members, rank = self._ranked()
        sizes = np.array(self._sizes, np.int64)
        begins = np.cumsum(sizes) - sizes
        slots, files, groups = (np.concatenate(each) for each in zip(_NOTHING, *self._found, strict=True))
        self._found.clear()
        buckets = np.array(bucket_of_path, np.int32)[files]
        order = np.argsort(buckets, kind="stable")
        names = pa.array(paths, pa.string())
        for at in np.split(order, np.flatnonzero(np.diff(buckets[order])) + 1) if len(order) else ():
            places, place = np.unique(files[at].astype(np.int64) * len(ids) + slots[at], return_inverse=True)
            size = sizes[groups[at]]
            first = np.repeat(begins[groups[at]] - (np.cumsum(size) - size), size)
            rows = distinct(np.repeat(place << HALF, size) | rank[first + np.arange(len(first))])
            file, slot = np.divmod(places[rows >> HALF], len(ids))
            bucket = pa.repeat(pa.scalar(buckets[at[0]], pa.int32()), len(rows))
            columns = {"path": names.take(pa.array(file)), "slot_id": ids[slot], "bucket": bucket}
            member = pa.array(rows & _LOW)  # a column at a time: all together take three times as long
            columns |= {name: column.take(member) for name, column in members.items()}
            yield pa.table(columns, schema=RESOLUTIONS)

    def _ranked(self) -> tuple[dict[str, pa.Array], np.ndarray]:
        """The members that differ, in the order of the columns, and of each member of a group which of them it is."""
        targets, target_rank = _ascending(self._targets)
        labels, label_rank = _ascending(self._labels)
        heads = {head: number for number, head in enumerate(sorted({label[:2] for label in labels}))}
        head = np.array([heads[label[:2]] for label in labels], np.int64)  # relation and ordinal, before the target
        members, number = np.unique(np.array(self._members, np.int64), return_inverse=True)
        target, label = target_rank[members >> HALF], label_rank[members & _LOW]
        order = np.lexsort((label, target, head[label]))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        columns = {}
        for names, rows, at in ((_TARGETS, targets, target[order]), (_LABELS, labels, label[order])):
            values = list(zip(*rows, strict=True)) or [()] * len(names)
            for name, each in zip(names, values, strict=True):
                columns[name] = pa.array(each, RESOLUTIONS.field(name).type).take(pa.array(at))
        return columns, rank[number]


_NOTHING = tuple(np.zeros(0, np.int32) for _ in range(3))
_Row = TypeVar("_Row", bound=tuple[Any, ...])


def _ascending(numbers: dict[_Row, int]) -> tuple[list[_Row], np.ndarray]:
    """What was numbered, in order, and the places of the numbers in it."""
    rows = sorted(numbers)
    rank = np.empty(len(rows), np.int64)
    rank[[numbers[row] for row in rows]] = np.arange(len(rows))
    return rows, rank

"""What a contract promises about a whole table: keys across buckets, and references.

What a row or a bucket shows (nulls, values, a key used twice) is checked where the rows are written, on rows that are
there and in key order anyway. Here every bucket is read once, only the columns that matter, and let go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from codeintel.errors import ContractError
from codeintel.relspec.pipeline import Contract, Reference
from codeintel.store.handles import TableHandle
from codeintel.store.partitions import is_bucketed, read_buckets
from codeintel.store.results import Tables

_Targets = Mapping[int, np.ndarray]  # distinct values by bucket, sorted


@dataclass(frozen=True, slots=True)
class ContractJob:
    """Check one public table. Writes nothing; raises ContractError for the first rule that is broken."""

    objects: Path
    name: str
    contract: Contract
    handles: Mapping[str, TableHandle]
    schemas: Mapping[str, pa.Schema]

    def run(self) -> tuple[Tables, int]:
        references, key = self.contract.references, self.contract.table.key
        leading = key[0] if key and is_bucketed(self.contract.table.schema) and "path" not in key else None
        columns = sorted({r.columns[0] for r in references} | ({leading} if leading else set()))
        if not columns:
            return {}, 0
        targets = {(r.target, r.target_columns[0]): self.targets(r) for r in references}
        keys: list[np.ndarray] = []
        strays: dict[Reference, list[np.ndarray]] = {r: [] for r in references}
        for bucket in self.handles[self.name].partitions:
            rows = self.read(self.name, columns, bucket)
            if leading:
                keys.append(_distinct(rows.column(leading)))
            for reference in references:
                local = targets[reference.target, reference.target_columns[0]].get(bucket)
                values = _values(rows.column(reference.columns[0]))
                strays[reference].append(np.unique(_beyond(values, local)))
        if leading:
            _check_unique_across(self.name, leading, keys)
        for reference, away in strays.items():
            _check_found(self.name, reference, away, targets[reference.target, reference.target_columns[0]])
        return {}, 0

    def targets(self, reference: Reference) -> _Targets:
        (column,) = reference.target_columns
        return {
            bucket: _distinct(self.read(reference.target, [column], bucket).column(column))
            for bucket in self.handles[reference.target].partitions
        }

    def read(self, table: str, columns: list[str], bucket: int) -> pa.Table:
        return read_buckets(self.objects, self.handles[table], self.schemas[table], columns=columns, buckets=[bucket])


def _check_unique_across(name: str, column: str, keys: list[np.ndarray]) -> None:
    """The leading key column takes no value in two buckets, so uniqueness inside each is uniqueness."""
    if not keys:
        return
    together = np.sort(np.concatenate(keys), kind="stable")
    twice = np.unique(together[1:][together[1:] == together[:-1]])
    if len(twice):
        raise ContractError(
            name,
            f"{column} stands in several buckets",
            len(twice),
            tuple(str(v) for v in twice[:5]),
            hint="if these are ids, two names share a hash: the setting namespace moves all of them",
        )


def _check_found(name: str, reference: Reference, strays: list[np.ndarray], targets: _Targets) -> None:
    """Most references stay in their bucket; what does not must be found in some other."""
    away = np.unique(np.concatenate(strays)) if strays else np.empty(0, np.int64)
    for values in targets.values():
        away = _beyond(away, values)
    if len(away):
        rule = f"{reference.columns[0]} is no {reference.target_columns[0]} of {reference.target}"
        raise ContractError(name, rule, len(away), tuple(str(v) for v in away[:5]))


def _values(column: pa.ChunkedArray) -> np.ndarray:
    present = column.drop_null() if column.null_count else column
    return present.to_numpy() if pa.types.is_integer(column.type) else np.array(present.to_pylist(), dtype=np.str_)


def _distinct(column: pa.ChunkedArray) -> np.ndarray:
    """Sorted; a column that leads its table's key is so already."""
    values = _values(column)
    if not len(values) or np.any(values[1:] < values[:-1]):
        return np.unique(values)
    return values[np.concatenate(([True], values[1:] != values[:-1]))]


def _beyond(values: np.ndarray, ordered: np.ndarray | None) -> np.ndarray:
    """Those of `values` that `ordered` does not hold."""
    if ordered is None or not len(ordered) or not len(values):
        return values
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return values[ordered[places] != values]

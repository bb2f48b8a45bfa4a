"""What a contract promises about a whole table: keys across buckets, and references.

What a row or a bucket shows (nulls, values, a key used twice) is checked where the rows are written, on rows that are
there and in key order anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codeintel.errors import ContractError
from codeintel.relspec.pipeline import Contract, Reference
from codeintel.store.partitions import Partition, TableHandle, is_bucketed, read_buckets

_Column = Mapping[int, pa.ChunkedArray]  # values by bucket


@dataclass(frozen=True, slots=True)
class ContractJob:
    """Check one public table. Writes nothing; raises ContractError for the first rule that is broken."""

    objects: Path
    name: str
    contract: Contract
    handles: Mapping[str, TableHandle]
    schemas: Mapping[str, pa.Schema]

    def run(self) -> dict[str, dict[int, Partition]]:
        key = self.contract.table.key
        if key and is_bucketed(self.contract.table.schema) and "path" not in key:
            _check_unique_across(self.name, key[0], self.column(self.name, key[0]))
        for reference in self.contract.references:
            _check_reference(self, reference)
        return {}

    def column(self, table: str, column: str) -> _Column:
        handle, schema = self.handles[table], self.schemas[table]
        return {
            bucket: read_buckets(self.objects, handle, schema, columns=[column], buckets=[bucket]).column(0)
            for bucket in handle.partitions
        }


def _check_unique_across(name: str, column: str, values: _Column) -> None:
    """The leading key column takes no value in two buckets, so uniqueness inside each is uniqueness."""
    distinct = [_ascending(chunk) if pa.types.is_integer(chunk.type) else np.unique(chunk.to_pylist())
                for chunk in values.values()]
    if not distinct:
        return
    together = np.sort(np.concatenate(distinct), kind="stable")
    twice = np.unique(together[1:][together[1:] == together[:-1]])
    if len(twice):
        raise ContractError(
            name, f"{column} stands in several buckets", len(twice), tuple(str(v) for v in twice[:5]),
            hint="if these are ids, two names share a hash: the setting namespace moves all of them",
        )


def _check_reference(job: ContractJob, reference: Reference) -> None:
    """Most references stay in their bucket; what does not is looked up in all of the target."""
    (source,), (target,) = reference.columns, reference.target_columns
    values, targets = job.column(job.name, source), job.column(reference.target, target)
    if any(not pa.types.is_integer(chunk.type) for chunk in targets.values()):
        known = pa.chunked_array([c for chunk in targets.values() for c in chunk.chunks], pa.string()).combine_chunks()
        lost = sorted({
            v for chunk in values.values() for v in chunk.filter(pc.invert(pc.is_in(chunk, known))).drop_null().to_pylist()
        })
    else:
        local = {bucket: _ascending(chunk) for bucket, chunk in targets.items()}
        strays = [_beyond(_ascending(chunk), local.get(bucket)) for bucket, chunk in values.items()]
        away = np.unique(np.concatenate([*strays, np.empty(0, np.int64)]))
        for ids in local.values():
            away = _beyond(away, ids)
        lost = away.tolist()
    if lost:
        rule = f"{source} is no {target} of {reference.target}"
        raise ContractError(job.name, rule, len(lost), tuple(map(str, lost[:5])))


def _ascending(chunk: pa.ChunkedArray) -> np.ndarray:
    """Distinct values, sorted; nulls left out. Columns that lead a key are sorted already."""
    values = chunk.drop_null().to_numpy()
    if not len(values) or np.any(values[1:] < values[:-1]):
        return np.unique(values)
    return values[np.concatenate(([True], values[1:] != values[:-1]))]


def _beyond(values: np.ndarray, ordered: np.ndarray | None) -> np.ndarray:
    """Those of `values` that `ordered` does not hold."""
    if ordered is None or not len(ordered):
        return values
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return values[ordered[places] != values]

"""Public tables: checked against their contracts.

Uniqueness inside a bucket is checked where the bucket is written, on rows already in key order; here remains what only
the whole table shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codeintel.errors import ContractError
from codeintel.hamilton_pipeline.modules.tasks import Bench, planned
from codeintel.relspec.pipeline import Contract, Reference
from codeintel.relspec.task import Task
from codeintel.store.partitions import TableHandle, is_bucketed, read_buckets


@planned("output")
def output(bench: Bench, task: Task, inputs: Mapping[str, TableHandle]) -> TableHandle:
    """The handle of a public table that keeps its contract."""
    name = next(table for table, mode in task.inputs.items() if mode == "same_bucket")
    contract = bench.planned.contracts[name]
    check_contract(bench, name, contract, inputs)
    return inputs[name]


def check_contract(bench: Bench, name: str, contract: Contract, inputs: Mapping[str, TableHandle]) -> None:
    """Raise ContractError for the first rule that `inputs[name]` breaks."""
    schema, key = contract.table.schema, contract.table.key
    columns = {c for r in contract.references for c in r.columns} | set(contract.allowed) | set(key[:1])
    columns |= {f.name for f in schema if not f.nullable and f.name != "bucket"}
    found = _Columns(bench, inputs, {name: frozenset(columns)} | {
        r.target: frozenset(r.target_columns) | (columns if r.target == name else frozenset())
        for r in contract.references
    })
    for field in schema:
        if not field.nullable and field.name != "bucket":
            nulls = sum(rows.column(field.name).null_count for _, rows in found.buckets(name))
            if nulls:
                raise ContractError(name, f"{field.name} is null", nulls)
    for column, allowed in sorted(contract.allowed.items()):
        _check_allowed(name, column, allowed, [rows.column(column) for _, rows in found.buckets(name)])
    if is_bucketed(schema) and "path" not in key:
        _check_unique_across(name, key[0], [rows.column(key[0]) for _, rows in found.buckets(name)])
    for reference in contract.references:
        _check_reference(name, reference, found)


class _Columns:
    """Columns of the tables that a contract reads, bucket by bucket, read once."""

    def __init__(self, bench: Bench, inputs: Mapping[str, TableHandle], columns: Mapping[str, frozenset[str]]) -> None:
        self._tables = {
            table: [
                (bucket, read_buckets(
                    bench.store.objects, inputs[table], bench.planned.tables[table].schema,
                    columns=columns[table], buckets=[bucket],
                ))
                for bucket in inputs[table].partitions
            ]
            for table in columns
        }

    def buckets(self, table: str) -> list[tuple[int, pa.Table]]:
        return self._tables[table]


def _check_allowed(name: str, column: str, allowed: frozenset[str], chunks: Sequence[pa.ChunkedArray]) -> None:
    known = pa.array(sorted(allowed), pa.string())
    strange: dict[str, int] = {}
    for chunk in chunks:
        values = chunk.drop_null()
        others = values.filter(pc.invert(pc.is_in(values, known)))
        for entry in pc.value_counts(others).to_pylist():
            strange[entry["values"]] = strange.get(entry["values"], 0) + entry["counts"]
    if strange:
        shown = tuple(f"{value!r} in {count} rows" for value, count in sorted(strange.items())[:5])
        raise ContractError(name, f"{column} has values its contract does not allow", sum(strange.values()), shown)


def _check_unique_across(name: str, column: str, chunks: Sequence[pa.ChunkedArray]) -> None:
    """The leading key column takes no value in two buckets, so uniqueness inside each is uniqueness."""
    distinct = [pc.unique(chunk) for chunk in chunks]
    together = pa.chunked_array(distinct, distinct[0].type) if distinct else pa.chunked_array([], pa.int64())
    if len(pc.unique(together)) == len(together):
        return
    twice = [e["values"] for e in pc.value_counts(together).to_pylist() if e["counts"] > 1]
    raise ContractError(
        name, f"{column} stands in several buckets", len(twice), tuple(str(v) for v in twice[:5]),
        hint="if these are ids, two names share a hash: the setting namespace moves all of them",
    )


def _check_reference(name: str, reference: Reference, found: _Columns) -> None:
    """Most references stay in their bucket; what does not is looked up in all of the target."""
    (column,), (target_column,) = reference.columns, reference.target_columns
    targets = {b: rows.column(target_column) for b, rows in found.buckets(reference.target)}
    if any(not pa.types.is_integer(t.type) for t in targets.values()):
        _check_text_reference(name, reference, found)
        return
    local = {bucket: np.sort(values.to_numpy()) for bucket, values in targets.items()}
    strays = [
        (bucket, values[~_is_member(values, local.get(bucket, np.empty(0, np.int64)))])
        for bucket, values in ((b, np.unique(r.column(column).drop_null().to_numpy())) for b, r in found.buckets(name))
    ]
    away = np.unique(np.concatenate([values for _, values in strays])) if strays else np.empty(0, np.int64)
    everywhere = np.sort(np.concatenate([*local.values(), np.empty(0, np.int64)]))
    lost = away[~_is_member(away, everywhere)]
    if len(lost):
        raise ContractError(
            name, f"{column} is no {target_column} of {reference.target}", len(lost), tuple(map(str, lost[:5]))
        )


def _check_text_reference(name: str, reference: Reference, found: _Columns) -> None:
    known = pa.chunked_array([c for _, r in found.buckets(reference.target)
                              for c in r.column(reference.target_columns[0]).chunks], pa.string())
    lost = sorted(set(_lost_texts(name, reference, found, known)))
    if lost:
        raise ContractError(
            name, f"{reference.columns[0]} is no {reference.target_columns[0]} of {reference.target}", len(lost),
            tuple(lost[:5]),
        )


def _lost_texts(name: str, reference: Reference, found: _Columns, known: pa.ChunkedArray) -> Iterator[str]:
    for _, rows in found.buckets(name):
        values = rows.column(reference.columns[0]).drop_null()
        yield from values.filter(pc.invert(pc.is_in(values, known.combine_chunks()))).to_pylist()


def _is_member(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return ordered[places] == values

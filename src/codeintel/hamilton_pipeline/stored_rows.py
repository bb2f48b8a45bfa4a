"""Rows that a task derived become objects: the declared columns, in canonical order, one object a bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codeintel.errors import ContractError, RunError
from codeintel.relspec.pipeline import Contract, Table, null_rule, unique_rule
from codeintel.store.handles import UNPARTITIONED, Format, Partition
from codeintel.store.partitions import conformed, in_key_order, is_bucketed, split_by_bucket, write_partition


def store_rows(
    objects: Path, name: str, rows: pa.Table, output: Table, form: Format, contract: Contract | None = None
) -> dict[int, Partition]:
    """Write `rows` in canonical order, one object a bucket.

    Raises ContractError if a declared key is not unique inside a bucket or a value is null that must not be. Whether
    the key of a table with a contract is unique is for its validator to tell: here ties get an order of their own.
    """
    table = declared_columns(name, rows, output)
    bucketed = is_bucketed(output.schema)
    leading = ["bucket"] if bucketed else []
    key = [k for k in output.key or output.schema.names if k != "bucket"]
    ordered = in_key_order(table, [*leading, *key])
    if output.key and len(twice := repeats(ordered, key)):
        if contract is None:
            offending = ordered.take(twice[:SHOWN]).to_pylist()
            raise ContractError(name, unique_rule(output.key), len(twice), shown(offending, key))
        ordered = in_key_order(table, [*leading, *key, *(n for n in output.schema.names if n not in (*leading, *key))])
    if contract is not None:
        _check_nulls(name, ordered, contract, key)
    parts = split_by_bucket(ordered) if bucketed else [(UNPARTITIONED, ordered)]
    return {bucket: write_partition(objects, part, form) for bucket, part in parts}


def declared_columns(name: str, rows: pa.Table, output: Table) -> pa.Table:
    """The columns that a task is to give. Raises RunError if one is missing."""
    if missing := [n for n in output.schema.names if n not in rows.schema.names]:
        raise RunError(f"{name} lacks the declared columns {', '.join(missing)}", task=name)
    return conformed(rows, output.schema)


SHOWN = 5
"""Rows that an error or a record names."""


def repeats(ordered: pa.Table, key: Sequence[str]) -> np.ndarray:
    """Places of rows, in key order, that have the key of the row before."""
    if ordered.num_rows < 2:
        return np.empty(0, np.int64)
    same = np.ones(ordered.num_rows - 1, bool)
    for column in (ordered.column(k).combine_chunks() for k in key):
        codes = column.indices if pa.types.is_dictionary(column.type) else column
        if pa.types.is_integer(codes.type) and not codes.null_count:
            values = codes.to_numpy()
            same &= values[1:] == values[:-1]
        else:
            equal = pc.equal(codes.slice(1), codes.slice(0, len(codes) - 1))
            same &= pc.fill_null(equal, False).to_numpy(zero_copy_only=False)
        if not same.any():
            break
    return np.flatnonzero(same) + 1


def _check_nulls(name: str, rows: pa.Table, contract: Contract, key: Sequence[str]) -> None:
    for column in (f.name for f in contract.table.schema if not f.nullable):
        if nulls := rows.column(column).null_count:
            offending = rows.filter(pc.is_null(rows.column(column))).slice(0, SHOWN)
            raise ContractError(name, null_rule(column), nulls, shown(offending.to_pylist(), [column, *key]))


def shown(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> tuple[str, ...]:  # Any: values
    """Rows as text: `path:line`, as far as they have them, and the values of some columns."""
    values = [c for c in dict.fromkeys(columns) if c not in ("path", "line")]
    texts = []
    for row in rows:
        place = [str(row[name]) for name in ("path", "line") if row.get(name) is not None]
        texts.append(": ".join(filter(None, (":".join(place), ", ".join(f"{c} {row[c]!r}" for c in values)))))
    return tuple(texts)

"""What a contract promises about rows: a unique key, allowed values, references.

Only the columns that matter are read, one bucket at a time, and of a table that was found sound before only the buckets
that differ since: what they add must not be elsewhere, what they refer to must be there, and what they have lost must
not be referred to. Values that refer out of their bucket (*strays*) are kept for that; there are few.

Types and nulls are checked where rows are written: without those there is no table to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codeintel.arrays import distinct, without_repeats
from codeintel.errors import DamagedObjectError
from codeintel.hamilton_pipeline.stored_rows import SHOWN, repeats, shown
from codeintel.relspec.pipeline import Contract, Reference, allowed_rule
from codeintel.store.handles import UNPARTITIONED, Partition, TableHandle
from codeintel.store.partitions import is_bucketed, read_buckets, read_partition, write_partition
from codeintel.store.results import Anew, Result, Tables

Buckets = Mapping[int, Partition]
_FINDINGS = pa.schema({"rule": pa.string(), "count": pa.int64(), "rows": pa.list_(pa.string()), "hint": pa.string()})


FINDINGS = "broken rules"
HELD_VALUES = 20_000_000
"""Values of a column that a check holds at a time; of more it looks at shares, or reads them again."""


class Finding(NamedTuple):
    """A rule that does not hold: how many rows break it, up to five of them as text, and what helps."""

    rule: str
    count: int
    rows: tuple[str, ...]
    hint: str = ""


def findings_of(objects: Path, result: Result) -> tuple[Finding, ...]:
    """What a check found. Raises DamagedObjectError."""
    parts = result.tables.get(FINDINGS, {})
    rows = [row for part in parts.values() for row in read_partition(objects, part).to_pylist()]
    return tuple(Finding(row["rule"], row["count"], tuple(row["rows"]), row["hint"]) for row in rows)


@dataclass(frozen=True, slots=True)
class ContractJob:
    """Check one public table.

    `verified` is the result of an earlier check, if there is one: the partitions that were sound together, and their
    strays. `unique` names the references whose target column takes no value in two buckets, by its own contract.
    """

    objects: Path
    name: str
    contract: Contract
    handles: Mapping[str, TableHandle]
    schemas: Mapping[str, pa.Schema]
    verified: Result | None = None
    unique: frozenset[Reference] = frozenset()

    def reads(self) -> Iterable[TableHandle]:
        return self.handles.values()

    def run(self) -> tuple[Tables, Anew]:
        try:
            return _Check(self, self.verified).tables(), (0, 0)
        except DamagedObjectError:
            if self.verified is None:
                raise
            # What was checked then is gone; what is there now is checked whole.
            return _Check(self, None).tables(), (0, 0)


class _Check:
    """One check against what was verified before; against nothing, or what was not sound, it is of the whole table."""

    def __init__(self, job: ContractJob, verified: Result | None) -> None:
        self.job, self.verified = job, verified.tables if verified and FINDINGS not in verified.tables else {}
        key = job.contract.table.key
        spread = key and is_bucketed(job.contract.table.schema) and "path" not in key
        self.leading = key[0] if spread else None
        self.read: dict[tuple[str, str, str], np.ndarray] = {}  # by table, partition and column
        self.findings: list[Finding] = []

    def tables(self) -> Tables:
        """What is verified now: partitions by table, strays by reference, and findings if there are any."""
        found: dict[str, Buckets] = {name: dict(handle.partitions) for name, handle in self.job.handles.items()}
        self.check_rows()
        strays = {reference: self.strays(reference) for reference in self.job.contract.references}
        self.check_key(strays)
        for number, (reference, away) in enumerate(strays.items()):
            self.check_found(reference, away)
            found[f"strays {number}"] = {UNPARTITIONED: write_partition(self.job.objects, away.table(), "arrow")}
        if self.findings:
            rows = pa.Table.from_pylist([finding._asdict() for finding in self.findings], _FINDINGS)
            found[FINDINGS] = {UNPARTITIONED: write_partition(self.job.objects, rows, "arrow")}
        return found

    def check_rows(self) -> None:
        """Inside a bucket the key is unique, and columns have allowed values only."""
        contract = self.job.contract
        key = [name for name in contract.table.key if name != "bucket"]
        places: dict[str, list[tuple[int, np.ndarray]]] = {}
        about = {contract.unique_rule: key}
        read = [*dict.fromkeys([*key, *contract.allowed])]
        if not read:
            return
        for bucket in sorted(self.changed(self.job.name) & self.parts.keys()):
            rows = read_partition(self.job.objects, self.parts[bucket], read, coded=True)
            if key and len(twice := repeats(rows, key)):
                places.setdefault(contract.unique_rule, []).append((bucket, twice))
            for column, allowed in sorted(contract.allowed.items()):
                if strange := set(pc.unique(rows.column(column)).to_pylist()) - allowed - {None}:
                    rule = allowed_rule(column)
                    about[rule] = [column, *key]
                    values = rows.column(column).cast(contract.table.schema.field(column).type)
                    is_strange = pc.is_in(values, pa.array(strange)).to_numpy(zero_copy_only=False)
                    places.setdefault(rule, []).append((bucket, np.flatnonzero(is_strange)))
        for rule, found in places.items():
            self.tell(rule, found, about[rule])

    def tell(self, rule: str, places: Iterable[tuple[int, np.ndarray]], columns: list[str], hint: str = "") -> None:
        """Record a finding by the places of its rows in their buckets."""
        count, shown_rows = 0, list[str]()
        for bucket, at in places:
            count += len(at)
            rows = read_partition(self.job.objects, self.parts[bucket])
            for row in rows.take(at[: SHOWN - len(shown_rows)]).to_pylist():
                line = row["line"] if "line" in row else self.line(row, bucket)
                shown_rows += shown([{**row, "line": line}], columns)
        self.findings.append(Finding(rule, count, tuple(shown_rows), hint))

    def tell_of(self, rule: str, column: str, values: np.ndarray, hint: str = "") -> None:
        """Record a finding by the values of a column, of all rows that have one of them."""
        wanted = pa.array(values)
        places = []
        for bucket, part in sorted(self.parts.items()):
            rows = read_partition(self.job.objects, part, [column])
            at = np.flatnonzero(pc.is_in(rows.column(column), wanted).to_numpy(zero_copy_only=False))
            if len(at):
                places.append((bucket, at))
        key = [name for name in self.job.contract.table.key if name != "bucket"]
        self.tell(rule, places, [column, *key], hint)

    def line(self, row: Mapping[str, Any], bucket: int) -> int | None:
        """The line of what a row refers to, for rows that have none of their own."""
        for reference in self.job.contract.references:
            (column,), (target_column,) = reference.columns, reference.target_columns
            if "line" not in self.job.schemas[reference.target].names or row[column] is None:
                continue
            parts = self.job.handles[reference.target].partitions
            for part in sorted(parts, key=lambda b: b != bucket):
                rows = read_partition(self.job.objects, parts[part], [target_column, "line"])
                at = pc.index(rows.column(target_column), row[column]).as_py()
                if at >= 0:
                    return rows.column("line")[at].as_py()
        return None

    @property
    def parts(self) -> Buckets:
        """The table's partitions."""
        return self.job.handles[self.job.name].partitions

    def strays(self, reference: Reference) -> _Strays:
        before = self.verified.get(f"strays {self.job.contract.references.index(reference)}")
        known = _Strays.of(read_partition(self.job.objects, before[UNPARTITIONED])) if before else _Strays({})
        own, targets = self.job.name, reference.target
        changed = self.changed(own) | self.changed(targets)
        (column,), (target_column,) = reference.columns, reference.target_columns
        kept = {bucket: values for bucket, values in known.by_bucket.items() if bucket not in changed}
        for bucket in sorted(changed & self.job.handles[own].partitions.keys()):
            values = self.values(own, self.job.handles[own].partitions[bucket], column)
            local = self.job.handles[targets].partitions.get(bucket)
            away = _beyond(values, self.values(targets, local, target_column) if local else None)
            if len(away):
                kept[bucket] = away
        return _Strays(kept, known)

    def check_key(self, strays: Mapping[Reference, _Strays]) -> None:
        """The leading key column takes no value in two buckets, so uniqueness inside each is uniqueness.

        Where it refers to a column of which that is known, only values that stand in another bucket than what they
        refer to could.
        """
        if self.leading is None:
            return
        own, leading = self.job.name, self.leading
        if any(r in self.job.unique and r.columns == (leading,) and not strays[r].by_bucket for r in strays):
            return
        rows = sum(part.rows for part in self.parts.values())
        shares = 1 + rows // HELD_VALUES
        if len(twice := np.sort(_together(self.repeated(own, leading, n, shares) for n in range(shares)))):
            hint = "if these are ids, two names share a hash: the setting namespace moves all of them"
            self.tell_of(self.job.contract.unique_rule, leading, twice, hint)

    def repeated(self, own: str, leading: str, number: int, shares: int) -> np.ndarray:
        """Values of one share of all, by their remainder, that stand in two buckets."""
        now, before = self.parts, self.verified.get(own, {})

        def values(part: Partition) -> np.ndarray:
            return _share(self.values(own, part, leading), number, shares)

        added = []
        for bucket in sorted(self.changed(own) & now.keys()):
            new = values(now[bucket])
            added.append(_beyond(new, values(before[bucket])) if bucket in before else new)
        if not (fresh := _together(added)).size:
            return fresh
        if before:  # each fresh value stands in its own bucket once, and must in no other
            ordered = distinct(fresh)
            fresh = _together(_within(values(part), ordered) for part in now.values())
        seen = np.sort(fresh)
        return without_repeats(seen[1:][seen[1:] == seen[:-1]])

    def check_found(self, reference: Reference, strays: _Strays) -> None:
        """What refers out of its bucket is found in some other. What was so before still is, unless it was lost."""
        target, (column,) = reference.target, reference.target_columns
        now, before = self.job.handles[target].partitions, self.verified.get(target, {})
        away = _together(
            _beyond(values, strays.known.by_bucket.get(bucket)) for bucket, values in strays.by_bucket.items()
        )
        lost = []
        for bucket in sorted(self.changed(target) & before.keys()):
            old = self.values(target, before[bucket], column)
            lost.append(_beyond(old, self.values(target, now[bucket], column)) if bucket in now else old)
        if (gone := distinct(_together(lost))).size:
            every = distinct(_together(strays.by_bucket.values()))
            away = _together([away, _within(every, gone)])
        away = distinct(away)
        for part in now.values():
            if not len(away):
                return
            away = _beyond(away, self.values(target, part, column))
        if len(away):
            self.tell_of(reference.rule, reference.columns[0], away)

    def changed(self, table: str) -> set[int]:
        """Buckets that are not as they were verified, lost ones included."""
        now, before = self.job.handles[table].partitions, self.verified.get(table, {})
        return {bucket for bucket in now.keys() | before.keys() if now.get(bucket) != before.get(bucket)}

    def values(self, table: str, part: Partition, column: str) -> np.ndarray:
        """Distinct values of a column in one partition, sorted."""
        place = (table, part.version, column)
        if place in self.read:
            return self.read[place]
        handle = TableHandle(table, "", {UNPARTITIONED: part})
        found = _distinct(read_buckets(self.job.objects, handle, self.job.schemas[table], columns=[column])[column])
        is_target = any(r.target == table and r.target_columns == (column,) for r in self.job.contract.references)
        if is_target and sum(map(len, self.read.values())) + len(found) <= HELD_VALUES:
            self.read[place] = found  # looked into for every reference; the rest is read once and let go
        return found


class _Strays:
    """Values by bucket that refer out of it; `known` are those verified before."""

    def __init__(self, by_bucket: Mapping[int, np.ndarray], known: _Strays | None = None) -> None:
        self.by_bucket = by_bucket
        self.known = known if known is not None else self

    @classmethod
    def of(cls, table: pa.Table) -> _Strays:
        buckets, values = table.column("bucket").to_numpy(), _values(table.column("value"))
        return cls({int(bucket): values[buckets == bucket] for bucket in distinct(buckets)})

    def table(self) -> pa.Table:
        """Columns bucket and value, sorted."""
        buckets = [np.full(len(values), bucket, np.int32) for bucket, values in sorted(self.by_bucket.items())]
        values = _together(values for _, values in sorted(self.by_bucket.items()))
        kind = pa.int64() if values.dtype.kind == "i" else pa.string()
        return pa.table({"bucket": pa.array(_together(buckets), pa.int32()), "value": pa.array(values.tolist(), kind)})


def _share(values: np.ndarray, number: int, shares: int) -> np.ndarray:
    """One of so many shares of sorted values; what are no integers is all in the first."""
    if shares == 1 or values.dtype.kind != "i":
        return values if number == 0 else values[:0]
    return values[values % shares == number]


def _together(arrays: Iterable[np.ndarray]) -> np.ndarray:
    found = [array for array in arrays if len(array)]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _values(column: pa.ChunkedArray) -> np.ndarray:
    present = column.drop_null() if column.null_count else column
    return present.to_numpy() if pa.types.is_integer(column.type) else np.array(present.to_pylist(), dtype=np.str_)


def _distinct(column: pa.ChunkedArray) -> np.ndarray:
    """Sorted; a column that leads its table's key is so already."""
    values = without_repeats(_values(column))
    return distinct(values) if np.any(values[1:] < values[:-1]) else values


def _within(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """What both of two arrays of ascending values hold; `ordered` is not empty."""
    if len(ordered) < len(values):
        values, ordered = ordered, values
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return values[ordered[places] == values]


def _beyond(values: np.ndarray, ordered: np.ndarray | None) -> np.ndarray:
    """Those of `values` that `ordered` does not hold."""
    if ordered is None or not len(ordered) or not len(values):
        return values
    if len(values) > len(ordered) and values.dtype.kind == "i":  # then hashing pays
        return values[~pc.is_in(pa.array(values), pa.array(ordered)).to_numpy(zero_copy_only=False)]
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return values[ordered[places] != values]

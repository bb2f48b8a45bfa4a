"""What an analysis that tells files apart by components need not look at again: see `codeintel.analysis`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from codeintel.errors import DamagedObjectError, RunError
from codeintel.store.handles import Partition, TableHandle
from codeintel.store.partitions import changed_files, is_bucketed, read_buckets
from codeintel.store.results import Anew

_Rows = frozenset[tuple[Any, ...]]  # of the table of components, those of one of them


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an analysis was given in the run before, by table, and the partitions that it made of that."""

    inputs: Mapping[str, TableHandle]
    parts: Mapping[int, Partition]


@dataclass(frozen=True, slots=True)
class Reuse:
    """Files whose rows an analysis is given, and files of which earlier rows are kept; `anew` counts components."""

    given: frozenset[str]
    kept: frozenset[str]
    anew: Anew


def reuse(
    objects: Path,
    name: str,
    components: str,
    inputs: Mapping[str, tuple[TableHandle, pa.Schema]],
    earlier: Earlier | None,
) -> Reuse:
    """Keep the components of which all inputs have what they had.

    Where the earlier inputs cannot be read any more, that is none. Raises RunError for a file in two components.
    """
    now = _components(objects, *inputs[components])
    files = frozenset().union(*now.values())
    if sum(map(len, now)) != len(files):
        counts = [path for paths in now.values() for path in paths]
        twice = min((path for path in files if counts.count(path) > 1), default="a file")
        raise RunError(f"{components!r} has {twice!r} more than once; a file has one component", task=name)
    same: list[frozenset[str]] = []
    if earlier is not None and all(earlier.inputs[n].schema == handle.schema for n, (handle, _) in inputs.items()):
        try:
            same = _same(objects, components, now, inputs, earlier)
        except DamagedObjectError:
            same = []
    kept = frozenset[str]().union(*same)
    return Reuse(files - kept, kept, (len(now) - len(same), len(now)))


def _same(
    objects: Path,
    components: str,
    now: Mapping[_Rows, frozenset[str]],
    inputs: Mapping[str, tuple[TableHandle, pa.Schema]],
    earlier: Earlier,
) -> list[frozenset[str]]:
    """The files of each component that is what it was."""
    changed = set[str]()
    for name, (handle, schema) in inputs.items():
        old = earlier.inputs[name]
        if is_bucketed(schema) and name != components:
            changed |= changed_files(objects, old, handle)
        elif old.version != handle.version and name != components:
            return []
    before = _components(objects, earlier.inputs[components], inputs[components][1])
    return [files for rows, files in now.items() if rows in before and changed.isdisjoint(files)]


def _components(objects: Path, handle: TableHandle, schema: pa.Schema) -> dict[_Rows, frozenset[str]]:
    """Of each component what its table says, and the files."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in read_buckets(objects, handle, schema).to_pylist():
        found.setdefault(row["component"], []).append(row)
    return {
        frozenset(tuple(row.values()) for row in rows): frozenset(row["path"] for row in rows)
        for rows in found.values()
    }


def with_kept(
    objects: Path, name: str, parts: Iterator[pa.Table], reused: Reuse, earlier: Earlier | None, schema: pa.Schema
) -> Iterator[pa.Table]:
    """The tables that an analysis gives, with the rows that are kept: one bucket at a time, or as many as come at once.

    Raises RunError for rows about a file that the analysis was not given.
    """
    waiting = deque(sorted(earlier.parts) if earlier is not None and reused.kept else ())

    def kept(bucket: int) -> pa.Table:
        assert earlier is not None
        rows = read_buckets(objects, TableHandle(name, "", {bucket: earlier.parts[bucket]}), schema)
        return rows.filter(of_files(rows, reused.kept))

    for part in parts:
        for path in part["path"].unique().to_pylist():
            if path not in reused.given:
                wrong = f"gives rows about {path!r}, a file that it was not given; its components promise that of"
                raise RunError(f"analysis {name!r} {wrong} others it says nothing", task=name)
        span = pc.min_max(part["bucket"]).as_py()
        while waiting and part.num_rows and waiting[0] < span["min"]:
            yield kept(waiting.popleft())
        due = []
        while waiting and part.num_rows and waiting[0] <= span["max"]:
            due.append(kept(waiting.popleft()))
        yield pa.concat_tables([part, *due])
        del part, due  # before the next is made
    for bucket in waiting:
        yield kept(bucket)


def of_files(rows: pa.Table, files: frozenset[str]) -> pa.ChunkedArray:
    """Whether each row is about one of the files."""
    own = [path for path in rows["path"].unique().to_pylist() if path in files]
    return pc.is_in(rows["path"], pa.array(own, pa.string()))

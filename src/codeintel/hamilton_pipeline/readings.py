"""External reads: done at every build, before anything else, because everything's reuse depends on what they find."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from codeintel.errors import RunError
from codeintel.fingerprint import digest, digest_bytes

if TYPE_CHECKING:  # reading that finds nothing new must not pay for importing Arrow
    import pyarrow as pa

Read = Callable[..., Any] | Path


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source holds now: its rows, and a version that is equal only for equal rows; or why it cannot be read.

    A version of no two readings alike (empty) means that the content cannot be told without storing it. `started` is a
    reading of `perf_counter`.
    """

    rows: pa.Table | Sequence[tuple[Any, ...]] | None
    version: str
    seconds: float
    error: Exception | None = None
    started: float = 0.0


def read_sources(reads: Mapping[str, Read], parameters: Mapping[str, Any]) -> dict[str, Reading]:
    """Read every source now; `parameters` reach the functions that declare them."""
    return {name: _reading(name, read, parameters) for name, read in reads.items()}


def _reading(name: str, read: Read, parameters: Mapping[str, Any]) -> Reading:
    started = perf_counter()
    try:
        if isinstance(read, Path):
            rows = _file_rows(name, read)
        else:
            wanted = inspect.signature(read).parameters
            rows = read(**{n: v for n, v in parameters.items() if n in wanted})
        version = _version(rows)
    except Exception as error:  # noqa: BLE001 - whatever a source raises is the outcome of its task
        return Reading(None, "", perf_counter() - started, error, started)
    return Reading(rows, version, perf_counter() - started, started=started)


def _version(rows: Any) -> str:
    if isinstance(rows, Sequence):
        return digest("rows", digest_bytes(msgspec.json.encode(rows)))
    from codeintel.store.partitions import data_version  # noqa: PLC0415 - see the top

    return digest("table", data_version(rows.combine_chunks()))


def _file_rows(name: str, path: Path) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - see the top
    import pyarrow.parquet as pq  # noqa: PLC0415 - see the top
    from deltalake import DeltaTable  # noqa: PLC0415 - see the top

    try:
        return DeltaTable(path).to_pyarrow_table() if (path / "_delta_log").is_dir() else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"source {name!r} cannot be read from {path}: {error}", task=name) from error

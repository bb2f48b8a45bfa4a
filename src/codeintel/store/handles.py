"""What tasks exchange instead of tables: handles, which name objects by content. Nothing here needs Arrow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codeintel.fingerprint import digest, digest_bytes

Format = Literal["arrow", "parquet"]

UNPARTITIONED = -1
"""The bucket of the one partition of a table that has no `bucket` column."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One bucket of a table: data version, rows, and format, checksum and bytes of the object that holds it."""

    version: str
    rows: int
    format: Format
    checksum: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TableHandle:
    """What tasks exchange instead of a table: name, schema digest, partitions by bucket (empty ones absent)."""

    table: str
    schema: str
    partitions: Mapping[int, Partition]

    @property
    def version(self) -> str:
        """Data version of the whole table: digest of its name, schema and partitions' versions."""
        parts = "".join(f"\n{bucket} {part.version}" for bucket, part in sorted(self.partitions.items()))
        return digest_bytes(f"{self.table}\n{self.schema}{parts}".encode())

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.partitions.values())


# What a task hands to its readers: a table's handle, or an extractor's by fact table.
Value = TableHandle | dict[str, TableHandle]


def version_of(value: Value) -> str:
    """Data version of a task's value."""
    if isinstance(value, TableHandle):
        return value.version
    return digest("tables", [handle.version for _, handle in sorted(value.items())])


def object_path(objects: Path, part: Partition) -> Path:
    return objects / part.version[:2] / f"{part.version}.{part.format}"


def is_sound(objects: Path, part: Partition, *, written: int = -1) -> bool:
    """Whether the object is there and what was written: its size, and its checksum if it was touched since.

    `written` is a time in nanoseconds after which nobody has any business with the object.
    """
    try:
        found = os.stat(f"{objects}/{part.version[:2]}/{part.version}.{part.format}")  # noqa: PTH116 - thousands a build
        if found.st_size != part.bytes:
            return False
        return found.st_mtime_ns <= written or digest_bytes(object_path(objects, part).read_bytes()) == part.checksum
    except OSError:
        return False


def table_file(bucket: int, version: str) -> str:
    """Where a Delta table has the partition of that data version, below its own root."""
    return f"{version}.parquet" if bucket == UNPARTITIONED else f"bucket={bucket}/{version}.parquet"

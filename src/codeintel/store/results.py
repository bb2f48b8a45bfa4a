"""What was computed from what: the store's memory of results, by key.

A *result key* is the digest of a task's signature, a bucket, and the data versions of what the task reads there. It is
the one authority on reuse: equal keys mean equal rows. Results name objects; one whose object is gone is a miss.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from codeintel.errors import StoreError
from codeintel.fingerprint import digest
from codeintel.relspec.task import Mode
from codeintel.store.partitions import Partition, TableHandle, is_sound, object_path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, task TEXT NOT NULL,
    signature TEXT NOT NULL, bucket INTEGER NOT NULL, result BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS latest ON results (signature, bucket, sequence);
"""

Tables = Mapping[str, Mapping[int, Partition]]
"""Partitions by table and bucket."""


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What one task made of one bucket (or of everything), and the partition of its source that it read, if one."""

    tables: dict[str, dict[int, Partition]]
    source: Partition | None = None


def result_key(signature: str, bucket: int, inputs: Mapping[str, TableHandle], modes: Mapping[str, Mode]) -> str:
    """Key of what a task of `signature` makes of `bucket`, or of all it reads if no input is read by bucket."""
    versions = []
    for name, handle in sorted(inputs.items()):
        if modes[name] == "same_bucket":
            part = handle.partitions.get(bucket)
            versions.append((name, handle.schema, part.version if part else None))
        else:
            versions.append((name, handle.schema, handle.version))
    return digest("result", signature, bucket, versions)


class Results:
    """The results of one store. Safe to use from several threads; a damaged file is started anew."""

    def __init__(self, folder: Path, objects: Path) -> None:
        self._objects, self._lock = objects, threading.Lock()
        self._path = folder / "results.sqlite"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)
            self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._path} cannot be opened: {error}") from error
        return connection

    def found(self, key: str) -> Result | None:
        """The result of that key, if all its objects are there and have their size."""
        with self._lock:
            row = self._connection.execute("SELECT result FROM results WHERE key = ?", (key,)).fetchone()
        return self._whole(row)

    def latest(self, signature: str, bucket: int) -> Result | None:
        """The newest result of that task for that bucket, whatever it was computed from."""
        with self._lock:
            row = self._connection.execute(
                "SELECT result FROM results WHERE signature = ? AND bucket = ? ORDER BY sequence DESC LIMIT 1",
                (signature, bucket),
            ).fetchone()
        return self._whole(row)

    def keep(self, task: str, signature: str, kept: Mapping[tuple[str, int], Result]) -> None:
        """Remember results by (key, bucket), in one transaction: all of them or none outlive a crash."""
        rows = [(key, task, signature, bucket, msgspec.json.encode(result)) for (key, bucket), result in kept.items()]
        with self._lock, self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO results (key, task, signature, bucket, result) VALUES (?, ?, ?, ?, ?)", rows
            )

    def sweep(self) -> int:
        """Remove every object that is not what was written, so that its results become misses; how many there were."""
        with self._lock:
            rows = self._connection.execute("SELECT result FROM results").fetchall()
        parts = {
            part
            for (row,) in rows
            for buckets in msgspec.json.decode(row, type=Result).tables.values()
            for part in buckets.values()
        }
        unsound = [part for part in parts if not is_sound(self._objects, part, read=True)]
        for part in unsound:
            object_path(self._objects, part).unlink(missing_ok=True)
        return len(unsound)

    def forget_lost(self) -> None:
        """Drop results whose objects are gone, and give the space back."""
        with self._lock:
            rows = self._connection.execute("SELECT sequence, result FROM results").fetchall()
            lost = [(sequence,) for sequence, row in rows if self._whole((row,)) is None]
            with self._connection:
                self._connection.executemany("DELETE FROM results WHERE sequence = ?", lost)
            self._connection.execute("VACUUM")

    def close(self) -> None:
        self._connection.close()

    def _whole(self, row: tuple[bytes] | None) -> Result | None:
        if row is None:
            return None
        try:
            result = msgspec.json.decode(row[0], type=Result)
        except msgspec.DecodeError:
            return None
        parts = [part for buckets in result.tables.values() for part in buckets.values()]
        return result if all(is_sound(self._objects, part) for part in parts) else None

"""What was computed from what: the store's memory of results, by key.

A *cache key* names a task, its signature, and the data versions of what it reads; `cache_key` is the one function that
makes them, for the prediction and for Hamilton's cache adapter. Inside a task, a *result key* does the same for one
bucket. Equal keys mean equal rows. Values and results name objects; one whose object is gone is a miss.
"""

from __future__ import annotations

import base64
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from codeintel.errors import StoreError
from codeintel.fingerprint import digest
from codeintel.relspec.task import Mode
from codeintel.store.handles import Format, Partition, TableHandle, Value, is_sound, object_path, version_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, task TEXT NOT NULL,
    signature TEXT NOT NULL, bucket INTEGER NOT NULL, result BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS latest ON results (signature, bucket, sequence);
CREATE TABLE IF NOT EXISTS nodes (
    cache_key TEXT PRIMARY KEY, node TEXT NOT NULL, code_version TEXT NOT NULL, data_version TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS data (data_version TEXT PRIMARY KEY, value BLOB NOT NULL);
"""

Tables = Mapping[str, Mapping[int, Partition]]
"""Partitions by table and bucket."""
Anew = tuple[int, int]
"""How many parts of what it reads a task read anew, and of how many: rows of an extractor's source, components of what
an analysis reads; 0 of 0 for what has no such parts."""


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What one task made of one bucket (or of everything), and the partition of its source that it read, if one.

    `written` is when it was kept, in nanoseconds.
    """

    tables: dict[str, dict[int, Partition]]
    source: Partition | None = None
    written: int = 0


class _Data(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stored value: a table, or the versions of an extractor's tables."""

    table: str = ""
    schema: str = ""
    partitions: dict[int, tuple[str, int, Format, str, int]] = {}
    tables: dict[str, str] = {}
    written: int = 0  # when it was kept, in nanoseconds


def cache_key(node: str, code_version: str, dependencies: Mapping[str, str]) -> str:
    """Key of a node that runs `code_version` on dependencies of these data versions.

    The format is that of `hamilton.caching.cache_key`, whose `decode_key` reads it.
    """
    pairs = ",".join(text for pair in sorted(dependencies.items()) for text in pair) or "<none>"
    name = "".join(c for c in node if c.isalnum() or c == "_").rstrip()
    return f"{name}-{code_version}-{base64.b64encode(zlib.compress(pairs.encode(), level=3)).decode()}"


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
    """The results of one store. Safe to use from several threads; a damaged file is started anew.

    Raises StoreError for a file that cannot be opened or written.
    """

    def __init__(self, folder: Path, objects: Path) -> None:
        self._objects, self._lock = objects, threading.RLock()
        self._path = folder / "results.sqlite"
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        for attempt in (1, 2):
            try:
                connection = sqlite3.connect(self._path, check_same_thread=False)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_SCHEMA)
            except sqlite3.OperationalError as error:
                raise StoreError(f"{self._path} cannot be opened: {error}") from error
            except sqlite3.DatabaseError:
                self._remove()
                if attempt == 2:
                    raise
            else:
                return connection
        raise AssertionError

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _query(self, query: str, *values: object) -> list[Any]:  # Any: rows of whatever columns were asked for
        """Rows; none if the file turns out to be damaged, which is then started anew."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                raise StoreError(f"{self._path} cannot be read: {error}") from error
            except sqlite3.DatabaseError:
                self._connection.close()
                self._remove()
                self._connection = self._opened()
                return []

    def _write(self, *statements: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """All of these, in one transaction: all of them or none outlive a crash."""
        with self._lock:
            for attempt in (1, 2):
                try:
                    with self._connection:
                        for statement, rows in statements:
                            self._connection.executemany(statement, rows)
                except sqlite3.OperationalError as error:
                    raise StoreError(f"{self._path} cannot be written: {error}") from error
                except sqlite3.DatabaseError:
                    self._connection.close()
                    self._remove()
                    self._connection = self._opened()
                    if attempt == 2:
                        raise
                else:
                    return

    def found(self, key: str) -> Result | None:
        """The result of that key, if all its objects are there and have their size."""
        return self._whole(self._query("SELECT result FROM results WHERE key = ?", key))

    def latest(self, signature: str, bucket: int) -> Result | None:
        """The newest result of that task for that bucket, whatever it was computed from."""
        query = "SELECT result FROM results WHERE signature = ? AND bucket = ? ORDER BY sequence DESC LIMIT 1"
        return self._whole(self._query(query, signature, bucket))

    def keep(self, task: str, signature: str, kept: Mapping[tuple[str, int], Result]) -> None:
        """Remember results by (key, bucket)."""
        now = _now()
        rows: list[tuple[object, ...]] = [
            (key, task, signature, bucket, msgspec.json.encode(msgspec.structs.replace(result, written=now)))
            for (key, bucket), result in kept.items()
        ]
        self._write(
            ("INSERT OR REPLACE INTO results (key, task, signature, bucket, result) VALUES (?, ?, ?, ?, ?)", rows)
        )

    def version(self, key: str) -> str | None:
        """Data version of what a node returned, by cache key, whether its objects are there or not."""
        rows = self._query("SELECT data_version FROM nodes WHERE cache_key = ?", key)
        return rows[0][0] if rows else None

    def count_nodes(self) -> int:
        """How many cache keys are known."""
        return sum(n for (n,) in self._query("SELECT count(*) FROM nodes"))

    def value(self, key: str, checked: set[str]) -> tuple[str, Value] | None:
        """Data version and value of a node, if all its objects are there and have their size.

        `checked` holds names of objects that were looked at already, and gets those that are now.
        """
        query = "SELECT data_version, value FROM nodes JOIN data USING (data_version) WHERE cache_key = ?"
        for version, content in self._query(query, key):
            found = self._value(version, content, checked)
            return (version, found) if found else None
        return None

    def data(self, data_version: str, checked: set[str]) -> Value | None:
        """The value of a data version, if it is sound; `checked` as for `value`."""
        rows = self._query("SELECT value FROM data WHERE data_version = ?", data_version)
        return self._value(data_version, rows[0][0], checked) if rows else None

    def _value(self, data_version: str, content: bytes, checked: set[str]) -> Value | None:
        try:
            stored = msgspec.json.decode(zlib.decompress(content), type=_Data)
        except (msgspec.DecodeError, zlib.error):
            return None
        if stored.tables:
            found = {name: self.data(version, checked) for name, version in stored.tables.items()}
            tables = {name: value for name, value in found.items() if isinstance(value, TableHandle)}
            return tables if len(tables) == len(found) and version_of(tables) == data_version else None
        parts = {bucket: Partition(*part) for bucket, part in stored.partitions.items()}
        for part in parts.values():
            if (name := f"{part.version}.{part.format}") not in checked:
                if not is_sound(self._objects, part, written=stored.written):
                    return None
                checked.add(name)
        handle = TableHandle(stored.table, stored.schema, parts)
        return handle if handle.version == data_version else None  # not what was written

    def remember_data(self, values: Mapping[str, Value]) -> None:
        """Keep values by data version."""
        now = _now()
        data: dict[str, _Data] = {}
        for version, value in values.items():
            if isinstance(value, TableHandle):
                data[version] = _stored(value, now)
            else:
                data |= {handle.version: _stored(handle, now) for handle in value.values()}
                data[version] = _Data(tables={name: handle.version for name, handle in value.items()}, written=now)
        rows = [(version, zlib.compress(msgspec.json.encode(stored), 1)) for version, stored in data.items()]
        self._write(("INSERT OR REPLACE INTO data VALUES (?, ?)", rows))

    def remember_nodes(self, nodes: Iterable[tuple[str, str, str, str]]) -> None:
        """Keep (cache key, node, code version, data version). A data version that is not kept too makes a miss."""
        self._write(("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?)", list(nodes)))

    def forget_nodes(self, cache_keys: Iterable[str] | None) -> None:
        """Drop what nodes returned, by cache key, or of all."""
        if cache_keys is None:
            self._write(("DELETE FROM nodes", [()]))
        else:
            self._write(("DELETE FROM nodes WHERE cache_key = ?", [(key,) for key in cache_keys]))

    def sweep(self) -> int:
        """Remove every object that is not what was written, so that its results become misses; how many there were."""
        parts = {
            part
            for (row,) in self._query("SELECT result FROM results")
            for buckets in msgspec.json.decode(row, type=Result).tables.values()
            for part in buckets.values()
        }
        unsound = [part for part in parts if not is_sound(self._objects, part)]
        for part in unsound:
            object_path(self._objects, part).unlink(missing_ok=True)
        return len(unsound)

    def forget_lost(self) -> None:
        """Drop results whose objects are gone, and give the space back."""
        lost = [(n,) for n, row in self._query("SELECT sequence, result FROM results") if self._whole([(row,)]) is None]
        checked: set[str] = set()
        versions = self._query("SELECT data_version FROM data")
        gone = [(version,) for (version,) in versions if self.data(version, checked) is None]
        self._write(
            ("DELETE FROM results WHERE sequence = ?", lost),
            ("DELETE FROM data WHERE data_version = ?", gone),
            ("DELETE FROM nodes WHERE data_version = ?", gone),
        )
        self._query("VACUUM")

    def close(self) -> None:
        self._connection.close()

    def _whole(self, rows: list[tuple[bytes]]) -> Result | None:
        if not rows:
            return None
        try:
            result = msgspec.json.decode(rows[0][0], type=Result)
        except msgspec.DecodeError:
            return None
        parts = [part for buckets in result.tables.values() for part in buckets.values()]
        return result if all(is_sound(self._objects, part, written=result.written) for part in parts) else None


def _now() -> int:
    return time.time_ns()  # decides when an object's checksum is verified anew, never what a result is


def _stored(handle: TableHandle, written: int) -> _Data:
    parts = {b: (p.version, p.rows, p.format, p.checksum, p.bytes) for b, p in sorted(handle.partitions.items())}
    return _Data(handle.table, handle.schema, parts, written=written)

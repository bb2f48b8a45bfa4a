"""Compiled views, kept by what they were compiled from, so that a warm plan imports neither engine nor parser.

One JSON file. An entry's key is the view's name and text, the schemas of the tables it names (and which of those are
file-keyed), the functions it may call, and the versions of engine, parser and this package's own inference code.
Anything unreadable is a miss. What is big and seldom looked at, columns, lineage and schemas, is decoded on first use;
equal schemas are kept once.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow as pa

from codeintel.fingerprint import digest_bytes
from codeintel.relspec.task import Mode

T = TypeVar("T")
_SPARE = 2000  # entries kept beyond those of the last plan, for other branches and other targets
COLUMNS = msgspec.json.Decoder(dict[str, frozenset[str]])
LINEAGE = msgspec.json.Decoder(dict[str, frozenset[tuple[str, str]]])


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A compiled view. `schema` is the digest of its output's; `columns` and `lineage` are JSON objects of arrays."""

    signature: str
    inputs: dict[str, Mode]
    parts: dict[str, str]
    partitioned: bool
    schema: str
    columns: msgspec.Raw
    lineage: msgspec.Raw


class Named(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Names a text reads as tables; if not `parsed`, all its words."""

    parsed: bool
    tables: list[str]


class _File(msgspec.Struct):
    built_by: str
    named: dict[str, Named]
    schemas: dict[str, str]  # by digest, in Arrow's IPC form, base64
    views: dict[str, Entry]


class Stored(Mapping[str, frozenset[T]]):
    """A JSON object of arrays, decoded when first read."""

    __slots__ = ("_decoded", "_decoder", "_stored")

    def __init__(self, stored: msgspec.Raw, decoder: msgspec.json.Decoder[dict[str, frozenset[T]]]) -> None:
        self._stored, self._decoder = stored, decoder
        self._decoded: dict[str, frozenset[T]] | None = None

    def _all(self) -> dict[str, frozenset[T]]:
        if self._decoded is None:
            self._decoded = self._decoder.decode(self._stored)
        return self._decoded

    def __getitem__(self, name: str) -> frozenset[T]:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


class PlanCache:
    """The entries of a file, or of none. `hits` and `misses` count since it was opened; `save` writes after a miss."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.hits = self.misses = 0
        file = _File("", {}, {}, {}) if path is None else _read(path)
        self._named, self._schemas, self._views = file.named, file.schemas, file.views
        self._used: set[str] = set()
        self._decoded: dict[str, pa.Schema] = {}

    def named(self, text: str) -> Named | None:
        return self._named.get(text)

    def view(self, key: str) -> Entry | None:
        found = self._views.get(key)
        if found is None or found.schema not in self._schemas:
            self.misses += 1
            return None
        self.hits += 1
        self._used.add(key)
        return found

    def schema(self, digest: str) -> pa.Schema:
        """The output schema of some entry."""
        if digest not in self._decoded:
            stored = base64.b64decode(self._schemas[digest])
            self._decoded[digest] = pa.ipc.read_schema(pa.py_buffer(stored))
        return self._decoded[digest]

    def add(self, text: str, named: Named, key: str, entry: Entry, schema: pa.Schema) -> None:
        self._named[text] = named
        self._views[key] = entry
        self._schemas[entry.schema] = base64.b64encode(schema.serialize()).decode()
        self._used.add(key)

    def keep_at(self, path: Path) -> None:
        """Write to `path` what no file was there for when it was made."""
        if self.path is None:
            self.path = path
            self.save()

    def save(self) -> None:
        """Write atomically. A directory that cannot be written costs the next plan time, nothing else."""
        if not self.misses or self.path is None:
            return
        spare = [key for key in self._views if key not in self._used][-_SPARE:]
        kept = {key: self._views[key] for key in (*spare, *sorted(self._used))}
        texts = dict(list(self._named.items())[-2 * (len(kept) + _SPARE) :])
        schemas = {digest: self._schemas[digest] for digest in sorted({entry.schema for entry in kept.values()})}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(msgspec.json.encode(_File(built_by(), texts, schemas, kept)))
                Path(temporary).replace(self.path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError:
            return
        self.misses = 0


def _read(path: Path) -> _File:
    """The file, or an empty one if there is none, it cannot be read, or it was built by other code."""
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        read = None
    return read if read is not None and read.built_by == built_by() else _File("", {}, {}, {})


@cache
def built_by() -> str:
    """Digest of all that decides an entry besides its key: versions, and the source of this package folder."""
    sources = [file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))]
    versions = ",".join(f"{package} {version(package)}" for package in ("datafusion", "sqlglot", "pyarrow"))
    return digest_bytes(versions.encode(), *sources)

"""Compiled views, kept by what they were compiled from, so that a warm plan imports neither engine nor parser.

One JSON file. An entry's key is the view's name and text, the schemas of the tables it names (and which of those are
file-keyed), the functions it may call, and the versions of engine, parser and this package's own inference code.
Anything unreadable is a miss. What is big and seldom looked at, lineage and schemas, is decoded on first use.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgspec
import pyarrow as pa

from codeintel.fingerprint import digest_bytes
from codeintel.relspec.task import Mode

_SPARE = 2000  # entries kept beyond those of the last plan, for other branches and other targets


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A compiled view. `lineage` is a JSON object; `schema` the output's in Arrow's IPC form, base64."""

    signature: str
    inputs: dict[str, Mode]
    columns: dict[str, list[str]]
    parts: dict[str, str]
    partitioned: bool
    schema_digest: str
    schema: str
    lineage: msgspec.Raw


class Named(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Names a text reads as tables; if not `parsed`, all its words."""

    parsed: bool
    tables: list[str]


class _File(msgspec.Struct):
    built_by: str
    named: dict[str, Named]
    views: dict[str, Entry]


class StoredLineage(Mapping[str, frozenset[tuple[str, str]]]):
    """Column lineage, decoded when first read."""

    def __init__(self, stored: bytes) -> None:
        self._stored: bytes = stored
        self._decoded: dict[str, frozenset[tuple[str, str]]] | None = None

    def _all(self) -> dict[str, frozenset[tuple[str, str]]]:
        if self._decoded is None:
            found = msgspec.json.decode(self._stored, type=dict[str, list[tuple[str, str]]])
            self._decoded = {column: frozenset(origins) for column, origins in found.items()}
        return self._decoded

    def __getitem__(self, column: str) -> frozenset[tuple[str, str]]:
        return self._all()[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


class PlanCache:
    """The entries of one file. `hits` and `misses` count since it was opened; `save` writes if there was a miss."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hits = self.misses = 0
        try:
            read = msgspec.json.decode(path.read_bytes(), type=_File)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            read = None
        current = read is not None and read.built_by == built_by()
        self._named: dict[str, Named] = read.named if current and read else {}
        self._views: dict[str, Entry] = read.views if current and read else {}
        self._used: set[str] = set()

    def named(self, text: str) -> Named | None:
        return self._named.get(text)

    def view(self, key: str) -> Entry | None:
        found = self._views.get(key)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
            self._used.add(key)
        return found

    def add(self, text: str, named: Named, key: str, entry: Entry) -> None:
        self._named[text] = named
        self._views[key] = entry
        self._used.add(key)

    def save(self) -> None:
        """Write atomically. A directory that cannot be written costs the next plan time, nothing else."""
        if not self.misses:
            return
        spare = [key for key in self._views if key not in self._used][-_SPARE:]
        kept = {key: self._views[key] for key in (*spare, *sorted(self._used))}
        texts = dict(list(self._named.items())[-2 * (len(kept) + _SPARE) :])
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(msgspec.json.encode(_File(built_by(), texts, kept)))
                Path(temporary).replace(self.path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError:
            return
        self.misses = 0


@cache
def built_by() -> str:
    """Digest of all that decides an entry besides its key: versions, and the source of this package folder."""
    sources = [file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))]
    versions = ",".join(f"{package} {version(package)}" for package in ("datafusion", "sqlglot", "pyarrow"))
    return digest_bytes(versions.encode(), *sources)


def encoded_schema(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize()).decode()


def decoded_schema(stored: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))

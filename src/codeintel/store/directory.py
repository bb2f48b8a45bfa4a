"""The store's layout, its format and its one writer.

`store.json` marks a directory as ours and fixes what must not change under its tables: format, bucket count and
namespace. `objects/` holds immutable partitions, `tables/` the Delta tables, `runs/<run_id>/` manifests and artifacts;
`current` names the last complete run. The lock is the kernel's, so a dead owner frees it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import filelock
import msgspec

from codeintel.errors import StoreError

FORMAT = "codeintel"
FORMAT_VERSION = 1


class StoreFacts(msgspec.Struct, frozen=True):
    format: str
    format_version: int
    bucket_count: int
    namespace: str


class Owner(msgspec.Struct, frozen=True):
    pid: int
    host: str
    since: str


@dataclass(frozen=True, slots=True)
class Store:
    """An existing store of this format."""

    root: Path
    bucket_count: int
    namespace: str

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @contextmanager
    def writing(self, now: datetime, wait: float) -> Iterator[None]:
        """Hold the store's one writer lock. Raises StoreError naming the owner if it stays busy for `wait` seconds."""
        lock = filelock.FileLock(self.root / "lock", timeout=max(0, wait))
        owner_file = self.root / "owner.json"
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise StoreError(
                f"store {self.root} is busy: {_owner_text(owner_file)}; wait with --wait SECONDS"
            ) from error
        except OSError as error:
            raise StoreError(f"store {self.root} cannot be written: {error.strerror or error}") from error
        try:
            owner = Owner(os.getpid(), platform.node(), now.isoformat(timespec="seconds"))
            write_atomically(owner_file, msgspec.json.encode(owner))
            facts = msgspec.json.encode(StoreFacts(FORMAT, FORMAT_VERSION, self.bucket_count, self.namespace))
            if (self.root / "store.json").read_bytes() != facts:  # a build with other settings than the last
                write_atomically(self.root / "store.json", facts)
            yield
        finally:
            owner_file.unlink(missing_ok=True)
            lock.release()


def _owner_text(owner_file: Path) -> str:
    try:
        owner = msgspec.json.decode(owner_file.read_bytes(), type=Owner)
        age = time.time() - owner_file.stat().st_mtime  # noqa: TID251 - the age of a lock is a message, not a result
    except (OSError, msgspec.DecodeError):
        return "another build is starting or ending"
    return f"process {owner.pid} on {owner.host} has been writing for {age:.0f} s"


def open_store(root: Path) -> Store:
    """The store at `root`. Raises StoreError if there is none, or if it is foreign, newer or damaged."""
    try:
        facts = msgspec.json.decode((root / "store.json").read_bytes(), type=StoreFacts)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"no store at {root}; build one with: codeintel build") from error
    except OSError as error:
        raise StoreError(f"store {root} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{root / 'store.json'} is not a codeintel store: {error}") from error
    if facts.format != FORMAT:
        raise StoreError(f"{root} is not a codeintel store (its format is {facts.format!r})")
    if facts.format_version > FORMAT_VERSION:
        raise StoreError(
            f"store {root} has format {facts.format_version}, newer than {FORMAT_VERSION}, the last one known here;"
            " upgrade codeintel"
        )
    return Store(root, facts.bucket_count, facts.namespace)


def is_store(root: Path) -> bool:
    """Whether somebody made a store there, of whatever format. Raises StoreError if that cannot be seen."""
    try:
        return (root / "store.json").exists()
    except OSError as error:
        raise StoreError(f"store {root} cannot be read: {error.strerror or error}") from error


def ensure_store(root: Path, bucket_count: int, namespace: str) -> Store:
    """The store at `root`, made if there is none. Raises StoreError if the directory holds something else."""
    if is_store(root):
        store = open_store(root)
        return Store(store.root, bucket_count, namespace)
    try:
        if root.exists() and not (root.is_dir() and all(map(_is_begun, root.iterdir()))):
            raise StoreError(f"{root} exists and is not a codeintel store; choose another --store")
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / ".gitignore").write_text("*\n")
        facts = StoreFacts(FORMAT, FORMAT_VERSION, bucket_count, namespace)
        write_atomically(root / "store.json", msgspec.json.encode(facts))
    except OSError as error:
        raise StoreError(f"store {root} cannot be written: {error.strerror or error}") from error
    return Store(root, bucket_count, namespace)


_FOLDERS = ("objects", "tables", "runs", "cache")


def _is_begun(entry: Path) -> bool:
    """Whether this may lie in a store whose making was cut short, before it had its `store.json`."""
    if entry.name in _FOLDERS:
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name == ".gitignore" or entry.name.startswith(".store.json.")


class KeptBytes(MutableMapping[str, bytes]):
    """Files of a folder as a mapping. What cannot be read is missing, and what cannot be written is not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, key: str) -> bytes:
        try:
            return (self._folder / key).read_bytes()
        except OSError:
            raise KeyError(key) from None

    def __setitem__(self, key: str, value: bytes) -> None:
        with contextlib.suppress(OSError):
            write_atomically(self._folder / key, value)

    def __delitem__(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(p.name for p in self._folder.glob("*") if not p.name.startswith(".")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a reader sees the old bytes or the new ones. Durable on return."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

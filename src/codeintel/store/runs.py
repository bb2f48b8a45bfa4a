"""Runs: one directory each, with the manifest that pins what the run published, and the pointer to the current one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from codeintel.errors import StoreError, UsageError, nearest
from codeintel.store.directory import Store, write_atomically
from codeintel.store.handles import Partition, TableHandle

if TYPE_CHECKING:
    import pyarrow as pa

Status = Literal["ok", "failed", "interrupted"]


class PublishedTable(msgspec.Struct, frozen=True):
    """A public table as a run left it: rows, Delta version, path relative to the store."""

    rows: int
    version: int
    path: str


class StoredHandle(msgspec.Struct, frozen=True):
    """A table handle as JSON: schema digest, and the partition of each bucket."""

    schema: str
    partitions: dict[int, Partition]

    @classmethod
    def of(cls, handle: TableHandle) -> StoredHandle:
        return cls(handle.schema, dict(sorted(handle.partitions.items())))

    def handle(self, table: str) -> TableHandle:
        return TableHandle(table, self.schema, self.partitions)


class TaskRun(msgspec.Struct, frozen=True):
    """What became of one task: `ran`, `reused`, `skipped`, `failed`, …, with the reason and what it took.

    `seconds` are wall time in the driver, `cpu_s` and `peak_mb` (megabytes) what its workers used together, `worker_mb`
    the most that one of them did.
    """

    outcome: str
    seconds: float = 0.0
    reason: str = ""
    signature: str = ""
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    worker_mb: float = 0.0


class Manifest(msgspec.Struct, frozen=True):
    """Everything that is to be known about a run without opening a table. `schemas` holds Arrow schemas as text."""

    run_id: str
    status: Status
    started: str
    pipeline: str
    repository: str
    plan_signature: str
    reduced_plan_signature: str
    tasks: dict[str, TaskRun]
    files: dict[str, int]
    tables: dict[str, PublishedTable]
    handles: dict[str, StoredHandle]
    schemas: dict[str, str]
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    errors: dict[str, str] = {}
    warnings: dict[str, str] = {}  # broken rules that only warn, by table
    identity: str = ""  # of all that the plan was made from; empty if that cannot be told without making it

    def schema(self, table: str) -> pa.Schema:
        """Columns of a table of the run. Raises KeyError for one that it has not."""
        import pyarrow as pa  # noqa: PLC0415 - a build with nothing to do must not pay for it

        return pa.ipc.read_schema(pa.BufferReader(bytes.fromhex(self.schemas[table])))


def write_run(store: Store, manifest: Manifest) -> None:
    """Write the manifest; a complete run then becomes the current one."""
    write_atomically(store.runs / manifest.run_id / "manifest.json", msgspec.json.encode(manifest))
    if manifest.status == "ok":
        write_atomically(store.root / "current", manifest.run_id.encode())


def read_run(store: Store, run_id: str | None = None) -> Manifest:
    """The manifest of a run, the current one by default. Raises StoreError or UsageError if there is none."""
    if run_id is None:
        try:
            run_id = (store.root / "current").read_text().strip()
        except FileNotFoundError as error:
            raise StoreError(
                f"store {store.root} holds no complete run yet; build one with: codeintel build"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"store {store.root} cannot be read: {error}") from error
    elif run_id not in run_ids(store):  # a name, never a path
        raise UsageError(f"no run {run_id!r} in {store.root}; {nearest(run_id, run_ids(store))}")
    path = store.runs / run_id / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"manifest of run {run_id} cannot be read: {error}") from error


class _Tasks(msgspec.Struct, frozen=True):
    tasks: dict[str, TaskRun]


def current_run(store: Store) -> Manifest | None:
    return read_run(store) if (store.root / "current").exists() else None


def run_ids(store: Store) -> list[str]:
    """Runs that left a manifest, oldest first."""
    return sorted(p.parent.name for p in store.runs.glob("*/manifest.json"))


def task_seconds(store: Store) -> list[tuple[str, float]]:
    """(task, seconds) of every task that ran in the store's last runs, oldest first."""
    return [(n, run.seconds) for runs in _last_runs(store) for n, run in runs.items() if run.outcome == "ran"]


def task_memory(store: Store) -> dict[str, float]:
    """Most megabytes that each task's workers took together in the store's last runs."""
    return _most((name, run.peak_mb) for runs in _last_runs(store) for name, run in runs.items())


def task_needs(store: Store) -> dict[str, float]:
    """Most megabytes that one worker process took for each task in the store's last runs."""
    return _most((name, run.worker_mb) for runs in _last_runs(store) for name, run in runs.items())


def _most(figures: Iterable[tuple[str, float]]) -> dict[str, float]:
    most: dict[str, float] = {}
    for name, figure in figures:
        most[name] = max(most.get(name, 0.0), figure)
    return most


def _last_runs(store: Store, count: int = 8) -> Iterator[dict[str, TaskRun]]:
    for run_id in run_ids(store)[-count:]:
        try:
            yield msgspec.json.decode((store.runs / run_id / "manifest.json").read_bytes(), type=_Tasks).tasks
        except (OSError, msgspec.DecodeError):
            continue  # a damaged manifest costs a plan its history, nothing else


def artifacts_of(store: Store, run_id: str) -> Path:
    return store.runs / run_id / "artifacts"


def plan_file(store: Store, run_id: str) -> Path:
    """Where a run keeps its plan, as `plan_to_json` wrote it."""
    return store.runs / run_id / "plan.json"

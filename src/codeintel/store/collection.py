"""Garbage collection: what the kept runs reach stays, everything else goes.

The caller holds the store's lock. Readers of kept runs, whatever Delta version they pinned, notice nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codeintel.store.directory import Store
from codeintel.store.results import Results
from codeintel.store.runs import current_run, read_run, run_ids


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be: runs, files and bytes on disk; `kept` names the runs that stay."""

    runs: tuple[str, ...]
    files: int
    bytes: int
    kept: tuple[str, ...]


def collect(store: Store, keep: int, *, dry_run: bool = False) -> Collected:
    """Remove all but the current run and the newest `keep`, and what only the others reached."""
    everything = run_ids(store)
    current = current_run(store)
    kept = {*everything[len(everything) - min(keep, len(everything)) :], *([current.run_id] if current else [])}
    reached = {
        f"{part.version}.{part.format}"
        for run_id in kept
        for handle in read_run(store, run_id).handles.values()
        for part in handle.partitions.values()
    }
    gone = [run_id for run_id in everything if run_id not in kept]
    folders = [store.runs / run_id for run_id in gone]
    # A table's file is an object under a second name; while either stays, its bytes do.
    files = [path for path in _files(store) if path.name not in reached]
    size = {path.stat().st_ino: path.stat().st_size for path in [*files, *_below(folders)]}
    if not dry_run:
        for folder in folders:
            shutil.rmtree(folder)
        for path in files:
            path.unlink()
        results = Results(store.cache, store.objects)
        results.forget_lost()
        results.close()
    return Collected(tuple(gone), len(files), sum(size.values()), tuple(sorted(kept)))


def _files(store: Store) -> list[Path]:
    """Objects, and data files of tables, left-over temporary ones included."""
    tables = [p for p in store.tables.glob("*/**/*") if p.is_file() and "_delta_log" not in p.parts]
    return sorted([*(p for p in store.objects.glob("*/*") if p.is_file()), *tables])


def _below(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

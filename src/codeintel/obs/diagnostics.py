"""Sinks for a run's artifacts, and reading them back: one Parquet file each, named like the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_artifacts(folder: Path, artifacts: Mapping[str, pa.Table]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in sorted(artifacts.items()):
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")


def read_artifacts(folder: Path) -> dict[str, pa.Table]:
    """Artifacts of a run by name; none if the run left none."""
    return {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}

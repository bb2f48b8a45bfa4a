"""A build that is quick and runs in this process; apart from what reads the environment, of which it would depend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

import codeintel

NAMES = pa.schema({"number": pa.int64(), "name": pa.string()})


def names() -> pa.Table:
    return pa.table({"number": range(3), "name": ["canary", "linnet", "siskin"]}, NAMES)


def quick_build(store: Path, url: str = "", *, flush: float = 30.0, **settings: Any) -> codeintel.BuildResult:
    """One source and two views, tracked by the server at `url` if there is one."""
    views = {"birds": "SELECT number, name FROM names", "last_bird": "SELECT max(name) AS name FROM birds"}
    pipeline = codeintel.Pipeline(
        "birds", sources={"names": codeintel.Source(codeintel.Table(NAMES, ("number",)), names)}, views=views,
        published=frozenset({"last_bird"}),
    )  # fmt: skip
    given = codeintel.Settings(
        jobs=1, track=bool(url), hamilton_api_url=url or "http://127.0.0.1:1", telemetry_flush=flush, **settings
    )
    return codeintel.build_pipeline(pipeline, store, settings=given)


def metadata(store: Path, run: str | None = None) -> dict[str, str]:
    """What a run, the current one by default, keeps of how it was told."""
    rows = codeintel.open(store, run).rows("SELECT key, value FROM run_metadata", artifacts=True).to_pylist()
    return {row["key"]: row["value"] for row in rows}

"""A pipeline of thousands of analyses that do nothing, in layers: what a report of a large plan is tried on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

import codeintel
from codeintel.relspec.pipeline import Pipeline, Source, Table

ROWS = pa.schema({"n": pa.int64()})
WORDS = ("fact", "stage", "score", "mart")


def numbers() -> pa.Table:
    return pa.table({"n": [1, 2, 3]}, ROWS)


def large_pipeline(count: int, width: int, failing: str = "") -> Pipeline:
    """`count` analyses in layers of `width`, each reading two of the layer before; `failing` names one that raises."""
    names = [f"{WORDS[i % len(WORDS)]}_of_{i // width:03}_{i % width:04}" for i in range(count)]
    analyses: dict[str, Callable[..., pa.Table]] = {}
    for i, name in enumerate(names):
        layer = i // width
        reads = sorted({names[(layer - 1) * width + place % width] for place in (i, i + 1)}) if layer else ["numbers"]
        body = "1 / 0" if name == failing else reads[0]
        scope: dict[str, Any] = {"__name__": f"large.{name}"}  # a module each, as far as anybody can tell
        exec(f"def {name}({', '.join(reads)}):\n    return {body}\n", scope)
        analyses[name] = codeintel.analysis(ROWS)(scope[name])
    return Pipeline("large", {"numbers": Source(Table(ROWS, ("n",)), numbers)}, analyses=analyses)

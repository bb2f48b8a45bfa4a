"""Work that ends its process: the graph's pipeline when it meets a certain file, and an analysis as often as told."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from codeintel.cpg.pipeline import PIPELINE
from codeintel.extract.python_facts import python_facts
from codeintel.extract.tables import TABLES
from codeintel.relspec.pipeline import Extractor, Pipeline, Source, Table, analysis


def deadly_facts(repo_files: pa.Table, repository: Path, namespace: str, max_file_bytes: int) -> dict[str, pa.Table]:
    for row in repo_files.to_pylist():
        if row["error"] is None and b"die here" in (repository / row["path"]).read_bytes():
            os._exit(3)
    return python_facts(repo_files, repository, namespace, max_file_bytes)


PIPELINE = replace(PIPELINE, extractors={"python_facts": Extractor(deadly_facts, TABLES)})


NUMBERS = pa.schema({"n": pa.int64()})


def numbers() -> pa.Table:
    return pa.table({"n": [1, 2]}, NUMBERS)


@analysis(NUMBERS)
def survivors(numbers: pa.Table, diary: Path, deaths: int) -> pa.Table:
    """All numbers, after the process has been killed `deaths` times; `diary` has a line for each attempt."""
    with diary.open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    if len(diary.read_text().splitlines()) <= deaths:
        assert multiprocessing.parent_process() is not None, "this would kill the tests"
        os.kill(os.getpid(), signal.SIGKILL)
    return numbers


SURVIVORS = Pipeline(
    name="survivors",
    sources={"numbers": Source(Table(NUMBERS, ("n",)), numbers)},
    views={"doubled": "-- key: n\nSELECT n * 2 AS n FROM survivors", "copied": "-- key: n\nSELECT n FROM numbers"},
    analyses={"survivors": survivors},
    published=frozenset({"copied", "doubled"}),
)

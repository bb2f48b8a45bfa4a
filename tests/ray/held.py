"""The graph, extracted so that somebody can watch and hold it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import ray

from codeintel.cpg.pipeline import PIPELINE
from codeintel.extract.python_facts import python_facts
from codeintel.extract.tables import TABLES
from codeintel.relspec.pipeline import Extractor


def held_facts(repo_files: pa.Table, repository: Path, namespace: str, max_file_bytes: int) -> dict[str, pa.Table]:
    """The facts; `diary` beside the repository has a line for each attempt: its node and the number of its files.

    While there is a file `meet` beside it, whoever comes first waits for another node, a minute at most. While there is
    a file `hold`, whatever runs on the node that this names goes on until it is killed.
    """
    node, meet, hold = ray.get_runtime_context().get_node_id(), repository.parent / "meet", repository.parent / "hold"
    with (repository.parent / "diary").open("a") as diary:
        diary.write(f"{node} {repo_files.num_rows}\n")
    latest = time.monotonic() + 60
    while meet.exists() and len({node for node, _ in attempts(repository)}) < 2 and time.monotonic() < latest:
        time.sleep(0.02)
    while hold.exists() and hold.read_text() == node:
        time.sleep(0.02)
    return python_facts(repo_files, repository, namespace, max_file_bytes)


def attempts(repository: Path) -> list[tuple[str, int]]:
    """What the diary beside the repository says."""
    lines = (repository.parent / "diary").read_text().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


HELD = replace(PIPELINE, extractors={"python_facts": Extractor(held_facts, TABLES)})

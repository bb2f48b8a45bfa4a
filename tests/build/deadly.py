"""The graph's pipeline with an extractor that ends its process when it meets a certain file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from codeintel.cpg.pipeline import PIPELINE
from codeintel.extract.python_facts import python_facts
from codeintel.extract.tables import TABLES
from codeintel.relspec.pipeline import Extractor


def deadly_facts(repo_files: pa.Table, repository: Path, namespace: str, max_file_bytes: int) -> dict[str, pa.Table]:
    for row in repo_files.to_pylist():
        if row["error"] is None and b"die here" in (repository / row["path"]).read_bytes():
            os._exit(3)
    return python_facts(repo_files, repository, namespace, max_file_bytes)


PIPELINE = replace(PIPELINE, extractors={"python_facts": Extractor(deadly_facts, TABLES)})

"""Sinks for a run's artifacts, and reading them back: one file each, named like the artifact.

A file holds rows as JSON, compressed, without what is the same in all of them: the run and its plan. So a run that does
what the one before it did writes little, links the rest, and needs no engine for either.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from filelock import FileLock

_SUFFIX = ".json.z"
Row = Sequence[Any]  # Any: whatever the artifact's columns hold


def write_artifacts(folder: Path, artifacts: Mapping[str, Sequence[Row]]) -> None:
    """Write rows by artifact. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in sorted(artifacts.items()):
        (folder / f"{name}{_SUFFIX}").write_bytes(zlib.compress(msgspec.json.encode(rows), 1))


RUN_METADATA = "run_metadata"
"""Artifact with the tags of a run as a tracker gets them, and what became of telling others about it."""


def add_metadata(folder: Path, rows: Mapping[str, str]) -> None:
    """Rows of the artifact `run_metadata`, by key; later values replace earlier ones. Raises OSError.

    Build and tracker may both have something to add, and somebody may be reading: none sees half of it.
    """
    with FileLock(folder / f".{RUN_METADATA}.lock"), TemporaryDirectory(dir=folder) as aside:
        known = dict(read_artifact(folder, RUN_METADATA))
        write_artifacts(Path(aside), {RUN_METADATA: [*{**known, **rows}.items()]})
        (Path(aside) / f"{RUN_METADATA}{_SUFFIX}").replace(folder / f"{RUN_METADATA}{_SUFFIX}")


def link_artifacts(source: Path, target: Path, names: Iterable[str]) -> None:
    """Artifacts of one run as those of another."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        link(source / f"{name}{_SUFFIX}", target / f"{name}{_SUFFIX}")


def link(source: Path, target: Path) -> None:
    """A file that never changes under a second name."""
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def artifact_names(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))


def read_artifact(folder: Path, name: str) -> list[list[Any]]:
    """Rows of an artifact, as lists; none if the run left none, or none that can be read."""
    try:
        return msgspec.json.decode(zlib.decompress((folder / f"{name}{_SUFFIX}").read_bytes()), type=list[list[Any]])
    except (OSError, zlib.error, msgspec.DecodeError):
        return []

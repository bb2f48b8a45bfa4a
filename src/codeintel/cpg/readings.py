"""What a build of the graph reads before anything else. Nothing here needs Arrow: it is all a no-op has to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from codeintel.cpg.kinds import node_kinds
from codeintel.extract.repo_scan import bucket_of, scan

EXTERNAL_PATH = "<external>"


def external_file(bucket_count: int) -> list[tuple[str, int]]:
    """The pseudo file that nodes of no file belong to, so that they have a bucket like all others."""
    return [(EXTERNAL_PATH, bucket_of(EXTERNAL_PATH, bucket_count))]


READS: Mapping[str, Callable[..., Any]] = {  # Any: rows of each source's own columns
    "repo_files": scan,
    "node_kinds": node_kinds,
    "external_file": external_file,
}

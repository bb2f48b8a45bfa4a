"""The code property graph as a `Pipeline`: the repository and two small tables in, five public tables out."""

from __future__ import annotations

import pyarrow as pa

from codeintel.cpg.contracts import CONTRACTS
from codeintel.cpg.kinds import NODE_KINDS, node_kinds
from codeintel.cpg.views import cpg_views
from codeintel.extract.python_facts import python_facts
from codeintel.extract.repo_scan import REPO_FILES, bucket_of, repo_files
from codeintel.extract.tables import TABLES
from codeintel.relspec.pipeline import Extractor, Pipeline, Source, Table

EXTERNAL_PATH = "<external>"

EXTERNAL_FILE = Table(
    pa.schema([pa.field("path", pa.string(), nullable=False), pa.field("bucket", pa.int32(), nullable=False)]),
    key=("path",),
)


def external_file(bucket_count: int) -> pa.Table:
    """The pseudo file that nodes of no file belong to, so that they have a bucket like all others."""
    return pa.table({"path": [EXTERNAL_PATH], "bucket": [bucket_of(EXTERNAL_PATH, bucket_count)]}, EXTERNAL_FILE.schema)


PIPELINE = Pipeline(
    name="cpg",
    sources={
        "repo_files": Source(REPO_FILES, repo_files),
        "node_kinds": Source(NODE_KINDS, node_kinds),
        "external_file": Source(EXTERNAL_FILE, external_file),
    },
    extractors={"python_facts": Extractor(python_facts, TABLES)},
    views=cpg_views(),
    contracts=CONTRACTS,
)

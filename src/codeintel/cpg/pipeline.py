"""The code property graph as a `Pipeline`: the repository and two small tables in, six public tables out."""

from __future__ import annotations

import pyarrow as pa

from codeintel.analysis.components import program_components
from codeintel.analysis.import_targets import import_targets
from codeintel.analysis.resolution import resolutions
from codeintel.cpg.contracts import CONTRACTS
from codeintel.cpg.readings import READS
from codeintel.cpg.views import cpg_views
from codeintel.extract.python_facts import python_facts
from codeintel.extract.repo_scan import REPO_FILES
from codeintel.extract.tables import TABLES
from codeintel.relspec.pipeline import Extractor, Pipeline, Source, Table

NODE_KINDS = Table(
    pa.schema(
        [
            pa.field("kind", pa.string(), nullable=False),
            pa.field("label", pa.string(), nullable=False),
            pa.field("operator", pa.string()),
            pa.field("contained", pa.bool_(), nullable=False),
        ]
    ),
    key=("kind",),
)
EXTERNAL_FILE = Table(
    pa.schema([pa.field("path", pa.string(), nullable=False), pa.field("bucket", pa.int32(), nullable=False)]),
    key=("path",),
)

PIPELINE = Pipeline(
    name="cpg",
    sources={
        "repo_files": Source(REPO_FILES, READS["repo_files"]),
        "node_kinds": Source(NODE_KINDS, READS["node_kinds"]),
        "external_file": Source(EXTERNAL_FILE, READS["external_file"]),
    },
    extractors={"python_facts": Extractor(python_facts, TABLES)},
    views=cpg_views(),
    analyses={
        "import_targets": import_targets,
        "program_components": program_components,
        "resolutions": resolutions,
    },
    contracts=CONTRACTS,
)

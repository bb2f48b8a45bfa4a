"""What resolution costs beside extraction: CPU seconds of both in one process, and what came of it.

python benchmarks/resolution.py [--corpora requests rich stdlib django m1] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
from corpora import corpus

from codeintel.analysis.components import program_components
from codeintel.analysis.resolution import resolutions
from codeintel.extract.python_facts import python_facts
from codeintel.extract.repo_scan import REPO_FILES, scan


def measured(folder: Path) -> dict[str, float | int]:
    columns = zip(zip(*scan(folder), strict=True), REPO_FILES.schema, strict=True)
    files = pa.table([pa.array(column, field.type) for column, field in columns], schema=REPO_FILES.schema)
    started = time.process_time()
    facts = python_facts(files, folder, "", 1 << 22)
    extracted = time.process_time()
    flows, exports = facts["value_flows"], facts["exports"]
    del facts
    found = pa.concat_tables(resolutions(flows.to_reader(), exports, program_components(flows.to_reader())))
    done = time.process_time()
    rows = Counter(found["relation"].to_pylist())
    wide = Counter(found["origin"].to_pylist())["too many values"]
    return {
        "files": files.num_rows, "flows": flows.num_rows, "extraction_cpu_s": round(extracted - started, 2),
        "resolution_cpu_s": round(done - extracted, 2),
        "ratio": round((done - extracted) / (extracted - started), 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, "call_edges": rows["call"],
        "unresolved_calls": rows["unresolved"], "of_them_too_many_values": wide, "references": rows["ref"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", default=["requests", "rich", "stdlib", "django", "m1"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {}
    for names in given.corpora:
        found[names] = measured(corpus(names))
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for names, figures in found.items():
        print(names, figures)


if __name__ == "__main__":
    main()

"""How good call graphs are: builds every case of a suite, exports it and compares it with what is true.

    python benchmarks/callgraph.py [--suite FILE] [--json]

A suite is a JSON file, `{"cases": {"category/name": {"files": {path: source}, "callgraph": {caller: [callee]}}}}`. An
edge is a pair of qualified names. Without the file nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import codeintel

SUITE = Path(__file__).parents[2] / "shared" / "suites" / "pycg_micro.json"

Edges = set[tuple[str, str]]


def edges(callgraph: dict[str, list[str]]) -> Edges:
    return {(caller, callee) for caller, callees in callgraph.items() for callee in callees}


def exported(files: dict[str, str]) -> Edges:
    """The call graph of these files, through a whole build."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        for path, source in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(source, "utf-8")
        store = Path(folder) / "store"
        codeintel.build(root, settings=codeintel.Settings(store=store, jobs=1, bucket_count=1))
        return edges(codeintel.open(store).callgraph())


def share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, default=SUITE)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.suite.is_file():
        print(f"no suite at {given.suite}: nothing measured", file=sys.stderr)
        return
    cases = json.loads(given.suite.read_text("utf-8"))["cases"]
    counts: dict[str, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(("cases", "exact", "hit", "false", "missed"), 0)
    )
    misses: dict[str, dict[str, list[str]]] = {}
    started = time.process_time()
    for name, case in sorted(cases.items()):
        found, true = exported(case["files"]), edges(case["callgraph"])
        for key in (name.partition("/")[0], "all"):
            row = counts[key]
            row["cases"] += 1
            row["exact"] += found == true
            row["hit"] += len(found & true)
            row["false"] += len(found - true)
            row["missed"] += len(true - found)
        if found != true:
            misses[name] = {
                "false": [" → ".join(edge) for edge in sorted(found - true)],
                "missed": [" → ".join(edge) for edge in sorted(true - found)],
            }
    table = {
        key: row | {"precision": share(row["hit"], row["hit"] + row["false"]),
                    "recall": share(row["hit"], row["hit"] + row["missed"])}
        for key, row in sorted(counts.items())
    }  # fmt: skip
    seconds = round(time.process_time() - started, 1)
    if given.json:
        print(json.dumps({"suite": given.suite.name, "cpu_s": seconds, "scores": table, "misses": misses}, indent=2))
        return
    print(f"{'category':16} cases exact precision recall")
    for key, row in table.items():
        print(f"{key:16} {row['cases']:5} {row['exact']:5} {row['precision']:9} {row['recall']:6}")
    for name, miss in misses.items():
        print(name, *(f"{what}: {', '.join(pairs)}" for what, pairs in miss.items() if pairs), sep="\n  ")
    print(f"{seconds} CPU s")


if __name__ == "__main__":
    main()

"""How well names lead to their definitions across files, against what a type checker says.

    python benchmarks/references.py [--suite DIR] [--misses N] [--json]

The suite is a folder with `ref_def_pairs.parquet`: positions of references with those of the declared symbol's
definition, for the files below `src` of requests. A pair is found if REF, BINDS and IMPORTS edges lead from a node at
the first to a node at the second; it is wrong if they lead somewhere in those files, but not there. Without the folder
nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
from corpora import corpus

import codeintel

SUITE = Path(__file__).parents[2] / "shared" / "suites" / "scip_requests"
Place = tuple[str, int, int]
_NAME_AFTER = {"FunctionDef": "def ", "AsyncFunctionDef": "async def ", "ClassDef": "class "}


class Leads:
    """Where edges lead from a place."""

    def __init__(self, snapshot: codeintel.Snapshot) -> None:
        nodes = snapshot.rows(
            "SELECT node_id, kind, name, path, line, col, end_line, end_col FROM cpg_nodes WHERE line IS NOT NULL "
            "AND kind IN ('Name', 'Attribute', 'alias', 'FunctionDef', 'AsyncFunctionDef', 'ClassDef', 'arg', "
            "'Module', 'ExceptHandler', 'keyword', 'MatchAs')"
        ).to_pylist()
        self.at: dict[Place, list[int]] = defaultdict(list)
        self.places: dict[int, Place] = {}
        for row in nodes:
            place = (row["path"], row["line"], row["col"])
            match row["kind"]:
                case "Attribute":
                    place = (row["path"], row["end_line"], row["end_col"] - len(row["name"].encode()))
                case "FunctionDef" | "AsyncFunctionDef" | "ClassDef":
                    place = (row["path"], row["line"], row["col"] + len(_NAME_AFTER[row["kind"]]))
                case "ExceptHandler":
                    place = self._name_of_handler(Path(snapshot.manifest.repository), row)
                case "Module":
                    place = (row["path"], 1, 0)
            self.at[place].append(row["node_id"])
            self.places[row["node_id"]] = place
        self.to: dict[int, list[int]] = defaultdict(list)
        self.binders: dict[int, list[int]] = defaultdict(list)
        for row in snapshot.rows(
            "SELECT src, dst, kind FROM cpg_edges WHERE kind IN ('REF', 'BINDS', 'IMPORTS')"
        ).to_pylist():
            if row["kind"] == "BINDS":
                self.binders[row["dst"]].append(row["src"])
                self.to[row["src"]].append(row["dst"])
            else:
                self.to[row["src"]].append(row["dst"])

    def _name_of_handler(self, repository: Path, row: dict[str, Any]) -> Place:
        line = (repository / row["path"]).read_bytes().splitlines()[row["line"] - 1]
        return row["path"], row["line"], line.find(b" as ") + len(" as ")

    def reached(self, place: Place) -> set[Place]:
        waiting = list(self.at.get(place, ()))
        seen, found = set(waiting), set[Place]()
        while waiting:
            node = waiting.pop()
            for reached in (*self.to.get(node, ()), *self.binders.get(node, ())):
                if reached in self.places:
                    found.add(self.places[reached])
                if reached not in seen:
                    seen.add(reached)
                    waiting.append(reached)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, default=SUITE)
    parser.add_argument("--misses", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.suite.is_dir():
        print(f"no suite at {given.suite}: nothing measured", file=sys.stderr)
        return
    pairs = pq.read_table(given.suite / "ref_def_pairs.parquet").to_pylist()
    with TemporaryDirectory() as folder:
        codeintel.build(corpus("requests"), settings=codeintel.Settings(store=Path(folder), jobs=1))
        leads = Leads(codeintel.open(Path(folder)))
    files = {row["def_file"] for row in pairs}
    true: dict[Place, set[Place]] = defaultdict(set)
    for row in pairs:
        true[row["ref_file"], row["ref_line"], row["ref_col"]].add((row["def_file"], row["def_line"], row["def_col"]))
    names = {(row["ref_file"], row["ref_line"], row["ref_col"]): (row["name"], row["symbol"]) for row in pairs}
    found = wrong = 0
    missed: list[tuple[str, str, Place, set[Place]]] = []
    for place, definitions in sorted(true.items()):
        reached = {each for each in leads.reached(place) if each[0] in files}
        if reached & definitions:
            found += 1
            continue
        wrong += bool(reached - {place})
        name, symbol = names[place]
        sort = "leads elsewhere" if reached - {place} else "no node" if place not in leads.at else "leads nowhere"
        missed.append((sort, f"{name} {symbol.rpartition(' ')[2]}", place, definitions))
    classes = Counter(sort for sort, *_ in missed)
    figures = {
        "pairs": len(true), "found": found, "recall": round(found / len(true), 4),
        "precision": round(found / max(1, found + wrong), 4), "missed": dict(sorted(classes.items())),
    }  # fmt: skip
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    print(figures)
    for sort, what, place, definitions in missed[: given.misses]:
        print(f"  {sort}: {place[0]}:{place[1]}:{place[2]} {what} defined at {sorted(definitions)}")


if __name__ == "__main__":
    main()

"""Every kind of change of `tests/build/mutations.py`: is anything stale, too much or not undone, and is it told why?

    python benchmarks/mutations.py [--only WORD] [--no-anchor] [--json FILE]

Each build is a process of its own. `stale` counts tables that a clean build has otherwise, `ran` the tables computed
anew, `undone` says whether undoing the change reused everything. The anchor is Hamilton's own cache over the same
functions: where a kind has a meaning there, does it give what an empty cache gives?
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build.mutations import (
    MUTATIONS,
    Facts,
    Mutation,
    make_base,
    make_hamilton_base,
    stale_in_hamilton,
    tried,
)


def measured(mutation: Mutation, before: dict[str, Facts], work: Path, *, anchor: bool) -> dict[str, Any]:
    """One row: a kind, what came of it here and, if asked, in Hamilton's cache."""
    row: dict[str, Any] = {"kind": mutation.name, "engine": mutation.engine, "open": mutation.open}
    if mutation.change or mutation.damage or mutation.asks:
        folder = Path(tempfile.mkdtemp(dir=work))
        found = tried(mutation, work / mutation.engine, before[mutation.engine], folder)
        shutil.rmtree(folder)
        row |= asdict(found) | {"ok": found.ok}
    if anchor:
        folder = Path(tempfile.mkdtemp(dir=work))
        row["hamilton_stale"] = stale_in_hamilton(mutation, work / "hamilton", folder)
        shutil.rmtree(folder)
    return row


def line(row: dict[str, Any]) -> str:
    theirs = {True: "stale", False: "right", None: "-"}[row.get("hamilton_stale")]
    if "ok" not in row:
        return f"{row['kind']:45} not there yet: {row['open']}"
    cause = "ok" if not row["wrong_causes"] else str(row["wrong_causes"])
    ran = f"{len(row['ran'])}" + (f" (not {', '.join(row['too_much'])})" if row["too_much"] else "")
    stale = ", ".join(row["stale"]) if row["stale"] else "0"
    undone = "reused" if not row["not_undone"] else ", ".join(row["not_undone"])
    return f"{row['kind']:45} {'' if row['ok'] else 'WRONG':6} {stale:12} {ran:>5}  {undone:10} {cause:6} {theirs}"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--only", default="", metavar="WORD", help="kinds whose names hold it")
    arguments.add_argument("--no-anchor", action="store_true", help="leave Hamilton's cache out")
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    work = Path(tempfile.mkdtemp(prefix="codeintel-mutations-"))
    chosen = [mutation for mutation in MUTATIONS if given.only in mutation.name]
    try:
        before = {engine: make_base(work / engine, engine) for engine in ("pipeline", "repository")}
        make_hamilton_base(work / "hamilton")
        rows = []
        print(f"{'kind':45} {'':6} {'stale':12} {'ran':>5}  {'undone':10} {'cause':6} Hamilton's cache")
        with ThreadPoolExecutor(given.jobs) as pool:
            for row in pool.map(partial(measured, before=before, work=work, anchor=not given.no_anchor), chosen):
                rows.append(row)
                print(line(row), flush=True)
    finally:
        shutil.rmtree(work)
    tried_here = [row for row in rows if "ok" in row]
    wrong = [row["kind"] for row in tried_here if not row["ok"]]
    theirs = Counter(row.get("hamilton_stale") for row in rows)
    print(f"{len(tried_here)} kinds: {sum(bool(r['stale']) for r in tried_here)} stale, {len(wrong)} not as should be")
    if not given.no_anchor:
        print(f"Hamilton's own cache: {theirs[True]} stale or failed of {theirs[True] + theirs[False]} kinds")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())

"""Does a build after an edit equal a clean one, and does it do no more than it needs to?

    python benchmarks/edits.py [--small 300] [--django 30] [--scripted 50] [--seed 1] [--json FILE]

`--small` random edits of generated repositories and `--django` of Django: after each, the data version of every table
equals that of a build into an empty store; on the small ones every row of every public table too. `--scripted` edits of
Django, of ten kinds in turn: files extracted against files whose bytes or path changed, and (task, bucket) pairs
computed against those of which an input has another data version than in the run before.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from corpora import corpus

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.build import edits as made
from tests.build.edits import Repository, data_versions, delta_rows, small_repository, write_edit

import codeintel

SCRIPTED = (
    made.body, made.signature, made.comment, made.imports, made.insert_function, made.delete_function,
    made.rename_function, made.insert_file, made.rename_file, made.delete_file,
)  # fmt: skip

Versions = Mapping[str, Mapping[int, str]]
"""Data versions by table and bucket."""


def small(count: int, seed: int, work: Path) -> dict[str, Any]:
    """Edits of repositories of ten files, thirty edits each."""
    wrong: list[str] = []
    kinds: dict[str, int] = defaultdict(int)
    for start in range(0, count, 30):
        chance = random.Random(f"{seed} {start}")
        root, store, clean = work / "small" / "repository", work / "small" / "store", work / "small" / "clean"
        before: Repository = small_repository(chance)
        write_edit(root, {}, before)
        codeintel.build(root, store=store, jobs=1, bucket_count=3)
        for kind, after in islice(made.edits(before, chance), min(30, count - start)):
            changed, before = write_edit(root, before, after), after
            kinds[kind] += 1
            result = codeintel.build(root, store=store, jobs=1, bucket_count=3)
            codeintel.build(root, store=clean, jobs=1, bucket_count=3)
            place = f"seed {seed}, repository {start // 30}, edit {sum(kinds.values())}, {kind}"
            if data_versions(store) != data_versions(clean):
                wrong.append(f"{place}: data versions differ")
            if delta_rows(store) != delta_rows(clean):
                wrong.append(f"{place}: rows differ")
            if result.files["extracted"] > len(changed):
                wrong.append(f"{place}: {result.files['extracted']} files extracted for {len(changed)}")
            shutil.rmtree(clean)
        shutil.rmtree(work / "small")
        print(f"small: {sum(kinds.values())} edits, {len(wrong)} wrong", flush=True)
    return {"edits": sum(kinds.values()), "kinds": dict(kinds), "wrong": wrong}


def texts(root: Path) -> dict[str, str]:
    """The Python files that are text with plain line ends, by path; nothing else is edited."""
    found = {}
    for file in sorted(root.rglob("*.py")):
        try:
            text = file.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
        if "\r" not in text:
            found[file.relative_to(root).as_posix()] = text
    return found


def django(count: int, seed: int, work: Path) -> dict[str, Any]:
    """Random edits of Django, each against a clean build."""
    root, store, clean = work / "django", work / "django-store", work / "django-clean"
    shutil.copytree(corpus("django"), root)
    chance, before, wrong = random.Random(seed), texts(root), []
    codeintel.build(root, store=store)
    for n, (kind, after) in enumerate(islice(made.edits(before, chance), count), 1):
        write_edit(root, before, after)
        before = after
        codeintel.build(root, store=store)
        codeintel.build(root, store=clean)
        if different := differing(data_versions(store), data_versions(clean)):
            wrong.append(f"edit {n}, {kind}: {', '.join(different)}")
        shutil.rmtree(clean)
        print(f"django: edit {n}, {kind}: {different or 'equal'}", flush=True)
    shutil.rmtree(root)
    shutil.rmtree(store)
    return {"edits": count, "wrong": wrong}


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(n for n in one.keys() | other.keys() if one.get(n) != other.get(n))


def buckets(store: Path) -> Versions:
    handles = codeintel.open(store).manifest.handles
    return {name: {b: part.version for b, part in kept.partitions.items()} for name, kept in handles.items()}


def needed(plan: codeintel.ExecutionPlan, before: Versions, after: Versions) -> dict[str, int]:
    """Per task, buckets of which something it reads there differs between two runs; 1 where it computes all at once."""
    found = {}
    for name, task in work_of(plan).items():
        spine = [table for table, mode in task.inputs.items() if mode == "same_bucket"]
        whole = [table for table in task.inputs if table not in spine]
        all_at_once = task.kind in ("output", "analysis") or not spine or -1 in after.get(name, {})
        if all_at_once:
            found[name] = int(any(before.get(t) != after.get(t) for t in task.inputs))
            continue
        present = {b for table in spine for b in after[table]}
        disturbed = any(before.get(t) != after.get(t) for t in whole)
        found[name] = sum(disturbed or any(before.get(t, {}).get(b) != after[t].get(b) for t in spine) for b in present)
    return {name: count for name, count in found.items() if count}


def work_of(plan: codeintel.ExecutionPlan) -> dict[str, codeintel.Task]:
    """Tasks that compute: no sources, and no fact tables, which are their extractor's work."""
    kinds = {name: task.kind for name, task in plan.tasks.items()}
    return {
        name: task
        for name, task in plan.tasks.items()
        if task.kind != "source" and not (task.kind == "extractor" and kinds[next(iter(task.inputs))] == "extractor")
    }


def executed(store: Path, tasks: Mapping[str, Any]) -> dict[str, int]:
    """Buckets computed per task, of those that `tasks` is about."""
    found = {}
    for name, run in codeintel.open(store).manifest.tasks.items():
        if name in tasks and run.outcome == "ran":
            share = run.reason.split()  # "3 of 64 buckets"
            found[name] = int(share[0]) if share[1:2] == ["of"] else 1
    return found


def added_files(store: Path, table: str, version: int) -> int:
    """Files that one commit of a Delta table added."""
    log = store / "tables" / table / "_delta_log" / f"{version:020}.json"
    return sum('"add"' in line[:8] for line in log.read_text().splitlines())


def scripted(count: int, seed: int, work: Path) -> dict[str, Any]:
    """Edits of ten kinds in turn, each of Django as the one before left it."""
    root, store = work / "scripted", work / "scripted-store"
    shutil.copytree(corpus("django"), root)
    chance, before = random.Random(seed), texts(root)
    result = codeintel.build(root, store=store)
    rows = []
    print(
        f"{'kind':16} {'files':>5} {'extr.':>5} {'needed':>7} {'done':>7}  buckets by table; disturbed by other files"
    )
    for n in range(1, count + 1):
        kind = SCRIPTED[(n - 1) % len(SCRIPTED)]
        after = kind(before, chance, n)
        assert after is not None, kind
        changed = write_edit(root, before, after)
        before, was, tables = after, buckets(store), result.tables
        result = codeintel.build(root, store=store)
        now = buckets(store)
        plan = codeintel.compile_plan(root, store=store)
        tasks = work_of(plan)
        want, done = needed(plan, was, now), executed(store, tasks)
        cross = sorted(n for n in done if tasks[n].kind != "output" and any(
            was.get(t) != now.get(t) for t, mode in tasks[n].inputs.items() if mode == "whole"))  # fmt: skip
        rewritten = {
            name: added_files(store, name, facts["version"])
            for name, facts in result.tables.items()
            if facts["version"] != tables[name]["version"]
        }
        row = {
            "kind": kind.__name__, "changed": len(changed), "extracted": result.files["extracted"],
            "needed": sum(want.values()), "executed": sum(done.values()), "rewritten": rewritten, "cross_file": cross,
            "more": {n: (done[n], want.get(n, 0)) for n in done if done[n] > want.get(n, 0)}, "cpu_s": result.cpu_s,
        }  # fmt: skip
        rows.append(row)
        shown = ", ".join(f"{name} {count}" for name, count in rewritten.items())
        print(
            f"{row['kind']:16} {row['changed']:5} {row['extracted']:5} {row['needed']:7} {row['executed']:7}  "
            f"{shown}; {' '.join(cross) or '-'}" + (f"; MORE {row['more']}" if row["more"] else ""),
            flush=True,
        )
    shutil.rmtree(root)
    shutil.rmtree(store)
    want_all, done_all = sum(r["needed"] for r in rows), sum(r["executed"] for r in rows)
    return {
        "edits": rows,
        "ratio": round(done_all / want_all, 4),
        "wrong_extracted": sum(r["extracted"] != r["changed"] for r in rows),
        "bodies_of_more_than_one_bucket": sum(
            r["kind"] == "body" and any(count != 1 for count in r["rewritten"].values()) for r in rows
        ),
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--small", type=int, default=300)
    arguments.add_argument("--django", type=int, default=30)
    arguments.add_argument("--scripted", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    work = Path(tempfile.mkdtemp(prefix="codeintel-edits-"))
    found: dict[str, Any] = {}
    try:
        if given.small:
            found["small"] = small(given.small, given.seed, work)
        if given.scripted:
            found["scripted"] = scripted(given.scripted, given.seed, work)
        if given.django:
            found["django"] = django(given.django, given.seed, work)
    finally:
        shutil.rmtree(work)
    for part in ("small", "django"):
        if part in found:
            print(f"{part}: {len(found[part]['wrong'])} differences from a clean build in {found[part]['edits']} edits")
            print("\n".join(found[part]["wrong"]))
    if "scripted" in found:
        told = found["scripted"]
        print(
            f"executed / needed {told['ratio']} (goal 1.05); {told['wrong_extracted']} edits extracted other files "
            f"than changed; {told['bodies_of_more_than_one_bucket']} body edits rewrote more than one bucket of a table"
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return bool(found.get("small", {}).get("wrong") or found.get("django", {}).get("wrong"))


if __name__ == "__main__":
    raise SystemExit(main())

"""Def-use edges of names compared with beniget's, over the standard library with its tests.

    python benchmarks/def_use.py [--root DIR] [--jobs 2] [--limit FILES] [--json FILE] [--show CLASS]

Every edge that only one of the two has is put into a class by facts that its reaching definitions are not made of:
which binding a name means (the compiler's symbols), and a search through the rows of `cfg_edges` for a way from the
definition to the use that passes no other definition. The classes, and why each is right, are in `docs/data_flow.md`.
Needs `beniget` (pip install beniget).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import random
import sys
import sysconfig
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import process_time
from typing import Any

import beniget
import pyarrow as pa

from codeintel.extract.python_facts import python_facts
from codeintel.extract.repo_scan import REPO_FILES
from codeintel.fingerprint import digest_bytes

NESTING = 20_000
DEFINES = (ast.arg, ast.alias, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs,
           ast.MatchStar, ast.MatchMapping)  # fmt: skip
AGREED = "both"
THEIRS = {
    "annotation": "the definition is an annotation without a value",
    "dead": "the definition or the use is never executed",
    "other variable": "the compiler gives the two names different scopes",
    "killed": "every way from the definition to the use passes another definition, or what unbinds",
    "gone before": "the function is made where the definition is no longer in force, and never comes back to it",
}
OURS = {
    "across units": "the definition or the use is in a function that may be called at any time",
    "import *": "a star import may define the name",
    "exception": "a way exists, and all ways follow an exception",
    "loop": "a way exists, and all ways go round a loop",
    "jump": "a way exists, and all ways pass a break, continue or return",
    "way": "a way exists through plain branches",
    "not evaluated": "the use is in an annotation that is not evaluated where it stands",
}
UNEXPLAINED = "unexplained"

Place = tuple[str, int, int]  # kind, line, column
Edge = tuple[Place, Place]


def theirs(tree: ast.AST) -> set[Edge]:
    """Beniget's edges from what binds a name to the names that read or delete it."""
    chains = beniget.DefUseChains()
    with contextlib.redirect_stdout(io.StringIO()):
        chains.visit(tree)
    augmented = {node.target for node in ast.walk(tree) if isinstance(node, ast.AugAssign)}
    found = set()
    for node, definition in chains.chains.items():
        if isinstance(node, DEFINES) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)):
            for user in definition.users():
                use = user.node
                if isinstance(use, ast.Name) and (not isinstance(use.ctx, ast.Store) or use in augmented):
                    found.add((_place(node), _place(use)))
    return found


def _place(node: Any) -> Place:
    return type(node).__name__, node.lineno, node.col_offset


class File:
    """The facts of one file, as far as they judge edges."""

    def __init__(self, root: Path, path: Path) -> None:
        raw = path.read_bytes()
        row = {"path": str(path.relative_to(root)), "module": "m", "digest": digest_bytes(raw), "bytes": len(raw),
               "error": None, "bucket": 0}  # fmt: skip
        scan = pa.Table.from_pylist([{name: row.get(name) for name in REPO_FILES.schema.names}], REPO_FILES.schema)
        facts = {name: table.to_pylist() for name, table in python_facts(scan, root, "", 1 << 26).items()}
        self.error = bool(facts["file_errors"])
        nodes = facts["ast_nodes"]
        self.kind = {node["node_id"]: node["kind"] for node in nodes}
        self.name = {node["node_id"]: node["name"] for node in nodes}
        self.parent = {node["node_id"]: node["parent_id"] for node in nodes}
        self.field = {node["node_id"]: node["field"] for node in nodes}
        self.place = {node["node_id"]: (node["kind"], node["line"], node["col"]) for node in nodes}
        self.at = {self.place[node["node_id"]]: node["node_id"] for node in reversed(nodes)}
        self.dead = {row["node_id"] for row in facts["unreachable_nodes"]}
        self.edges = {
            (self.place[row["src"]], self.place[row["dst"]]): row["confidence"]
            for row in facts["reaching_definitions"]
            if "." not in row["name"]
        }
        self.binding: dict[int, set[int]] = defaultdict(set)
        self.how: dict[int, str] = {}
        self.definers: dict[int, set[int]] = defaultdict(set)
        for row in facts["binders"]:
            self.binding[row["node_id"]].add(row["binding_id"])
            self.how[row["node_id"]] = row["how"]
            if row["how"] != "annotation":
                self.definers[row["binding_id"]].add(row["node_id"])
        self.means = {row["node_id"]: row["target_id"] for row in facts["references"]}
        self.scope = {row["binding_id"]: row["scope_id"] for row in facts["bindings"]}
        self.named = {row["binding_id"]: row["name"] for row in facts["bindings"]}
        self.next: dict[int, list[tuple[int, str]]] = defaultdict(list)
        self.unit: dict[int, int] = {}
        for row in facts["cfg_edges"]:
            if not row["is_implicit"]:
                self.next[row["src"]].append((row["dst"], row["label"]))
            self._join(row["src"], row["dst"])
        self.entry = {row["unit_id"]: row["node_id"] for row in facts["flow_nodes"] if row["kind"] == "Entry"}
        self.inside = {row["node_id"]: row["unit_id"] for row in facts["flow_nodes"]}
        self.maker = {
            self._root(entry): unit
            for unit, entry in self.entry.items()
            if unit in self.unit and self._root(unit) != self._root(entry)
        }

    def _root(self, node: int) -> int:
        while self.unit.get(node, node) != node:
            self.unit[node] = node = self.unit.get(self.unit[node], self.unit[node])
        return node

    def _join(self, one: int, other: int) -> None:
        self.unit.setdefault(one, one)
        self.unit.setdefault(other, other)
        self.unit[self._root(one)] = self._root(other)

    def _acts(self, node: int) -> int:
        """The node at which a definition acts."""
        return self.parent[node] if self.how.get(node) == "augmented" else node

    def _in_clause(self, node: int, clause: int) -> bool:
        """Whether a node is in the body of an `except` clause."""
        below, step = None, self.inside.get(node, node)
        while step is not None and step != clause:
            below, step = step, self.parent[step]
        return step is not None and below is not None and self.field[below] == "body"

    def way(self, begin: int, use: int, binding: int, without: frozenset[str] = frozenset()) -> bool:
        """Whether flow leads from where `begin` acts to `use` past no other definition of the binding."""
        others = self.definers[binding]
        stops = {self._acts(node) for node in others if self.kind[node] not in ("ExceptHandler", "MatchMapping")}
        clauses = [node for node in others if self.kind[node] == "ExceptHandler"]
        if self.scope[binding] in self.entry:
            stops.add(self.entry[self.scope[binding]])
        waiting, seen, starts = [self._acts(begin)], set[int](), True
        while waiting:
            node = waiting.pop()
            for target, label in self.next[node]:
                if label in without or target in seen:
                    continue
                if any(self._leaves(clause, node, target) for clause in clauses):
                    continue
                if node in clauses and (label == "true") != starts:
                    continue  # a clause binds where it matches, and only there
                if node in stops and (label == "exception") == starts and not (starts and self._in_cleanup(node)):
                    continue  # what fails has bound nothing
                seen.add(target)
                if target == use:
                    return True
                waiting.append(target)
            starts = False
        return False

    def _in_cleanup(self, node: int) -> bool:
        """Whether exceptions that come here from before may go on, along the same edges as those that begin here."""
        step: int | None = node
        while step is not None:
            above = self.parent[step]
            if self.field[step] == "finalbody" or (above is not None and self.kind[above] == "TryStar"):
                return True
            step = above
        return False

    def _leaves(self, clause: int, node: int, target: int) -> bool:
        return self._in_clause(node, clause) and not self._in_clause(target, clause)

    def leads(self, begin: int, end: int) -> bool:
        """Whether flow leads from one node to another at all."""
        seen, waiting = {begin}, [begin]
        while waiting:
            for target, _ in self.next[waiting.pop()]:
                if target == end:
                    return True
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return False

    def shared(self, definition: int, use: int) -> int | None:
        """The binding that the definition binds and the use may mean; a class body falls back on its module."""
        means = self.means.get(use)
        for binding in self.binding[definition]:
            if binding == means:
                return binding
            of_class, other = (means, binding) if means is not None and self._of_class(means) else (binding, means)
            if self._of_class(of_class) and self.named[binding] == self.name[use] and self._in_body(use, of_class):
                at_top = other is None or other not in self.scope or self.kind.get(self.scope[other]) == "Module"
                return binding if at_top else None
        return None

    def _of_class(self, binding: int) -> bool:
        return binding in self.scope and self.kind.get(self.scope[binding]) == "ClassDef"

    def _in_body(self, use: int, binding: int) -> bool:
        """Whether a name that a class may not have bound yet is written in its body."""
        return self._root(use) == self._root(self.entry[self.scope[binding]])

    def only_theirs(self, definition: int, use: int) -> str:
        if self.how.get(definition) == "annotation":
            return "annotation"
        if {definition, use} & self.dead:
            return "dead"
        binding = self.shared(definition, use)
        if binding is None:
            return "other variable"
        acts = self._acts(definition)
        if self._root(acts) == self._root(use):
            return UNEXPLAINED if self.way(definition, use, binding) else "killed"
        maker = self.maker.get(self._root(use))
        while maker is not None and self._root(maker) != self._root(acts):
            maker = self.maker.get(self._root(maker))
        if maker is None or self.way(definition, maker, binding) or self.leads(maker, acts):
            return UNEXPLAINED
        return "gone before"

    def only_ours(self, definition: int, use: int) -> str:
        if self.name[definition] == "*" and self.kind[definition] == "alias":
            return "import *"
        if use not in self.unit:
            return "not evaluated"
        binding = self.shared(definition, use)
        if binding is None:
            return UNEXPLAINED
        if self._root(self._acts(definition)) != self._root(use):
            return "across units"
        if not self.way(definition, use, binding):
            owner = self.entry.get(self.scope[binding])
            shared = owner is None or self._root(owner) != self._root(use)
            return "across units" if shared else UNEXPLAINED
        for name, labels in (("exception", {"exception"}), ("jump", {"break", "continue", "return"}),
                             ("loop", {"loop"})):  # fmt: skip
            if not self.way(definition, use, binding, frozenset(labels)):
                return name
        return "way"


def compared(job: tuple[Path, Path]) -> tuple[Counter[str], list[tuple[str, str, Edge]], float, str]:
    """Edges by class, those of one side with their class, beniget's CPU seconds, and why a file was left out."""
    root, path = job
    sys.setrecursionlimit(NESTING)
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    listed: list[tuple[str, str, Edge]] = []
    name = str(path.relative_to(root))
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return counts, listed, 0.0, f"{name}: does not parse"
    begin = process_time()
    try:
        their = theirs(tree)
    except Exception as error:  # noqa: BLE001 (a judge that fails is left out, and named)
        return counts, listed, 0.0, f"{name}: beniget: {type(error).__name__}: {str(error)[:60]}"
    spent = process_time() - begin
    file = File(root, path)
    if file.error:
        return counts, listed, 0.0, f"{name}: in file_errors"
    our = file.edges.keys()
    counts[AGREED] = len(their & our)
    for sort, edges, judge in (("theirs", their - our, file.only_theirs), ("ours", our - their, file.only_ours)):
        for edge in sorted(edges):
            found = judge(file.at[edge[0]], file.at[edge[1]])
            counts[f"{sort}: {found}"] += 1
            listed.append((f"{sort}: {found}", name, edge))
    return counts, listed, spent, ""


def files_of(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*.py")):
        if not {"site-packages", "__pycache__"} & set(path.relative_to(root).parts):
            yield path


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--root", type=Path, default=Path(sysconfig.get_path("stdlib")))
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--limit", type=int, help="so many files, chosen at random with a fixed seed")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument(
        "--show", action="append", default=[], help="list edges of a class, such as `theirs: killed`"
    )
    given = arguments.parse_args()
    paths = list(files_of(given.root))
    if given.limit:
        paths = random.Random(0).sample(paths, min(given.limit, len(paths)))
    total: Counter[str] = Counter()
    shown: list[tuple[str, str, Edge]] = []
    left_out: list[str] = []
    spent = 0.0
    with ProcessPoolExecutor(given.jobs) as pool:
        for counts, listed, seconds, reason in pool.map(compared, [(given.root, path) for path in paths], chunksize=4):
            total += counts
            spent += seconds
            shown += [row for row in listed if row[0].endswith(UNEXPLAINED) or row[0] in given.show]
            left_out += [reason] if reason else []
    meanings = {AGREED: "edges that both have"} | {f"theirs: {k}": v for k, v in THEIRS.items()} | {
        f"ours: {k}": v for k, v in OURS.items()
    }  # fmt: skip
    for name, count in sorted(total.items(), key=lambda item: -item[1]):
        print(f"{count:>9,}  {name:<24} {meanings.get(name, '')}")
    print(f"{len(paths)} files, {len(left_out)} left out; beniget took {spent:.0f} CPU s")
    for reason in left_out:
        print("  left out", reason)
    for name, path, (definition, use) in shown:
        print(f"  {name}: {path}: {definition} -> {use}")
    if given.json:
        given.json.write_text(json.dumps({"counts": total, "left_out": left_out, "files": len(paths)}, indent=2) + "\n")


if __name__ == "__main__":
    main()

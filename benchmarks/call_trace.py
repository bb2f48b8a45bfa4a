"""How good CALL edges are, with the tests of real packages as the judge: calls observed while they run.

    python benchmarks/call_trace.py [--packages sqlparse marshmallow mistune] [--tools jedi pyan3 PyCG]
        [--seconds N] [--misses N] [--json]

Each package's tests run once below `call_observer.py`, in an environment of their own, with a time limit and without a
network; what was seen is kept in the cache. The graph is built of the package alone, without its tests.

*Recall* is the share of the observed pairs of caller and callee, both inside the package, that are CALL edges. Code of
comprehensions and generator expressions belongs to the definition around it; bodies of modules, classes and
comprehensions are not called. A call that came through something outside (`functools.singledispatch`, a method of a
base class from outside) is no pair; it counts as an observation of an edge. *Observed* is the share of the edges of
confidence .8 and more that were seen taken, of those at sites where any call was seen, be it to a function in C. Edges
to classes are not counted: what a class without a constructor runs cannot be seen.

The three packages of the default table are of different styles; there are more (--packages all).
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import corpora
from corpora import Release

import codeintel

CACHE = Path.home() / ".cache" / "codeintel-traces"
SURE = 0.8


@dataclass(frozen=True)
class Subject:
    """A package with tests: where both lie in its source distribution, how they are called."""

    release: Release
    package: str
    tests: tuple[str, ...] = ("tests",)
    arguments: tuple[str, ...] = ()


SUBJECTS = {
    "sqlparse": Subject(Release("sqlparse==0.6.1", 0), "sqlparse"),
    "marshmallow": Subject(Release("marshmallow==4.4.0", 0), "src/marshmallow"),
    "mistune": Subject(Release("mistune==3.4.0", 0), "src/mistune"),
    "click": Subject(Release("click==8.5.1", 0), "src/click", arguments=("-m", "not stress")),
    "jinja2": Subject(Release("jinja2==3.1.6", 0), "src/jinja2"),
    "toolz": Subject(Release("toolz==1.2.0", 0), "toolz", tests=("toolz",)),
    "markdown": Subject(Release("markdown==3.11.3", 0), "markdown"),
    "tomlkit": Subject(Release("tomlkit==0.15.2", 0), "tomlkit"),
    "pyparsing": Subject(Release("pyparsing==3.3.3", 0), "pyparsing"),
    "boltons": Subject(Release("boltons==26.2.0", 0), "boltons"),
    "more_itertools": Subject(Release("more-itertools==11.2.1", 0), "more_itertools"),
    "werkzeug": Subject(
        Release("werkzeug==3.1.9", 0), "src/werkzeug", arguments=("-m", "not dev_server", "-W", "ignore")
    ),
    "parso": Subject(Release("parso==0.8.7", 0), "parso", tests=("test",)),
    "lark": Subject(Release("lark==1.3.1", 0), "lark"),
    "pycparser": Subject(Release("pycparser==3.12", 0), "pycparser"),
    "cachetools": Subject(Release("cachetools==8.0.1", 0), "src/cachetools"),
    "h11": Subject(Release("h11==0.16.0", 0), "h11", tests=("h11",)),
    "tinydb": Subject(Release("tinydb==4.9.0", 0), "tinydb"),
}
NEEDS = ("pytest==9.2.0", "hypothesis==6.170.15", "markupsafe==3.0.4", "pyyaml==6.0.3", "simplejson==4.3.0",
         "trio==0.35.0", "ephemeral-port-reserve==1.1.4")  # fmt: skip
PEERS = ("jedi==0.20.0", "pyan3==2.9.0", "PyCG==0.0.8")
DEFAULT = ("sqlparse", "marshmallow", "mistune")

Definition = tuple[str, int, int]  # path, line and column of a `def`, `lambda` or `class`; 0, 0 for a module
Span = tuple[int, int, int, int]  # as `co_positions` has it: line, end line, column, end column


class Source:
    """One file: its definitions by what their code objects say, and its nodes by place."""

    def __init__(self, path: str, text: bytes) -> None:
        self.path, self.tree = path, ast.parse(text)
        self.by_code: dict[tuple[int, str], list[ast.AST]] = defaultdict(list)
        self.around: dict[ast.AST, ast.AST] = {}
        self.ending: dict[tuple[int, int], ast.Call] = {}
        self.spanning: dict[Span, list[ast.AST]] = defaultdict(list)
        self._walk(self.tree, self.tree)

    def _walk(self, node: ast.AST, around: ast.AST) -> None:
        """`around` is the definition whose code runs the node."""
        self.around[node] = around
        if isinstance(node, ast.expr | ast.stmt):
            self.spanning[span(node)].append(node)
        if isinstance(node, ast.Call):
            self.ending[node.end_lineno or 0, node.end_col_offset or 0] = node
        inner: list[ast.AST] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            self.by_code[first, node.name].append(node)
            inner = list(node.body)
        elif isinstance(node, ast.Lambda):
            self.by_code[node.lineno, "<lambda>"].append(node)
            inner = [node.body]
        for child in ast.iter_child_nodes(node):
            self._walk(child, node if child in inner else around)

    def definition(self, line: int, qualname: str, first: list[int] | None, site: Span | None = None) -> Definition:
        """The definition that a code object is of, or lies in."""
        name = qualname.rpartition(".")[2]
        if name == "<module>":
            return (self.path, 0, 0)
        if name in ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"):
            place: Any = site or (tuple(first) if first else None)
            found = list(self.spanning.get(place, [])) if place else []
            if not found and place:
                found = [n for s, nodes in self.spanning.items() if within(place, s) for n in nodes][-1:]
            return self.of(self.around[found[0]]) if found else (self.path, 0, 0)
        nodes = self.by_code.get((line, name), [])
        if len(nodes) > 1 and first and first[0] is not None:
            nodes = [n for n in nodes if within(tuple(first), span(n))] or nodes
        return self.of(nodes[-1]) if nodes else (self.path, line, -1)

    def of(self, node: ast.AST) -> Definition:
        return (self.path, getattr(node, "lineno", 0), getattr(node, "col_offset", 0))


def span(node: Any) -> Span:
    return (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)


def within(inner: Any, outer: Any) -> bool:
    return (outer[0], outer[2]) <= (inner[0], inner[2]) and (inner[1], inner[3]) <= (outer[1], outer[3])


@dataclass
class Site:
    """One instruction that was seen to call, with its caller and callees."""

    path: str
    caller: Definition
    span: Span
    operation: str
    node: ast.AST | None
    direct: set[Definition] = field(default_factory=set)
    indirect: set[Definition] = field(default_factory=set)


class Trace:
    """What was seen of a package."""

    def __init__(self, seen: dict[str, Any], package: Path) -> None:
        self.sources: dict[str, Source] = {}
        self.sites: list[Site] = []
        self.resumable: set[Definition] = set()
        codes: list[tuple[Source, tuple[Any, ...]]] = []
        for path, line, qualname, first in seen["codes"]:
            relative = Path(path).relative_to(package).as_posix()
            if relative not in self.sources:
                self.sources[relative] = Source(relative, Path(path).read_bytes())
            codes.append((self.sources[relative], (line, qualname, first)))
        for code, told_place, operation in seen["sites"]:
            source, told = codes[code]
            place = tuple(told_place) if told_place and None not in told_place else (0, 0, 0, 0)
            caller = source.definition(*told, site=place)
            node = source.ending.get((place[1], place[3])) if "CALL" in operation else None
            if node is None:
                node = next(iter(source.spanning.get(place, ())), None)
            self.sites.append(Site(source.path, caller, place, operation, node))
        for site, code, direct in seen["calls"]:
            source, told = codes[code]
            callee = source.definition(*told)
            (self.sites[site].direct if direct else self.sites[site].indirect).add(callee)
        self.from_outside = {codes[code][0].definition(*codes[code][1]) for code in seen["from_outside"]}

    @cached_property
    def pairs(self) -> dict[tuple[Definition, Definition], list[Site]]:
        found: dict[tuple[Definition, Definition], list[Site]] = defaultdict(list)
        for site in self.sites:
            for callee in site.direct:
                found[site.caller, callee].append(site)
        return found


@dataclass
class Edge:
    """One edge of a graph to a function; the site is None where a tool does not tell."""

    caller: Definition
    callee: Definition
    site: tuple[str, Span, str] | None
    origin: str
    confidence: float


_SQL = """
SELECT c.path AS caller_path, c.kind AS caller_kind, c.line AS caller_line, c.col AS caller_col,
    s.kind, s.path, s.line, s.col, s.end_line, s.end_col,
    d.path AS callee_path, d.kind AS callee_kind, d.line AS callee_line, d.col AS callee_col, g.origin, g.confidence
FROM call_graph AS g
JOIN cpg_nodes AS s ON s.node_id = g.site_id
JOIN cpg_nodes AS c ON c.node_id = g.caller_id
JOIN cpg_nodes AS d ON d.node_id = g.callee_id
WHERE d.kind IN ('FunctionDef', 'AsyncFunctionDef', 'Lambda')
"""
_REASONS = """
SELECT n.path, n.end_line, n.end_col, u.reason FROM unresolved_calls AS u JOIN cpg_nodes AS n USING (node_id)
"""


def built(root: Path) -> tuple[list[Edge], dict[tuple[str, int, int], str]]:
    """The edges of a real build of a folder, and why calls are not resolved, by where they end."""
    with TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        codeintel.build(root, settings=codeintel.Settings(store=store, jobs=1))
        snapshot = codeintel.open(store)
        rows = snapshot.rows(_SQL).to_pylist()
        reasons = snapshot.rows(_REASONS).to_pylist()
    edges = [
        Edge(_definition(row, "caller"), _definition(row, "callee"),
             (row["path"], (row["line"], row["end_line"], row["col"], row["end_col"]), row["kind"]),
             row["origin"], round(row["confidence"], 2))
        for row in rows
    ]  # fmt: skip
    return edges, {(row["path"], row["end_line"], row["end_col"]): row["reason"] for row in reasons}


def _definition(row: dict[str, Any], role: str) -> Definition:
    if row[f"{role}_kind"] == "Module":
        return (row[f"{role}_path"], 0, 0)
    return (row[f"{role}_path"], row[f"{role}_line"], row[f"{role}_col"])


_STATEMENTS = ("For", "AsyncFor", "comprehension", "withitem", "Raise", "AugAssign", "Compare")


class Taken:
    """What was seen at the site of an edge."""

    def __init__(self, trace: Trace) -> None:
        self.ending: dict[tuple[str, int, int], list[Site]] = defaultdict(list)
        self.spanning: dict[tuple[str, Span], list[Site]] = defaultdict(list)
        self.by_path: dict[str, list[Site]] = defaultdict(list)
        for site in trace.sites:
            self.by_path[site.path].append(site)
            self.spanning[site.path, site.span].append(site)
            if "CALL" in site.operation:
                self.ending[site.path, site.span[1], site.span[3]].append(site)

    def at(self, edge: Edge) -> list[Site]:
        assert edge.site is not None
        path, place, kind = edge.site
        if kind in ("Call", "Attribute"):
            found = self.ending.get((path, place[1], place[3]), []) if kind == "Call" else []
            if not found and kind == "Attribute":
                found = [s for s in self.by_path[path] if (s.span[1], s.span[3]) == (place[1], place[3])
                         and "ATTR" in s.operation]  # fmt: skip
            return found or self.spanning.get((path, place), [])
        exact = self.spanning.get((path, place), [])
        if exact or kind not in _STATEMENTS:
            return exact
        return [s for s in self.by_path[path] if s.caller == edge.caller and within(s.span, place)
                  and "CALL" not in s.operation and "LOAD" not in s.operation]  # fmt: skip


def scored(trace: Trace, edges: list[Edge], reasons: dict[tuple[str, int, int], str]) -> dict[str, Any]:
    """The figures of one graph, with the pairs it misses and the edges that were not taken."""
    known = {(edge.caller, edge.callee) for edge in edges}
    missed = {pair: sites for pair, sites in trace.pairs.items() if pair not in known}
    result: dict[str, Any] = {
        "pairs": len(trace.pairs),
        "recall": share(len(trace.pairs) - len(missed), len(trace.pairs)),
        "missed": Counter(),
        "misses": [],
    }
    sure = {(edge.caller, edge.callee) for edge in edges if edge.confidence >= SURE}
    result["recall of sure edges"] = share(sum(pair in sure for pair in trace.pairs), len(trace.pairs))
    for (_, callee), sites in sorted(missed.items()):
        reason = why(trace, sites[0], callee, reasons)
        result["missed"][reason] += 1
        result["misses"].append(f"{reason}: {shown(sites[0])} -> {named(trace, callee)}")
    executed = {site.caller for site in trace.sites}
    taken_pairs = {(site.caller, callee) for site in trace.sites for callee in site.direct | site.indirect}
    of_executed = {pair for pair in sure if pair[0] in executed}
    result["pairs of executed callers observed"] = share(len(of_executed & taken_pairs), len(of_executed))
    if edges and edges[0].site is not None:
        result |= _at_sites(trace, edges)
    return result


def _at_sites(trace: Trace, edges: list[Edge]) -> dict[str, Any]:
    taken = Taken(trace)
    by_confidence: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    by_origin: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    false = []
    done = set()
    for edge in edges:
        key = (edge.site, edge.callee)
        sites = taken.at(edge)
        if not sites or key in done:
            continue
        done.add(key)
        seen = any(edge.callee in site.direct or edge.callee in site.indirect for site in sites)
        for counts in (by_confidence[edge.confidence], *([by_origin[edge.origin]] if edge.confidence >= SURE else [])):
            counts[0] += seen
            counts[1] += 1
        if not seen and edge.confidence >= SURE:
            false.append(f"{edge.origin} {edge.confidence}: {shown(sites[0])} -> {named(trace, edge.callee)}")
    sure = [row for confidence, row in by_confidence.items() if confidence >= SURE]
    return {
        "edges at executed sites": sum(row[1] for row in sure),
        "observed": share(sum(row[0] for row in sure), sum(row[1] for row in sure)),
        "by confidence": {str(k): [*v, share(*v)] for k, v in sorted(by_confidence.items())},
        "by origin": {k: [*v, share(*v)] for k, v in sorted(by_origin.items())},
        "false": sorted(false),
    }


def share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 1.0


def shown(site: Site) -> str:
    text = ast.unparse(site.node).partition("\n")[0][:90] if site.node is not None else ""
    return f"{site.path}:{site.span[0]} {site.operation} `{text}`"


def named(trace: Trace, definition: Definition) -> str:
    path, line, col = definition
    for nodes in trace.sources[path].by_code.values() if path in trace.sources else ():
        for node in nodes:
            if trace.sources[path].of(node) == definition:
                home = trace.sources[path].around[node]
                outer = getattr(home, "name", "")
                return f"{outer}{outer and '.'}{getattr(node, 'name', 'lambda')} ({path}:{line})"
    return f"{path}:{line}:{col}"


def why(trace: Trace, site: Site, callee: Definition, reasons: dict[tuple[str, int, int], str]) -> str:
    """A word for a miss, by the shape of what called and what is known of it."""
    name = named(trace, callee).partition(" ")[0].rpartition(".")[2]
    special = name.startswith("__") and name.endswith("__")
    if "CALL" not in site.operation:
        if "ATTR" in site.operation or "METHOD" in site.operation:
            return "attribute: __getattr__ and the like" if special else "attribute: property"
        return "operator: special method" if special else "generator begun by another"
    if not isinstance(site.node, ast.Call):
        return "decorator"
    function = site.node.func
    word = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    reason = reasons.get((site.path, site.span[1], site.span[3]), "other callees only")
    if special and word != name and name != "__init__":
        return f"call of {word}: special method" if name != "__call__" else f"callable instance: {reason}"
    if word == name or name == "__init__":
        return f"method or function of that name: {reason}"
    if isinstance(function, ast.Subscript | ast.Call):
        return f"result or element called: {reason}"
    return f"variable, callback or wrapper: {reason}"


# --- packages and their traces


def prepared(subject: Subject) -> Path:
    """The unpacked source distribution."""
    target = CACHE / subject.release.requirement.lower().replace("==", "-")
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE, prefix=".fetching-") as directory:
            corpora.unpacked(corpora.downloaded(subject.release, Path(directory)), Path(directory)).rename(target)
    return target


def environment(name: str, requirements: tuple[str, ...]) -> Path:
    """The interpreter of an environment of its own with what is required in it."""
    target = CACHE / f"environment-{name}"
    python = target / "bin" / "python"
    listed = target / "requirements.txt"
    wanted = "\n".join(requirements)
    if not listed.is_file() or listed.read_text("utf-8") != wanted:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", target], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
                       check=True, stdout=sys.stderr)  # fmt: skip
        listed.write_text(wanted, "utf-8")
    return python


def traced(name: str, seconds: int) -> Trace:
    subject = SUBJECTS[name]
    root = prepared(subject)
    package = root / subject.package
    seen = CACHE / f"{root.name}-{sys.version_info[0]}.{sys.version_info[1]}.json"
    if not seen.is_file():
        python = environment("tests", NEEDS)
        source = root / "src" if subject.package.startswith("src/") else root
        with TemporaryDirectory(prefix="codeintel-home-") as home:
            subprocess.run(
                [python, Path(__file__).with_name("call_observer.py"), seen, str(seconds), package, "-q", "-p",
"no:cacheprovider", "--tb=no", "--continue-on-collection-errors", *subject.tests, *subject.arguments],
                cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds + 60, check=False,
                env={"PATH": "/usr/bin:/bin", "HOME": home, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
    return Trace(json.loads(seen.read_text("utf-8")), package)


def sources(name: str, folder: Path) -> Path:
    """A copy of the package alone, as it lies below its import root."""
    subject = SUBJECTS[name]
    package = prepared(subject) / subject.package
    root = folder / "repository"
    shutil.copytree(package, root / package.name, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    return root


def rooted(edges: list[Edge], package: str) -> Iterator[Edge]:
    """Edges with paths below the package, as those of a trace are."""
    cut = len(package) + 1
    for edge in edges:
        site = edge.site and (edge.site[0][cut:], *edge.site[1:])
        yield Edge((edge.caller[0][cut:], *edge.caller[1:]), (edge.callee[0][cut:], *edge.callee[1:]), site,
                   edge.origin, edge.confidence)  # fmt: skip


def told_by(tool: str, root: Path, seconds: int) -> list[Edge] | None:
    """The edges that another tool finds in a folder; None if it does not finish."""
    python = environment("peers", PEERS)
    try:
        done = subprocess.run(
            [python, Path(__file__).with_name("call_peers.py"), tool, root], capture_output=True, text=True,
            timeout=seconds, check=True,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    at: dict[tuple[str, int], Definition] = {}
    for file in root.rglob("*.py"):
        source = Source(file.relative_to(root).as_posix(), file.read_bytes())
        at[source.path, 0] = (source.path, 0, 0)
        at |= {(source.path, n.lineno): source.of(n) for nodes in source.by_code.values() for n in nodes
               if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}  # fmt: skip
    edges = []
    for caller, callee, site in json.loads(done.stdout.splitlines()[-1]):
        if tuple(caller) in at and tuple(callee) in at:
            place = site and (site[0], tuple(site[1:]), "Call")
            edges.append(Edge(at[tuple(caller)], at[tuple(callee)], place, tool, 1.0))
    return edges


def measured(name: str, seconds: int, tools: Sequence[str]) -> dict[str, Any]:
    trace = traced(name, seconds)
    package = Path(SUBJECTS[name].package).name
    others: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        root = sources(name, Path(folder)).resolve()
        edges, reasons = built(root)
        for tool in tools:
            told = told_by(tool, root, seconds)
            others[tool] = None if told is None else scored(trace, list(rooted(told, package)), {})
    cut = len(package) + 1
    reasons = {(path[cut:], line, col): reason for (path, line, col), reason in reasons.items()}
    ours = scored(trace, list(rooted(edges, package)), reasons)
    return ours | {"from outside": len(trace.from_outside), "tools": others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", nargs="+", default=DEFAULT, choices=[*SUBJECTS, "all"])
    parser.add_argument("--tools", nargs="*", default=("jedi", "pyan3", "PyCG"), help="to compare with (%(default)s)")
    parser.add_argument("--seconds", type=int, default=300, help="time limit of a package's tests, and of each tool")
    parser.add_argument("--misses", type=int, default=0, help="how many of each to show")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {}
    for name in SUBJECTS if "all" in given.packages else given.packages:
        row = found[name] = measured(name, given.seconds, given.tools)
        if given.json:
            continue
        print(f"{name:15} pairs {row['pairs']:5}  recall {row['recall']:.3f} (sure {row['recall of sure edges']:.3f})"
              f"  observed {row['observed']:.3f} of {row['edges at executed sites']}"
              f"  pairs of executed callers {row['pairs of executed callers observed']:.3f}", flush=True)  # fmt: skip
        for tool, other in row["tools"].items():
            if other is None:
                print(f"  {tool:13} did not finish")
                continue
            at_sites = f"{other['observed']:.3f} of {other['edges at executed sites']}" if "observed" in other else "-"
            executed = other["pairs of executed callers observed"]
            print(f"  {tool:13} pairs {other['pairs']:5}  recall {other['recall']:.3f}  observed {at_sites}"
                  f"  pairs of executed callers {executed:.3f}", flush=True)  # fmt: skip
        for reason, count in row["missed"].most_common():
            print(f"    {count:4} {reason}")
        print("   ", row["by confidence"])
        print("   ", row["by origin"])
        for line in [*row["misses"][: given.misses], *row["false"][: given.misses]]:
            print("      ", line)
    if given.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

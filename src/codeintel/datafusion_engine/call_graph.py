"""Questions about who calls and who refers to what, asked of one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codeintel.errors import UsageError, nearest

if TYPE_CHECKING:  # it imports this module when it is asked
    from codeintel.datafusion_engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class CallSite:
    """One call: who calls whom, where, how that is known, and how many calls away from what was asked for."""

    caller: str
    callee: str
    path: str
    line: int
    origin: str
    confidence: float
    depth: int


@dataclass(frozen=True, slots=True)
class Mention:
    """One place that refers to a name; `kind` is the node's, `confidence` a share of certainty."""

    name: str
    path: str
    line: int
    col: int
    kind: str
    confidence: float


_CALLS = """
    SELECT g.caller, g.callee, g.caller_id, g.callee_id, g.path, n.line, g.origin, g.confidence
    FROM call_graph AS g JOIN cpg_nodes AS n ON n.node_id = g.site_id
    ORDER BY g.path, n.line, n.col, g.callee, g.origin
"""


def calls_around(snapshot: Snapshot, name: str, *, of: str, depth: int, confidence: float) -> list[CallSite]:
    """Calls that lead to definitions called `name` (`of` is `callee`) or start in them (`caller`), nearest first.

    `name` is a qualified name or the end of one, or what it is imported as. Raises UsageError if nothing that calls or
    is called has it.
    """
    rows = snapshot.rows(_CALLS).to_pylist()
    asked, imported = {row[f"{of}_id"] for row in rows if _is_meant(row[of], name)}, set[str]()
    if not asked:
        imported = _imported_as(snapshot, name)
        asked = {row[f"{of}_id"] for row in rows if row[of] in imported}
    if not asked:
        defined = snapshot.table("cpg_nodes", ["qualname"], "qualname IS NOT NULL AND kind <> 'Binding'")
        names = {*defined["qualname"].to_pylist(), *(row[of] for row in rows)}
        if imported or any(_is_meant(each, name) for each in names):
            return []
        raise _unknown(name, names)
    by_end: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if _shown(row["confidence"]) >= confidence:
            by_end[row[f"{of}_id"]].append(row)
    other = {"callee": "caller_id", "caller": "callee_id"}[of]
    found: list[CallSite] = []
    seen, wave = set(asked), sorted(asked)
    for away in range(1, depth + 1):
        made = [row for end in wave for row in by_end.get(end, ())]
        found += [_site(row, away) for row in made]
        wave = sorted({row[other] for row in made} - seen)
        seen |= set(wave)
    return sorted(found, key=lambda s: (s.depth, s.path, s.line, s.caller, s.callee, s.origin))


def _site(row: Mapping[str, Any], depth: int) -> CallSite:
    certainty = _shown(row["confidence"])
    return CallSite(row["caller"], row["callee"], row["path"], row["line"], row["origin"], certainty, depth)


def _shown(confidence: float) -> float:
    """As it is told and asked for: a single-precision .95 is less than .95."""
    return round(confidence, 2)


def _is_meant(qualname: str, name: str) -> bool:
    return qualname == name or qualname.endswith(f".{name}")


def _unknown(name: str, names: Iterable[str], nothing: str = "nothing in the graph") -> UsageError:
    """With the nearest of the names, or of the ends of them that have as many parts."""
    parts = name.count(".") + 1
    ends = {".".join(each.split(".")[-parts:]) for each in names}
    return UsageError(f"{nothing} is called {name!r}; {nearest(name, ends)}")


_IMPORTS = """
    SELECT own.qualname AS name, meant.qualname AS stands_for
    FROM cpg_edges AS b JOIN cpg_nodes AS own ON own.node_id = b.dst
    JOIN cpg_nodes AS alias ON alias.node_id = b.src AND alias.kind = 'alias'
    JOIN cpg_edges AS r ON r.src = b.src AND r.kind = 'REF' JOIN cpg_nodes AS meant ON meant.node_id = r.dst
    WHERE b.kind = 'BINDS'
"""


def _imported_as(snapshot: Snapshot, name: str) -> set[str]:
    """Qualified names of what imports bind a name to, through whatever modules hand it on."""
    stands_for: dict[str, set[str]] = defaultdict(set)
    for row in snapshot.rows(_IMPORTS).to_pylist():
        stands_for[row["name"]].add(row["stands_for"])
    found: set[str] = set()
    waiting = [each for each in stands_for if _is_meant(each, name)]
    while waiting:
        new = stands_for.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


_BINDINGS = "SELECT node_id, qualname FROM cpg_nodes WHERE kind IN ('Binding', 'Field')"
_LINKS = "SELECT src, dst, kind, confidence FROM cpg_edges WHERE kind IN ('REF', 'BINDS')"


def mentions(snapshot: Snapshot, name: str, *, confidence: float) -> list[Mention]:
    """Every place that refers to a variable, function, class or attribute called `name`, by file and line.

    Names that import it, and what refers to those, are followed. `name` is a qualified name or the end of one. Raises
    UsageError if nothing is called that.
    """
    bindings = snapshot.rows(_BINDINGS)
    qualname = dict(zip(bindings["node_id"].to_pylist(), bindings["qualname"].to_pylist(), strict=True))
    meant = {node: each for node, each in qualname.items() if _is_meant(each, name)}
    if not meant:
        raise _unknown(name, qualname.values(), "no variable, function, class or attribute of the repository")
    links = snapshot.rows(_LINKS)
    referring: dict[int, list[tuple[int, float]]] = defaultdict(list)
    bound: dict[int, list[int]] = defaultdict(list)
    columns = (links[column].to_pylist() for column in ("src", "dst", "kind", "confidence"))
    for src, dst, kind, certainty in zip(*columns, strict=True):
        if kind == "BINDS":
            bound[src].append(dst)
        elif _shown(certainty) >= confidence:
            referring[dst].append((src, certainty))
    found: dict[int, tuple[str, float]] = {}
    waiting = sorted(meant.items())
    seen = set(meant)
    while waiting:
        binding, called = waiting.pop()
        for node, certainty in referring[binding]:
            if certainty > found.get(node, ("", 0.0))[1]:
                found[node] = (called, certainty)
            # An import refers to what it imports and binds a name of its own, under which it goes on.
            for own in bound.get(node, ()):
                if own not in seen:
                    seen.add(own)
                    waiting.append((own, called))
    wanted = ", ".join(map(str, sorted(found))) or "NULL"
    nodes = snapshot.table("cpg_nodes", ["node_id", "kind", "path", "line", "col"], f"node_id IN ({wanted})")
    places = [
        Mention(found[row["node_id"]][0], row["path"], row["line"], row["col"], row["kind"],
                _shown(found[row["node_id"]][1]))
        for row in nodes.to_pylist()
    ]  # fmt: skip
    return sorted(places, key=lambda m: (m.path, m.line, m.col, m.name))


def adjacency(snapshot: Snapshot, *, confidence: float = 0.0) -> dict[str, list[str]]:
    """`{caller: [callee, …]}` by qualified names, both sorted; classes that define no constructor are not called.

    Builtins are `<builtin>.len`, methods of builtin types `<**PyStr**>.join`, other externals their import path.
    """
    rows = snapshot.table("call_graph", ["caller", "callee", "callee_kind", "confidence"])
    called: dict[str, set[str]] = defaultdict(set)
    columns = (rows[column].to_pylist() for column in ("caller", "callee", "callee_kind", "confidence"))
    for caller, callee, kind, certainty in zip(*columns, strict=True):
        if kind == "class" or _shown(certainty) < confidence or callee.startswith("builtins.object."):
            continue
        called[caller].add(exported_name(callee) if kind == "external" else callee)
    return {caller: sorted(callees) for caller, callees in sorted(called.items())}


def exported_name(path: str) -> str:
    """The name that an import path has in an exported call graph."""
    if not path.startswith("builtins."):
        return path
    name = path.removeprefix("builtins.")
    owner, _, method = name.partition(".")
    return f"<**Py{owner.capitalize()}**>.{method}" if method and owner.islower() else f"<builtin>.{name}"

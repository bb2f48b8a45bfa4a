"""Which tables an optimized plan scans, how often, and which of their columns.

Subqueries that survive optimization cannot be reached through the plan's inputs (DataFusion 55), but the printed plan
shows them. So both are read: a structural walk, which knows the place of each scan, and the TableScan lines of the
text. What only the text shows is *hidden*: it is read, but nothing is known about where.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from datafusion import LogicalPlan
from datafusion import expr as variants

_LINE = re.compile(r"^\s*TableScan: (?P<table>.+?) projection=\[(?P<columns>.*?)\](?P<rest>,.*)?$", re.MULTILINE)
_LINE_OF_EVERYTHING = re.compile(
    r"^\s*TableScan: (?P<table>(?:(?! projection=\[).)+?)(?P<rest>, \w+=.*)?$", re.MULTILINE
)

Place = tuple[int, ...]  # the way from the root: which input to take, again and again


@dataclass(frozen=True, slots=True)
class Scans:
    """The columns that each table's scans project, and those of tables that only the text shows at some place.

    A hidden scan that was not optimized has no projection; it adds nothing to `columns` and all columns to `hidden`.
    """

    columns: Mapping[str, frozenset[str]]
    hidden: Mapping[str, frozenset[str]]


def scans(plan: LogicalPlan, known: Mapping[str, frozenset[str]]) -> Scans:
    """Scans of the tables in `known` (name → its columns) in an optimized plan.

    Other names in it are the engine's own: recursive references and table functions.
    """
    walked: dict[str, set[str]] = {}
    visible: Counter[str] = Counter()
    for scan in walk_scans(plan):
        table = table_of(scan)
        visible[table] += 1
        if table in known:
            walked.setdefault(table, set()).update(name for _, name in scan.projection())
    printed: dict[str, set[str]] = {}
    unprojected: set[str] = set()
    shown: Counter[str] = Counter()
    for table, columns in _printed(plan.display_indent(), known):
        shown[table] += 1
        printed.setdefault(table, set()).update(columns or ())
        if columns is None:
            unprojected.add(table)
    merged = {
        table: frozenset(walked.get(table, set()) | printed.get(table, set())) & known[table]
        for table in walked.keys() | printed.keys()
    }
    hidden = {
        table: known[table] if table in unprojected else merged[table]
        for table in printed
        if shown[table] > visible[table]
    }
    return Scans(merged, hidden)


def walk_scans(plan: LogicalPlan) -> Iterator[variants.TableScan]:
    """Every TableScan that can be reached through inputs."""
    variant = variant_of(plan)
    if isinstance(variant, variants.TableScan):
        yield variant
    for child in plan.inputs():
        yield from walk_scans(child)


def placed_scans(
    plan: LogicalPlan, at: Place = (), working: frozenset[str] = frozenset()
) -> Iterator[tuple[Place, str]]:
    """Place and table of every scan that can be reached, but for a recursion's scans of its own working table."""
    variant = variant_of(plan)
    if isinstance(variant, variants.TableScan) and table_of(variant) not in working:
        yield at, table_of(variant)
    for index, child in enumerate(plan.inputs()):
        own = {variant.name()} if isinstance(variant, variants.RecursiveQuery) and index == 1 else set()
        yield from placed_scans(child, (*at, index), working | own)


def variant_of(plan: LogicalPlan) -> object:
    """The plan's root node, or None for one that Python has no class for."""
    try:
        return plan.to_variant()
    except Exception:  # noqa: BLE001 - the binding raises bare exceptions for nodes it does not wrap
        return None


def table_of(scan: variants.TableScan) -> str:
    """The scanned table's name, however it was qualified."""
    return scan.fqn()[-1]


def _printed(text: str, known: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, set[str] | None]]:
    for match in _LINE.finditer(text):
        table = _unqualified(match["table"], known)
        if table in known:
            # Columns used only in filters that the scan fulfils by itself are not in its projection. (Those of
            # partial filters are: a Filter above the scan repeats them.)
            filters = _mentioned((match["rest"] or "").partition("full_filters=")[2], known[table])
            yield table, {c for c in known[table] if _lists(match["columns"], c)} | filters
    for match in _LINE_OF_EVERYTHING.finditer(text):
        table = _unqualified(match["table"], known)
        if table in known:
            yield table, None


def _unqualified(name: str, known: Mapping[str, frozenset[str]]) -> str:
    for prefix in ("", "datafusion.public.", "public."):
        if name.startswith(prefix) and name[len(prefix) :] in known:
            return name[len(prefix) :]
    return name


def _lists(projection: str, column: str) -> bool:
    return f", {column}, " in f", {projection}, "


def _mentioned(text: str, columns: frozenset[str]) -> set[str]:
    return {c for c in columns if c in text and re.search(rf"(?<!\w){re.escape(c)}(?!\w)", text)}

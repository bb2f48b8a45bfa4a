"""Which inputs a view may read one bucket at a time.

An abstract interpretation of the optimized plan. Every file-keyed table obeys `bucket = f(path)`, both never null. For
each subplan the walk keeps *slices*: ways to cut its output by bucket such that

    the rows of bucket b depend on the bucket-b rows of the `local` scans, and on all rows of every other scan.

`keys` are the output columns that hold the row's path, or its bucket; by them the cut is made. All keys of one slice
agree on the bucket. A subplan may always be read whole, so no slice at all is a valid answer, and an unknown node
gives none. Soundness rests on each rule below alone:

- a scan of a file-keyed table is cut by its `path` and `bucket` columns;
- filters, sorts and projections of plain columns keep the cut; a computed column is no key;
- an inner join on a key of both sides is cut by both, any other by one side with the other side whole; what is
  equated with a key is a key;
- an outer join keeps the cut of the side it preserves, and reads the other side by bucket only if joined by key;
  semi, anti and mark joins likewise; a full join has no key, either side may be null;
- grouping, DISTINCT and windows keep it if keyed; otherwise, and for LIMIT, every scan is whole, and the keys remain;
- a union is cut by the columns that are keys in every branch;
- a recursion is cut by the keys that it preserves, if an empty slice of the working table stops it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from datafusion import LogicalPlan
from datafusion import expr as variants

from codeintel.datafusion_engine.plan_columns import column_names, position_of
from codeintel.datafusion_engine.scans import Place, Scans, placed_scans, table_of, variant_of
from codeintel.relspec.task import Mode

KeyKind = Literal["path", "bucket"]
Key = tuple[int, KeyKind]

_MOST_SLICES = 48  # a plan of many global joins has one slice per side; beyond this the least local are dropped


@dataclass(frozen=True, slots=True)
class Slice:
    """A way to cut an output by bucket: `local` scans, by place, and `keys`, by output position.

    `spine` are the local scans whose empty slice makes the output's slice empty.
    """

    local: frozenset[Place]
    keys: frozenset[Key]
    spine: frozenset[Place]

    def whole(self) -> Slice:
        """The same cut of an output that depends on all rows."""
        return Slice(frozenset(), self.keys, frozenset())

    def keyed(self, keys: Iterator[Key]) -> Slice:
        return Slice(self.local, frozenset(keys), self.spine)


@dataclass(frozen=True, slots=True)
class _Working:
    """A recursive query's working table, while its recursive term is walked: which of its columns are keys."""

    keys: frozenset[Key]
    places: set[Place]


def partition_modes(
    plan: LogicalPlan, output: Sequence[str], found: Scans, inputs: frozenset[str], keyed: frozenset[str]
) -> tuple[dict[str, Mode], bool]:
    """How each of `inputs` is read, and whether the output is file-keyed itself.

    `output` are the view's column names, `keyed` the file-keyed tables among the inputs. A table that is scanned more
    than once is read by bucket only if every scan is. The output's rows of bucket b are then those whose `bucket` is b.
    """
    slices = _slices(plan, (), {}, keyed)
    scanned = dict(placed_scans(plan))
    whole: dict[str, Mode] = dict.fromkeys(sorted(inputs), "whole")
    if output.count("path") != 1 or output.count("bucket") != 1:
        return whole, False
    needed = {(output.index("path"), "path"), (output.index("bucket"), "bucket")}
    ways = [_modes(each, scanned, found, inputs, keyed) for each in slices if needed <= each.keys]
    if not ways:
        return whole, False
    return min(ways, key=lambda modes: (sum(mode == "whole" for mode in modes.values()), list(modes.items()))), True


def _modes(
    cut: Slice, scanned: Mapping[Place, str], found: Scans, inputs: frozenset[str], keyed: frozenset[str]
) -> dict[str, Mode]:
    modes: dict[str, Mode] = {}
    for table in sorted(inputs):
        local = all(place in cut.local for place, name in scanned.items() if name == table)
        modes[table] = "same_bucket" if local and table in keyed and table not in found.hidden else "whole"
    return modes


def _slices(plan: LogicalPlan, at: Place, working: Mapping[str, _Working], keyed: frozenset[str]) -> list[Slice]:
    children = plan.inputs()
    variant = variant_of(plan)
    if isinstance(variant, variants.RecursiveQuery):
        return _pruned(_recursion(variant.name(), children, at, working, keyed))
    names = [column_names(child) for child in children]
    below = [_slices(child, (*at, index), working, keyed) for index, child in enumerate(children)]
    match variant:
        case variants.TableScan():
            result = _scan(variant, at, working, keyed)
        case variants.Filter() | variants.SubqueryAlias() | variants.Distinct():
            result = below[0]
        case variants.Sort():
            result = below[0] if variant.get_fetch_val() is None else [each.whole() for each in below[0]]
        case variants.Limit():
            result = [each.whole() for each in below[0]]
        case variants.Projection():
            result = _projected(below[0], variant.projections(), names[0])
        case variants.Aggregate():
            result = _grouped(below[0], variant.group_by_exprs(), names[0])
        case variants.WindowExpr():
            result = _windowed(below[0], variant, names[0])
        case variants.Unnest():
            result = _unnested(below[0], names[0], column_names(plan))
        case variants.Union():
            result = _united(below)
        case variants.Join():
            result = _joined(plan, variant, below, names)
        case variants.EmptyRelation() if not variant.produce_one_row():
            # No rows: whatever is asked of each of them holds.
            every: list[Key] = [(i, kind) for i in range(len(column_names(plan))) for kind in ("path", "bucket")]
            result = [Slice(frozenset(), frozenset(every), frozenset())]
        case _:
            result = []
    return _pruned(result)


def _scan(scan: variants.TableScan, at: Place, working: Mapping[str, _Working], keyed: frozenset[str]) -> list[Slice]:
    table, columns = table_of(scan), scan.projection()
    if (reference := working.get(table)) is not None:
        reference.places.add(at)
        places = {index: position for position, (index, _) in enumerate(columns)}
        keys = frozenset((places[column], kind) for column, kind in reference.keys if column in places)
    elif table in keyed:
        names = [name for _, name in columns]
        kinds: tuple[KeyKind, ...] = ("path", "bucket")
        keys = frozenset((names.index(kind), kind) for kind in kinds if kind in names)
    else:
        return []
    cut = Slice(frozenset({at}), keys, frozenset({at}))
    return [cut if scan.fetch() is None else cut.whole()]


def _recursion(
    name: str, children: list[LogicalPlan], at: Place, working: Mapping[str, _Working], keyed: frozenset[str]
) -> Iterator[Slice]:
    """The start's keys that the step hands on, if it reads the working table by them and ends where that is empty."""
    start, step = children
    for base in _slices(start, (*at, 0), working, keyed):
        keys = base.keys
        while keys:
            table = _Working(keys, set())
            steps = _slices(step, (*at, 1), {**working, name: table}, keyed)
            usable = [s for s in steps if table.places <= s.local and table.places & s.spine and s.keys & keys]
            kept = [s for s in usable if keys <= s.keys]
            for each in kept:
                yield Slice(base.local | each.local - table.places, keys, base.spine)
            if kept or not usable:
                break
            keys = max((keys & each.keys for each in usable), key=lambda common: (len(common), sorted(common)))


def _projected(slices: list[Slice], expressions: list[variants.Expr], names: list[str]) -> list[Slice]:
    sources = [position_of(expression, names) for expression in expressions]
    return [
        each.keyed((new, kind) for old, kind in each.keys for new, source in enumerate(sources) if source == old)
        for each in slices
    ]


def _grouped(slices: list[Slice], groups: list[variants.Expr], names: list[str]) -> list[Slice]:
    if any(group.variant_name() == "GroupingSet" for group in groups):
        return []  # a grouping set turns keys into nulls
    return _projected(slices, groups, names)


def _windowed(slices: list[Slice], node: variants.WindowExpr, names: list[str]) -> list[Slice]:
    partitions = [
        {position_of(expression, names) for expression in node.get_partition_exprs(window)}
        for window in node.get_window_expr()
    ]
    return [
        each if all(partition & {column for column, _ in each.keys} for partition in partitions) else each.whole()
        for each in slices
    ]


def _unnested(slices: list[Slice], before: list[str], after: list[str]) -> list[Slice]:
    """Columns that are not unnested keep their names, and their row's value on each row that comes of it."""
    moved = {
        before.index(name): after.index(name) for name in before if before.count(name) == 1 and after.count(name) == 1
    }
    return [each.keyed((moved[old], kind) for old, kind in each.keys if old in moved) for each in slices]


def _united(branches: list[list[Slice]]) -> Iterator[Slice]:
    """For each pair of columns that every branch has as keys, the most local slice of each branch."""
    common = [frozenset[Key]().union(*(each.keys for each in branch)) for branch in branches]
    shared = sorted(frozenset.intersection(*common)) if common else []
    for wanted in (*combinations(shared, 1), *combinations(shared, 2)):
        chosen = [max((s for s in branch if s.keys.issuperset(wanted)), key=_rank, default=None) for branch in branches]
        if None not in chosen:
            cuts = [cut for cut in chosen if cut is not None]
            yield Slice(
                frozenset().union(*(cut.local for cut in cuts)),
                frozenset.intersection(*(cut.keys for cut in cuts)),
                frozenset(),  # one empty branch does not empty the union
            )


def _joined(
    plan: LogicalPlan, join: variants.Join, below: list[list[Slice]], names: list[list[str]]
) -> Iterator[Slice]:
    kind, width = str(join.join_type()), len(names[0])
    pairs: list[tuple[int | None, int | None]] = [
        (position_of(left, names[0]), position_of(right, names[1])) for left, right in join.on()
    ]
    # NOT IN over a null answers for all rows: its join is by key only if nothing but keys is compared.
    null_aware = plan.display().rstrip().endswith("null_aware")

    def by_key(left: Slice, right: Slice) -> bool:
        kinds: list[dict[int | None, str]] = [dict(left.keys), dict(right.keys)]
        same = [kinds[0].get(a, "none") == kinds[1].get(b) for a, b in pairs]
        return all(same) and bool(same) if null_aware else any(same)

    def shifted(cut: Slice) -> Slice:
        return cut.keyed((column + width, kind) for column, kind in cut.keys)

    left_only, right_only = (
        kind in ("LeftSemi", "LeftAnti", "LeftMark"),
        kind in ("RightSemi", "RightAnti", "RightMark"),
    )
    preserves_left = kind in ("Inner", "Left") or left_only
    preserves_right = kind in ("Inner", "Right") or right_only
    for left, right in product(*below):
        if by_key(left, right):
            local = left.local | right.local
            if kind == "Inner":
                yield Slice(local, left.keys | shifted(right).keys, left.spine | right.spine)
            elif preserves_left:
                yield Slice(local, left.keys, left.spine | (right.spine if kind == "LeftSemi" else frozenset()))
            elif preserves_right:
                placed = right if right_only else shifted(right)
                yield Slice(local, placed.keys, right.spine | (left.spine if kind == "RightSemi" else frozenset()))
    if preserves_left:
        for left in below[0]:
            kinds: dict[int | None, KeyKind] = dict(left.keys)
            equal = [(b + width, kinds[a]) for a, b in pairs if kind == "Inner" and b is not None and a in kinds]
            yield Slice(left.local, left.keys.union(equal), left.spine)
    if preserves_right:
        for right in below[1]:
            kinds: dict[int | None, KeyKind] = dict(right.keys)
            placed = right if right_only else shifted(right)
            equal = [(a, kinds[b]) for a, b in pairs if kind == "Inner" and a is not None and b in kinds]
            yield Slice(right.local, placed.keys.union(equal), right.spine)


def _rank(cut: Slice) -> tuple[int, int, list[Place], list[Key]]:
    return len(cut.local), len(cut.keys), sorted(cut.local), sorted(cut.keys)


def _pruned(slices: Iterator[Slice] | list[Slice]) -> list[Slice]:
    """Slices with keys that no other one covers, the most local first."""
    ordered = sorted({each for each in slices if each.keys}, key=_rank, reverse=True)
    kept: list[Slice] = []
    for each in ordered:
        if not any(each.local <= k.local and each.keys <= k.keys and each.spine <= k.spine for k in kept):
            kept.append(each)
    return kept[:_MOST_SLICES]

"""Which input columns each output column can depend on.

A column of an input outside the answer can take any values and the output column, as a multiset, stays what it was.
Hence whatever decides which rows there are, how often, or in which order an order-sensitive function meets them
(filters, join conditions, groups, windows, DISTINCT, sort keys) counts for every output column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datafusion import LogicalPlan
from datafusion import expr as variants

from codeintel.datafusion_engine.plan_columns import column_names, positions_in
from codeintel.datafusion_engine.scans import Scans, table_of, variant_of

Origin = tuple[str, str]  # table, column
Origins = frozenset[Origin]

_NONE: Origins = frozenset()


@dataclass(frozen=True, slots=True)
class _Flow:
    """Origins of each output column's values, by position, and of the rows as such."""

    columns: tuple[Origins, ...]
    rows: Origins

    def of(self, expressions: list[variants.Expr], names: list[str]) -> Origins:
        """Origins of all that `expressions` mention."""
        return _NONE.union(*(self.columns[i] for e in expressions for i in positions_in(e, names)))

    def everything(self) -> Origins:
        return self.rows.union(*self.columns)

    def with_rows(self, origins: Origins) -> _Flow:
        return _Flow(self.columns, self.rows | origins)


def column_lineage(plan: LogicalPlan, output: list[str], found: Scans) -> dict[str, Origins]:
    """Origins of each column of `output`. All columns of a hidden scan count for each of them."""
    flow = _flow(plan, {}, frozenset(found.columns))
    hidden = frozenset((table, column) for table, columns in found.hidden.items() for column in columns)
    return {name: origins | flow.rows | hidden for name, origins in zip(output, flow.columns, strict=True)}


def _flow(plan: LogicalPlan, working: Mapping[str, _Flow], known: frozenset[str]) -> _Flow:
    children = plan.inputs()
    variant = variant_of(plan)
    if isinstance(variant, variants.RecursiveQuery):
        return _recursion(variant, children, working, known)
    names = [column_names(child) for child in children]
    flows = [_flow(child, working, known) for child in children]
    first = flows[0] if flows else _Flow((), _NONE)
    match variant:
        case variants.TableScan():
            return _scan(variant, working, known)
        case variants.Filter():
            # The binding has no name for a filter's predicate alone but this one.
            return first.with_rows(first.of([variant.predicate()], names[0]))
        case variants.SubqueryAlias() | variants.Limit():
            return first
        case variants.Sort():
            return first.with_rows(first.of([e.expr() for e in variant.sort_exprs()], names[0]))
        case variants.Projection():
            return _Flow(tuple(first.of([e], names[0]) for e in variant.projections()), first.rows)
        case variants.Aggregate():
            groups = variant.group_by_exprs()
            rows = first.rows | first.of(groups, names[0])
            values = [first.of([e], names[0]) for e in variant.aggregate_exprs()]
            width = len(column_names(plan))
            return _Flow((*(rows for _ in range(width - len(values))), *values), rows)
        case variants.WindowExpr():
            windows = [first.of([e], names[0]) for e in variant.get_window_expr()]
            return _Flow((*first.columns, *windows), first.rows.union(*windows))
        case variants.Distinct():
            return first.with_rows(first.everything())
        case variants.Union():
            columns = zip(*(flow.columns for flow in flows), strict=True)
            return _Flow(tuple(_NONE.union(*same) for same in columns), _NONE.union(*(f.rows for f in flows)))
        case variants.Join():
            return _join(variant, flows, names, len(column_names(plan)))
        case variants.Unnest():
            kept = {n: o for n, o in zip(names[0], first.columns, strict=True) if "__unnest_placeholder" not in n}
            lists = _NONE.union(
                *(
                    o
                    for n, o in zip(names[0], first.columns, strict=True)
                    if n not in kept or n not in column_names(plan)
                )
            )
            return _Flow(tuple(kept.get(n, lists) for n in column_names(plan)), first.rows | lists)
        case _:
            everything = _NONE.union(*(flow.everything() for flow in flows))
            return _Flow(tuple(everything for _ in column_names(plan)), everything)


def _scan(scan: variants.TableScan, working: Mapping[str, _Flow], known: frozenset[str]) -> _Flow:
    table, columns = table_of(scan), scan.projection()
    if table in working:
        return _Flow(tuple(working[table].columns[index] for index, _ in columns), working[table].rows)
    if table not in known:  # a table function
        return _Flow(tuple(_NONE for _ in columns), _NONE)
    return _Flow(tuple(frozenset({(table, name)}) for _, name in columns), _NONE)


def _join(join: variants.Join, flows: list[_Flow], names: list[list[str]], width: int) -> _Flow:
    left, right = flows
    both = _Flow((*left.columns, *right.columns), left.rows | right.rows)
    condition = [e for pair in join.on() for e in pair] + ([join.filter()] if join.filter() is not None else [])
    rows = both.rows | both.of(condition, [*names[0], *names[1]])
    kind = str(join.join_type())
    if kind.startswith("Left") and kind != "Left":
        columns = left.columns
    elif kind.startswith("Right") and kind != "Right":
        columns = right.columns
    else:
        columns = both.columns
    marks = (rows for _ in range(width - len(columns)))
    return _Flow((*columns, *marks), rows)


def _recursion(
    query: variants.RecursiveQuery, children: list[LogicalPlan], working: Mapping[str, _Flow], known: frozenset[str]
) -> _Flow:
    start, step = children
    flow = _flow(start, working, known)
    while True:
        again = _flow(step, {**working, query.name(): flow}, known)
        rows = flow.rows | again.rows
        if query.is_distinct():
            rows |= flow.everything() | again.everything()
        grown = _Flow(tuple(a | b for a, b in zip(flow.columns, again.columns, strict=True)), rows)
        if grown == flow:
            return flow
        flow = grown

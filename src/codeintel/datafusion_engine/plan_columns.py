"""Output columns of a plan node, by position, and which of them an expression means.

The binding gives a node's columns as flat names (`qualifier.name`) in order, and a column reference the same way.
Whatever resolves to nothing or to several columns is treated by each caller in its own sound way.
"""

from __future__ import annotations

import re

from datafusion import LogicalPlan
from datafusion import expr as variants

from codeintel.datafusion_engine.scans import variant_of


def column_names(plan: LogicalPlan) -> list[str]:
    """Flat names of the node's output columns."""
    variant = variant_of(plan)
    if isinstance(variant, variants.RecursiveQuery):
        return column_names(plan.inputs()[0])
    if isinstance(variant, variants.Distinct | variants.Subquery):
        return column_names(plan.inputs()[0]) if plan.inputs() else []
    schema = getattr(variant, "schema", None)
    return list(schema().field_names()) if schema is not None else []


def unaliased(expression: variants.Expr) -> variants.Expr:
    """The expression under its output names."""
    while expression.variant_name() == "Alias":
        expression = expression.to_variant().expr()
    return expression


def position_of(expression: variants.Expr, names: list[str]) -> int | None:
    """Where the plain column that `expression` is stands in `names`; None for any other expression."""
    expression = unaliased(expression)
    if expression.variant_name() != "Column":
        return None
    found = _matches(expression.to_variant().qualified_name(), names)
    return found[0] if len(found) == 1 else None


def positions_in(expression: variants.Expr, names: list[str]) -> list[int]:
    """Every column that `expression` can mean, judged by its text: a literal that looks like a column counts too."""
    expression = unaliased(expression)
    if expression.variant_name() == "Column":
        return _matches(expression.to_variant().qualified_name(), names) or list(range(len(names)))
    text = expression.canonical_name()
    return [index for index, name in enumerate(names) if _occurs(name, text)]


def _matches(flat: str, names: list[str]) -> list[int]:
    exact = [index for index, name in enumerate(names) if name == flat]
    return exact or [index for index, name in enumerate(names) if name.endswith(f".{flat}")]


def _occurs(name: str, text: str) -> bool:
    """Whether `name`, or the end of it after any of its dots, stands in `text` unqualified."""
    if name not in text and name.rpartition(".")[2] not in text:
        return False
    parts = name.split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts)))
    return any(end in text and re.search(rf"(?<![\w.]){re.escape(end)}(?!\w)", text) for end in ends)

"""Contracts that users' own views declare in their front matter, and what is taken for granted where they do not.

-- entity: file
-- grain: one row per file with calls
-- key: path
-- not_null: path
-- column calls: calls in the file
-- allowed size: small, large
-- references: path -> files.path
-- severity: warn
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import pyarrow as pa

from codeintel.datafusion_engine.sql_text import front_matter, line_of_front_matter
from codeintel.errors import PlanError, nearest
from codeintel.relspec.pipeline import Contract, Reference, Severity, Stability, Table

NAMES = frozenset({
    "mode", "key", "grain", "entity", "join_keys", "not_null", "references", "severity", "version", "stability",
    "semantic_id",
})  # fmt: skip
OF_COLUMNS = ("column", "unit", "allowed")
"""What front matter may say, and, followed by the name of a column, what of columns."""


def declared_table(view: str, sql: str, schema: pa.Schema) -> Table:
    """The table of a view without a contract of its own: its key and what is never null, by its front matter.

    Raises PlanError for a column that it does not output, and for a name that must be a slip.
    """
    said = _front_matter(view, sql)
    key, required = (_columns(view, sql, said, name, schema) for name in ("key", "not_null"))
    return Table(pa.schema([f.with_nullable(False) if f.name in required else f for f in schema]), key)


def declared_contract(view: str, sql: str, table: Table, contracts: Mapping[str, Contract]) -> Contract:
    """The contract of a published table that has none in the pipeline. `sql` is empty for an analysis.

    Columns that lead to other tables are by default those named like such columns of `contracts`. Raises PlanError for
    what cannot be meant.
    """
    said, names = _front_matter(view, sql), table.schema.names
    known = {column for contract in contracts.values() for column in contract.join_keys}
    keys = table.key or tuple(name for name in names if name != "bucket")
    by_column = {name: dict[str, str]() for name in OF_COLUMNS}
    for name, text in said.items():
        first, *rest = name.split()
        if first in by_column and rest:
            by_column[first][_column(view, sql, name, rest[0], names)] = text
    grain = f"one row per {', '.join(table.key)}" if table.key else "one row per derived row"
    return Contract(
        table=table,
        grain=said.get("grain") or grain,
        meanings=by_column["column"],
        units=by_column["unit"],
        allowed={column: frozenset(_parts(text)) for column, text in by_column["allowed"].items()},
        references=tuple(_reference(view, sql, text, names) for text in _parts(said.get("references", ""))),
        severity=_one_of(view, sql, said, "severity", get_args(Severity), "fail"),
        entity=said.get("entity") or view,
        entity_keys=keys,
        join_keys=_columns(view, sql, said, "join_keys", table.schema) or tuple(n for n in names if n in known) or keys,
        version=said.get("version") or "v1",
        stability=_one_of(view, sql, said, "stability", get_args(Stability), "experimental"),
    )


def _front_matter(view: str, sql: str) -> dict[str, str]:
    said = front_matter(sql)
    for name in said:
        first, *rest = name.split()
        if first in (OF_COLUMNS if rest else NAMES):
            continue
        if close := difflib.get_close_matches(first, (*NAMES, *OF_COLUMNS), n=1, cutoff=0.8):
            meant = f"{close[0]} COLUMN" if close[0] in OF_COLUMNS else close[0]
            raise _error(view, sql, name, f"says {name!r}; did you mean {meant}?")
    return said


def _columns(view: str, sql: str, said: Mapping[str, str], name: str, schema: pa.Schema) -> tuple[str, ...]:
    return tuple(_column(view, sql, name, column, schema.names) for column in _parts(said.get(name, "")))


def _column(view: str, sql: str, name: str, column: str, known: Iterable[str]) -> str:
    if column not in known:
        what = f"declares the {name.split(maxsplit=1)[0]} column {column!r}, which it does not output"
        raise _error(view, sql, name, f"{what}; {nearest(column, known)}")
    return column


def _reference(view: str, sql: str, text: str, known: Iterable[str]) -> Reference:
    column, arrow, target = (part.strip() for part in text.partition("->"))
    table, dot, target_column = target.partition(".")
    if not (arrow and dot and table and target_column):
        raise _error(view, sql, "references", f"says {text!r}; write it as `column -> table.column`")
    return Reference((_column(view, sql, "references", column, known),), table, (target_column,))


def _one_of(view: str, sql: str, said: Mapping[str, str], name: str, known: tuple[Any, ...], default: str) -> Any:
    if (value := said.get(name) or default) not in known:
        raise _error(view, sql, name, f"has the {name} {value!r}; {nearest(value, known)}")
    return value


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _error(view: str, sql: str, name: str, message: str) -> PlanError:
    line = line_of_front_matter(sql, name)
    return PlanError(f"view {view!r}, line {line}, {message}", subject=view, line=line)

"""What the text of a query names, read by sqlglot independently of the engine: the cross-check, and the order of views.

sqlglot has no DataFusion dialect; DuckDB's is nearest, then Postgres's. What none of them parses is read token by
token: every known name counts as read, an over-approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from codeintel.datafusion_engine.sql_text import tokens

_DIALECTS = ("duckdb", "postgres", "")


@dataclass(frozen=True, slots=True)
class References:
    """Tables a query reads, by name; the columns it mentions, None if it may mean any (`*`, NATURAL).

    `parsed` is false when no dialect reads the query. `sampled` says that it has a TABLESAMPLE, which the engine
    ignores.
    """

    tables: frozenset[str]
    columns: frozenset[str] | None
    parsed: bool = True
    sampled: bool = False


@lru_cache(maxsize=4096)  # asked for the order of views, and again to check what the engine makes of each
def references(sql: str) -> References:
    """What `sql` names; all its words if it cannot be parsed."""
    for dialect in _DIALECTS:
        try:
            statements = sqlglot.parse(sql, read=dialect or None, error_level=sqlglot.ErrorLevel.RAISE)
        except (SqlglotError, RecursionError):
            continue
        tree = statements[0] if len(statements) == 1 else None
        if isinstance(tree, exp.Query | exp.Values):
            return _of_tree(tree)
    words = frozenset(token.name for token in tokens(sql) if token.kind in ("word", "quoted"))
    return References(words, None, parsed=False)


def _of_tree(tree: exp.Query | exp.Values) -> References:
    tables = {
        _name(table.this)
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and not _is_common_table(table)
    }
    anything = any(True for _ in tree.find_all(exp.Star)) or any(
        str(join.args.get("method") or "").upper() == "NATURAL" for join in tree.find_all(exp.Join)
    )
    columns = None if anything else frozenset(_name(identifier) for identifier in tree.find_all(exp.Identifier))
    return References(frozenset(tables), columns, sampled=tree.find(exp.TableSample) is not None)


def _name(identifier: exp.Expression) -> str:
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def _is_common_table(table: exp.Table) -> bool:
    """Whether a WITH clause around `table` defines its name, and does so before it (or is recursive)."""
    if table.args.get("db"):
        return False
    name, below = _name(table.this), table
    while (above := below.parent) is not None:
        if isinstance(above, exp.With):
            for common in above.expressions:
                if common is below and not above.recursive:
                    break
                if _defines(common, name):
                    return True
                if common is below:
                    break
        else:
            clause = above.args.get("with_") or above.args.get("with")
            if clause is not None and clause is not below and any(_defines(c, name) for c in clause.expressions):
                return True
        below = above
    return False


def _defines(common: exp.CTE, name: str) -> bool:
    alias = common.args.get("alias")
    return alias is not None and isinstance(alias.this, exp.Identifier) and _name(alias.this) == name

"""The engine's messages in plain words.

DataFusion raises ValueError, bare Exception or, for its own panics, a BaseException; only the text tells them apart
(measured for 55.0). What is kept is the reason; prefixes, stacks and advice to file a bug are cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pyarrow as pa

from codeintel.datafusion_engine.sql_text import line_of
from codeintel.errors import PlanError, nearest

_PREFIX = re.compile(
    r"^(?:DataFusion error|Error during planning|Schema error|SQL error|This feature is not implemented|External error"
    r"|Execution error|Arrow error|General error|Optimizer rule '\w+' failed\s*(?:caused by)?|Internal error)[:\s]\s*"
)
_NOISE = re.compile(
    r"\n*(?:backtrace:|stack backtrace:|This issue was likely caused by a bug in DataFusion).*", re.DOTALL
)
_PARSER = re.compile(r'^ParserError\("(?P<text>.*?)(?: at Line: (?P<line>\d+), Column: \d+)?"\)$', re.DOTALL)
_TABLE = re.compile(r"table '(?P<name>.+)' not found", re.DOTALL)
_RAISED = re.compile(r"PyErr \{ type: .*?, value: (?P<error>.*), traceback: .*", re.DOTALL)
_COLUMN = re.compile(r"No field named (?P<name>.+?)\.(?:\s*(?:Valid fields|Did you mean).*)?$", re.DOTALL)


def is_panic(error: BaseException) -> bool:
    """Whether the engine panicked: `pyo3_runtime.PanicException`, which no `except Exception` sees."""
    return type(error).__module__ == "pyo3_runtime"


def reason(error: BaseException) -> tuple[str, int | None]:
    """The engine's reason in one sentence, and the line if it gives one."""
    text = _NOISE.sub("", str(error)).strip()
    while (shorter := _PREFIX.sub("", text, count=1)) != text:
        text = shorter
    if match := _PARSER.match(text):
        return match["text"].replace('\\"', '"'), int(match["line"]) if match["line"] else None
    if match := _RAISED.fullmatch(text):
        text = f"a function raised {match['error']}"
    return " ".join(text.split()), None


def unknown_table(error: BaseException) -> str | None:
    """The table that the engine did not find, without the catalog it looked in."""
    match = _TABLE.search(str(error))
    return match["name"].removeprefix("datafusion.public.") if match else None


def unknown_column(error: BaseException) -> tuple[str, str | None] | None:
    """The column that the engine did not find and its qualifier, unquoted."""
    match = _COLUMN.search(str(error))
    if not match:
        return None
    parts = re.findall(r'"(?:[^"]|"")*"|[^."]+', match["name"])
    parts = [p[1:-1].replace('""', '"') if p.startswith('"') else p for p in parts]
    return (parts[-1], parts[-2] if len(parts) > 1 else None) if parts else None


def explained(
    error: BaseException,
    sql: str,
    schemas: Mapping[str, pa.Schema],
    what: str,
    subject: str | None,
    origin: str | None = None,
) -> PlanError:
    """The engine's refusal to plan `what`, with the place in the text and the nearest of the names in `schemas`."""
    text, line = reason(error)
    if (table := unknown_table(error)) is not None:
        line = line_of(sql, table.rpartition(".")[2]) or line
        text = f"reads unknown table {table!r}; {nearest_identifier(table, schemas)}"
    elif (unknown := unknown_column(error)) is not None:
        column, qualifier = unknown
        line = line_of(sql, column)
        of = f" of {qualifier!r}" if qualifier else ""
        owners = sorted(table for table, schema in schemas.items() if column in schema.names)
        columns = {name for table, schema in schemas.items() if qualifier in (table, None) for name in schema.names}
        columns = columns or {name for schema in schemas.values() for name in schema.names}  # the qualifier is an alias
        hint = f"{' and '.join(owners)} has one" if owners else nearest_identifier(column, columns)
        text = f"names unknown column {column!r}{of}; {hint}"
    place = f"{origin}:{line}" if origin and line else origin or (f"line {line}" if line else "")
    return PlanError(f"{what}{f' ({place})' if place else ''}: {text}", subject=subject, line=line)


def nearest_identifier(name: str, known: Iterable[str]) -> str:
    """The nearest known names, or how to write the one that differs in case alone."""
    same = [each for each in known if each.lower() == name.lower()]
    return f'it is written "{same[0]}", in quotes' if same else nearest(name, known)

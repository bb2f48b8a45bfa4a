"""SQL as text: tokens with their lines, front matter, and what can be refused before the engine sees it.

The lexer follows DataFusion's generic dialect. Nothing here parses; whoever needs structure asks the engine
(`scans`) or sqlglot (`references`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from codeintel.errors import PlanError

TokenKind = Literal["word", "quoted", "string", "number", "parameter", "symbol"]

# Every function that `information_schema.routines` of DataFusion 55 calls non-deterministic, less the table functions,
# which are deterministic for constant arguments. The optimizer folds now() to a literal, so the plan cannot tell.
VOLATILE = frozenset({
    "current_date", "current_time", "current_timestamp", "file_row_index", "input_file_name", "localtime",
    "localtimestamp", "now", "rand", "random", "today", "uuid",
})  # fmt: skip
_CALLED_WITHOUT_PARENTHESES = frozenset({
    "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
})  # fmt: skip

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*)
    | (?P<block>/\*)
    | (?P<string>[eE]'(?:[^'\\]|\\.|'')*' | (?:[nNxXbBrR]|[uU]&)?'(?:[^']|'')*'
               | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*" | `(?:[^`]|``)*`)
    | (?P<number>\d[\w.]*)
    | (?P<parameter>\$\w+ | \?)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS: tuple[TokenKind, ...] = ("word", "symbol", "quoted", "string", "number", "parameter")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_FRONT_MATTER = re.compile(r"--\s*([A-Za-z][\w-]*(?:[ \t]+\w+)?)\s*:\s*(.*)")


@dataclass(frozen=True, slots=True)
class Token:
    """`name` is what an identifier means: unquoted ones are lower case, quoted ones keep theirs. `line` is from 1."""

    kind: TokenKind
    text: str
    line: int

    @property
    def name(self) -> str:
        if self.kind == "quoted":
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text.lower()


@lru_cache(maxsize=4096)
def tokens(sql: str) -> tuple[Token, ...]:
    """Tokens of `sql` without comments and white space."""
    return tuple(_tokens(sql))


def _tokens(sql: str) -> Iterator[Token]:
    position, line = 0, 1
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None  # `symbol` takes any character
        end = _block_comment_end(sql, position) if match["block"] else match.end()
        kind = next((k for k in _KINDS if match[k] is not None), None)
        if kind is not None:  # else a space or a comment
            yield Token(kind, match[0], line)
        line += sql.count("\n", position, end)
        position = end


def _block_comment_end(sql: str, start: int) -> int:
    """Block comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


def front_matter(sql: str) -> dict[str, str]:
    """The `-- name: value` lines before the first statement, by name in lower case; repeated ones joined by `, `.

    A name may have a second word, which keeps its case.
    """
    found: dict[str, str] = {}
    for _, name, value in _front_matter_lines(sql):
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def line_of_front_matter(sql: str, name: str) -> int | None:
    """The line of the first `-- name: value`."""
    return next((number for number, found, _ in _front_matter_lines(sql) if found == name), None)


def _front_matter_lines(sql: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(map(str.strip, sql.splitlines()), 1):
        if line and not line.startswith("--"):
            return
        if match := _FRONT_MATTER.fullmatch(line):
            first, *rest = match[1].split()
            yield number, " ".join([first.lower(), *rest]), match[2].strip()


def line_of(sql: str, name: str) -> int | None:
    """The line of the first token that means `name`."""
    return next((t.line for t in tokens(sql) if t.kind in ("word", "quoted") and t.name == name), None)


def calls(sql: str) -> dict[str, int]:
    """Names that stand before an opening parenthesis, or are functions without one, and the line of the first."""
    found: dict[str, int] = {}
    stream = tokens(sql)
    for index, token in enumerate(stream):
        if token.kind not in ("word", "quoted"):
            continue
        before = stream[index - 1].text.lower() if index else ""
        after = stream[index + 1].text if index + 1 < len(stream) else ""
        bare = token.kind == "word" and token.name in _CALLED_WITHOUT_PARENTHESES and before not in (".", "as")
        if after == "(" or bare:
            found.setdefault(token.name, token.line)
    return found


def refuse_what_no_view_may_do(sql: str, view: str, where: str) -> None:
    """PlanError for volatile functions and parameters: a view's rows must follow from its inputs alone."""
    for name, line in calls(sql).items():
        if name in VOLATILE:
            raise PlanError(
                f"view {view!r} ({where}:{line}) calls {name}(), whose value changes from run to run; "
                "read the value from an input table instead",
                subject=view, line=line,
            )  # fmt: skip
    for token in tokens(sql):
        if token.kind == "parameter":
            raise PlanError(
                f"view {view!r} ({where}:{token.line}) has the parameter {token.text}; write the value instead",
                subject=view, line=token.line,
            )  # fmt: skip

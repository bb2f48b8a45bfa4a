"""Where statements begin and end in source that need not parse: lines, their indentation, brackets and strings.

There are two readings. The strict one counts brackets and quotes as Python does. The soft one is for a statement that
Python refused: an open bracket or string ends where the layout says that a new statement begins, so that one missing
bracket does not swallow the rest of the file. Both only ever look forward from a statement's first line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

_TOKEN = re.compile(
    rb"(?P<newline>\r\n?|\n)|(?P<skip>#[^\r\n]*|\\(?:\r\n|.|\Z))|(?P<triple>\"\"\"|''')"
    rb"|(?P<quote>[\"'])|(?P<open>[(\[{])|(?P<close>[)\]}])",
    re.DOTALL,
)
_REST = {quote: re.compile(rb"(?:[^\r\n\\%b]|\\(?:\r\n|.))*%b?" % (quote, quote), re.DOTALL) for quote in (b'"', b"'")}
_TRIPLE_END = {quote: re.compile(rb"\\.|%b" % quote, re.DOTALL) for quote in (b'"""', b"'''")}
_BLANK = re.compile(rb"[ \t\f]*(?:#|[\r\n]|\Z)")
_SPACE = re.compile(rb"[ \t\f]*")
CLAUSE = re.compile(rb"(?:else|elif|except|finally)\b")
OPENER = re.compile(rb"(?:async|class|def|elif|else|except|finally|for|if|try|while|with)\b")
# Hard keywords that no expression can go on with.
_NEVER_INSIDE = re.compile(
    rb"(?:assert|break|class|continue|def|del|elif|except|finally|global|import|nonlocal|pass|raise|return|try|while|"
    rb"with)\b|async[ \t]+(?:def|with)\b|from[ \t]+[\w.]+[ \t]+import\b"
)
_DEFINITION = re.compile(rb"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+\w+[ \t]*[(:\[]", re.MULTILINE)
_CLOSING = {b"(": b")", b"[": b"]", b"{": b"}"}
_CLOSER = re.compile(rb"[)\]}]")


def open_brackets(text: bytes) -> bytes:
    """What closes the brackets that are open at the end of a text; nothing if its brackets do not match."""
    waiting, at = bytearray(), 0
    while found := _TOKEN.search(text, at):
        at = found.end()
        match found.lastgroup:
            case "open":
                waiting += _CLOSING[found[0]]
            case "close":
                if waiting[-1:] != found[0]:
                    return b""
                waiting.pop()
            case "quote":
                at = _REST[found[0]].match(text, at).end()  # pyrefly: ignore
            case "triple":
                at = next((m.end() for m in _TRIPLE_END[found[0]].finditer(text, at) if m[0] == found[0]), at)
    return bytes(reversed(waiting))


class Layout:
    """Lines of a text count from 0 here, and `starts` ends with the size of the text."""

    def __init__(self, text: bytes, starts: Sequence[int]) -> None:
        self.text = text
        self.starts = starts
        self.lines = len(starts) - 1
        self.scanned = 0  # bytes

    def is_blank(self, line: int) -> bool:
        """Whether nothing or only a comment stands on a line."""
        return _BLANK.match(self.text, self.starts[line], self.starts[line + 1]) is not None

    def after_blank(self, line: int, end: int) -> int:
        while line < end and self.is_blank(line):
            line += 1
        return line

    def space(self, line: int) -> bytes:
        """The white space that a line begins with."""
        return _SPACE.match(self.text, self.starts[line], self.starts[line + 1])[0]  # pyrefly: ignore

    def column(self, line: int) -> int:
        """How far a line is indented, with tabs to the next multiple of eight, as the compiler counts."""
        return len(self.space(line).rpartition(b"\f")[2].expandtabs(8))

    def first(self, line: int) -> int:
        """The offset of the first character that is not white space."""
        return self.starts[line] + len(self.space(line))

    def last(self, end: int) -> int:
        """The offset behind the last character before line `end`, its newline not counted."""
        stop = self.starts[end]
        while stop and self.text[stop - 1] in b"\r\n" and stop > self.starts[end - 1]:
            stop -= 1
        return stop

    def code_end(self, line: int, end: int) -> int:
        """The offset behind the last character of a logical line, comments at its end not counted."""
        text, at, stop = self.text, self.starts[line], self.last(end)
        code = at  # where the white space and comments begin that have been seen last
        while found := _TOKEN.search(text, at, stop):
            if text[at : found.start()].strip():
                code = found.start()
            at = found.end()
            match found.lastgroup:
                case "quote":
                    at = _REST[found[0]].match(text, at, stop).end()  # pyrefly: ignore
                case "triple":
                    at = next((m.end() for m in _TRIPLE_END[found[0]].finditer(text, at, stop) if m[0] == found[0]), at)
                case "newline":
                    continue
                case _ if found[0].startswith(b"#"):
                    continue
            code = at
        code = stop if text[at:stop].strip() else code
        return self.starts[line] + len(text[self.starts[line] : code].rstrip())

    def starts_with(self, pattern: re.Pattern[bytes], line: int) -> bool:
        return pattern.match(self.text, self.first(line)) is not None

    def statement_end(self, line: int, end: int, *, soft: bool) -> int | None:
        """The line after the statement on `line` with its blocks and clauses, at most `end`.

        None if the strict reading finds that it is not a whole one.
        """
        column = self.column(line)
        decorated = self.text.startswith(b"@", self.first(line))
        while line < end:
            after = self.logical_end(line, end, soft=soft)
            self.scanned += self.starts[end if after is None else after] - self.starts[line]
            if after is None:
                return None
            line = self.after_blank(after, end)
            if line == end:
                return end
            here = self.column(line)
            if here > column or (here == column and (decorated or self.starts_with(CLAUSE, line))):
                decorated = decorated and self.text.startswith(b"@", self.first(line))
                continue
            return line
        return line

    def logical_end(self, line: int, end: int, *, soft: bool) -> int | None:
        """The line after the logical line that begins on `line`, at most `end`; None as in `statement_end`."""
        text, begin, depth, stop = self.text, line, 0, self.starts[end]
        at = self.starts[line]
        while found := _TOKEN.search(text, at, stop):
            at = found.end()
            match found.lastgroup:
                case "newline":
                    line += 1
                    if depth == 0 or line >= end or (soft and self._must_begin_here(line, begin)):
                        return line
                case "skip" if found[0][:1] == b"\\":
                    line += len(found[0]) > 1 and found[0][-1] in b"\r\n"
                case "open":
                    depth += 1
                case "close":
                    depth = max(depth - 1, 0)
                case "quote":
                    at = _REST[found[0]].match(text, at, stop).end()  # pyrefly: ignore
                    line = self._line_of(at)
                case "triple":
                    closed = next(
                        (m.end() for m in _TRIPLE_END[found[0]].finditer(text, at, stop) if m[0] == found[0]), 0
                    )
                    if not closed and not soft:
                        return None
                    if closed and not (soft and self._swallows_code(at, closed, begin)):
                        at, line = closed, self._line_of(closed)
        return end if soft or depth == 0 else None

    def _line_of(self, offset: int) -> int:
        return min(bisect_right(self.starts, offset) - 1, self.lines - 1)

    def _must_begin_here(self, line: int, begin: int) -> bool:
        """Whether `line` begins a statement although a bracket is open since a statement on `begin`."""
        if self.is_blank(line):
            return False
        if self.starts_with(_NEVER_INSIDE, line):
            return True
        if self.column(line) <= self.column(begin):
            return not self.starts_with(_CLOSER, line)
        return self.starts_with(OPENER, begin) and self.text.startswith(b":", self.last(line) - 1)

    def _swallows_code(self, begin: int, end: int, line: int) -> bool:
        """Whether a string holds what looks like a definition no deeper than the statement the string is in."""
        return any(
            self.column(self._line_of(found.end() - 1)) <= self.column(line)
            for found in _DEFINITION.finditer(self.text, begin, end)
            if found.start() >= self.starts[line + 1]
        )

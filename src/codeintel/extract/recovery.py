"""A file that does not parse, read but for the statements that cannot be.

Python's own parser reads the rest, so there is one way from source to facts. The text is divided as its layout divides
it, into statements, headers and blocks, and the compiler is asked of each whether it is whole (divide and conquer, as
in delta debugging: Zeller, Hildebrandt 2002, doi:10.1109/32.988498; layout as the anchor of recovery: de Jonge et al.
2009, doi:10.1007/978-3-642-12107-4_16). What it refuses is rewritten if it is the syntax of another Python, else
mended where tree-sitter sees what is too much or missing, else left out; a header is left as much as keeps its block.
Edits never move a line, and places of nodes are taken back to the file's own columns. What was left out is an
`Unparsed` node where it stands for a statement or an expression.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from codeintel.extract.grammar import Unparsed
from codeintel.extract.source_edits import Edit, Note, Places, applied, line_ends, moved
from codeintel.extract.source_layout import CLAUSE, OPENER, Layout, open_brackets
from codeintel.extract.statement_repair import repairs

Judge = Callable[[str], ast.Module | BaseException]

# Bounds on what is tried, and so on how deep it goes: bytes read or handed to the compiler (a call counts as CALL more)
# for each byte of the file. Past the first, statements are no longer mended; past the second, not even looked at.
MENDING, READING = 12, 24
CALL, FREE = 200, 5_000_000
MENDABLE = 50_000  # bytes of one statement
ATTEMPTS = 5  # to parse the whole

# The line that a block, or what stands in a `match`, needs before it to be a text of its own.
BLOCK, MATCH = b"if 1:\n", b"match 1:\n"

UNREADABLE = "\1"

_BEFORE_CLAUSE = {
    b"else": b"if 1: pass\n", b"elif": b"if 1: pass\n", b"except": b"try: pass\n", b"finally": b"try: pass\n",
}  # fmt: skip
_KEYWORD = re.compile(rb"(?:async[ \t]+)?(\w+)")
_MATCH = re.compile(rb"match\b.*:\Z", re.DOTALL)
_DEFINES = re.compile(rb"(?:async|def|class)\b")
# A name at the end of the file may be cut short.
_NAMED = re.compile(rb"(?:(?:async[ \t]+)?def|class)[ \t]+\w+(?=[ \t]*[(\[:]|.*:\Z)", re.DOTALL)
# What is left of a header behind its keyword; %b: the newlines that it had.
_REDUCED = {
    b"if": b" (%b1):", b"elif": b" (%b1):", b"while": b" (%b1):", b"with": b" (%b1):", b"match": b" (%b1):",
    b"for": b" () in (%b1):", b"case": b" (%b_):", b"except": b":", b"else": b":", b"finally": b":", b"try": b":",
}  # fmt: skip
_TOGETHER = re.compile(
    rb"if(?: elif)*(?: else)?|(?:for|while)(?: else)?|try(?:(?: except)+(?: else)?(?: finally)?| finally)|"
    rb"(?!elif|else|except|finally|try)\w+"
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """`text` is what was parsed in the end, with the lines of the file."""

    tree: ast.Module
    text: str
    notes: list[Note]


@dataclass(frozen=True, slots=True)
class _Header:
    """A header as it is read, the edits that make it so, and whether it has its block behind it on its own line."""

    text: bytes
    edits: list[Edit]
    has_block: bool


def recover(text: bytes, starts: Sequence[int], judge: Judge) -> Recovered | None:
    """The tree of the parts of `text` that parse; None if there are none.

    `text` is UTF-8 without a byte order mark, lone surrogates and NUL allowed; `starts` are where its lines start, and
    last its size. `judge` gives what the compiler makes of a text. Takes time linear in the text.
    """
    if b"\0" in text:
        text, judge = text.replace(b"\0", UNREADABLE.encode()), partial(_judged_if_readable, judge)
    division = _Division(Layout(text, starts), judge)
    division.suite(0, len(starts) - 1, b"", b"")
    for _ in range(ATTEMPTS):
        edits = sorted(division.edits, key=lambda edit: (edit.start, edit.end))
        edited = applied(text, edits)
        tree = judge(edited.decode("utf-8", "surrogatepass"))
        if isinstance(tree, ast.Module):
            places = Places(starts, edits, edited)
            places.restore(tree)
            if all(type(statement) is Unparsed for statement in tree.body):
                return None
            return Recovered(tree, edited.decode("utf-8", "surrogatepass"), places.notes())
        line = getattr(tree, "lineno", None)
        if not line or not division.leave_out_at(line - 1):
            return None
    return None


def _judged_if_readable(judge: Judge, text: str) -> ast.Module | BaseException:
    """What the compiler makes of a text in which NUL is a character that may stand in comments and strings only.

    A string with it has another value than the file says.
    """
    tree = judge(text)
    if isinstance(tree, ast.Module) and UNREADABLE in text:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and (
                (isinstance(node.value, str) and UNREADABLE in node.value)
                or (isinstance(node.value, bytes) and UNREADABLE.encode() in node.value)
            ):
                return ValueError("a byte that is no text")
    return tree


@dataclass(slots=True)
class _Division:
    """Divides source into what the compiler takes and what it does not. `edits` make all of it acceptable."""

    layout: Layout
    judge: Judge
    edits: list[Edit] = field(default_factory=list)
    whole: list[tuple[int, int, bytes, bytes]] = field(default_factory=list)  # accepted lines from, to; space, around
    spent: int = 0

    def within(self, bound: int) -> bool:
        return self.spent + self.layout.scanned < bound * len(self.layout.text) + FREE

    def problem(self, text: bytes) -> str | None:
        """What the compiler has against a text; None for nothing."""
        self.spent += len(text) + CALL
        found = self.judge(text.decode("utf-8", "surrogatepass"))
        if isinstance(found, ast.Module):
            return None
        return getattr(found, "msg", None) or str(found) or type(found).__name__

    def suite(self, line: int, end: int, space: bytes, around: bytes) -> None:
        """Deal with the statements on lines `line` to `end`, which shall all be indented by `space`.

        `around` is the line that a block needs before it to be a text of its own.
        """
        layout = self.layout
        while (line := layout.after_blank(line, end)) < end:
            if not self.within(READING):
                self._leave_out(line, layout.last(end), space, around, "too much is broken to be read on")
                return
            after = layout.statement_end(line, end, soft=False) if self.within(MENDING) else None
            if after is None or not self._is_whole(line, after, space, around):
                after = layout.statement_end(line, end, soft=True) or end
                self._statement(line, after, space, around)
            line = after

    def _is_whole(self, line: int, end: int, space: bytes, around: bytes) -> bool:
        """Whether lines need nothing but perhaps another indentation; if so they are dealt with."""
        text = self.layout.text[self.layout.first(line) : self.layout.starts[end]]
        if self.problem(around + space + text) is not None:
            return False
        self._indent(line, space)
        self.whole.append((line, end, space, around))
        return True

    def _indent(self, line: int, space: bytes) -> None:
        if self.layout.space(line) != space:
            self.edits.append(Edit(self.layout.starts[line], self.layout.first(line), space))

    def _leave_out(self, line: int, last: int, space: bytes, around: bytes, why: str) -> None:
        """Let a placeholder stand for a statement that begins on `line` and whose code ends at the offset `last`."""
        first = self.layout.first(line)
        held = b"case _: pass" if around == MATCH else b"pass"
        self._indent(line, space)
        held += line_ends(self.layout.text, first, last)
        self.edits.append(Edit(first, last, held, why, left_out=True))

    def leave_out_at(self, line: int) -> bool:
        """Give up the accepted lines that `line` is among, or else those before it; false if there are none."""
        self.whole.sort()
        at = bisect_right(self.whole, (line, self.layout.lines + 1, b"", b"")) - 1
        if at < 0:
            return False
        begin, end, space, around = self.whole.pop(at)
        first, last = self.layout.starts[begin], self.layout.starts[end]
        self.edits = [edit for edit in self.edits if not first <= edit.start < last]
        self._leave_out(begin, self.layout.last(end), space, around, "does not fit what is around it")
        return True

    def _statement(self, line: int, end: int, space: bytes, around: bytes) -> None:
        """A statement that was refused as a whole: its decorators, then header by header with what is below each."""
        layout = self.layout
        decorators = []
        while line < end and layout.text.startswith(b"@", layout.first(line)):
            after = layout.logical_end(line, end, soft=True) or end
            decorators.append((line, after))
            line = layout.after_blank(after, end)
        clauses = list(self._clauses(line, end))
        headers = [self._header(*clause, around) for clause in clauses]
        decorates = bool(headers and headers[0] and _DEFINES.match(headers[0].text))
        for decorator in decorators:
            self._decorator(*decorator, space, decorates)
        fitting = _fitting([header.text if header else b"" for header in headers])
        for number, ((begin, body, stop), header) in enumerate(zip(clauses, headers, strict=True)):
            if header is None or number >= fitting:
                self._alone(begin, body, space, around)
                self.suite(body, stop, space, around)
                continue
            self._indent(begin, space)
            self.edits += moved(header.edits, layout.first(begin))
            first = layout.after_blank(body, stop)
            if first < stop:
                inner = layout.space(first)
                if not inner.startswith(space) or len(inner) <= len(space):
                    inner = space + b"    "
                self.suite(body, stop, inner, MATCH if _MATCH.match(header.text) else BLOCK)
            elif not header.has_block:
                at = layout.code_end(begin, body)
                self.edits.append(Edit(at, at, b" pass", "a block is missing", left_out=True))

    def _decorator(self, line: int, end: int, space: bytes, decorates: bool) -> None:
        layout = self.layout
        first, last = layout.first(line), layout.code_end(line, end)
        text = layout.text[first:last]
        why = self.problem(text + b"\ndef f(): pass") if decorates else "nothing is decorated"
        self._indent(line, space)
        if why is not None:
            held = b" " + line_ends(text, 0, len(text))  # a CR may stand before it
            self.edits.append(Edit(first, last, held, why, left_out=True))

    def _clauses(self, line: int, end: int) -> Iterator[tuple[int, int, int]]:
        """For each header of a statement its first line, the line behind it, and the line behind its block."""
        layout, column = self.layout, self.layout.column(line) if line < end else 0
        while line < end:
            begin, body = line, layout.logical_end(line, end, soft=True) or end
            line = layout.after_blank(body, end)
            while line < end and not (layout.column(line) == column and layout.starts_with(CLAUSE, line)):
                line = layout.after_blank(layout.logical_end(line, end, soft=True) or end, end)
            yield begin, body, line

    def _alone(self, line: int, end: int, space: bytes, around: bytes) -> None:
        """Deal with a logical line that is no header."""
        layout = self.layout
        if self._is_whole(line, end, space, around):
            return
        first, last = layout.first(line), layout.code_end(line, end)
        text = layout.text[first:last]
        mended = self._mended(text, b"", b"") if around != MATCH else None
        if mended is None:
            why = self.problem(text) or "not to be expected here"
            self._leave_out(line, last, space, around, why)
        else:
            self._indent(line, space)
            self.edits += moved(mended, first)

    def _header(self, line: int, body: int, stop: int, around: bytes) -> _Header | None:
        """The header on lines `line` to `body`, as far as it can be read; None if it is none."""
        layout = self.layout
        text = layout.text[layout.first(line) : layout.code_end(line, body)]
        is_bare = layout.after_blank(body, stop) >= stop
        is_match = _MATCH.match(text) is not None
        if not (text.endswith(b":") or layout.starts_with(OPENER, line)) or (is_match and is_bare):
            return None
        before, behind = _before(text, around), b"\nfinally: pass" if text.startswith(b"try") else b""
        if is_bare and self.problem(before + text + behind) is None:  # its block stands on the same line
            return _Header(text, [], has_block=True)
        held = b"\n  case _: pass" if is_match else b" pass"
        why = self.problem(before + text + held + behind)
        if why is None:
            return _Header(text, [], has_block=False)
        for block in (b"", held) if is_bare else (held,):
            if (mended := self._mended(text, before, block + behind)) is not None:
                return _Header(applied(text, mended), mended, has_block=not block)
        for edits in _reductions(text, why):
            reduced = applied(text, edits)
            if self.problem(before + reduced + held + behind) is None:
                return _Header(reduced, edits, has_block=False)
        return None

    def _mended(self, text: bytes, before: bytes, after: bytes) -> list[Edit] | None:
        """What makes a part of a statement acceptable; None if nothing does."""
        if len(text) > MENDABLE or not self.within(MENDING):
            return None
        source = before + text + after
        for edits in chain(_closed(text, len(before)), repairs(source, len(before), len(before) + len(text))):
            mended = applied(source, edits)
            if line_ends(mended, 0, len(mended)) == line_ends(source, 0, len(source)) and self.problem(mended) is None:
                return moved(edits, -len(before))
        return None


def _closed(text: bytes, begin: int) -> Iterator[list[Edit]]:
    """Brackets that are left open closed at the end of the text, which begins at `begin`, or before its last colon."""
    if missing := open_brackets(text):
        end = begin + len(text)
        for at in (end, end - 1) if text.endswith(b":") else (end,):
            yield [Edit(at, at, missing, f"`{missing.decode()}` is missing")]


def _before(header: bytes, around: bytes) -> bytes:
    """What has to stand before a header for it to be one."""
    if around == MATCH:
        return MATCH + b" "
    clause = CLAUSE.match(header)
    return _BEFORE_CLAUSE[clause[0]] if clause else b""


def _reductions(header: bytes, why: str) -> Iterator[list[Edit]]:
    """Less and less of a header, but with its keyword, and with its name if it is a definition's."""
    if not header.endswith(b":"):
        yield [Edit(len(header), len(header), b":", "`:` is missing")]
    newlines = line_ends(header, 0, len(header))
    if named := _NAMED.match(header):
        start, held = named.end(), b"(%b):"
    else:
        keyword = _KEYWORD.match(header)
        held = _REDUCED.get(keyword[1], b"") if keyword else b""
        if newlines and b"%b" not in held:
            held = b" (%b1):" if held == b":" else b""
        start = keyword.end() if keyword else 0
    if held:
        yield [Edit(start, len(header), held.replace(b"%b", newlines), why, left_out=True)]


def _fitting(headers: Sequence[bytes]) -> int:
    """How many of the headers of one statement, from the first, can stand together; an empty one is none."""
    keywords = [keyword[1] if (keyword := _KEYWORD.match(header)) else b"-" for header in headers]
    found = _TOGETHER.match(b" ".join(keywords))
    return found[0].count(b" ") + 1 if found else 0

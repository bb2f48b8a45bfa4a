"""Edits of a source text that move no line, and the way back from what was parsed to the text."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from codeintel.extract.grammar import Unparsed

_NEWLINES = re.compile(rb"\r\n?|\n")
_PLACEHOLDERS = (ast.Pass, ast.Constant, ast.Tuple, ast.MatchAs)


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes from `start` to `end` become `text`, which has as many newlines as they have.

    `left_out`: they could not be read, and `text` only holds their place. `note` says so, or how they are read; empty
    if there is nothing to be told.
    """

    start: int
    end: int
    text: bytes
    note: str = ""
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """One part of a file that is not read as it is written. Lines from 1, columns in bytes from 0."""

    line: int
    col: int
    message: str
    left_out: bool


def line_ends(text: bytes, start: int, end: int) -> bytes:
    """As many newlines as there are between two offsets. All are LF: CR and LF of two lines would make one."""
    return b"\n" * len(_NEWLINES.findall(text, start, end))


def applied(text: bytes, edits: Sequence[Edit]) -> bytes:
    parts, at = [], 0
    for edit in edits:
        parts += (text[at : edit.start], edit.text)
        at = edit.end
    return b"".join([*parts, text[at:]])


def moved(edits: Sequence[Edit], by: int) -> list[Edit]:
    return [replace(edit, start=edit.start + by, end=edit.end + by) for edit in edits]


class Places:
    """Takes places in the edited text back to the text."""

    def __init__(self, starts: Sequence[int], edits: Sequence[Edit], edited: bytes) -> None:
        self.starts, self.edits = starts, edits
        self.edited_starts = [0, *(found.end() for found in _NEWLINES.finditer(edited)), len(edited)]
        longer = [0, *accumulate(len(edit.text) - (edit.end - edit.start) for edit in edits)]
        self.begins = [edit.start + by for edit, by in zip(edits, longer, strict=False)]
        self.ends = [begin + len(edit.text) for begin, edit in zip(self.begins, edits, strict=True)]
        self.lines = sorted(
            {line for edit in edits for line in range(self._line(edit.start), self._line(edit.end) + 1)}
        )

    def _line(self, offset: int) -> int:
        return min(bisect_right(self.starts, offset), len(self.starts) - 1)

    def notes(self) -> list[Note]:
        lines = [self._line(edit.start) for edit in self.edits]
        return [
            Note(line, edit.start - self.starts[line - 1], edit.note, edit.left_out)
            for line, edit in zip(lines, self.edits, strict=True)
            if edit.note
        ]

    def restore(self, tree: ast.Module) -> None:
        """Give the nodes their own places, and have `Unparsed` nodes where placeholders stand."""
        waiting: list[Any] = [tree]
        while waiting:
            node = waiting.pop()
            for name, value in ast.iter_fields(node):
                if isinstance(value, list):
                    value[:] = map(self._restored, value)
                    waiting += filter(self._is_touched, value)
                else:
                    setattr(node, name, child := self._restored(value))
                    waiting += filter(self._is_touched, [child])

    def _is_touched(self, node: Any) -> bool:
        """Whether there may be edits on the lines of a node."""
        if not hasattr(node, "end_lineno"):
            return isinstance(node, ast.AST)
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        at = bisect_left(self.lines, first)
        return at < len(self.lines) and self.lines[at] <= node.end_lineno

    def _restored(self, node: Any) -> Any:
        if not hasattr(node, "end_lineno"):  # or None, which some lists hold
            return node
        start = self._edited(node.lineno, node.col_offset)
        if isinstance(node, _PLACEHOLDERS):
            at = bisect_right(self.begins, start) - 1
            if at >= 0 and start < self.ends[at] and self.edits[at].left_out:
                edit = self.edits[at]
                return self._placed(
                    Unparsed(lineno=0, col_offset=0, end_lineno=0, end_col_offset=0), edit.start, edit.end
                )
        end = self._edited(node.end_lineno, node.end_col_offset)
        at, last = bisect_right(self.begins, start) - 1, bisect_left(self.begins, end) - 1
        start = self._original(start, at, lambda edit: edit.start)
        return self._placed(node, start, max(self._original(end, last, lambda edit: edit.end), start))

    def _edited(self, line: int, col: int) -> int:
        line = min(line, len(self.edited_starts) - 1)
        return min(self.edited_starts[line - 1] + max(col, 0), self.edited_starts[line])

    def _original(self, offset: int, at: int, inside: Callable[[Edit], int]) -> int:
        if at < 0:
            return offset
        edit = self.edits[at]
        return inside(edit) if offset < self.ends[at] else offset - self.ends[at] + edit.end

    def _placed(self, node: Any, start: int, end: int) -> Any:
        node.lineno = self._line(start)
        node.col_offset = start - self.starts[node.lineno - 1]
        node.end_lineno = max(min(bisect_left(self.starts, end), len(self.starts) - 1), node.lineno)
        node.end_col_offset = end - self.starts[node.end_lineno - 1]
        return node

"""From a row of `repo_files` to parsed source: bytes, encoding, lines, syntax tree and symbol table.

Nothing here raises for a bad file: what goes wrong becomes a `Fault` that says at which stage.
"""

from __future__ import annotations

import _symtable
import codecs
import os
import re
import tokenize
from ast import Module, PyCF_ONLY_AST
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from codeintel.fingerprint import digest_bytes

Stage = Literal["scan", "read", "decode", "parse", "recovery", "scopes"]

# What compiling hostile source is known to raise. ValueError: NUL bytes (before 3.12), surrogates. SystemError: bugs of
# the parser that it noticed. MemoryError: its own stack bound, not the machine's memory.
COMPILE_ERRORS = (
    SyntaxError, ValueError, MemoryError, RecursionError, OverflowError, SystemError, LookupError, AssertionError,
)  # fmt: skip

MOST_NOTES = 20  # rows about what recovery left out of one file
MOST_BINARY = 0.3  # share of bytes that are no text, above which a file is taken for binary
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of `file_errors`. Lines from 1, columns from 0."""

    stage: Stage
    error: str
    message: str
    line: int | None = None
    col: int | None = None


@dataclass(slots=True)
class SourceFile:
    """One file, as far as it could be read.

    `line_starts` are byte offsets into the UTF-8 form of the text (the file's own bytes if it is UTF-8), a BOM counted,
    and end with the size. `remap` takes such an offset to one into the file's own bytes; None when they are the same.
    """

    path: str
    module: str
    bucket: int
    parsed: bytes | str | None = None  # what the tree was made of, until its scopes are read
    encoding: str | None = None
    tree: Module | None = None
    symbols: Any = None  # the raw table of `_symtable`, which has no type of its own
    line_starts: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    remap: np.ndarray | None = None
    lines: int | None = None
    status: Literal["ok", "recovered", "partial", "failed"] = "failed"
    is_recovered: bool = False  # the tree lacks what could not be parsed
    is_unread: bool = False  # it was not what the scan says, or could not be read now
    faults: list[Fault] = field(default_factory=list)


def read_source(
    repository: Path,
    max_file_bytes: int,
    path: str,
    module: str,
    bucket: int,
    digest: str,
    size: int,
    error: str | None,
) -> SourceFile:
    """Read, check, decode and parse one file. The bytes that are parsed are the bytes whose digest was checked."""
    source = SourceFile(path, module, bucket)
    if error is not None:
        source.faults.append(Fault("scan", "scan", error))
        return source
    if size > max_file_bytes:
        source.faults.append(_too_large(size, max_file_bytes))
        return source
    raw = _read(repository / path, digest, max_file_bytes)
    if isinstance(raw, Fault):
        source.faults.append(raw)
        source.is_unread = True
        return source
    if fault := _decode(source, raw) or _parse(source, raw):
        source.faults.append(fault)
        _recover(source, raw)
    return source


def read_scopes(source: SourceFile) -> None:
    """Have the compiler work out the scopes of a file that was parsed, and let go of its bytes."""
    if source.parsed is not None and (fault := _scopes(source, source.parsed)):
        source.faults.append(fault)
    source.parsed = None


def _read(location: Path, digest: str, max_file_bytes: int) -> bytes | Fault:
    try:
        # Nonblocking: a FIFO that took the file's place must not hang the build.
        with open(location, "rb", opener=_open_nonblocking) as opened:
            now = os.fstat(opened.fileno()).st_size
            if now > max_file_bytes:
                return _too_large(now, max_file_bytes)
            raw = opened.read(max_file_bytes + 1)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        return Fault("read", type(problem).__name__, reason)
    if raw is None:
        return Fault("read", "NotRegular", "not a regular file")
    if digest_bytes(raw) != digest:
        return Fault("read", "Changed", "changed while being read")
    return raw


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _too_large(size: int, limit: int) -> Fault:
    return Fault("read", "TooLarge", f"{size} bytes, the limit is {limit}")


def _decode(source: SourceFile, raw: bytes) -> Fault | None:
    source.line_starts = starts = _line_starts(raw)
    # As an editor counts: the empty rest after the last newline is no line.
    source.lines = len(starts) - 1 - int(starts[-2] == starts[-1])
    try:
        source.encoding = _encoding(raw, starts)
        if raw.isascii():
            return None
        text = raw.decode(source.encoding)
    except UnicodeDecodeError as problem:
        line = int(np.searchsorted(source.line_starts, problem.start, "right"))
        col = problem.start - int(source.line_starts[line - 1]) if line else None
        return Fault("decode", type(problem).__name__, f"{problem.encoding}: {problem.reason}", line or None, col)
    except (SyntaxError, LookupError, ValueError) as problem:
        return Fault("decode", type(problem).__name__, getattr(problem, "msg", None) or str(problem), 1)
    if source.encoding not in ("utf-8", "utf-8-sig"):
        recoded = text.encode("utf-8", "surrogatepass")
        source.line_starts = _line_starts(recoded)
        source.remap = _remap(raw, text, source.encoding)
    return None


def _encoding(raw: bytes, line_starts: np.ndarray) -> str:
    """The encoding by BOM and PEP 263, named as `tokenize` names it: `utf-8`, `utf-8-sig`, `iso-8859-1`."""
    second = int(line_starts[min(2, len(line_starts) - 1)])
    if not raw.startswith(codecs.BOM_UTF8) and b"coding" not in raw[:second]:
        return "utf-8"
    first = int(line_starts[min(1, len(line_starts) - 1)])
    # The compiler ends lines at a lone CR, `tokenize` does not.
    lines = iter((raw[:first].replace(b"\r", b"\n"), raw[first:second].replace(b"\r", b"\n")))
    return tokenize.detect_encoding(lambda: next(lines, b""))[0]


def _line_starts(data: bytes) -> np.ndarray:
    """Where lines start as the compiler counts them (LF, CRLF and a lone CR end one), then the size of the data.

    Columns of the first line do not count a BOM, so it starts behind it.
    """
    codes = np.frombuffer(data, np.uint8)
    ends = codes == 10
    if b"\r" in data:
        lone = codes == 13
        lone[:-1] &= codes[1:] != 10
        ends |= lone
    first = 3 if data.startswith(codecs.BOM_UTF8) else 0
    return np.concatenate(([first], np.flatnonzero(ends) + 1, [len(data)]))


def _remap(raw: bytes, text: str, encoding: str) -> np.ndarray:
    """For each byte of the text's UTF-8 form the offset in `raw` of the character it belongs to; last the size."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (points > 0x7F) + (points > 0x7FF).astype(np.int64) + (points > 0xFFFF)
    if len(text) == len(raw):
        starts = np.arange(len(text))
    else:
        decoder, positions, begin = codecs.getincrementaldecoder(encoding)("replace"), [], 0
        for offset in range(len(raw)):
            produced = decoder.decode(raw[offset : offset + 1], offset + 1 == len(raw))
            positions.extend([begin] * len(produced))
            if produced:
                begin = offset + 1
        starts = np.array((positions + [len(raw)] * len(text))[: len(text)], np.int64)
    return np.r_[np.repeat(starts, widths), len(raw)]


def _compiled(source: str | bytes, path: str) -> Module | BaseException:
    try:
        return compile(source, path, "exec", PyCF_ONLY_AST, dont_inherit=True)
    except COMPILE_ERRORS as problem:
        return problem


def _parse(source: SourceFile, raw: bytes) -> Fault | None:
    found = _compiled(raw, source.path)
    if not isinstance(found, Module):
        return _compile_fault("parse", found)
    source.tree, source.parsed, source.status = found, raw, "partial"
    return None


def _recover(source: SourceFile, raw: bytes) -> None:
    """Read the parts of a file that parse, if its text can be told."""
    text = _text(source, raw)
    if text is None:
        return
    # Only broken files need tree-sitter.
    from codeintel.extract.recovery import recover  # noqa: PLC0415

    begin = int(source.line_starts[0])  # behind a byte order mark
    found = recover(text[begin:], (source.line_starts - begin).tolist(), partial(_compiled, path=source.path))
    if found is None:
        return
    source.tree, source.parsed, source.status, source.is_recovered = found.tree, found.text, "recovered", True
    told = [Fault("recovery", "LeftOut" if n.left_out else "ReadAs", n.message, n.line, n.col) for n in found.notes]
    if len(told) > MOST_NOTES:
        told[MOST_NOTES:] = [Fault("recovery", "More", f"{len(told) - MOST_NOTES} more parts are not read as written")]
    source.faults += told


def _text(source: SourceFile, raw: bytes) -> bytes | None:
    """A file's text as UTF-8, for `line_starts`; bytes that are none are NUL. None if it cannot be told."""
    if source.encoding in ("utf-8", "utf-8-sig"):
        text = _NOT_UTF8.sub("\0", raw.decode("utf-8", "surrogateescape")).encode()
        return text if text.count(0) <= MOST_BINARY * len(text) else None
    try:
        return raw.decode(source.encoding or "").encode("utf-8", "surrogatepass")
    except (LookupError, ValueError):
        return None


def _scopes(source: SourceFile, parsed: bytes | str) -> Fault | None:
    try:
        source.symbols = _symtable.symtable(parsed, source.path, "exec")
    except COMPILE_ERRORS as problem:
        return _compile_fault("scopes", problem)
    if not source.is_recovered:
        source.status = "ok"
    return None


def _compile_fault(stage: Stage, problem: BaseException) -> Fault:
    name = type(problem).__name__
    if isinstance(problem, SyntaxError):
        offset = problem.offset
        return Fault(
            stage, name, problem.msg or name, problem.lineno or None, offset - 1 if offset and offset > 0 else None
        )
    return Fault(stage, name, str(problem) or "too deeply nested for the compiler")

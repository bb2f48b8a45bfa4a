"""Everything that is read off Python files, as Arrow tables: a pure function of the files' bytes.

Files are taken in small groups, whose trees fit the processor's cache while they are taken apart, and groups in chunks,
over which names are resolved and Arrow arrays built at once.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from codeintel.extract.ast_rows import Walk
from codeintel.extract.chunk_tables import Chunk, chunk_tables
from codeintel.extract.imports import changes_of_all, exported_names
from codeintel.extract.reading import SourceFile, read_scopes, read_source
from codeintel.extract.syntax import Property, Syntax, Texts
from codeintel.extract.tables import TABLES
from codeintel.relspec.pipeline import UNREAD

GROUP_BYTES = 100_000
CHUNK_BYTES = 4_000_000
NESTING_LIMIT = 1000  # CPython's own recursion limit
_COLUMNS = ("path", "module", "bucket", "digest", "bytes", "error")
_BYTES = _COLUMNS.index("bytes")


def python_facts(repo_files: pa.Table, repository: Path, namespace: str, max_file_bytes: int) -> dict[str, pa.Table]:
    """The fact tables of `codeintel.extract.tables` for the files of the scan, in their order.

    A bad file never raises: it has a row in `parsed_files` and one in `file_errors`. Those that were not what the scan
    says when they were to be read are under `UNREAD`, too. The analysed code is parsed and its scopes are worked out by
    the compiler; it is never imported or run.
    """
    rows = list(zip(*(repo_files[name].to_pylist() for name in _COLUMNS), strict=True))
    parts: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
    unread: list[str] = []
    with _uninterrupted():
        for chunk_rows in _by_bytes(rows, CHUNK_BYTES):
            chunk = _read_chunk(chunk_rows, repository, max_file_bytes)
            unread += [file.path for file in chunk.files if file.is_unread]
            for name, table in chunk_tables(chunk, namespace).items():
                parts[name].append(table)
    found = {name: pa.concat_tables(tables or [TABLES[name].schema.empty_table()]) for name, tables in parts.items()}
    return found | ({UNREAD: pa.table({"path": unread})} if unread else {})


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Neither the collector, which finds nothing in trees, nor warnings about the analysed code.

    The compiler takes what is left of the recursion limit for its own bound on nesting. Which files are too deep must
    not hang on how deep the caller is, so the limit counts from here.
    """
    collecting, limit = gc.isenabled(), sys.getrecursionlimit()
    gc.disable()
    sys.setrecursionlimit(_depth() + NESTING_LIMIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()


def _depth() -> int:
    frame, depth = sys._getframe(), 0  # noqa: SLF001 (the only way to count frames without reading their source)
    while frame := frame.f_back:
        depth += 1
    return depth


def _by_bytes(rows: list[tuple[Any, ...]], limit: int) -> Iterator[list[tuple[Any, ...]]]:
    """The rows in runs of about `limit` bytes of source."""
    run: list[tuple[Any, ...]] = []
    filled = 0
    for row in rows:
        run.append(row)
        filled += row[_BYTES]
        if filled >= limit:
            yield run
            run, filled = [], 0
    if run:
        yield run


def _read_chunk(rows: list[tuple[Any, ...]], repository: Path, max_file_bytes: int) -> Chunk:
    files: list[SourceFile] = []
    parts: list[Syntax] = []
    texts = Texts()
    exports: dict[int, tuple[list[str], bool]] = {}
    for group_rows in _by_bytes(rows, GROUP_BYTES):
        group = [read_source(repository, max_file_bytes, *row) for row in group_rows]
        trees = [(number, file.tree) for number, file in enumerate(group, len(files)) if file.tree is not None]
        starts = [file.line_starts for file in group if file.tree is not None]
        recovered = np.array([file.is_recovered for file in group if file.tree is not None], bool)
        files += group
        if not trees:
            continue
        syntax = Walk([tree for _, tree in trees], starts, texts).columns
        syntax.file = np.array([number for number, _ in trees], np.int32)[syntax.file]
        if recovered.any():
            modules = np.flatnonzero(syntax.parent < 0)[recovered]
            syntax.properties.append(Property("recovered", modules, [True] * len(modules)))
        parts.append(syntax)
        changes = changes_of_all(syntax, texts)
        for number, tree in trees:
            if number in changes:
                names, is_complete = exported_names(tree, changes[number])
                exports[number] = names, is_complete and not files[number].is_recovered
        del trees  # what is needed of them is in the columns
        for file in group:
            file.tree = None
        for file in group:  # not while parsing, or their tables would drive the trees from the processor's cache
            read_scopes(file)
    return Chunk(files, Syntax.joined(parts) if parts else Walk([], [], texts).columns, texts, exports)

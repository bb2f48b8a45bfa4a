"""Immutable partitions of tables, addressed by content.

A *data version* is the digest of a partition's schema and of its canonical Arrow buffers in the table's key order. It
is the same whatever machine, process, chunking or file format produced the rows, so it names the object file too.
The column `bucket` is never stored: the partition knows it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from codeintel.errors import DamagedObjectError, StoreError
from codeintel.fingerprint import digest, digest_bytes
from codeintel.store.handles import Format, Partition, TableHandle, object_path


def is_bucketed(schema: pa.Schema) -> bool:
    return "path" in schema.names and "bucket" in schema.names


@lru_cache(maxsize=1024)
def schema_digest(schema: pa.Schema) -> str:
    """Digest of names, types and nullability, in order."""
    return digest([(f.name, str(f.type), f.nullable) for f in schema])


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of `schema`, in order and cast to its types. Raises pa.ArrowInvalid where a value does not fit."""
    columns = [table.column(f.name) for f in schema]
    return pa.Table.from_arrays(
        [c if c.type == f.type else c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
    )


def in_key_order(table: pa.Table, key: Sequence[str]) -> pa.Table:
    """Rows sorted by `key`, or by all columns if the key is empty. Integers sort first where they lead the key."""
    names, table = list(key) or table.schema.names, table.combine_chunks()
    leading = []
    for name in names:
        column = table.column(name)
        if not pa.types.is_integer(column.type) or column.null_count:
            break
        leading.append(column.to_numpy())
    if not leading:
        return table.take(_places_by(table, names))
    order = np.lexsort(leading[::-1])
    _order_ties(table, names[len(leading) :], _runs(*(column[order] for column in leading)), order)
    if np.array_equal(order, np.arange(len(order))):
        return table
    return pc.take(table, pa.array(order), boundscheck=False)


def _runs(*columns: np.ndarray) -> np.ndarray:
    """Numbers the runs of equal rows."""
    differs = np.zeros(len(columns[0]), dtype=bool)
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return np.cumsum(differs)


def _order_ties(table: pa.Table, names: list[str], runs: np.ndarray, order: np.ndarray) -> None:
    """Sort, in place, each run of `order` by the columns `names`, one after the other as long as rows are tied."""
    places = np.arange(len(order))
    for name in names:
        same = runs[1:] == runs[:-1]
        tied = np.r_[False, same] | np.r_[same, False] if len(runs) else same
        places, runs = places[tied], runs[tied]
        if not len(places):
            return
        rows = order[places]
        ranks, count = _ranks(table.column(name).take(pa.array(rows)))
        runs = runs * count + ranks
        ascending = np.argsort(runs, kind="stable")
        order[places], runs = rows[ascending], _runs(runs[ascending])


def _ranks(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """Numbers in the order of the values, nulls last, and a bound on them."""
    encoded = _sortable(column).combine_chunks().dictionary_encode()
    ascending = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(ascending) + 1, np.int64)
    ranks[ascending] = np.arange(len(ascending))
    ranks[-1] = len(ascending)
    return ranks[encoded.indices.fill_null(len(ascending)).to_numpy()], len(ranks)


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What Arrow cannot sort (lists, structs, maps) goes by text."""
    return pa.chunked_array([list(map(repr, column.to_pylist()))]) if pa.types.is_nested(column.type) else column


def _places_by(table: pa.Table, names: list[str]) -> pa.Array:
    """Places of the rows in ascending order of `names`."""
    columns = pa.table([_sortable(table.column(name)) for name in names], names)
    return pc.sort_indices(columns, sort_keys=[(name, "ascending") for name in names])


def data_version(table: pa.Table) -> str:
    """Digest of schema and canonical buffers; the caller has put the rows in key order."""
    chunks: list[bytes | memoryview] = [schema_digest(table.schema).encode(), str(table.num_rows).encode()]
    for column in table.columns:
        chunks.extend(_canonical_buffers(column))
    return digest_bytes(*chunks)


def _canonical_buffers(column: pa.ChunkedArray) -> Iterable[bytes | memoryview]:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):  # no chunk at all: no rows
        return
    if array.null_count:
        yield np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).data
    else:
        yield b"all valid"
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind):
        filled = array.fill_null("" if not pa.types.is_binary(kind) else b"") if array.null_count else array
        width = np.int64 if pa.types.is_large_string(kind) else np.int32
        buffers = filled.buffers()
        offsets = np.frombuffer(buffers[1], width, len(filled) + 1, filled.offset * width().itemsize)
        yield np.diff(offsets).astype(np.int64).view(np.uint8).data
        if buffers[2] is not None:
            yield memoryview(buffers[2]).cast("B")[int(offsets[0]) : int(offsets[-1])]
    elif pa.types.is_boolean(kind):
        yield np.packbits(array.fill_null(False).to_numpy(zero_copy_only=False)).data
    elif pa.types.is_primitive(kind):
        filled = array.fill_null(0) if array.null_count and not pa.types.is_temporal(kind) else array
        if filled.null_count:
            filled = filled.cast(pa.int64() if kind.bit_width == 64 else pa.int32()).fill_null(0)
        yield (
            np.frombuffer(
                filled.buffers()[1], np.uint8, len(filled) * kind.bit_width // 8, filled.offset * kind.bit_width // 8
            ).data
            if len(filled)
            else b""
        )
    else:  # nested, decimal, dictionary: rare; their Python values are their content
        yield repr(array.to_pylist()).encode("utf-8", "surrogatepass")


def split_by_bucket(table: pa.Table) -> list[tuple[int, pa.Table]]:
    """(bucket, rows without the bucket column) of a table that is sorted by bucket first."""
    buckets = table.column("bucket").to_numpy()
    table = table.drop_columns(["bucket"])
    starts = np.flatnonzero(np.diff(buckets, prepend=-1))
    ends = np.append(starts, len(buckets))[1:]
    return [(int(buckets[s]), table.slice(s, e - s)) for s, e in zip(starts, ends, strict=True)]


def by_file(table: pa.Table) -> dict[str, list[pa.Table]]:
    """The rows of each file, as the runs they come in."""
    found: dict[str, list[pa.Table]] = {}
    begin = 0
    for chunk in table.column("path").chunks:
        runs = pc.run_end_encode(chunk)
        for path, length in zip(
            runs.values.to_pylist(), np.diff(runs.run_ends.to_numpy(), prepend=0).tolist(), strict=True
        ):
            found.setdefault(path, []).append(table.slice(begin, length))
            begin += length
    return found


def write_partition(objects: Path, table: pa.Table, form: Format, before: Partition | None = None) -> Partition:
    """Store `table` (key order, no bucket column) unless a sound object has its version. Durable on return.

    `before` is a partition in this format that the caller has read: with the same rows it is the answer. Raises
    StoreError if the object cannot be written.
    """
    version = data_version(table)
    if before is not None and before.version == version:
        return before
    target = objects / version[:2] / f"{version}.{form}"
    if (kept := _sound(target, table, version, form)) is not None:
        return kept
    sink = pa.BufferOutputStream()
    _write(table, form, sink)
    content = memoryview(sink.getvalue()).cast("B")
    temporary = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        try:
            _write_through(temporary, content)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_through(temporary, content)
        try:
            os.link(temporary, target)  # the first writer of these rows wins: its bytes are what checksums are of
        except OSError:
            if (kept := _sound(target, table, version, form)) is not None:
                temporary.unlink()
                return kept
            temporary.replace(target)  # unsound, or a file system without links
        else:
            temporary.unlink()
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from error
    return Partition(version, table.num_rows, form, digest_bytes(content), len(content))


def _write_through(path: Path, content: memoryview) -> None:
    with path.open("wb", buffering=0) as file:
        while content:
            content = content[file.write(content) :]
        os.fsync(file.fileno())


def _sound(target: Path, table: pa.Table, version: str, form: Format) -> Partition | None:
    """The partition that `target` holds, if it does hold the rows of `version`."""
    try:
        content = target.read_bytes()
        found = conformed(_read(content, form, None), table.schema)
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None
    if data_version(found) != version:
        return None
    return Partition(version, table.num_rows, form, digest_bytes(content), len(content))


def _write(table: pa.Table, form: Format, file: object) -> None:
    if form == "arrow":
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        with pa.ipc.new_file(file, table.schema, options=options) as writer:
            writer.write_table(table)
        return
    # Differences make the ascending key small. To all other numbers they do nothing that the compression does not, and
    # a dictionary is larger than what it replaces.
    leading = [f.name for f in table.schema if pa.types.is_integer(f.type)][:1]
    pq.write_table(
        table,
        file,
        compression="zstd",
        compression_level=1,
        use_dictionary=[f.name for f in table.schema if not pa.types.is_primitive(f.type)],
        column_encoding=dict.fromkeys(leading, "DELTA_BINARY_PACKED"),
        write_statistics=leading,
        store_schema=False,
    )


def read_partition(
    objects: Path, part: Partition, columns: Sequence[str] | None = None, *, coded: bool = False
) -> pa.Table:
    """The rows of one partition; if they may be `coded`, chosen columns of texts in a Parquet file as dictionaries.

    Raises DamagedObjectError if its object is missing or other than it was written.
    """
    path = object_path(objects, part)
    try:
        with pa.memory_map(str(path)) as source:
            content = source.read_buffer()
            if digest_bytes(memoryview(content).cast("B")) != part.checksum:
                raise DamagedObjectError(path, "its checksum differs")
            return _read(content, part.format, columns, coded=coded)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DamagedObjectError(path, str(error)) from error


def _read(content: pa.Buffer | bytes, form: Format, columns: Sequence[str] | None, *, coded: bool = False) -> pa.Table:
    if form == "parquet":
        source = pa.BufferReader(content)
        texts = list(columns or ()) if coded else None  # what is no text stays as it is
        with pq.ParquetFile(source, read_dictionary=texts) as file:  # `pq.read_table` would import more
            return file.read(None if columns is None else list(columns), use_threads=False)
    options = pa.ipc.IpcReadOptions(use_threads=False)
    reader = pa.ipc.open_file(pa.BufferReader(content), options=options)
    if columns is not None and len(columns) < len(reader.schema):  # what is not asked for is not decompressed
        options.included_fields = [reader.schema.names.index(c) for c in columns]
        reader = pa.ipc.open_file(pa.BufferReader(content), options=options)
    table = reader.read_all()
    return table if columns is None else table.select(list(columns))


def read_buckets(
    objects: Path,
    handle: TableHandle,
    schema: pa.Schema,
    *,
    columns: Iterable[str] | None = None,
    buckets: Iterable[int] | None = None,
) -> pa.Table:
    """Rows of the given buckets (all by default), in bucket order, as the chosen columns of the declared `schema`."""
    names = [n for n in schema.names if columns is None or n in set(columns)]
    stored = [n for n in names if n != "bucket" or not is_bucketed(schema)]
    wanted = sorted(handle.partitions if buckets is None else set(buckets) & handle.partitions.keys())
    parts = []
    for bucket in wanted:
        part = handle.partitions[bucket]
        # A file is read for its row count even when only `bucket` is asked for.
        table = read_partition(objects, part, stored or [n for n in schema.names if n != "bucket"][:1])
        if "bucket" in names and is_bucketed(schema):
            table = table.append_column(schema.field("bucket"), pa.repeat(pa.scalar(bucket, pa.int32()), part.rows))
        parts.append(table.select(names))
    target = pa.schema([schema.field(n) for n in names])
    return pa.concat_tables([conformed(p, target) for p in parts]) if parts else target.empty_table()


def changed_rows(
    objects: Path, old: TableHandle, new: TableHandle, key: Sequence[str]
) -> dict[tuple[object, ...], str]:
    """By key: what became of rows that `new` has not as `old` has them, `added`, `deleted` or `changed`.

    Only partitions that differ are read. Nothing is said of rows that cannot be.
    """
    before, after = (_rows_by_key(objects, one, other, key) for one, other in ((old, new), (new, old)))
    changes = dict.fromkeys(after.keys() - before.keys(), "added")
    changes |= dict.fromkeys(before.keys() - after.keys(), "deleted")
    return changes | {row: "changed" for row in before.keys() & after.keys() if before[row] != after[row]}


def _rows_by_key(
    objects: Path, handle: TableHandle, other: TableHandle, key: Sequence[str]
) -> dict[tuple[object, ...], dict[str, object]]:
    rows: dict[tuple[object, ...], dict[str, object]] = {}
    for bucket, part in handle.partitions.items():
        if part == other.partitions.get(bucket):
            continue
        with suppress(DamagedObjectError):
            rows |= {
                tuple(row.get(name, bucket) for name in key): row for row in read_partition(objects, part).to_pylist()
            }
    return rows


def changed_files(objects: Path, old: TableHandle, new: TableHandle) -> set[str]:
    """Files whose rows are not the same, in the same order, in both of two tables of one schema.

    Only partitions that differ are read. Raises DamagedObjectError for one that cannot be.
    """
    changed = set[str]()
    for bucket in old.partitions.keys() | new.partitions.keys():
        parts = [handle.partitions.get(bucket) for handle in (old, new)]
        if parts[0] == parts[1]:
            continue
        before, after = (by_file(read_partition(objects, part)) if part else {} for part in parts)
        changed |= before.keys() ^ after.keys()
        changed |= {
            path
            for path in before.keys() & after.keys()
            if data_version(pa.concat_tables(before[path])) != data_version(pa.concat_tables(after[path]))
        }
    return changed

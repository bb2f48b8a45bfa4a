"""Public tables as Delta tables whose files are the store's own objects.

A partition's Parquet object is linked, not copied, into the table's folder, under a name that holds its data version.
A commit adds and removes exactly what differs from the *head of the table*, so what a died run left behind goes away.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from codeintel.errors import StoreError
from codeintel.store.handles import UNPARTITIONED, TableHandle, object_path, table_file

# What becomes of types that Delta has no name for, or none that all its readers know.
_STORED: dict[pa.DataType, pa.DataType] = {
    pa.null(): pa.string(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}
VERSIONS_KEY = "codeintel.data_versions"
_CONFIGURATION = {"delta.logRetentionDuration": "interval 36500 days"}  # every pinned version stays readable


def stored_type(kind: pa.DataType) -> pa.DataType | None:
    """The type under which a Delta table holds values of type `kind`; None if it cannot."""
    if pa.types.is_dictionary(kind):
        return stored_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = stored_type(kind.value_type)
        return element and pa.list_(element)
    if pa.types.is_map(kind):
        key, value = stored_type(kind.key_type), stored_type(kind.item_type)
        return pa.map_(key, value) if key and value else None
    if pa.types.is_struct(kind):
        parts = {part.name: stored_type(part.type) for part in kind.fields}
        return pa.struct({name: part for name, part in parts.items() if part}) if all(parts.values()) else None
    as_it_is = (
        pa.types.is_signed_integer, pa.types.is_float32, pa.types.is_float64, pa.types.is_decimal128,
        pa.types.is_date32, pa.types.is_boolean, pa.types.is_string, pa.types.is_binary,
    )  # fmt: skip
    return kind if any(is_it(kind) for is_it in as_it_is) else _STORED.get(kind)


def commit_table(tables: Path, objects: Path, handle: TableHandle, schema: pa.Schema) -> int:
    """Make the head of the table equal to `handle` and return its Delta version; an equal head is not committed.

    A head of another schema or partitioning is replaced in one commit.
    """
    root = tables / handle.table
    partition_by = ["bucket"] if "bucket" in schema.names and UNPARTITIONED not in handle.partitions else []
    wanted = {table_file(bucket, part.version): bucket for bucket, part in handle.partitions.items()}
    properties = CommitProperties(
        custom_metadata={VERSIONS_KEY: json.dumps({str(b): p.version for b, p in sorted(handle.partitions.items())})}
    )
    delta_schema = Schema.from_arrow(schema)
    try:
        head = _head(root)
        if head is None:
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
        shape = (delta_schema.to_json(), partition_by)
        if head is None or (head.schema().to_json(), head.metadata().partition_columns) != shape:
            adds = [_add(root, objects, handle, file, bucket) for file, bucket in sorted(wanted.items())]
            create_table_with_add_actions(
                str(root),
                delta_schema,
                adds,
                mode="error" if head is None else "overwrite",
                partition_by=partition_by,
                name=handle.table,
                configuration=_CONFIGURATION,
                commit_properties=properties,
            )
            return 0 if head is None else DeltaTable(root).version()
        present = set(pa.table(head.get_add_actions()).column("path").to_pylist())
        added = wanted.keys() - present
        removed = sorted(present - wanted.keys())
        for file in wanted.keys() - added:
            _link(root, objects, handle, file, wanted[file])
        if added or removed:
            actions: list[AddAction | RemoveAction] = [
                _add(root, objects, handle, file, wanted[file]) for file in sorted(added)
            ]
            actions += [RemoveAction(file, data_change=True, deletion_timestamp=head.version() + 1) for file in removed]
            head.create_write_transaction(
                actions,
                "append",
                delta_schema,
                partition_by,
                commit_properties=properties,
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
            head = DeltaTable(root)
        return head.version()
    except (OSError, DeltaError) as error:
        raise StoreError(f"table {handle.table} cannot be committed: {_plain(error)}") from error


def stored_schema(root: Path, version: int) -> pa.Schema:
    """Columns of one version of a table as Delta has them. Raises StoreError."""
    try:
        return pa.schema(DeltaTable(root, version=version).schema().to_arrow())
    except (OSError, DeltaError) as error:
        raise StoreError(f"version {version} of table {root.name} cannot be read: {_plain(error)}") from error


def _head(root: Path) -> DeltaTable | None:
    try:
        return DeltaTable(root) if (root / "_delta_log").is_dir() else None
    except TableNotFoundError:
        return None


def _plain(error: Exception) -> str:
    """One line of what delta-rs draws as a tree, in colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error)).split())


def _add(root: Path, objects: Path, handle: TableHandle, file: str, bucket: int) -> AddAction:
    size = _link(root, objects, handle, file, bucket)
    values = {} if bucket == UNPARTITIONED else {"bucket": str(bucket)}
    stats = json.dumps({"numRecords": handle.partitions[bucket].rows})
    return AddAction(file, size, values, 0, True, stats)


def _link(root: Path, objects: Path, handle: TableHandle, file: str, bucket: int) -> int:
    """Make `file` of the table the partition's object, if it is not, and return its bytes."""
    source, target = object_path(objects, handle.partitions[bucket]), root / file
    if target.exists() and target.samefile(source):
        return target.stat().st_size
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a file system without links
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as copied:
            os.fsync(copied.fileno())
    temporary.replace(target)
    return target.stat().st_size

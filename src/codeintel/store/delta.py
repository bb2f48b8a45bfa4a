"""Public tables as Delta tables whose files are the store's own objects.

A partition's Parquet object is linked, not copied, into the table's folder, under a name that holds its data version.
A commit adds and removes exactly what differs from the *head of the table*, so what a died run left behind goes away.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from codeintel.errors import StoreError
from codeintel.store.partitions import UNPARTITIONED, TableHandle, object_path

VERSIONS_KEY = "codeintel.data_versions"
_CONFIGURATION = {"delta.logRetentionDuration": "interval 36500 days"}  # every pinned version stays readable


def commit_table(tables: Path, objects: Path, handle: TableHandle, schema: pa.Schema) -> int:
    """Make the head of the table equal to `handle` and return its Delta version; an equal head is not committed."""
    root = tables / handle.table
    partition_by = ["bucket"] if "bucket" in schema.names and UNPARTITIONED not in handle.partitions else []
    wanted = {_file(bucket, part.version): bucket for bucket, part in handle.partitions.items()}
    properties = CommitProperties(
        custom_metadata={VERSIONS_KEY: json.dumps({str(b): p.version for b, p in sorted(handle.partitions.items())})}
    )
    delta_schema = Schema.from_arrow(schema)
    try:
        head = DeltaTable(root) if (root / "_delta_log").is_dir() else None
    except TableNotFoundError:
        head = None
    try:
        if head is None:
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            adds = [_add(root, objects, handle, file, bucket) for file, bucket in sorted(wanted.items())]
            create_table_with_add_actions(
                str(root),
                delta_schema,
                adds,
                mode="error",
                partition_by=partition_by,
                name=handle.table,
                configuration=_CONFIGURATION,
                commit_properties=properties,
            )
            return 0
        present = set(pa.table(head.get_add_actions()).column("path").to_pylist())
        rewrite = head.schema().to_json() != delta_schema.to_json()
        added = wanted.keys() if rewrite else wanted.keys() - present
        removed = [] if rewrite else sorted(present - wanted.keys())
        for file in wanted.keys() - added:
            _link(root, objects, handle, file, wanted[file])
        if added or removed or rewrite:
            actions: list[AddAction | RemoveAction] = [
                _add(root, objects, handle, file, wanted[file]) for file in sorted(added)
            ]
            actions += [RemoveAction(file, data_change=True, deletion_timestamp=head.version() + 1) for file in removed]
            head.create_write_transaction(
                actions,
                "overwrite" if rewrite else "append",
                delta_schema,
                partition_by,
                commit_properties=properties,
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
            head = DeltaTable(root)
        return head.version()
    except (OSError, DeltaError) as error:
        raise StoreError(f"table {handle.table} cannot be committed: {error}") from error


def open_table(tables: Path, name: str, version: int) -> DeltaTable:
    """The table at the version a manifest pins. Raises StoreError if it is gone."""
    try:
        return DeltaTable(tables / name, version=version)
    except (OSError, DeltaError) as error:
        raise StoreError(f"table {name} version {version} cannot be opened: {error}") from error


def _file(bucket: int, version: str) -> str:
    return f"{version}.parquet" if bucket == UNPARTITIONED else f"bucket={bucket}/{version}.parquet"


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

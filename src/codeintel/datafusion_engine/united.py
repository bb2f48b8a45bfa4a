"""Public tables of many stores as one each, with a column `repository` more, to be asked in SQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from codeintel.datafusion_engine import session, sql_text
from codeintel.errors import StoreError
from codeintel.store.directory import Store
from codeintel.store.handles import UNPARTITIONED, object_path
from codeintel.store.partitions import is_bucketed
from codeintel.store.runs import Manifest


@dataclass(frozen=True, slots=True)
class United:
    """One run of each store, by the name of the repository."""

    root: Path
    runs: Mapping[str, tuple[Store, Manifest]]

    def schema(self, table: str) -> pa.Schema:
        """Columns of a public table, the same in all stores. Raises StoreError where they differ."""
        found: dict[str, pa.Schema] = {
            name: manifest.schema(table) for name, (_, manifest) in self.runs.items() if table in manifest.tables
        }
        first, schema = next(iter(found.items()))
        for name, other in found.items():
            if not other.equals(schema):
                wrong = f"{table} of {name!r} has other columns than that of {first!r}"
                raise StoreError(f"{wrong}; codeintel build-many makes them alike")
        return schema

    def rows(self, query: str) -> pa.Table:
        """Rows of a read-only query. Raises PlanError if it cannot be planned, RunError if it fails while running.

        The engine reads the stores' own files, a folder of links to those of each table that the query names; the links
        keep them there, whatever becomes of the stores meanwhile.
        """
        named = {token.name for token in sql_text.tokens(query) if token.kind in ("word", "quoted")}
        tables = sorted({table for _, manifest in self.runs.values() for table in manifest.tables})
        schemas = {table: self.schema(table) for table in tables}
        context = session.new_session()
        with TemporaryDirectory(dir=self.root, prefix=".asked-") as folder:
            for table in sorted(named & schemas.keys()):
                columns = [("repository", pa.string())]
                columns += [("bucket", pa.int32())] * is_bucketed(schemas[table])
                self._link(table, Path(folder, table), bucketed=len(columns) > 1)
                stored = pa.schema([f for f in schemas[table] if f.name not in dict(columns)])
                context.register_parquet(
                    session.quoted(table), f"{folder}/{table}/", table_partition_cols=columns,
                    schema=stored.remove_metadata(),
                )  # fmt: skip
            return session.collected(session.read_only(context, query, schemas))

    def _link(self, table: str, folder: Path, *, bucketed: bool) -> None:
        folder.mkdir()
        for name, (store, manifest) in self.runs.items():
            if table not in manifest.tables:
                continue
            for bucket, part in manifest.handles[table].handle(table).partitions.items():
                own = f"repository={name}"
                place = folder / own / f"bucket={bucket}" if bucketed and bucket != UNPARTITIONED else folder / own
                place.mkdir(parents=True, exist_ok=True)
                source, target = object_path(store.objects, part), place / f"{part.version}.parquet"
                try:
                    os.link(source, target)
                except FileNotFoundError as error:
                    raise StoreError(f"object {source.name} of {name!r} is gone; build it again") from error
                except OSError:  # a file system without links
                    shutil.copyfile(source, target)

"""One complete run as its readers see it: pinned versions of the public tables, and every other table of the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from codeintel.datafusion_engine import call_graph
from codeintel.datafusion_engine.call_graph import CallSite, Mention
from codeintel.datafusion_engine.diagnostics import artifact_tables
from codeintel.errors import StoreError, UsageError, nearest
from codeintel.fingerprint import digest_bytes
from codeintel.store.directory import Store
from codeintel.store.handles import TableHandle, object_path
from codeintel.store.partitions import is_bucketed, read_buckets
from codeintel.store.runs import Manifest, artifacts_of


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete run, unchanged by whatever is built meanwhile."""

    store: Store
    manifest: Manifest

    def schema(self, name: str) -> pa.Schema:
        if name not in self.manifest.schemas:
            raise UsageError(f"no table {name!r} in run {self.manifest.run_id}; {nearest(name, self.manifest.schemas)}")
        return self.manifest.schema(name)

    def table(self, name: str, columns: Iterable[str] | None = None, where: str | None = None) -> pa.Table:
        """Rows of any table of the run, in bucket and key order; `where` is an SQL condition over its columns.

        Raises UsageError for an unknown table, PlanError for a condition that cannot be meant.
        """
        schema = self.schema(name)
        wanted = list(schema.names if columns is None else columns)
        for column in wanted:
            if column not in schema.names:
                raise UsageError(f"table {name!r} has no column {column!r}; {nearest(column, schema.names)}")
        if where is None:
            return read_buckets(self.store.objects, self._handle(name), schema, columns=wanted).select(wanted)
        chosen = ", ".join(f'"{column}"' for column in wanted)
        query = f'SELECT {chosen} FROM "{name}" WHERE {where}'  # noqa: S608 - run read-only, on the caller's own tables
        return self.rows(query)

    def rows(self, query: str, *, artifacts: bool = False) -> pa.Table:
        """Rows of a read-only query. Raises PlanError if it cannot be planned, RunError if it fails while running."""
        from codeintel.datafusion_engine import session  # noqa: PLC0415 - as below

        return session.collected(self.sql(query, artifacts=artifacts))

    def sql(self, query: str, *, artifacts: bool = False) -> Any:  # a datafusion.DataFrame, whose import is not cheap
        """A read-only query over the tables of the run, and over its artifacts if asked."""
        from codeintel.datafusion_engine import session, sql_text  # noqa: PLC0415 - only queries pay for the engine

        context = session.new_session()
        named = {token.name for token in sql_text.tokens(query) if token.kind in ("word", "quoted")}
        schemas = {name: self.schema(name) for name in self.manifest.schemas}
        extra = self.artifacts() if artifacts else {}
        for name in sorted(schemas.keys() & named):
            if name in self.manifest.tables:
                objects = {b: object_path(self.store.objects, p) for b, p in self._handle(name).partitions.items()}
                session.register_parquet(context, name, schemas[name], objects, "bucket" * is_bucketed(schemas[name]))
            else:
                session.register_arrow(context, {name: self.table(name)})
        session.register_arrow(context, {n: t for n, t in extra.items() if n in named})
        known = schemas | {n: t.schema for n, t in extra.items()}
        return session.read_only(context, query, known)

    def artifacts(self) -> dict[str, pa.Table]:
        """What is known about the run, as tables by name: see `datafusion_engine.diagnostics`."""
        run = self.manifest
        return artifact_tables(artifacts_of(self.store, run.run_id), run.run_id, run.plan_signature)

    def callers(self, name: str, *, depth: int = 1, confidence: float = 0.0) -> list[CallSite]:
        """Calls of what is called `name`, then of what makes those calls, `depth` levels up; see `call_graph`."""
        return call_graph.calls_around(self, name, of="callee", depth=depth, confidence=confidence)

    def callees(self, name: str, *, depth: int = 1, confidence: float = 0.0) -> list[CallSite]:
        """Calls that what is called `name` makes, then those that the callees make, `depth` levels down."""
        return call_graph.calls_around(self, name, of="caller", depth=depth, confidence=confidence)

    def refs(self, name: str, *, confidence: float = 0.0) -> list[Mention]:
        """Places that refer to what is called `name`, in any file; see `call_graph`."""
        return call_graph.mentions(self, name, confidence=confidence)

    def callgraph(self, *, confidence: float = 0.0) -> dict[str, list[str]]:
        """`{caller: [callee, …]}` by qualified names; see `call_graph`."""
        return call_graph.adjacency(self, confidence=confidence)

    def source(self, node_id: int) -> str:
        """The exact text of a node. Raises UsageError for an unknown node, StoreError if its file has changed since."""
        found = self.table("cpg_nodes", ["path", "bstart", "bend"], f"node_id = {int(node_id)}").to_pylist()
        if not found:
            raise UsageError(f"no node {node_id} in run {self.manifest.run_id}")
        node = found[0]
        if node["bstart"] is None:
            return ""
        quoted = node["path"].replace("'", "''")
        file = self.table("files", ["digest", "encoding"], f"path = '{quoted}'").to_pylist()[0]
        try:
            content = (Path(self.manifest.repository) / node["path"]).read_bytes()
        except OSError as error:
            raise StoreError(f"{node['path']} cannot be read: {error.strerror or error}") from error
        if digest_bytes(content) != file["digest"]:
            raise StoreError(f"{node['path']} has changed since run {self.manifest.run_id}; build again")
        return content[node["bstart"] : node["bend"]].decode(file["encoding"])

    def _handle(self, name: str) -> TableHandle:
        return self.manifest.handles[name].handle(name)

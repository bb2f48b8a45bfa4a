"""DataFusion sessions, all with the same semantic options, so that what was planned is what runs.

Plans are compiled in a *stub catalog*: listing tables with declared schemas at constant locations that do not exist.
The engine never opens them while planning, so nothing of this machine enters a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
from datafusion import SessionConfig, SessionContext, udf

from codeintel.fingerprint import code_digest, digest

_OPTIONS = {
    # Plans must carry the types of the Arrow tables they will run on.
    "datafusion.execution.parquet.schema_force_view_types": "false",
    "datafusion.execution.time_zone": "+00:00",
    "datafusion.sql_parser.dialect": "generic",
    "datafusion.sql_parser.enable_ident_normalization": "true",
}
STUB_LOCATION = "/codeintel/stub"


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """A Python function over Arrow arrays that views may call by `name`. It must be pure."""

    name: str
    function: Callable[..., pa.Array]
    inputs: tuple[pa.DataType, ...]
    returns: pa.DataType

    def digest(self) -> str:
        return digest(self.name, code_digest(self.function), [str(t) for t in self.inputs], str(self.returns))


def new_session(*, partitions: int = 1, udfs: Iterable[ScalarFunction] = ()) -> SessionContext:
    """A session with no tables. One partition by default: row order is then the engine's alone to decide, once."""
    context = SessionContext(SessionConfig(dict(_OPTIONS)).with_target_partitions(partitions))
    for each in udfs:
        context.register_udf(udf(each.function, list(each.inputs), each.returns, "immutable", each.name))
    return context


def quoted(name: str) -> str:
    """`name` as an SQL identifier that means exactly it."""
    return '"' + name.replace('"', '""') + '"'


def register_stubs(context: SessionContext, schemas: Mapping[str, pa.Schema]) -> None:
    """Empty tables of these schemas: enough to plan, serialisable, and the same on every machine."""
    for number, (name, schema) in enumerate(sorted(schemas.items())):
        # The location carries a number, not the name: a name may hold what no URL may.
        context.register_listing_table(
            quoted(name), f"{STUB_LOCATION}/{number}/", file_extension=".parquet", schema=schema.remove_metadata()
        )


def register_arrow(context: SessionContext, tables: Mapping[str, pa.Table | list[pa.RecordBatch]]) -> None:
    """Register Arrow data without copying it."""
    for name, table in tables.items():
        if isinstance(table, pa.Table):
            batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
        else:
            batches = table
        context.register_record_batches(quoted(name), [batches])


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """`schema` as tables keep it: no metadata, no views, everything nullable (a view promises no more than that)."""
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    return kind

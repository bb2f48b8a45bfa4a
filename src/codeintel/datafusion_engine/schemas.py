"""Arrow schemas as the planner compares them."""

from __future__ import annotations

import pyarrow as pa


def is_file_keyed(schema: pa.Schema) -> bool:
    """Whether a declared table of this schema is partitioned by bucket: it has `path` and `bucket`."""
    if schema.names.count("path") != 1 or schema.names.count("bucket") != 1:
        return False
    return pa.types.is_string(schema.field("path").type) and pa.types.is_int32(schema.field("bucket").type)


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

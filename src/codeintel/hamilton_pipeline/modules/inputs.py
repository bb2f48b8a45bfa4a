"""External reads as nodes. The reading was done before the driver was there; here its rows become a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from codeintel.errors import ContractError
from codeintel.hamilton_pipeline.modules.tasks import Bench, planned
from codeintel.hamilton_pipeline.stored_rows import store_rows
from codeintel.relspec.task import Task
from codeintel.store.handles import TableHandle


@planned("source")
def source(bench: Bench, task: Task, inputs: Mapping[str, Any]) -> TableHandle:
    """Rows of an external read, stored by bucket."""
    assert not inputs, "a source reads no table"
    declared, reading = bench.pipeline.sources[task.name], bench.readings[task.name]
    if reading.error is not None:
        raise reading.error
    rows = reading.rows
    if isinstance(rows, Sequence):
        schema = declared.table.schema
        columns = zip(*rows, strict=True) if rows else [()] * len(schema)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        rows = pa.Table.from_arrays(arrays, schema=schema)
    assert rows is not None, "a reading has rows or an error"
    missing = [n for n in declared.table.schema.names if n not in rows.schema.names]
    if missing:
        raise ContractError(task.name, f"the source lacks the declared columns {', '.join(missing)}", rows.num_rows)
    form = bench.form(task.name)
    contract = bench.planned.contracts.get(task.name)
    return bench.handle(task.name, store_rows(bench.store.objects, task.name, rows, declared.table, form, contract))

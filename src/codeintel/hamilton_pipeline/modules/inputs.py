"""External reads. They run at every build, whatever is cached."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from codeintel.errors import ContractError, RunError
from codeintel.hamilton_pipeline.modules.tasks import Bench, planned
from codeintel.hamilton_pipeline.partition_jobs import store_rows
from codeintel.relspec.task import Task
from codeintel.store.partitions import TableHandle


@planned("source")
def source(bench: Bench, task: Task, inputs: Mapping[str, Any]) -> TableHandle:
    """Rows of an external read, stored by bucket."""
    assert not inputs, "a source reads no table"
    declared = bench.pipeline.sources[task.name]
    if isinstance(declared.read, Path):
        rows = _read_files(task.name, declared.read)
    else:
        wanted = inspect.signature(declared.read).parameters
        rows = declared.read(**{n: v for n, v in bench.parameters.items() if n in wanted})
    missing = [n for n in declared.table.schema.names if n not in rows.schema.names]
    if missing:
        raise ContractError(task.name, f"the source lacks the declared columns {', '.join(missing)}", rows.num_rows)
    form = bench.form(task.name)
    contract = bench.planned.contracts.get(task.name)
    return bench.handle(task.name, store_rows(bench.store.objects, task.name, rows, declared.table, form, contract))


def _read_files(name: str, path: Path) -> pa.Table:
    try:
        return DeltaTable(path).to_pyarrow_table() if (path / "_delta_log").is_dir() else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"source {name!r} cannot be read from {path}: {error}", task=name) from error

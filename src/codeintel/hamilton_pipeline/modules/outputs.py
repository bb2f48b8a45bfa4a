"""Public tables: checked against their contracts."""

from __future__ import annotations

from collections.abc import Mapping

from codeintel.errors import RunError
from codeintel.hamilton_pipeline.contract_job import ContractJob
from codeintel.hamilton_pipeline.modules.tasks import Bench, planned
from codeintel.hamilton_pipeline.workers import WorkerDiedError
from codeintel.relspec.task import Task
from codeintel.store.handles import TableHandle
from codeintel.store.results import Result


@planned("output")
def output(bench: Bench, task: Task, inputs: Mapping[str, TableHandle]) -> TableHandle:
    """The handle of a public table that keeps its contract."""
    stale, _ = bench.known(task, inputs, None)
    name = next(table for table, mode in task.inputs.items() if mode == "same_bucket")
    if not stale:
        return inputs[name]
    job = ContractJob(
        bench.store.objects,
        name,
        bench.planned.contracts[name],
        inputs,
        {table: bench.planned.tables[table].schema for table in inputs},
    )
    for _, done in bench.workers.run(task.name, [job], heavy=bench.is_heavy(task, inputs.values())):
        if isinstance(done, WorkerDiedError):
            raise RunError(f"the contract of {name!r} could not be checked: {done.reason}", task=task.name)
    bench.keep(task, {bucket: (key, Result({})) for bucket, key in stale.items()})
    return inputs[name]

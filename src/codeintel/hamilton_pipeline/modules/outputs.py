"""Public tables: checked against their contracts."""

from __future__ import annotations

from collections.abc import Mapping

from codeintel.errors import RunError
from codeintel.hamilton_pipeline.contract_job import ContractJob
from codeintel.hamilton_pipeline.modules.tasks import Bench, planned
from codeintel.hamilton_pipeline.workers import WorkerDiedError
from codeintel.relspec.pipeline import Contract, Reference
from codeintel.relspec.task import Task
from codeintel.store.handles import UNPARTITIONED, TableHandle
from codeintel.store.partitions import is_bucketed
from codeintel.store.results import Result


@planned("output")
def output(bench: Bench, task: Task, inputs: Mapping[str, TableHandle]) -> TableHandle:
    """The handle of a public table that keeps its contract."""
    stale, _ = bench.known(task, inputs, None)
    name = next(table for table, mode in task.inputs.items() if mode == "same_bucket")
    if not stale:
        return inputs[name]
    contract = bench.planned.contracts[name]
    job = ContractJob(
        bench.store.objects,
        name,
        contract,
        inputs,
        {table: bench.planned.tables[table].schema for table in inputs},
        bench.earlier(task, UNPARTITIONED),
        frozenset(r for r in contract.references if _is_unique(bench.planned.contracts.get(r.target), r)),
    )
    for _, done in bench.workers.run(task.name, [job], heavy=job.verified is None and bench.is_heavy(task, inputs)):
        if isinstance(done, WorkerDiedError):
            raise RunError(f"the contract of {name!r} could not be checked: {done.reason}", task=task.name)
        verified = Result({table: dict(parts) for table, parts in done.partitions.items()})
        bench.keep(task, {bucket: (key, verified) for bucket, key in stale.items()})
    return inputs[name]


def _is_unique(target: Contract | None, reference: Reference) -> bool:
    """Whether the target's own contract says that the column takes no value in two buckets."""
    if target is None or not is_bucketed(target.table.schema):
        return False
    return target.table.key[:1] == reference.target_columns and "path" not in target.table.key

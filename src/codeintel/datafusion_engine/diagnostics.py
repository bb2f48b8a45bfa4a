"""A run's artifacts as tables of declared schemas. The plan's signature stands in every row of the plan's."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.store.runs import TaskRun

_STR, _INT, _REAL = pa.string(), pa.int32(), pa.float64()

PLAN_TASKS = pa.schema(
    {
        "plan_signature": _STR,
        "task": _STR,
        "kind": _STR,
        "signature": _STR,
        "generation": _INT,
        "weight": _REAL,
        "criticality": _REAL,
        "slack": _REAL,
        "on_critical_path": pa.bool_(),
    }
)  # seconds for weight, criticality and slack
PLAN_EDGES = pa.schema(
    {
        "plan_signature": _STR,
        "input": _STR,
        "task": _STR,
        "mode": _STR,
        "columns": pa.list_(_STR),
        "reduced": pa.bool_(),
    }
)
PLAN_LINEAGE = pa.schema(
    {
        "plan_signature": _STR,
        "task": _STR,
        "column": _STR,
        "input": _STR,
        "input_column": _STR,
    }
)
TASK_RUNS = pa.schema(
    {
        "run_id": _STR,
        "task": _STR,
        "outcome": _STR,
        "reason": _STR,
        "seconds": _REAL,
        "signature": _STR,
    }
)


def plan_artifacts(plan: ExecutionPlan) -> dict[str, pa.Table]:
    """The plan as tables: its tasks, its edges, and where each column of a view comes from."""
    schedule, signature = plan.schedule, plan.signature
    generation, critical = schedule.generation_of(), set(schedule.critical_path)
    reduced = set(plan.graph.reduced_edges())
    tasks = [
        (
            signature,
            name,
            task.kind,
            task.signature,
            generation[name],
            schedule.weights[name],
            schedule.criticality[name],
            schedule.slack[name],
            name in critical,
        )
        for name, task in plan.tasks.items()
    ]
    edges = [
        (signature, table, name, mode, sorted(task.columns.get(table, ())), (table, name) in reduced)
        for name, task in plan.tasks.items()
        for table, mode in sorted(task.inputs.items())
    ]
    lineage = [
        (signature, name, column, table, source)
        for name, task in plan.tasks.items()
        for column, pairs in sorted(task.lineage.items())
        for table, source in sorted(pairs)
    ]
    return {
        "plan_tasks": _table(tasks, PLAN_TASKS),
        "plan_edges": _table(edges, PLAN_EDGES),
        "plan_lineage": _table(lineage, PLAN_LINEAGE),
    }


def task_run_rows(run_id: str, runs: dict[str, TaskRun]) -> pa.Table:
    return _table(
        [(run_id, name, r.outcome, r.reason, r.seconds, r.signature) for name, r in sorted(runs.items())], TASK_RUNS
    )


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)

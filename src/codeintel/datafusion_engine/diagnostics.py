"""A run's artifacts as tables of declared schemas. The plan's signature stands in every row of the plan's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from codeintel.relspec import plan_drift
from codeintel.relspec.execution_outcome import ExecutionOutcome
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
        "cpu_s": _REAL,
        "peak_mb": _REAL,
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


def run_artifacts(run_id: str, plan: ExecutionPlan, outcome: ExecutionOutcome) -> dict[str, pa.Table]:
    """What a run did beside what its plan says: admission, schedule, groupings and drift."""
    about = {"run_id": run_id, "plan_signature": plan.signature}
    return {
        "admission": _rows_table(plan_drift.admission_rows(outcome), plan_drift.Admission, about),
        "schedule": _rows_table(plan_drift.schedule_rows(plan), plan_drift.Scheduled, about),
        "groupings": _rows_table(plan_drift.grouping_rows(plan, outcome.groups), plan_drift.Grouping, about),
        "drift": _rows_table(plan_drift.drift(plan, outcome), plan_drift.Drift, about),
    }


def row_schema(row: type) -> pa.Schema:
    """Schema of an artifact whose rows are values of `row`: run and plan, then its fields."""
    names = {"run_id": "string", "plan_signature": "string", **plan_drift.columns_of(row)}
    return pa.schema({name: pa.type_for_alias(kind) for name, kind in names.items()})


def _rows_table(rows: Sequence[object], row: type, about: Mapping[str, str]) -> pa.Table:
    names = list(plan_drift.columns_of(row))
    values = [{**about} | {name: getattr(each, name) for name in names} for each in rows]
    return pa.Table.from_pylist(values, schema=row_schema(row))


def task_run_rows(run_id: str, runs: dict[str, TaskRun]) -> pa.Table:
    rows = [
        (run_id, name, r.outcome, r.reason, r.seconds, r.signature, r.cpu_s, r.peak_mb)
        for name, r in sorted(runs.items())
    ]
    return _table(rows, TASK_RUNS)


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)

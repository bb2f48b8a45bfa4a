"""A run's artifacts: their columns, their rows, and the same as Arrow tables.

Every artifact begins with the columns `run_id` and `plan_signature`, which its file does not repeat. Nothing here
needs Arrow before somebody asks for tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codeintel.obs.diagnostics import Row, artifact_names, read_artifact
from codeintel.relspec import plan_drift
from codeintel.relspec.execution_outcome import ExecutionOutcome
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_artifacts import PLAN_ARTIFACTS, plan_diagnostics
from codeintel.store.runs import TaskRun

if TYPE_CHECKING:  # a build with nothing to do must not pay for it
    import pyarrow as pa

_STR, _INT, _REAL, _BOOL, _STRS, _PAIRS = "string", "int64", "float64", "bool", "strings", "pairs"

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "plan_diagnostics": {"artifact": _STR, "kind": _STR, "value": _STR},  # the value as JSON
    # seconds for weight, criticality and slack
    "plan_tasks": {
        "task": _STR, "kind": _STR, "signature": _STR, "generation": _INT, "weight": _REAL, "criticality": _REAL,
        "slack": _REAL, "on_critical_path": _BOOL,
    },
    "plan_edges": {"input": _STR, "task": _STR, "mode": _STR, "columns": _STRS, "reduced": _BOOL},
    "plan_lineage": {"task": _STR, "column": _STR, "input": _STR, "input_column": _STR},
    "schedule": plan_drift.columns_of(plan_drift.Scheduled),
    "admission": plan_drift.columns_of(plan_drift.Admission),
    "groupings": plan_drift.columns_of(plan_drift.Grouping),
    "drift": plan_drift.columns_of(plan_drift.Drift),
    # seconds of wall time and of CPU, megabytes
    "task_runs": {
        "task": _STR, "outcome": _STR, "reason": _STR, "seconds": _REAL, "signature": _STR, "cpu_s": _REAL,
        "peak_mb": _REAL,
    },
    # what each thread of the driver and each worker process did when, in seconds since the run began
    "spans": {"lane": _STR, "task": _STR, "node": _STR, "started": _REAL, "ended": _REAL},
    "cache_log": {"node_name": _STR, "actor": _STR, "event": _STR, "message": _STR, "value": _STR},
    "run_metadata": {"key": _STR, "value": _STR},
    "contract_results": {
        "table": _STR, "rule": _STR, "severity": _STR, "outcome": _STR, "count": _INT, "rows": _STRS,
    },
    # columns: a JSON list of name, type, nullable, unit and meaning by column
    "semantic_registry": {
        "table": _STR, "node_name": _STR, "layer": _STR, "semantic_id": _STR, "kind": _STR, "entity": _STR,
        "grain": _STR, "entity_keys": _STRS, "join_keys": _STRS, "schema_ref": _STR, "version": _STR,
        "stability": _STR, "severity": _STR, "rules": _STRS, "columns": _STR, "upstream_tables": _STRS,
        "upstream_columns": _STRS,
    },
    "source_changes": {"source": _STR, "key": _STR, "change": _STR},
    "hamilton_cache_lineage_v2": {
        "node_name": _STR, "task_signature": _STR, "cache_key": _STR, "code_version": _STR, "data_version": _STR,
        "dependencies_data_versions": _PAIRS, "behavior": _STR, "outcome": _STR, "cause": _STR,
    },
}  # fmt: skip
OF_PLAN_AND_TABLES = (
    "plan_diagnostics", "plan_tasks", "plan_edges", "plan_lineage", "schedule", "semantic_registry", "contract_results",
)  # fmt: skip
"""Artifacts that are the same in every run of one plan, on the same weights, that ends with the same tables."""


def plan_artifacts(plan: ExecutionPlan) -> dict[str, list[Row]]:
    """The plan as rows: what it says about itself, its tasks, its edges, its columns' lineage, and its schedule."""
    schedule, generation = plan.schedule, plan.schedule.generation_of()
    critical, reduced = set(schedule.critical_path), set(plan.graph.reduced_edges())
    return {
        "plan_diagnostics": [
            (name, PLAN_ARTIFACTS[name][0], msgspec.json.encode(value).decode())
            for name, value in plan_diagnostics(plan).items()
        ],
        "plan_tasks": [
            (name, task.kind, task.signature, generation[name], schedule.weights[name], schedule.criticality[name],
             schedule.slack[name], name in critical)
            for name, task in plan.tasks.items()
        ],
        "plan_edges": [
            (table, name, mode, sorted(task.columns.get(table, ())), (table, name) in reduced)
            for name, task in plan.tasks.items()
            for table, mode in sorted(task.inputs.items())
        ],
        "plan_lineage": [
            (name, column, table, source)
            for name, task in plan.tasks.items()
            for column, pairs in sorted(task.lineage.items())
            for table, source in sorted(pairs)
        ],
        "schedule": _rows(plan_drift.schedule_rows(plan)),
    }  # fmt: skip


def run_artifacts(
    plan: ExecutionPlan, outcome: ExecutionOutcome, actions: Mapping[str, str], runs: Mapping[str, TaskRun]
) -> dict[str, list[Row]]:
    """What a run did beside what its plan and prediction say: admission, groupings, drift and the tasks' records."""
    told = plan_drift.prediction_drift(actions, {name: run.outcome for name, run in runs.items()})
    return {
        "admission": _rows(plan_drift.admission_rows(outcome)),
        "groupings": _rows(plan_drift.grouping_rows(plan, outcome.groups)),
        "drift": _rows((*told, *plan_drift.drift(plan, outcome))),
        "task_runs": [
            (name, r.outcome, r.reason, r.seconds, r.signature, r.cpu_s, r.peak_mb) for name, r in sorted(runs.items())
        ],
    }


def _rows(rows: Sequence[object]) -> list[Row]:
    return [tuple(getattr(row, name) for name in plan_drift.columns_of(type(row))) for row in rows]


def artifact_schema(name: str) -> pa.Schema:
    """Declared schema of an artifact."""
    import pyarrow as pa  # noqa: PLC0415 - see the top

    lists = {_STRS: pa.list_(pa.string()), _PAIRS: pa.map_(pa.string(), pa.string())}
    columns = {"run_id": _STR, "plan_signature": _STR, **COLUMNS[name]}
    return pa.schema({column: lists.get(kind) or pa.type_for_alias(kind) for column, kind in columns.items()})


def artifact_tables(folder: Path, run_id: str, plan_signature: str) -> dict[str, pa.Table]:
    """Artifacts of a run as tables, by name."""
    import pyarrow as pa  # noqa: PLC0415 - see the top

    tables = {}
    for name in artifact_names(folder):
        if name not in COLUMNS:
            continue
        rows: list[Any] = read_artifact(folder, name)
        schema = artifact_schema(name)
        columns: list[list[Any]] = [[run_id] * len(rows), [plan_signature] * len(rows)]
        columns += [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * (len(schema) - 2)
        pairs = [pa.types.is_map(kind) for kind in schema.types]
        values = [
            [list(v.items()) for v in column] if is_map else column
            for column, is_map in zip(columns, pairs, strict=True)
        ]
        arrays = [pa.array(column, kind) for column, kind in zip(values, schema.types, strict=True)]
        tables[name] = pa.Table.from_arrays(arrays, schema=schema)
    return tables

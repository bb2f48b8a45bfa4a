"""Everything that the page about a run shows, as plain values: read from its manifest, plan, artifacts and tables.

What a run of an earlier version, a failed one or a damaged store does not have is empty here, never an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from codeintel.datafusion_engine.diagnostics import COLUMNS
from codeintel.errors import StoreError
from codeintel.hamilton_pipeline.cache_lineage import SOURCE_CHANGES, LineageRow, lineage_of, parted_cause
from codeintel.obs.diagnostics import read_artifact
from codeintel.relspec.execution_plan import ExecutionPlan, plan_from_json
from codeintel.relspec.plan_drawing import Drawing, Mark, draw_plan
from codeintel.relspec.plan_rendering import seconds
from codeintel.store.directory import Store
from codeintel.store.runs import Manifest, TaskRun, artifacts_of, plan_file

MOST_ROWS = 2_000  # of what a page lists without being about tasks: errors, drift, changed rows
ERROR_TABLES = ("extract_errors", "file_errors")  # the second if the first was not reached

Facts = dict[str, Any]  # Any: JSON


def run_facts(store: Store, manifest: Manifest) -> tuple[Facts, Drawing | None]:
    """Facts by section, and the plan as drawn; None if the run left no plan that can be read."""
    plan = plan_of(store, manifest)
    lineage = {row.node_name: row for row in lineage_of(store, manifest.run_id)}
    tasks = _tasks(manifest, plan, lineage)
    drawing = draw_plan(plan, _marks(plan, manifest.tasks)) if plan else None
    index = {task["name"]: number for number, task in enumerate(tasks)}
    facts = {
        "run": run_summary(manifest),
        "tasks": tasks,
        "boxes": [[index[name] for name in box.tasks if name in index] for box in drawing.boxes] if drawing else [],
        "critical_path": [index[name] for name in plan.schedule.critical_path if name in index] if plan else [],
        "lanes": _lanes(store, manifest, index),
        "changes": _capped([list(row.values()) for row in rows_of(store, manifest, SOURCE_CHANGES)]),
        "contracts": rows_of(store, manifest, "contract_results"),
        "errors": _errors(store, manifest),
        "catalog": _catalog(store, manifest),
        "drift": _drift(store, manifest),
        "metadata": _metadata(store, manifest),
    }
    return facts, drawing


def plan_of(store: Store, manifest: Manifest) -> ExecutionPlan | None:
    try:
        return plan_from_json(plan_file(store, manifest.run_id).read_bytes())
    except (OSError, ValueError):
        return None


def rows_of(store: Store, manifest: Manifest, artifact: str) -> list[dict[str, Any]]:  # Any: as its columns say
    """Rows of an artifact by column; none if the run has none, or this version does not know it."""
    columns = COLUMNS.get(artifact, {})
    return [
        dict(zip(columns, row, strict=False)) for row in read_artifact(artifacts_of(store, manifest.run_id), artifact)
    ]


def run_summary(manifest: Manifest) -> Facts:
    outcomes = [run.outcome for run in manifest.tasks.values()]
    return {
        "id": manifest.run_id,
        "status": manifest.status,
        "started": manifest.started,
        "pipeline": manifest.pipeline,
        "name": Path(manifest.repository).name or manifest.pipeline or "run",
        "repository": manifest.repository,
        "outcomes": {name: outcomes.count(name) for name in dict.fromkeys(sorted(outcomes))},
        "files": manifest.files,
        "wall_s": manifest.wall_s,
        "cpu_s": manifest.cpu_s,
        "peak_mb": manifest.peak_rss_mb,
        "errors": manifest.errors,
        "warnings": manifest.warnings,
    }


def _tasks(
    manifest: Manifest, plan: ExecutionPlan | None, lineage: Mapping[str, LineageRow]
) -> list[dict[str, Any]]:  # Any: JSON
    """One record per task, in the plan's order; `via` is the input that leads to the root of its cause, if any."""
    names = [
        *(plan.tasks if plan else ()),
        *(name for name in sorted(manifest.tasks) if not plan or name not in plan.tasks),
    ]
    index = {name: number for number, name in enumerate(names)}
    generation = plan.schedule.generation_of() if plan else {}
    critical = frozenset(plan.schedule.critical_path) if plan else frozenset()
    via = _leads(lineage)
    tasks = []
    for name in names:
        run, row = manifest.tasks.get(name, TaskRun("not run")), lineage.get(name)
        task, handle = plan.tasks.get(name) if plan else None, manifest.handles.get(name)
        failed = manifest.errors.get(name, "")
        tasks.append({
            "name": name,
            "kind": task.kind if task else "",
            "outcome": run.outcome,
            "cause": failed or (row.cause if row and row.cause else run.reason),
            "reason": run.reason,
            "via": index.get(via.get(name, _ancestor(run)), -1),
            "seconds": run.seconds,
            "cpu_s": run.cpu_s,
            "peak_mb": run.peak_mb,
            "generation": generation.get(name, 0),
            "weight": plan.schedule.weights[name] if plan and task else 0.0,
            "slack": plan.schedule.slack[name] if plan and task else 0.0,
            "critical": name in critical,
            "rows": handle.handle(name).rows if handle else None,
            "version": row.data_version[:12] if row else "",
            "inputs": [index[table] for table in sorted(task.inputs) if table in index] if task else [],
        })  # fmt: skip
    return tasks


def _ancestor(run: TaskRun) -> str:
    return run.reason.partition(": ")[2] if run.outcome == "skipped" else ""


def _leads(lineage: Mapping[str, LineageRow]) -> dict[str, str]:
    """By task with no cause of its own: its changed input that is nearest to a root, the first by name.

    One breadth-first walk from all roots, so that the chains of a large plan cost no more than its edges.
    """
    readers: dict[str, list[str]] = {}
    roots: deque[str] = deque()
    for name, row in sorted(lineage.items()):
        own, inputs = parted_cause(row)
        if own or not inputs:
            roots.append(name)
        else:
            for table in inputs:
                readers.setdefault(table, []).append(name)
    leads: dict[str, str] = {}
    while roots:
        table = roots.popleft()
        for name in readers.get(table, ()):
            if name not in leads:
                leads[name] = table
                roots.append(name)
    return leads


def _marks(plan: ExecutionPlan, runs: Mapping[str, TaskRun]) -> dict[str, Mark]:
    marks = {}
    for name, task in plan.tasks.items():
        run = runs.get(name, TaskRun("not run"))
        took = seconds(run.seconds) if run.outcome in ("ran", "failed") else run.outcome
        title = f"{name} ({task.kind}) {run.outcome}\n{run.reason}\npredicted {seconds(plan.schedule.weights[name])}"
        marks[name] = Mark(run.outcome.replace(" ", "-"), f"{task.kind} · {took}", title, run.seconds)
    return marks


def _lanes(store: Store, manifest: Manifest, index: Mapping[str, int]) -> list[dict[str, Any]]:  # Any: JSON
    """What each thread and worker process did: (task, start, end), no two at a time in one lane."""
    spans: dict[str, list[tuple[float, float, int]]] = {}
    for row in rows_of(store, manifest, "spans"):
        if row["task"] in index:
            spans.setdefault(row["lane"], []).append((row["started"], row["ended"], index[row["task"]]))
    order = sorted(spans, key=lambda lane: (lane.rstrip("0123456789"), len(lane), lane))  # worker 2 before worker 10
    return [lane for name in order for lane in _packed(name, spans[name])]


def _packed(name: str, spans: list[tuple[float, float, int]]) -> list[dict[str, Any]]:  # Any: JSON
    rows: list[list[tuple[float, float, int]]] = []
    for span in sorted(spans):
        free = next((row for row in rows if row[-1][1] <= span[0]), None)
        if free is None:
            rows.append(free := [])
        free.append(span)
    return [
        {"name": name if not number else f"{name} ({number + 1})", "spans": [(t, s, e) for s, e, t in row]}
        for number, row in enumerate(rows)
    ]


def _errors(store: Store, manifest: Manifest) -> Facts:
    """Faults of files, from the table as the run has it: path, line, stage, error, message, recovered."""
    name = next((name for name in ERROR_TABLES if name in manifest.handles and name in manifest.schemas), None)
    if name is None:
        return {"there": False, "total": 0, "rows": [], "note": ""}
    from codeintel.store.partitions import read_buckets  # noqa: PLC0415 - only a run with such a table pays for it

    schema = manifest.schema(name)
    wanted = ["path", "line", "col", "stage", "error", "message", "recovered"]
    if not set(wanted) <= set(schema.names):
        return {"there": False, "total": 0, "rows": [], "note": ""}
    try:
        found = read_buckets(store.objects, manifest.handles[name].handle(name), schema, columns=wanted)
    except StoreError as error:
        return {"there": True, "total": 0, "rows": [], "note": str(error)}
    rows = sorted(found.to_pylist(), key=lambda row: (row["path"], row["line"] or 0, row["col"] or 0))
    return {"there": True, "note": "", **_capped([[row[column] for column in wanted] for row in rows])}


def _catalog(store: Store, manifest: Manifest) -> list[dict[str, Any]]:  # Any: JSON
    """Public tables with what the registry says; of a run without one, their rows and versions."""
    by_table = {row["table"]: row for row in rows_of(store, manifest, "semantic_registry")}
    tables = []
    for name in sorted({*manifest.tables, *by_table}):
        told, published = by_table.get(name, {}), manifest.tables.get(name)
        tables.append({
            "table": name,
            "semantic_id": told.get("semantic_id", ""),
            "entity": told.get("entity", ""),
            "grain": told.get("grain", ""),
            "keys": told.get("entity_keys", []),
            "join_keys": told.get("join_keys", []),
            "stability": told.get("stability", ""),
            "severity": told.get("severity", ""),
            "rows": published.rows if published else None,
            "version": published.version if published else None,
            "rules": told.get("rules", []),
            "upstream": told.get("upstream_tables", []),
            "columns": msgspec.json.decode(told["columns"]) if told.get("columns") else _columns(manifest, name),
        })  # fmt: skip
    return tables


def _columns(manifest: Manifest, table: str) -> list[dict[str, Any]]:  # Any: JSON
    if table not in manifest.schemas:
        return []
    schema = manifest.schema(table)
    return [{"name": f.name, "type": str(f.type), "nullable": f.nullable, "meaning": ""} for f in schema]


def _drift(store: Store, manifest: Manifest) -> Facts:
    """Differences of plan and run but those of seconds, which stand beside each task."""
    rows = [row for row in rows_of(store, manifest, "drift") if row["kind"] != "seconds"]
    return _capped([[row["alarm"], row["kind"], row["task"], row["expected"], row["actual"]] for row in rows])


def _metadata(store: Store, manifest: Manifest) -> list[tuple[str, str]]:
    known = {
        "run_id": manifest.run_id,
        "status": manifest.status,
        "started": manifest.started,
        "pipeline": manifest.pipeline,
        "repository": manifest.repository,
        "plan_signature": manifest.plan_signature,
        "reduced_plan_signature": manifest.reduced_plan_signature,
        "buckets": str(store.bucket_count),
        "namespace": store.namespace,
    }
    told = {row["key"]: row["value"] for row in rows_of(store, manifest, "run_metadata")}
    return sorted((key, value) for key, value in {**known, **told}.items() if value)


def _capped(rows: Sequence[Any]) -> Facts:  # Any: JSON
    return {"total": len(rows), "rows": [*rows[:MOST_ROWS]]}

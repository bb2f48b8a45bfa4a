"""What differs between two runs of a store: their plans, what became of tasks and why, tables, and sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from codeintel.hamilton_pipeline.cache_lineage import lineage_of
from codeintel.relspec.plan_diff import diff_plans
from codeintel.reporting.run_facts import MOST_ROWS, Facts, plan_of, run_summary
from codeintel.store.directory import Store
from codeintel.store.handles import TableHandle
from codeintel.store.runs import Manifest, TaskRun


def differences(store: Store, old: Manifest, new: Manifest) -> Facts:
    """What turns `old` into `new`. `plan` is None if one of the runs left none that can be read."""
    before, after = plan_of(store, old), plan_of(store, new)
    found = diff_plans(before, after) if before and after else None
    changes = sorted(_source_changes(store, old, new))
    return {
        "old": run_summary(old),
        "plan": found
        and {
            "added": found.added,
            "removed": found.removed,
            "changed": [(change.name, change.parts) for change in found.changed],
            "edges_added": found.edges_added,
            "edges_removed": found.edges_removed,
        },
        "tasks": [*_tasks(store, old, new)],
        "tables": [*_tables(old, new)],
        "sources": {"total": len(changes), "rows": changes[:MOST_ROWS]},
    }


def _tasks(store: Store, old: Manifest, new: Manifest) -> Iterator[tuple[Any, ...]]:  # Any: JSON
    """Task, outcomes, seconds, whether its data is the same, and the cause in the new run; by name."""
    before = {row.node_name: row for row in lineage_of(store, old.run_id)}
    after = {row.node_name: row for row in lineage_of(store, new.run_id)}
    absent = TaskRun("")
    for name in sorted(old.tasks.keys() | new.tasks.keys()):
        was, now = old.tasks.get(name, absent), new.tasks.get(name, absent)
        one = before[name].data_version if name in before else ""
        other = after[name].data_version if name in after else ""
        data = "" if not one and not other else "same" if one == other else "changed" if one and other else "one run"
        cause = new.errors.get(name) or (after[name].cause if name in after else "") or now.reason
        yield name, was.outcome, now.outcome, was.seconds, now.seconds, data, cause


def _tables(old: Manifest, new: Manifest) -> Iterator[tuple[Any, ...]]:  # Any: JSON
    """Table, rows, Delta versions, and whether its data is the same; by name."""
    for name in sorted(old.tables.keys() | new.tables.keys()):
        was, now = old.tables.get(name), new.tables.get(name)
        one, other = (_handle(manifest, name) for manifest in (old, new))
        same = one is not None and other is not None and one.version == other.version
        data = "same" if same else "changed" if was and now else "one run"
        yield name, was and was.rows, now and now.rows, was and was.version, now and now.version, data


def _source_changes(store: Store, old: Manifest, new: Manifest) -> Iterator[tuple[str, str, str]]:
    """Source, row and what became of it, for the sources of files; of what cannot be read, nothing."""
    from codeintel.store.partitions import changed_rows  # noqa: PLC0415 - only runs that differ pay for Arrow

    after = plan_of(store, new)
    for name, task in after.tasks.items() if after else ():
        one, other = _handle(old, name), _handle(new, name)
        if task.kind != "source" or one is None or other is None or one.version == other.version:
            continue
        changes = changed_rows(store.objects, one, other, ("path",)) if "path" in new.schema(name).names else {}
        yield from ((name, str(path), change) for (path,), change in changes.items())


def _handle(manifest: Manifest, name: str) -> TableHandle | None:
    stored = manifest.handles.get(name)
    return stored.handle(name) if stored else None

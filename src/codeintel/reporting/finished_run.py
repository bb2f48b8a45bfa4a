"""A run that has ended, as its exports need it: manifest, plan and artifacts read back, and nothing computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from codeintel.errors import StoreError
from codeintel.obs.diagnostics import RUN_METADATA
from codeintel.relspec.execution_plan import tasks_from_json
from codeintel.relspec.task import Task, published_table
from codeintel.reporting.run_facts import rows_of
from codeintel.store.directory import Store
from codeintel.store.runs import Manifest, plan_file, read_run


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """`causes`, `data_versions`, `criticality` (seconds) and `tags` by task or name, as the artifacts have them."""

    manifest: Manifest
    tasks: Mapping[str, Task]
    causes: Mapping[str, str]
    data_versions: Mapping[str, str]
    criticality: Mapping[str, float]
    times: Mapping[str, tuple[float, float]]  # seconds since the run began
    tags: Mapping[str, str]
    meanings: Mapping[str, Mapping[str, str]]  # of public tables, by column

    @property
    def started(self) -> datetime:
        """To the microsecond, which the run's id has and the manifest has not."""
        return datetime.strptime(self.manifest.run_id.split("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)

    def at(self, seconds: float) -> datetime:
        """The moment that many seconds after the run began."""
        return self.started + timedelta(seconds=seconds)

    def span(self, task: str) -> tuple[datetime, datetime]:
        """When a task began and ended. What did nothing, and so has no time, is put at the run's beginning."""
        began, ended = self.times.get(task, (0.0, 0.0))
        return self.at(began), self.at(ended)

    def published(self, task: Task) -> str | None:
        """The public table that an output hands on; None for any other task."""
        return published_table(task) if task.kind == "output" else None


def finished_run(store: Store, run_id: str | None = None) -> FinishedRun:
    """The run named, the current one by default. Raises StoreError or UsageError if there is none."""
    manifest = read_run(store, run_id)
    file = plan_file(store, manifest.run_id)
    try:
        tasks = tasks_from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
    lineage = {row["node_name"]: row for row in rows_of(store, manifest, "hamilton_cache_lineage_v2")}
    times: dict[str, tuple[float, float]] = {}
    for span in rows_of(store, manifest, "spans"):
        first, last = times.get(span["task"], (span["started"], span["ended"]))
        times[span["task"]] = min(first, span["started"]), max(last, span["ended"])
    return FinishedRun(
        manifest,
        tasks,
        causes={name: row["cause"] for name, row in lineage.items()},
        data_versions={name: row["data_version"] for name, row in lineage.items()},
        times=times,
        criticality={row["task"]: row["criticality"] for row in rows_of(store, manifest, "plan_tasks")},
        meanings={
            row["table"]: {each["name"]: each["meaning"] for each in msgspec.json.decode(row["columns"])}
            for row in rows_of(store, manifest, "semantic_registry")
        },
        tags={row["key"]: row["value"] for row in rows_of(store, manifest, RUN_METADATA)},
    )

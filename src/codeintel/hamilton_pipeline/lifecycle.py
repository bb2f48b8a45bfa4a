"""The frame of a run: its id, its clocks, who watches it, and the records it leaves behind."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from codeintel.datafusion_engine.diagnostics import OF_PLAN_AND_TABLES, plan_artifacts
from codeintel.hamilton_pipeline.process_usage import cpu_seconds, peak_resident_bytes
from codeintel.hamilton_pipeline.run_tags import run_tags
from codeintel.obs.diagnostics import RUN_METADATA, Row, add_metadata, link, link_artifacts, write_artifacts
from codeintel.relspec.execution_outcome import NodeEvent
from codeintel.relspec.execution_plan import ExecutionPlan, plan_to_json
from codeintel.store.directory import Store, write_atomically
from codeintel.store.handles import TableHandle
from codeintel.store.runs import (
    Manifest,
    PublishedTable,
    Status,
    StoredHandle,
    TaskRun,
    artifacts_of,
    current_run,
    plan_file,
    write_run,
)

if TYPE_CHECKING:  # a build that nobody tracks must not pay for it
    from codeintel.hamilton_pipeline.telemetry import Tracking


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what happens: the plan, files extracted (task, done, total), and each task's events."""

    progress: Callable[[str, int, int], None] = field(default=lambda _task, _done, _total: None)
    event: Callable[[NodeEvent], None] = field(default=lambda _event: None)
    planned: Callable[[ExecutionPlan], None] = field(default=lambda _plan: None)


@dataclass(frozen=True, slots=True)
class RunFrame:
    """A run from its first clock reading to its manifest. `before` is the run that was current when it began.

    `tracking` is there if the run is tracked.
    """

    store: Store
    before: Manifest | None
    run_id: str
    started: datetime
    clock: float
    cpu_before: float
    dag_name: str
    tracking: Tracking | None

    @classmethod
    def begin(
        cls, store: Store, started: datetime, clock: float, cpu_before: float, dag_name: str, tracking: Tracking | None
    ) -> RunFrame:
        """With the store's lock held. Ids sort as runs began: that is when `clock` and `cpu_before` were read."""
        run_id = f"{started:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        return cls(store, current_run(store), run_id, started, clock, cpu_before, dag_name, tracking)

    def end(
        self,
        plan: ExecutionPlan,
        *,
        pipeline: str,
        repository: str,
        identity: str,
        status: Status,
        tasks: Mapping[str, TaskRun],
        files: Mapping[str, int],
        tables: Mapping[str, PublishedTable],
        handles: Mapping[str, TableHandle],
        schemas: Mapping[str, str],
        artifacts: Mapping[str, Sequence[Row]],
        errors: Mapping[str, str] | None = None,
        workers_peak: int = 0,
        workers_cpu_s: float = 0.0,
        warnings: Mapping[str, str] | None = None,
        unchanged: bool = False,
    ) -> Manifest:
        """Write the run's artifacts, plan and manifest; a complete run is then the current one.

        With `unchanged`, plan and tables are those of the run before, and so are the artifacts about them.
        """
        folder = artifacts_of(self.store, self.run_id)
        tags = run_tags(plan, dag_name=self.dag_name, pipeline=pipeline, repository=repository)
        artifacts = {**artifacts, RUN_METADATA: [*tags.items(), ("tracking", "off")]}
        if unchanged and self.before:
            before = self.before.run_id
            write_artifacts(folder, artifacts)
            link_artifacts(artifacts_of(self.store, before), folder, OF_PLAN_AND_TABLES)
            link(plan_file(self.store, before), plan_file(self.store, self.run_id))
        else:
            write_artifacts(folder, {**artifacts, **plan_artifacts(plan)})
            write_atomically(plan_file(self.store, self.run_id), plan_to_json(plan))
        manifest = Manifest(
            run_id=self.run_id,
            status=status,
            started=self.started.isoformat(timespec="seconds"),
            pipeline=pipeline,
            repository=repository,
            plan_signature=plan.signature,
            reduced_plan_signature=plan.reduced_signature,
            tasks=dict(tasks),
            files=dict(files),
            tables=dict(tables),
            handles={name: StoredHandle.of(handle) for name, handle in sorted(handles.items())},
            schemas=dict(schemas),
            wall_s=perf_counter() - self.clock,
            cpu_s=cpu_seconds() - self.cpu_before + workers_cpu_s,
            peak_rss_mb=(peak_resident_bytes() + workers_peak) / 1e6,
            errors=dict(errors or {}),
            warnings=dict(warnings or {}),
            identity=identity,
        )
        write_run(self.store, manifest)
        if self.tracking is not None:  # what was built is kept before anybody waits for a server
            said = self.tracking.metadata(self.tracking.end(status, folder))
            with suppress(OSError):
                add_metadata(folder, said)
        return manifest


def table_values(values: Mapping[str, Any], plan: ExecutionPlan) -> dict[str, TableHandle]:
    """Handles by table of what tasks returned: everything but outputs, which hand on a table, and extractors."""
    return {n: v for n, v in values.items() if isinstance(v, TableHandle) and plan.tasks[n].kind != "output"}

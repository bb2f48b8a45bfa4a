"""Which runs a report is about, and its facts."""

from __future__ import annotations

from codeintel.relspec.plan_drawing import Drawing
from codeintel.reporting.differences import differences
from codeintel.reporting.run_facts import Facts, run_facts
from codeintel.store.directory import Store
from codeintel.store.runs import current_run, read_run, run_ids


def report_facts(store: Store, run: str | None = None, diff: str | None = None) -> tuple[Facts, Drawing | None]:
    """What a page about `run` shows, as plain values that can be written as JSON, and the plan as drawn.

    The run is the current one by default, the newest if none was ever complete. With `diff`, also what differs from
    that run. Raises StoreError if there is no run, UsageError for one that is not there.
    """
    if run is None and current_run(store) is None:
        run = next(reversed(run_ids(store)), None)
    manifest = read_run(store, run)
    other = read_run(store, diff) if diff is not None else None
    facts, drawing = run_facts(store, manifest)
    return {**facts, "difference": differences(store, other, manifest) if other else None}, drawing

"""Who runs heavy jobs, of a build or of many one after the other: processes of this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from codeintel.errors import UsageError
from codeintel.hamilton_pipeline.memory_budget import MemoryBudget
from codeintel.hamilton_pipeline.workers import Workers, process_workers
from codeintel.settings import Settings
from codeintel.store.directory import Store
from codeintel.store.runs import task_needs

Crew = Callable[[Store, Mapping[str, Any]], Workers]
"""Workers for one run, by its store, whose lock the driver holds, and its parameters."""


def check_crew(settings: Settings) -> None:
    """Raises UsageError, saying what would be right, for workers that cannot be had."""
    if settings.executor == "ray" and find_spec("ray") is None:
        raise UsageError("the executor 'ray' needs a package; install it with: pip install 'codeintel[ray]'")
    if settings.executor == "ray" and settings.ray_address.startswith("ray://"):
        raise UsageError("--ray-address takes the cluster itself, host:port or auto, and not a server of Ray's client")


@contextmanager
def crew(settings: Settings, *, pandas: bool, lent: bool = False) -> Iterator[Crew]:
    """Workers for the length of the block, started when they are needed.

    `pandas`: whether jobs may use it. `lent`: whether the block holds several runs, so that no run's end is theirs.
    """
    if settings.executor == "ray":
        from codeintel.hamilton_pipeline import ray_workers  # noqa: PLC0415 - an extra

        with ray_workers.ray_cluster(settings.ray_address, settings.jobs, settings.memory_limit) as cluster:
            yield lambda store, parameters: ray_workers.RayWorkers(
                cluster, ray_workers.place_of(store, parameters, pandas=pandas), task_needs(store)
            )
    else:
        with process_workers(settings.jobs, pandas=pandas) as workers:
            yield lambda store, _parameters: workers.for_a_run(_budget(settings, store), lent=lent)


def _budget(settings: Settings, store: Store) -> MemoryBudget | None:
    return None if settings.memory_limit is None else MemoryBudget.of(settings.memory_limit, task_needs(store))

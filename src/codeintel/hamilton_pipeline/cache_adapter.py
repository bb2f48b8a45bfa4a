"""Hamilton's cache over the store's own memory of results.

The stock adapter decides; what differs is what it is told. The version of a node's code is its task's signature, the
version of a value that of the tables it stands for, keys and values lie in the store's SQLite file as plain data, and
what was looked up is buffered and written once a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from threading import Lock
from typing import Any

from hamilton.caching.adapter import HamiltonCacheAdapter
from hamilton.caching.stores.base import MetadataStore, ResultStore
from hamilton.data_quality.base import ValidationResult
from hamilton.node import Node

from codeintel.errors import PlanError
from codeintel.fingerprint import digest
from codeintel.hamilton_pipeline.cache_lineage import lineage_of
from codeintel.hamilton_pipeline.cache_policy import CachePolicy
from codeintel.hamilton_pipeline.prediction import PLAN_SIGNATURE
from codeintel.obs.diagnostics import Row
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.store.directory import Store
from codeintel.store.handles import TableHandle, Value, version_of
from codeintel.store.results import Results
from codeintel.store.runs import run_ids


class NodeMetadata(MetadataStore):
    """Data versions by cache key; new ones are kept when the run ends. Runs are read from their lineage."""

    def __init__(self, store: Store, results: Results) -> None:
        self._store, self._results = store, results
        self.new: dict[str, tuple[str, str, str]] = {}  # (node, code version, data version) by cache key

    def __len__(self) -> int:
        return self._results.count_nodes() + len(self.new)

    def initialize(self, run_id: str) -> None:
        """Nothing to prepare: a run is recorded when it ends."""

    def set(self, cache_key: str, data_version: str, **about: Any) -> None:
        self.new[cache_key] = (about["node_name"], about["code_version"], data_version)

    def get(self, cache_key: str, **_: Any) -> str | None:
        known = self.new.get(cache_key)
        return known[2] if known else self._results.version(cache_key)

    def delete(self, cache_key: str) -> None:
        self.new.pop(cache_key, None)
        self._results.forget_nodes([cache_key])

    def delete_all(self) -> None:
        self.new.clear()
        self._results.forget_nodes(None)

    def exists(self, cache_key: str) -> bool:
        return self.get(cache_key) is not None

    def get_run_ids(self) -> Sequence[str]:
        return run_ids(self._store)

    def get_run(self, run_id: str) -> Sequence[dict[str, Any]]:
        """One mapping per node of a run, reused ones included, sorted by name."""
        return [row._asdict() for row in lineage_of(self._store, run_id)]

    @property
    def last_run_id(self) -> str:
        return self.get_run_ids()[-1]


class NodeValues(ResultStore):
    """Values by data version; new ones are kept when the run ends. What is missing, short or different is a miss."""

    def __init__(self, results: Results) -> None:
        self._results, self._checked = results, set[str]()
        self.new: dict[str, Value] = {}

    def set(self, data_version: str, result: Any, **_: Any) -> None:
        if _is_value(result):
            self.new[data_version] = result

    def get(self, data_version: str, **_: Any) -> Value | None:
        return self.new.get(data_version) or self._results.data(data_version, self._checked)

    def delete(self, data_version: str) -> None:
        self.new.pop(data_version, None)

    def delete_all(self) -> None:
        self.new.clear()

    def exists(self, data_version: str) -> bool:
        return self.get(data_version) is not None


class CausalCacheAdapter(HamiltonCacheAdapter):
    """Hamilton's cache adapter for the nodes of one plan. `executed` names the nodes that were not found."""

    def __init__(self, plan: ExecutionPlan, policy: CachePolicy, store: Store, results: Results) -> None:
        self._metadata, self._values = NodeMetadata(store, results), NodeValues(results)
        names = {name for name, task in plan.tasks.items() if policy.of(task) == "default"}
        super().__init__(
            path=store.cache,
            metadata_store=self._metadata,
            result_store=self._values,
            default=names,
            default_behavior=policy.plain,
            default_loader_behavior=policy.loader,
            default_saver_behavior=policy.saver,
        )
        self._plan, self._policy, self._results, self._lock = plan, policy, results, Lock()
        self.executed: set[str] = set()

    def version_code(self, node_name: str, run_id: str | None = None) -> str:  # noqa: ARG002 - Hamilton's signature
        task = self._plan.tasks.get(node_name)
        return task.signature if task else self._plan.signature

    def _version_data(self, node_name: str, run_id: str, result: Any, task_id: str | None = None) -> str:  # noqa: ARG002
        if _is_value(result):
            return version_of(result)
        if isinstance(result, ValidationResult):
            return digest(result.passes, result.message)
        try:
            return result if node_name == PLAN_SIGNATURE else digest(result)
        except TypeError:
            kind = type(result).__qualname__
            raise PlanError(
                f"{node_name!r} has a value of type {kind}, which carries no version", subject=node_name
            ) from None

    def pre_node_execute(
        self,
        *,
        run_id: str,
        node_: Node,
        kwargs: dict[str, Any],
        task_id: str | None = None,
        **future_kwargs: Any,
    ) -> None:
        """As Hamilton's, but the key of a task's node is that of the task: without what its helpers told it."""
        if (task := self._plan.tasks.get(node_.name)) is not None:
            kwargs = {name: value for name, value in kwargs.items() if name in task.inputs or name == PLAN_SIGNATURE}
        super().pre_node_execute(run_id=run_id, node_=node_, kwargs=kwargs, task_id=task_id, **future_kwargs)

    def _execute_node(
        self,
        run_id: str,
        node_name: str,
        node_callable: Callable[..., Any],
        node_kwargs: dict[str, Any],
        task_id: str | None = None,
    ) -> Any:
        with self._lock:
            self.executed.add(node_name)
        return super()._execute_node(run_id, node_name, node_callable, node_kwargs, task_id)

    def keep(self, passing: Set[str] = frozenset()) -> None:
        """Keep what nodes returned in this run, but for those whose value holds for this run alone."""
        self._results.remember_nodes(
            (key, *about) for key, about in self._metadata.new.items() if about[0] not in passing
        )
        self._results.remember_data(self._values.new)
        self._metadata.new.clear()
        self._values.new.clear()

    def log_rows(self) -> list[Row]:
        """Everything that was looked up and kept, in the order of events: node, by whom, what, message and value."""
        if not self._policy.log_to_file:
            return []
        return [
            (event.node_name, event.actor, event.event_type.value, event.msg or "", str(event.value or ""))
            for logged in self._logs.values()
            for event in logged
        ]


def _is_value(result: object) -> bool:
    return isinstance(result, TableHandle) or (
        isinstance(result, dict) and bool(result) and all(isinstance(each, TableHandle) for each in result.values())
    )

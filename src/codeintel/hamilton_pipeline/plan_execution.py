"""One execution of a plan's nodes: what is ready, what is flying, what became of each. See `plan_executor`."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any

import rustworkx as rx
from hamilton.execution.graph_functions import combine_config_and_inputs
from hamilton.execution.grouping import NodeGroupPurpose
from hamilton.graph import FunctionGraph
from hamilton.node import Node

from codeintel.errors import AdmissionError, RunError
from codeintel.relspec.execution_outcome import (
    ExecutionOutcome,
    NodeEvent,
    NodeOutcome,
    Reason,
    Status,
    rejections,
    task_of,
)
from codeintel.relspec.rustworkx_schedule import ReleaseOrder

if TYPE_CHECKING:
    from codeintel.hamilton_pipeline.plan_executor import PlanGraphExecutor

# Seconds between looks at pending signals while nothing completes. A wait without a time limit would do, were it not
# for libraries that install a SIGINT handler of their own (polars, which Hamilton imports if it is there): the system
# then restarts the wait, and Ctrl-C goes unseen until some task ends.
SIGNALS_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class _Return:
    """What a worker thread hands back for one node."""

    index: int
    value: Any  # whatever the node returned
    error: BaseException | None
    started: float
    ended: float
    thread: str
    retried: bool


class PlanExecution:
    """The state of one call of `execute`. Worker threads see `_serve` and below; all else is the driver's thread."""

    def __init__(
        self,
        executor: PlanGraphExecutor,
        fg: FunctionGraph,
        final_vars: list[str],
        overrides: dict[str, Any],
        inputs: dict[str, Any],
        run_id: str,
    ) -> None:
        self.settings, self.adapter, self.plan, self.run_id = executor, executor.adapter, executor.plan, run_id
        self.fg = fg
        given = combine_config_and_inputs(fg.config, inputs)
        closure, external = fg.get_upstream_nodes(final_vars, runtime_inputs=given, runtime_overrides=overrides)
        self.final_vars, self.inputs, self.overrides = final_vars, given, overrides
        self.results = {n.name: given[n.name] for n in external if n.name in given} | dict(overrides)
        nodes = {n.name: n for n in closure if not n.user_defined and n.name not in overrides}
        self.names = sorted(nodes)
        self.nodes = [nodes[name] for name in self.names]
        self.sources = [[dependency.name for dependency in node.dependencies] for node in self.nodes]
        self.task = [task_of(name, nodes[name].tags, self.plan) for name in self.names]
        self.graph = _node_graph(self.names, self.sources)
        self.groups = self._layers()
        self.order = self._release_order()
        self.uses = Counter(chain.from_iterable(self.sources))
        self.keep = set(final_vars)
        self.work: SimpleQueue[tuple[int, dict[str, Any]] | None] = SimpleQueue()
        self.returned: SimpleQueue[_Return | None] = SimpleQueue()
        self.hooks = {
            name: self.adapter.does_hook(name, is_async=False)
            for name in (
                "post_task_group", "pre_task_submission", "pre_task_execute", "pre_node_execute",
                "post_node_execute", "post_task_execute", "post_task_return",
            )
        }  # fmt: skip
        self.remade = self.adapter.does_method("do_node_execute", is_async=False)
        self.outcomes: dict[int, NodeOutcome] = {}
        self.ready_at, self.released_at, self.events = [-1] * len(self.nodes), [-1] * len(self.nodes), 0
        self.flying, self.interrupted = 0, False
        self.began = perf_counter()

    # -- before the first node -----------------------------------------------------------------------------------------

    def admit(self) -> None:
        rejected = rejections(
            ((name, node.tags) for name, node in zip(self.names, self.nodes, strict=True)),
            self.plan,
            self.settings.absent,
        )
        for index, name in enumerate(self.names):
            if name in rejected:
                self._settle(index, "rejected", rejected[name])
            else:
                self._tell("admitted", index)
        if rejected and self.settings.on_unknown == "raise":
            raise AdmissionError(dict(rejected))
        for index in list(self.outcomes):
            self._skip_below(index, self.order.drop(index))
        limit = self.settings.memory_limit
        if limit is not None and self.settings.oversize == "skip":
            for index in range(len(self.nodes)):
                if index not in self.outcomes and self._cost(index) > limit:
                    self._settle(index, "skipped", "over memory limit")
                    self._skip_below(index, self.order.drop(index))

    def _layers(self) -> tuple[tuple[str, ...], ...]:
        """Task names by layer of Hamilton's own edges: a task counts with its last helper, an artifact not at all."""
        depth = [0] * len(self.nodes)
        for index in rx.topological_sort(self.graph):
            for source in self.graph.predecessor_indices(index):
                step = self.task[source] is not None and self.task[source] != self.task[index]
                depth[index] = max(depth[index], depth[source] + step)
        layer: dict[str, int] = {}
        for task, own in zip(self.task, depth, strict=True):
            if task is not None:
                layer[task] = max(layer.get(task, 0), own)
        layers: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
        for task in sorted(layer):
            layers[layer[task]].append(task)
        return tuple(map(tuple, layers))

    def _release_order(self) -> ReleaseOrder:
        urgency = [0.0 if task is None else self.plan.schedule.criticality[task] for task in self.task]
        for index in reversed(rx.topological_sort(self.graph)):  # helpers and artifacts matter as what waits for them
            urgency[index] = max([urgency[index], *(urgency[i] for i in self.graph.successor_indices(index))])
        limit = self.settings.memory_limit
        cost = None if limit is None else [self._cost(index) for index in range(len(self.nodes))]
        return ReleaseOrder(self.graph, urgency, jobs=self.settings.jobs, cost=cost, limit=limit)

    def _cost(self, index: int) -> float:
        return self.settings.memory.get(self.task[index] or self.names[index], 0.0)

    # -- the driver's thread -------------------------------------------------------------------------------------------

    def run(self) -> None:
        if self.hooks["post_task_group"]:
            for layer in self.groups:
                self.adapter.call_all_lifecycle_hooks_sync("post_task_group", run_id=self.run_id, task_ids=list(layer))
        for index in self.order.ready():
            self._mark(self.ready_at, index)
        threads = [
            threading.Thread(target=self._serve, name=f"plan-{number}", daemon=True)
            for number in range(min(self.settings.jobs, len(self.nodes)))
        ]
        for thread in threads:
            thread.start()
        try:
            while True:
                while (index := self.order.take()) is not None:
                    self._release(index)
                if not self.order.running:
                    break
                self._take_back(self._next_return())
        except KeyboardInterrupt:
            raise  # at once: what runs may never answer
        except BaseException:
            self._drain()  # a hook refused: what runs already ends before the caller hears of it
            raise
        finally:
            for _ in threads:
                self.work.put(None)
        for thread in threads:
            thread.join()

    def _release(self, index: int) -> None:
        results = self.results
        arguments = {name: results[name] for name in self.sources[index] if name in results}
        self._mark(self.released_at, index)
        self._hook("pre_task_submission", index, inputs=arguments, overrides=self.overrides)
        self._tell("released", index)
        self.flying += 1
        self.work.put((index, arguments))

    def _next_return(self) -> _Return | None:
        while True:
            try:
                return self.returned.get(timeout=SIGNALS_EVERY)
            except Empty:
                continue

    def _take_back(self, back: _Return | None) -> None:
        if back is None:
            raise KeyboardInterrupt
        self._record(back)
        name, error = self.names[back.index], back.error
        self._hook("post_task_return", back.index, result={name: back.value}, success=error is None, error=error)
        if error is not None:
            self._skip_below(back.index, self.order.fail(back.index))
            return
        if self.uses[name] or name in self.keep:
            self.results[name] = back.value
        for ready in self.order.finish(back.index):
            self._mark(self.ready_at, ready)

    def _record(self, back: _Return) -> None:
        self.flying -= 1
        if back.retried:
            self._tell("retried", back.index)
        if back.error is None:
            self._settle(back.index, "ran", back=back)
        else:
            traceback.clear_frames(back.error.__traceback__)  # they would keep the node's arguments alive
            self._settle(back.index, "failed", cause=f"{type(back.error).__name__}: {back.error}", back=back)

    def _skip_below(self, cause: int, below: Sequence[int]) -> None:
        for index in below:
            if index not in self.outcomes:
                self._settle(index, "skipped", "ancestor failed", self.task[cause] or self.names[cause])

    def _settle(
        self, index: int, status: Status, reason: Reason = "", cause: str = "", back: _Return | None = None
    ) -> None:
        outcome = NodeOutcome(
            self.names[index], self.task[index], status, reason, cause, ready=self.ready_at[index],
            released=self.released_at[index], artifact=self.nodes[index].tags.get("layer") == "plan",
        )  # fmt: skip
        if back is not None:
            started, ended = back.started - self.began, back.ended - self.began
            outcome = replace(
                outcome, error=back.error, started=started, ended=ended, thread=back.thread, done=self.events
            )
            self.events += 1
        self.outcomes[index] = outcome
        for name in self.sources[index]:
            self.uses[name] -= 1
            if not self.uses[name] and name not in self.keep:
                self.results.pop(name, None)
        self._tell(status, index, outcome)

    def _drain(self) -> None:
        while self.flying:
            if (back := self._next_return()) is not None:
                self._record(back)

    def _mark(self, events: list[int], index: int) -> None:
        events[index] = self.events
        self.events += 1

    def _tell(self, kind: Any, index: int, outcome: NodeOutcome | None = None) -> None:  # Any: the kinds of NodeEvent
        if self.settings.observe is not None:
            seconds, reason, cause = (outcome.seconds, outcome.reason, outcome.cause) if outcome else (0.0, "", "")
            at = perf_counter() - self.began
            self.settings.observe(NodeEvent(kind, self.names[index], self.task[index], at, seconds, reason, cause))

    # -- worker threads ------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        # A call per node, and no local left behind: a waiting thread, or the frames that an error's traceback links to,
        # must keep neither arguments nor values alive.
        item = self.work.get()
        if item is None or self.interrupted:
            return False
        back = self._attempt(*item)
        item = None
        self.returned.put(back)
        back = None
        return True

    def _attempt(self, index: int, arguments: dict[str, Any]) -> _Return:
        thread, started, retried = threading.current_thread().name, perf_counter(), False
        while True:
            value, error = None, None
            try:
                value = self._run_task(index, arguments)
            except self.settings.retry_on as death:
                if not retried:
                    retried = True
                    continue
                error = death
            except BaseException as failure:  # noqa: BLE001 - whatever a node raises is its outcome
                error = failure
            return _Return(index, value, error, started, perf_counter(), thread, retried)

    def _run_task(self, index: int, arguments: dict[str, Any]) -> Any:
        value, error = None, None
        self._hook("pre_task_execute", index, inputs=arguments, overrides=self.overrides)
        try:
            value = self._run_node(self.nodes[index], arguments)
        except Exception as failure:
            error = failure
            raise
        finally:
            self._hook(
                "post_task_execute", index, results={self.names[index]: value}, success=error is None, error=error
            )
        return value

    def _run_node(self, node: Node, arguments: dict[str, Any]) -> Any:
        """One node with its node hooks, as Hamilton's `execute_lifecycle_for_node` runs it, but for one thing.

        There a BaseException reaches the hooks as a success with the result None, and a cache would keep that None.
        Engines panic with BaseExceptions, so here they become RunErrors first. `task_id` is None because a cache or a
        tracker would make a task id part of the node's name.
        """
        about = {"run_id": self.run_id, "node_": node, "kwargs": arguments, "task_id": None}
        if self.hooks["pre_node_execute"]:
            self.adapter.call_all_lifecycle_hooks_sync("pre_node_execute", **about)
        value, error = None, None
        try:
            if self.remade:
                value = self.adapter.call_lifecycle_method_sync("do_node_execute", **about)
            else:
                value = node(**arguments)
        except Exception as failure:  # noqa: BLE001 - raised again below, after the hooks
            error = failure
        except BaseException as panic:  # noqa: BLE001 - see the docstring
            error = RunError(f"{node.name}: {type(panic).__name__}: {panic}", task=node.name)
            error.__cause__ = panic
        if self.hooks["post_node_execute"]:
            self.adapter.call_all_lifecycle_hooks_sync(
                "post_node_execute", **about, success=error is None, error=error, result=value
            )
        if error is not None:
            raise error
        return value

    def _hook(self, name: str, index: int, **about: Any) -> None:
        if self.hooks[name]:
            self.adapter.call_all_lifecycle_hooks_sync(
                name, run_id=self.run_id, task_id=self.names[index], nodes=[self.nodes[index]], spawning_task_id=None,
                purpose=NodeGroupPurpose.EXECUTE_SINGLE, **about,
            )  # fmt: skip

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def final_values(self) -> dict[str, Any]:
        known = {**self.inputs, **self.results}
        return {name: known[name] for name in self.final_vars if name in known}

    def outcome(self) -> ExecutionOutcome:
        for index in range(len(self.nodes)):
            if index not in self.outcomes:  # Ctrl-C, a refused closure or a hook that raised came first
                self._settle(index, "interrupted", "interrupted")
        nodes = {name: self.outcomes[index] for index, name in enumerate(self.names)}
        ours = set(self.task)
        for name in self.plan.tasks:
            if name not in ours:
                nodes.setdefault(name, NodeOutcome(name, name, "skipped", self._why_absent(name)))
        for name, reason in self.settings.absent.items():
            nodes.setdefault(name, NodeOutcome(name, name, "skipped", reason))
        return ExecutionOutcome(dict(sorted(nodes.items())), self.groups, self._reads(), self.interrupted, self.began)

    def _reads(self) -> dict[str, frozenset[str]]:
        """Tasks that each task depends on in Hamilton's graph, reused ones included."""
        task_at = dict(zip(self.names, self.task, strict=True))
        for name in self.overrides:
            if name in self.fg.nodes:
                tags = self.fg.nodes[name].tags
                task_at[name] = None if tags.get("layer") == "plan" else tags.get("task", name)
        reads: dict[str, set[str]] = {task: set() for task in self.task if task is not None}
        for task, sources in zip(self.task, self.sources, strict=True):
            if task is not None:
                reads[task].update(s for name in sources if (s := task_at.get(name)) is not None and s != task)
        return {task: frozenset(read) for task, read in reads.items()}

    def _why_absent(self, name: str) -> Reason:
        return "reused" if name in self.overrides else self.settings.absent.get(name, "pruned by targets")


def _node_graph(names: Sequence[str], sources: Sequence[Sequence[str]]) -> rx.PyDiGraph:
    """Names with an edge from each source among them; indices are positions in `names`."""
    graph = rx.PyDiGraph(multigraph=False, node_count_hint=len(names))
    index = dict(zip(names, graph.add_nodes_from(names), strict=True))
    graph.add_edges_from_no_data([(index[s], i) for i, wanted in enumerate(sources) for s in wanted if s in index])
    return graph

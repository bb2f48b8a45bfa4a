"""When tasks can run and which matter most: generations, criticality, slack, critical path, and the release order.

Everything here but `generations` and `isolates` depends on weights, which are seconds. A plan's signature never does.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
import rustworkx as rx

from codeintel.fingerprint import digest_bytes
from codeintel.relspec.rustworkx_graph import PlanGraph
from codeintel.relspec.task import Kind, Task

# Seconds until a task has a history of its own: the ratios are what matters, from cold builds of mid-size repositories.
STATIC_SECONDS: Mapping[Kind, float] = MappingProxyType(
    {"source": 0.2, "extractor": 2.0, "view": 0.1, "analysis": 0.5, "output": 0.2}
)
DECAY = 0.4  # weight of the newest run once there are enough; the mean of all runs until then
OUTLIER = 4.0  # a run counts as at most this many times its predecessors' mean, and at least one such part of it


@dataclass(frozen=True, slots=True)
class Schedule:
    """The order that weights imply. Mappings are in topological order; seconds throughout.

    `generations`: task names by earliest runnable layer of the reduced graph, sorted inside a layer. `criticality`: the
    seconds from a task's start to the end of the longest chain below it, itself included (bottom level). `slack`: how
    much later than possible a task may start without delaying the end. `critical_path`: a longest chain. `isolates`:
    tasks without an input or a reader in the plan, sorted.
    """

    generations: tuple[tuple[str, ...], ...]
    weights: Mapping[str, float]
    criticality: Mapping[str, float]
    slack: Mapping[str, float]
    critical_path: tuple[str, ...]
    critical_path_length: float
    isolates: tuple[str, ...]

    def generation_of(self) -> dict[str, int]:
        """Layer of each task, counted from 0."""
        return {name: layer for layer, names in enumerate(self.generations) for name in names}


def schedule_tasks(graph: PlanGraph, weights: Mapping[str, float]) -> Schedule:
    """Schedule of the reduced graph; redundant edges lengthen no chain, because weights are not negative."""
    names, reduced = graph.names, graph.reduced
    seconds = [weights[name] for name in names]
    edges = sorted(reduced.edge_list())  # indices are a topological order: by source, each is final when its turn comes
    below, above = _bottom_levels(edges, seconds), _earliest_starts(edges, seconds)
    length = max(below, default=0.0)
    return Schedule(
        generations=tuple(tuple(sorted(names[i] for i in layer)) for layer in rx.topological_generations(reduced)),
        weights=dict(zip(names, seconds, strict=True)),
        criticality=dict(zip(names, below, strict=True)),
        # Sums in another order differ in the last bits; a nanosecond is below anything a weight can mean.
        slack={name: max(0.0, round(length - below[i] - above[i], 9)) for i, name in enumerate(names)},
        critical_path=tuple(names[i] for i in _longest_path(reduced, below)),
        critical_path_length=length,
        isolates=tuple(sorted(names[i] for i in rx.isolates(reduced))),
    )


def _bottom_levels(edges: Sequence[tuple[int, int]], seconds: Sequence[float]) -> list[float]:
    levels = list(seconds)
    for source, reader in reversed(edges):
        if (level := seconds[source] + levels[reader]) > levels[source]:
            levels[source] = level
    return levels


def _earliest_starts(edges: Sequence[tuple[int, int]], seconds: Sequence[float]) -> list[float]:
    starts = [0.0] * len(seconds)
    for source, reader in edges:
        if (end := starts[source] + seconds[source]) > starts[reader]:
            starts[reader] = end
    return starts


def _longest_path(graph: rx.PyDiGraph, below: Sequence[float]) -> list[int]:
    """A heaviest chain, the first by index among equals.

    It follows the bottom levels. `rx.dag_weighted_longest_path` breaks ties in the order of a randomly seeded hash map,
    so equal plans would name different paths.
    """
    path: list[int] = []
    heads: Sequence[int] = range(len(below))
    while heads:
        path.append(min(heads, key=lambda node: (-below[node], node)))
        heads = graph.successor_indices(path[-1])
    return path


def static_weights(tasks: Iterable[Task], learnt: Mapping[str, float]) -> dict[str, float]:
    """Seconds per task: what was learnt, the static figure of its kind otherwise. Negative and NaN count as unknown."""
    return {t.name: w if (w := learnt.get(t.name, -1.0)) >= 0 else STATIC_SECONDS[t.kind] for t in tasks}


def weights_digest(weights: Mapping[str, float]) -> str:
    """Identity of a set of weights, carried by whatever depends on them."""
    return digest_bytes(msgspec.json.encode(sorted(weights.items())))


def learn_weights(history: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Expected seconds per task from its past runs, given oldest first.

    The first run counts in full, a decayed mean follows, and a run far from that mean is pulled towards it, so that one
    stall on a busy machine does not reorder the next build.
    """
    means: dict[str, float] = {}
    runs: dict[str, int] = {}
    for name, seconds in history:
        runs[name] = count = runs.get(name, 0) + 1
        if count == 1:
            means[name] = seconds
            continue
        mean = means[name]
        damped = min(max(seconds, mean / OUTLIER), mean * OUTLIER) if mean else seconds
        means[name] = mean + (damped - mean) * max(DECAY, 1 / count)
    return means


class ReleaseOrder:
    """Which ready task goes next: the most urgent, then by name; at most `jobs` at once and within the memory limit.

    The one scheduler of this package: the executor releases real work with it, the ordering benchmark simulated work.
    Tasks are indices of `graph`, whose payloads are their names. `cost` and `limit` are in one unit of memory; a task
    that does not fit yet holds back the less urgent ones, which would starve it otherwise, and one larger than the
    limit runs alone.
    """

    def __init__(
        self,
        graph: rx.PyDiGraph,
        urgency: Sequence[float],
        *,
        jobs: int,
        cost: Sequence[float] | None = None,
        limit: float | None = None,
    ) -> None:
        self._graph = graph
        self._task_at = sorted(range(len(graph)), key=lambda task: (-urgency[task], graph[task]))
        self._rank = [0] * len(graph)
        for rank, task in enumerate(self._task_at):
            self._rank[task] = rank
        self._waiting = [graph.in_degree(task) for task in range(len(graph))]
        self._dropped: set[int] = set()
        self._jobs, self.running, self._in_use = jobs, 0, 0.0
        self._cost, self._limit = cost, limit
        self._ready: list[int] = []  # a heap of ranks
        for task, inputs in enumerate(self._waiting):
            if not inputs:
                self._make_ready(task)

    def _make_ready(self, task: int) -> None:
        heapq.heappush(self._ready, self._rank[task])

    def ready(self) -> list[int]:
        """Tasks that wait for nothing but their turn, in no order."""
        return [task for rank in self._ready if (task := self._task_at[rank]) not in self._dropped]

    def take(self) -> int | None:
        """The next task to start, or None until another one finishes."""
        while self._ready and self.running < self._jobs:
            task = self._task_at[self._ready[0]]
            if task in self._dropped:
                heapq.heappop(self._ready)
                continue
            if not self._fits(task):
                return None
            heapq.heappop(self._ready)
            self.running += 1
            if self._cost is not None:
                self._in_use += self._cost[task]
            return task
        return None

    def _fits(self, task: int) -> bool:
        if self._cost is None or self._limit is None or not self.running:
            return True
        return self._in_use + self._cost[task] <= self._limit

    def finish(self, task: int) -> list[int]:
        """Give back what `task` held and return the tasks that became ready through it."""
        self._end(task)
        freed = []
        for reader in self._graph.successor_indices(task):
            self._waiting[reader] -= 1
            if not self._waiting[reader] and reader not in self._dropped:
                self._make_ready(reader)
                freed.append(reader)
        return freed

    def fail(self, task: int) -> list[int]:
        """Give back what a running `task` held; returns its descendants, which will now never be taken."""
        self._end(task)
        return self.drop(task)

    def drop(self, task: int) -> list[int]:
        """Take a task that is not running, and all below it, out of the order; returns those below newly dropped."""
        self._dropped.add(task)
        below, frontier = [], [task]
        while frontier:  # not rx.descendants: many failures above one subtree would each walk all of it again
            for reader in self._graph.successor_indices(frontier.pop()):
                if reader not in self._dropped:
                    self._dropped.add(reader)
                    below.append(reader)
                    frontier.append(reader)
        return below

    def _end(self, task: int) -> None:
        self.running -= 1
        if self._cost is not None:
            # An empty machine holds nothing: sums of floats must not leave a remainder that blocks a task for ever.
            self._in_use = self._in_use - self._cost[task] if self.running else 0.0

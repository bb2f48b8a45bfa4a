"""Where jobs run: in the calling thread or in a pool of processes that outlive no build.

One interface, `Workers.run`, so that another place to run can stand beside these two.
"""

from __future__ import annotations

import multiprocessing.util
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from threading import Lock
from time import sleep
from types import ModuleType
from typing import Any, Protocol

from pebble import ProcessExpired, ProcessPool

from codeintel.hamilton_pipeline.memory_budget import MemoryBudget
from codeintel.hamilton_pipeline.partition_jobs import Done, Job, packed, perform, perform_packed, prepare_worker
from codeintel.hamilton_pipeline.process_usage import KEPT_BYTES


class WorkerDiedError(Exception):
    """The process that ran `job` ended without an answer."""

    def __init__(self, job: Job, reason: str) -> None:
        super().__init__(reason)
        self.job, self.reason = job, reason


@dataclass(slots=True)
class Usage:
    """What a task took: CPU seconds, and by worker process the most resident bytes while it ran.

    `workers_cpu_s` is the part of the CPU seconds that worker processes took. `spans` says when they were at it:
    (start, end, process, most resident bytes), times as readings of `perf_counter`.
    """

    cpu_s: float = 0.0
    workers_cpu_s: float = 0.0
    peaks: dict[str, int] = field(default_factory=dict)
    spans: list[tuple[float, float, str, int]] = field(default_factory=list)


class Workers(Protocol):
    """Runs a task's jobs, in any order, and yields what each one did as it ends. `usage` is by task.

    `uncounted_cpu_s` are CPU seconds of processes that the driver does not wait for as for its children.
    """

    usage: dict[str, Usage]

    @property
    def uncounted_cpu_s(self) -> float: ...

    def run(self, task: str, jobs: Sequence[Job], *, heavy: bool) -> Iterator[tuple[Job, Done | WorkerDiedError]]: ...

    def close(self, *, at_once: bool) -> None: ...


class _WorkerProcess(SpawnProcess):
    """A spawned process that does not import the program's main module.

    Jobs come from importable modules. So a worker does not pay for the command line, and a script that builds needs no
    `if __name__ == "__main__"` to keep workers from running it again. Nor does it look for modules in the working
    directory before it has the driver's own path: a repository's `types.py` is read, never imported.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - multiprocessing's own name; Any: so is what it returns
        with _without_working_directory():
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                return SpawnProcess._Popen(process_obj)  # noqa: SLF001 - the one place to override
            finally:
                sys.modules["__main__"] = main


class _WorkerContext(SpawnContext):
    Process = _WorkerProcess


_STARTING = Lock()


@contextmanager
def _without_working_directory() -> Iterator[None]:
    """Processes that multiprocessing starts meanwhile do not begin with the working directory on their path."""
    with _STARTING:
        flags = multiprocessing.util._args_from_interpreter_flags  # noqa: SLF001 # pyrefly: ignore[missing-attribute]
        multiprocessing.util._args_from_interpreter_flags = lambda: [*flags(), "-P"]  # noqa: SLF001 # pyrefly: ignore[missing-attribute]
        try:
            yield
        finally:
            multiprocessing.util._args_from_interpreter_flags = flags  # noqa: SLF001 # pyrefly: ignore[missing-attribute]


def account(usage: dict[str, Usage], task: str, done: Done, lock: Lock) -> Done:
    """Add what a job took to what its task did."""
    with lock:
        used = usage.setdefault(task, Usage())
        used.cpu_s += done.cpu_s
        if done.worker != str(os.getpid()):  # what the driver holds is not the task's
            used.workers_cpu_s += done.cpu_s
            used.peaks[done.worker] = max(used.peaks.get(done.worker, 0), done.peak_bytes)
            used.spans.append((done.started, done.ended, done.worker, done.peak_bytes))
    return done


def most_at_once(usage: Mapping[str, Usage]) -> int:
    """Most bytes that worker processes held together: the peaks of jobs that ran at one time, and what others may keep.

    Where processes of several machines ran, whose clocks differ, this is about that.
    """
    held: dict[str, tuple[float, int]] = {}  # by process, when its last job ended and what that took
    most = 0
    for started, ended, worker, peak in sorted(span for used in usage.values() for span in used.spans):
        held[worker] = ended, peak
        together = (bytes_ if end > started else min(bytes_, KEPT_BYTES) for end, bytes_ in held.values())
        most = max(most, sum(together))
    return most


_ALL_DIED = "the worker processes died"
_LOOK_EVERY = 0.1  # seconds between looks for memory that a job of another task gave back


@dataclass(slots=True)
class ProcessWorkers:
    """Heavy jobs go to processes started on first use, light ones run in the calling thread."""

    jobs: int
    pandas: bool = False
    budget: MemoryBudget | None = None
    usage: dict[str, Usage] = field(default_factory=dict)
    lent: bool = False
    _pools: list[tuple[int, ProcessPool]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def for_a_run(self, budget: MemoryBudget | None, *, lent: bool) -> ProcessWorkers:
        """The same processes, with an account of their own; `lent` if they go on after that run."""
        return replace(self, budget=budget, usage={}, lent=lent)

    @property
    def uncounted_cpu_s(self) -> float:
        """Nothing of children that end with the run: the system counts those."""
        return sum(used.workers_cpu_s for used in self.usage.values()) if self.lent else 0.0

    def run(self, task: str, jobs: Sequence[Job], *, heavy: bool) -> Iterator[tuple[Job, Done | WorkerDiedError]]:
        if not heavy:
            for job in jobs:
                yield job, account(self.usage, task, perform(job), self._lock)
            return
        pool = self._started(len(jobs))
        waiting = deque(jobs)
        flying: dict[Future[Done], Job] = {}
        try:
            while waiting or flying:
                for job in self._room(task, waiting, flying):
                    try:
                        flying[pool.schedule(perform_packed, args=(task, packed(task, job)))] = job
                    except RuntimeError:  # it broke since it was looked at
                        yield job, self._ended(task, job, WorkerDiedError(job, _ALL_DIED))
                if not flying:
                    sleep(_LOOK_EVERY)
                ended, _ = wait(flying, _LOOK_EVERY if waiting else None, FIRST_COMPLETED)
                for future in ended:
                    job = flying.pop(future)
                    yield job, self._ended(task, job, _became(job, future))
        finally:
            for future, job in flying.items():
                future.cancel()
                self._ended(task, job, WorkerDiedError(job, _ALL_DIED))

    def _room(self, task: str, waiting: deque[Job], flying: Mapping[Future[Done], Job]) -> Iterator[Job]:
        """Jobs to send now: all of them, or as many as there are processes, and memory for."""
        while waiting:
            if self.budget is not None and not (len(flying) < self.jobs and self.budget.may_start(task, waiting[0])):
                return
            yield waiting.popleft()

    def _ended(self, task: str, job: Job, became: Done | WorkerDiedError) -> Done | WorkerDiedError:
        done = became if isinstance(became, Done) else None
        if self.budget is not None:
            self.budget.ended(task, job, done.peak_bytes if done else 0)
        return became if done is None else account(self.usage, task, done, self._lock)

    def _started(self, jobs: int) -> ProcessPool:
        """A pool for that many jobs: no process is started that would have none."""
        size = min(self.jobs, jobs)
        with self._lock:
            while self._pools and not self._pools[-1][1].active:
                _, broken = self._pools.pop()
                broken.stop()
                broken.join()
            if not self._pools or self._pools[-1][0] < size:
                with _without_working_directory():
                    resource_tracker.ensure_running()
                context = _WorkerContext()
                pool = ProcessPool(size, initializer=prepare_worker, initargs=[self.pandas], context=context)
                self._pools.append((size, pool))
            return self._pools[-1][1]

    def close(self, *, at_once: bool) -> None:
        """End the processes: idle ones in order, or whatever they do, at once."""
        while self._pools:
            _, pool = self._pools.pop()
            (pool.stop if at_once else pool.close)()
            pool.join()


@contextmanager
def process_workers(jobs: int, *, pandas: bool) -> Iterator[ProcessWorkers]:
    """Workers for the length of a run; `pandas` says whether what they run may use it."""
    workers = ProcessWorkers(jobs, pandas)
    try:
        yield workers
    except BaseException:
        workers.close(at_once=True)
        raise
    workers.close(at_once=False)


def _became(job: Job, future: Future[Done]) -> Done | WorkerDiedError:
    """What became of a job. Raises what it raised."""
    try:
        return future.result()
    except ProcessExpired as error:
        return WorkerDiedError(job, f"the worker process died ({_death(error.exitcode)})")
    except BrokenProcessPool:  # one died that had no job, and with it their common pipe
        return WorkerDiedError(job, _ALL_DIED)


def _death(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

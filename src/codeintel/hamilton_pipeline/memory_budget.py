"""How many jobs may run at a time, so that all processes of a build together stay below a number of bytes.

What a job will take is what the largest of its task took, in this run or in one before. Without either it is told from
the bytes that the job reads. One job always runs: what needs more than there is cannot be helped by waiting.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from codeintel.hamilton_pipeline.partition_jobs import AnalysisJob, Job
from codeintel.hamilton_pipeline.process_usage import resident_bytes

IDLE_BYTES = 150_000_000
"""What a process holds before its first job, about."""
GROWTH = 12
"""Bytes in memory for each byte of objects that a job reads: they are compressed, and an engine holds what it makes."""


@dataclass(slots=True)
class MemoryBudget:
    """`limit` is in bytes, `needs` are bytes of one process by task, learnt."""

    limit: float
    needs: dict[str, float]
    flying: dict[int, float] = field(default_factory=dict)  # what jobs that run are expected to take, by job
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def of(cls, megabytes: int, learnt: Mapping[str, float]) -> MemoryBudget:
        return cls(megabytes * 1e6, {task: need * 1e6 for task, need in learnt.items() if need})

    def may_start(self, task: str, job: Job) -> bool:
        """Whether there is room for `job`, which then counts as running."""
        need = self.needs.get(task, 0.0)
        if not need or (isinstance(job, AnalysisJob) and job.components):  # which may have looked at a few of them
            read = sum(part.bytes for handle in job.reads() for part in handle.partitions.values())
            need = max(need, IDLE_BYTES + GROWTH * read)
        with self._lock:
            if self.flying:
                held = sorted(resident_bytes(p.pid) for p in multiprocessing.active_children() if p.pid is not None)
                waiting = held[len(self.flying) + 1 :]  # whoever that is, the largest of them may be
                if resident_bytes() + sum(waiting) + sum(self.flying.values()) + need > self.limit:
                    return False
            self.flying[id(job)] = need
        return True

    def ended(self, task: str, job: Job, peak_bytes: int) -> None:
        """Give back what a job was expected to take; its process took `peak_bytes`, 0 if that is not known."""
        with self._lock:
            self.flying.pop(id(job), None)
            if peak_bytes:
                self.needs[task] = max(self.needs.get(task, 0.0), float(peak_bytes))

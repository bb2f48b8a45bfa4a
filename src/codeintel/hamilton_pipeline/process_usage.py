"""What this process has used so far: CPU seconds and memory."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from functools import cache
from pathlib import Path

KEPT_BYTES = 400_000_000
"""What a process may keep between two jobs, shared objects of libraries included."""


def cpu_seconds() -> float:
    """CPU seconds, user and system, of this process and the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def forget_peak() -> None:
    """Let the peak begin anew. Where the system cannot, it stays that of the process's life."""
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5")


def resident_bytes(pid: int | None = None) -> int:
    """What a process, this one by default, holds now; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{'self' if pid is None else pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):  # not Linux, or it has ended
        return 0
    return pages * resource.getpagesize()


def give_back_memory() -> None:
    """Hand what was freed back to the system, in a process that holds much: its next job may need little of it.

    Less is kept: the next job would have each page cleared again, a tenth of a cold build's CPU.
    """
    if resident_bytes() < KEPT_BYTES:
        return
    with contextlib.suppress(OSError, AttributeError):  # not the GNU C library
        _libc().malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def peak_resident_bytes() -> int:
    """Highest resident size of this process since it began, or since `forget_peak`."""
    try:
        # What getrusage says began with the memory of the process that this one was forked from.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

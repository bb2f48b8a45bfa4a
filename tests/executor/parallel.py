"""A graph that only a dynamic executor can run."""

from __future__ import annotations

from hamilton.htypes import Collect, Parallelizable


def item() -> Parallelizable[int]:
    yield from range(3)


def doubled(item: int) -> int:
    return 2 * item


def total(doubled: Collect[int]) -> int:
    return sum(doubled)

"""source → left, right → joined: a Hamilton module whose every node is a task."""

from __future__ import annotations


def source() -> int:
    return 1


def left(source: int) -> int:
    return source + 1


def right(source: int) -> int:
    return source + 10


def joined(left: int, right: int) -> int:
    return left + right

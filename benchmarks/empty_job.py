"""A job that does nothing, to see what handing it out costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from codeintel.store.handles import TableHandle
from codeintel.store.results import Anew, Tables


@dataclass(frozen=True, slots=True)
class EmptyJob:
    number: int

    def run(self) -> tuple[Tables, Anew]:
        return {}, (0, 0)

    def reads(self) -> Iterable[TableHandle]:
        return ()

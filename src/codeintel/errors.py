"""The one family of errors. Each names the thing, the place and what would have been right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class CodeintelError(Exception):
    """Base of every error this package raises on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross from workers with all their parts, whatever their constructors take."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[CodeintelError], args: tuple[object, ...], parts: dict[str, object]) -> CodeintelError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(parts)
    return error


class UsageError(CodeintelError):
    """A path, setting or name given by the caller that cannot be meant."""

    exit_code = 2


class ExtractError(CodeintelError):
    """A fault of an extractor itself. A bad file is never one: it is a row in `extract_errors`."""


class PlanError(CodeintelError):
    """A plan that cannot be compiled. `subject` is the task or view, `line` the line in its SQL (from 1) if known."""

    exit_code = 2

    def __init__(self, message: str, *, subject: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.subject, self.line = subject, line


class AdmissionError(CodeintelError):
    """Work that the plan does not list. `rejected` maps each node name to its reason."""

    def __init__(self, rejected: dict[str, str]) -> None:
        listed = "; ".join(f"{name}: {reason}" for name, reason in sorted(rejected.items()))
        super().__init__(f"the plan does not admit {listed}")
        self.rejected = rejected


class ContractError(CodeintelError):
    """A broken contract. `table`, `rule`, `count` of offending rows, and up to five of them as text in `rows`."""

    def __init__(self, table: str, rule: str, count: int, rows: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(f"{table}: {breach(rule, count, rows)}{hint and chr(10) + hint}")
        self.table, self.rule, self.count, self.rows = table, rule, count, rows


class StoreError(CodeintelError):
    """A store that is busy, foreign, newer than this version, damaged or not writable."""

    exit_code = 3


class DamagedObjectError(StoreError):
    """An object that is missing, or is not what was written. Another build replaces it; `path` is its file."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"object {path.name} cannot be read: {reason}; build again to replace it")
        self.path = path


class RunError(CodeintelError):
    """A task that failed while running. `task` is its name."""

    def __init__(self, message: str, *, task: str | None = None) -> None:
        super().__init__(message)
        self.task = task


def breach(rule: str, count: int, rows: Iterable[str] = ()) -> str:
    """That so many rows break a rule of a contract, and some of them, a line each."""
    shown = "".join(f"\n  {row}" for row in rows)
    return f"{'1 row breaks' if count == 1 else f'{count:,} rows break'} the contract that {rule}{shown}"


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """The clause that ends an error about an unknown name: the nearest known ones, or all when they are few."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "none are known"

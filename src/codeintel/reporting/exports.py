"""Sending a finished run elsewhere: off by default, at no cost then; bounded, and never what a build fails of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from codeintel.errors import UsageError
from codeintel.obs.diagnostics import add_metadata
from codeintel.settings import Settings
from codeintel.store.directory import Store
from codeintel.store.runs import artifacts_of

if TYPE_CHECKING:  # a build that exports nothing must not pay for it
    from codeintel.reporting.finished_run import FinishedRun


def check_exports(settings: Settings) -> None:
    """Raises UsageError if an export is asked for and what it needs is not installed."""
    for asked, name in ((bool(settings.openlineage), "openlineage"), (settings.opentelemetry, "opentelemetry")):
        if asked:
            check_installed(name)


def check_installed(name: str) -> None:
    """Raises UsageError, saying how to get it, if the export of that name cannot be had."""
    module = {"openlineage": "openlineage", "opentelemetry": "opentelemetry"}[name]
    if find_spec(module) is None:
        raise UsageError(f"the export {name} needs a package; install it with: pip install 'codeintel[{name}]'")


def export_run(store: Store, run_id: str, settings: Settings) -> dict[str, str]:
    """Make the exports that `settings` ask for, and keep with the run's artifacts what became of each.

    `sent: ` and how much, or `failed: ` and why. A server has `telemetry_flush` seconds; a file takes what it takes.
    """
    if not (settings.openlineage or settings.opentelemetry):
        return {}
    from codeintel.reporting.finished_run import finished_run  # noqa: PLC0415 - see the top

    done: dict[str, str] = {}
    if place := settings.openlineage:
        seconds = settings.telemetry_flush if place.startswith(("http://", "https://")) else None
        done["openlineage"] = bounded(lambda: send_openlineage(finished_run(store, run_id), store.root, place), seconds)
    if settings.opentelemetry:
        done["opentelemetry"] = bounded(
            lambda: send_opentelemetry(finished_run(store, run_id)), settings.telemetry_flush
        )
    with suppress(OSError):  # the run is what it is, written about or not
        add_metadata(artifacts_of(store, run_id), done)
    return done


def send_openlineage(run: FinishedRun, root: Path, place: str) -> str:
    from codeintel.reporting.lineage_events import send_events  # noqa: PLC0415 - an extra, imported when asked for

    _quieten("openlineage")
    return send_events(run, root, place)


def send_opentelemetry(run: FinishedRun) -> str:
    from codeintel.reporting.trace_spans import send_spans  # noqa: PLC0415 - an extra, imported when asked for

    _quieten("opentelemetry")
    return send_spans(run)


def _quieten(library: str) -> None:
    """What it logs goes where the program has set up logging, and nowhere else: not to the terminal."""
    logging.getLogger(library).addHandler(logging.NullHandler())


def bounded(work: Callable[[], str], seconds: float | None) -> str:
    """What `work` says, or `failed: ` and why not. After so many seconds it is left to itself."""
    said: list[str] = []

    def attempt() -> None:
        try:
            said.append(work())
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the run is what it is
            text = str(error).strip().split("\n")[0][:200]
            said.append(f"failed: {type(error).__name__}: {text}")

    thread = threading.Thread(target=attempt, name="export", daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else f"failed: nothing was confirmed within {seconds} s"

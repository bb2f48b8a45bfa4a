"""Many repositories: a store for each below one root, built one after the other by the same workers.

Views are compiled once, and what was compiled lies at the root. Each repository's ids carry its name as namespace, so
that tables of all of them can be united; see `united`. What is wrong with one repository is told, and stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os.path import realpath
from pathlib import Path

from codeintel.api import BuildInterruptedError, BuildResult, Shared, build, cpg_pipeline
from codeintel.cpg.readings import READS
from codeintel.datafusion_engine.plan_cache import PlanCache
from codeintel.datafusion_engine.united import United
from codeintel.errors import CodeintelError, StoreError, UsageError
from codeintel.fingerprint import digest
from codeintel.hamilton_pipeline.crew import check_crew, crew
from codeintel.hamilton_pipeline.lifecycle import Watch
from codeintel.hamilton_pipeline.pipeline_run import wants_pandas
from codeintel.settings import Settings
from codeintel.store.directory import KeptBytes, is_store, open_store
from codeintel.store.runs import read_run

PLANS = ".plans"
"""Folder at the root with what was compiled."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one repository: its build, or the error that kept it from having one, in one line."""

    name: str
    repository: str
    result: BuildResult | None
    error: str = ""

    @property
    def status(self) -> str:
        """`done`, `unchanged` or `failed`."""
        if self.result is None or self.result.status != "ok":
            return "failed"
        return "unchanged" if self.result.tasks["ran"] <= len(READS) else "done"  # sources are read at every build

    @property
    def reason(self) -> str:
        """Why it failed: the error, or the first task that did and its."""
        if self.result is None or self.result.status == "ok":
            return self.error
        name, text = next(iter(sorted(self.result.errors.items())), ("--strict", "files or contracts are broken"))
        return f"{name}: {text.splitlines()[0]}"


def repositories(listed: Path, store_root: Path) -> dict[str, Path]:
    """Repositories by name: the folders in a folder, or those that a file names, a line each, relative to itself.

    Those whose folders have one name get some of the digest of their path, but for one that has a store of that name
    below `store_root` already. Raises UsageError if there is none.
    """
    try:
        if listed.is_dir():
            found = sorted(path for path in listed.iterdir() if path.is_dir() and not path.name.startswith("."))
        else:
            lines = [line.strip() for line in listed.read_text("utf-8").splitlines()]
            found = [listed.parent / line for line in lines if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{listed} is no list of repositories: {reason}") from error
    places = list(dict.fromkeys(Path(realpath(path)) for path in found))
    if not places:
        raise UsageError(f"{listed} names no repository; give a file of paths, or a folder of repositories")
    names = [path.name or "root" for path in places]
    return {
        name
        if names.count(name) == 1 or _is_built(store_root / name, path)
        else f"{name}-{digest(str(path))[:8]}": path
        for name, path in zip(names, places, strict=True)
    }


def _is_built(store: Path, repository: Path) -> bool:
    """Whether a store is there, and of this repository."""
    return _has_run(store) and read_run(open_store(store)).repository == str(repository)


def _has_run(store: Path) -> bool:
    return is_store(store) and (store / "current").exists()


def build_many(
    listed: Mapping[str, str | Path],
    store_root: str | Path,
    *,
    settings: Settings | None = None,
    watch: Watch | None = None,
    told: Callable[[Outcome], None] = lambda _outcome: None,
) -> list[Outcome]:
    """Build each repository, by name, into the store of that name below `store_root`; `told` hears of each at its end.

    A build in which nothing changed does nothing, so the same call again goes on where one was ended. `settings` are
    those of all; their namespace, if there is one, stands before each repository's own. Raises UsageError for settings
    that no build could have; BuildInterruptedError after Ctrl-C.
    """
    root, settings = Path(realpath(store_root)), settings or Settings()
    check_crew(settings)
    outcomes = []
    with _shared(root, settings) as shared:
        for name, path in listed.items():
            namespace = f"{settings.namespace}/{name}" if settings.namespace else name
            own = replace(settings, store=root / name, namespace=namespace)
            outcomes.append(_outcome(name, Path(path), own, watch, shared))
            told(outcomes[-1])
    return outcomes


def _outcome(name: str, path: Path, settings: Settings, watch: Watch | None, shared: Shared) -> Outcome:
    try:
        return Outcome(name, str(path), build(path, settings=settings, watch=watch, shared=shared))
    except (BuildInterruptedError, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one is nothing to the others
        kind = "" if isinstance(error, CodeintelError) else f"{type(error).__name__}: "
        return Outcome(name, str(path), None, f"{kind}{error}".strip().split("\n")[0])


@contextmanager
def _shared(root: Path, settings: Settings) -> Iterator[Shared]:
    pipeline, _ = cpg_pipeline(settings)
    try:
        (root / PLANS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{root} cannot be written: {error.strerror or error}") from error
    plans = PlanCache(root / PLANS / "views.json")
    with crew(settings, pandas=wants_pandas(pipeline), lent=True) as hands:
        yield Shared(hands, plans, KeptBytes(root / PLANS / "reductions"))


def open_many(store_root: str | Path) -> United:
    """The current runs of all stores below a root, by name, as one. Raises StoreError if there is none."""
    root = Path(realpath(store_root))
    stores: Iterable[Path] = sorted(root.iterdir()) if root.is_dir() else ()
    found = {place.name: open_store(place) for place in stores if _has_run(place)}
    if not found:
        raise StoreError(f"no built stores below {root}; build some with: codeintel build-many")
    return United(root, {name: (store, read_run(store)) for name, store in found.items()})

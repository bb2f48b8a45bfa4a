"""Builds to track: of a tiny repository, each a process of its own as users start them; `birds` has quicker ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build.conftest import write_repository
from tests.telemetry.stub import Server, served

FILES = {
    "shop/cart.py": "def total(prices):\n    return sum(prices)\n\n\nclass CanaryClass:\n    note = 'canary literal'\n",
    "shop/canary_file.py": "import shop.cart\n# canary comment\nprint(shop.cart.total([1]))\n",
}


def command(
    *arguments: object, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    inherited = os.environ.items()  # noqa: TID251 - a command has one
    clean = {name: value for name, value in inherited if not name.startswith(("HAMILTON_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-m", "codeintel", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**clean, **(environment or {})}, **options,
    )  # fmt: skip


class Project:
    """A repository with a store of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = write_repository(root / "canary_place", FILES), root / "store"

    def build(self, *arguments: object, url: str = "", flush: float = 30, **environment: str) -> dict[str, Any]:
        """What `build --json` prints, with the exit code; tracked by the server at `url` if there is one."""
        given = {"CODEINTEL_TELEMETRY_FLUSH": str(flush), "CODEINTEL_HAMILTON_API_URL": url, **environment}
        track = ["--track"] if url else []
        done = command(
            "build", self.root, "--store", self.store, "--json", "--jobs", 1, *track, *arguments, environment=given
        )
        assert done.stderr == "", done.stderr
        return {**json.loads(done.stdout), "exit": done.returncode}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    with served(Server()) as started:
        yield started


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it comes to hold, as something that another process does."""
    for _ in range(int(seconds / 0.1)):
        if holds():
            return True
        time.sleep(0.1)
    return holds()

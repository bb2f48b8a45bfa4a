"""What is analysed is never run, wherever a build is started from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import codeintel

Make = Callable[[Mapping[str, str | bytes]], Path]

SHADOWS = ("types.py", "signal.py", "struct.py", "numpy.py", "pyarrow.py", "xxhash.py", "blake3.py", "ast.py")


def test_modules_of_the_repository_are_not_imported_by_a_build_started_in_it(make_repository: Make) -> None:
    root = make_repository(dict.fromkeys(SHADOWS, "open('was imported', 'w').close()\nraise SystemExit(9)\n"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}  # noqa: TID251 - a child's
    done = subprocess.run(
        [Path(sys.executable).with_name("codeintel"), "build", "--jobs", "2"],
        cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert not (root / "was imported").exists()
    assert done.returncode == 0, done.stderr
    assert codeintel.open(root / ".codeintel").manifest.files["extracted"] == len(SHADOWS)

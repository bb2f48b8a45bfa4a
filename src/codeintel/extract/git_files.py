"""What git says a working tree holds, asked so that neither the caller nor the repository can bend the answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 120.0  # seconds; a repository that makes git hang is walked instead


@dataclass(frozen=True, slots=True)
class Listing:
    """What git lists: each path relative to the root, and whether it is tracked."""

    files: Mapping[str, bool]


def git_listing(root: str) -> Listing | None:
    """What git lists under `root`, submodules included; None where there is no git to ask, or it lists nothing."""
    real = os.path.realpath(root)
    above = [real, *map(str, Path(real).parents)]
    if not any(os.path.lexists(f"{directory}/.git") for directory in above):
        return None
    files: dict[str, bool] = {}
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        output = _git(f"{real}/{prefix}", "ls-files", "-z", "-t", "-s", "--cached", "--others", "--exclude-standard")
        if output is None:
            if not prefix:
                return None
            continue
        for record in os.fsdecode(output).split("\0"):
            if record.startswith("? "):
                files[prefix + record[2:]] = False
                continue
            # "H 100644 <object> 0\t<path>"
            head, _, path = record.partition("\t")
            if head[2:8] == "160000":
                # Only at its own place: a submodule behind a link might lead round in a circle.
                submodule = f"{real}/{prefix}{path}"
                if os.path.lexists(f"{submodule}/.git") and os.path.realpath(submodule) == submodule:
                    waiting.append(f"{prefix}{path}/")
            elif path:
                files[prefix + path] = True
    return Listing(files) if files else None


def git_ignored(root: str, paths: Iterable[str]) -> list[str]:
    output = _git(root, "check-ignore", "-z", "--stdin", input=b"\0".join(map(os.fsencode, paths)))
    return os.fsdecode(output or b"").split("\0")


def _git(directory: str, *arguments: str, input: bytes = b"") -> bytes | None:  # noqa: A002  subprocess's own name
    """What a git command prints, or None if there is no git or it fails.

    The caller's environment and configuration are kept out, so that GIT_DIR from a hook or somebody's global ignore
    file does not change what a repository is; and so is everything in the repository's own configuration that would
    run a program, which is why its owner need not be trusted (safe.directory).
    """
    safe = ("core.fsmonitor=false", "core.untrackedCache=false", f"core.hooksPath={os.devnull}", "safe.directory=*")
    environment = {
        "PATH": os.pathsep.join(os.get_exec_path()),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    command = ["git", *(word for setting in safe for word in ("-c", setting)), *arguments]
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, input=input, capture_output=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

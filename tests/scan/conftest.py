"""Tiny real repositories, made where each test wants them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from codeintel.extract.repo_scan import ScannedFile, scan

Tree = Callable[[dict[str, str]], Path]
Git = Callable[..., None]
AsNobody = Callable[[], AbstractContextManager[None]]


def write(root: Path, files: dict[str, str]) -> Path:
    """The tree, made; a name that ends in `/` is a directory, a text `-> target` a symbolic link."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)
    return root


def paths(repository: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
    """What the scan finds, by name."""
    return sorted(file.path for file in scan(repository, include, exclude))


def errors(repository: Path) -> dict[str, str]:
    return {file.path: file.error for file in scan(repository) if file.error}


def modules(repository: Path) -> dict[str, str]:
    return {file.path: file.module for file in scan(repository)}


def only(files: list[ScannedFile]) -> ScannedFile:
    (file,) = files
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return lambda files: write(tmp_path / "repo", files)


@pytest.fixture
def git() -> Git:
    """Runs git in a directory, on nobody's configuration."""
    settings = ("user.name=t", "user.email=t@example.org", "init.defaultBranch=main", "protocol.file.allow=always")
    environment = {
        "PATH": os.pathsep.join(os.get_exec_path()),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }

    def run(directory: Path, *arguments: str) -> None:
        words = [word for setting in settings for word in ("-c", setting)]
        subprocess.run(["git", *words, *arguments], cwd=directory, env=environment, check=True, capture_output=True)

    return run


@pytest.fixture
def git_tree(tree: Tree, git: Git) -> Tree:
    """A git repository with everything added that its own `.gitignore` does not ignore."""

    def make(files: dict[str, str]) -> Path:
        root = tree(files)
        git(root, "init")
        git(root, "add", "--all")
        return root

    return make


@pytest.fixture
def as_nobody(tmp_path: Path) -> AsNobody:
    """A block in which file permissions count, even if the tests run as root."""

    @contextmanager
    def unprivileged() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        for directory in tmp_path.parents[:3]:  # pytest keeps its own directories private
            directory.chmod(directory.stat().st_mode | 0o011)
        tmp_path.chmod(0o755)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return unprivileged

"""The repository scan: which Python files there are, and the digest of exactly the bytes each one holds.

It is the one external read of a build, done anew every time; no clock, size or inode stands in for content. What it
finds depends on the repository alone, not on where it lies, who runs it, or that person's git configuration.

Which files
    Names ending in `.py` or `.pyi`, and whatever `include` names besides. Inside a git repository git says which:
    tracked files, and untracked ones that are not ignored; of the untracked ones those under `DEFAULT_EXCLUDES` or in a
    virtual environment are left out too, of the tracked ones none. Checked-out submodules are listed by their own git
    and belong to the repository; other repositories nested in it do not. A tracked file that is deleted is no file.
    Elsewhere (no git, or a directory that git ignores or cannot read) the tree is walked: `.gitignore` and `.ignore`
    files are honoured, the deeper one and in one directory `.ignore` winning, and `DEFAULT_EXCLUDES` apply.
Patterns
    `include` and `exclude` are gitignore patterns relative to the root. `exclude` wins over everything. An include
    that names a directory (`bin/*`, `gen/**/*.py`) also reaches ignored files under it; one that names files anywhere
    (`*.pyx`, `wscript`) adds to the files that are not ignored.
Links
    No symbolic link is followed, to a file or to a directory: what it leads to inside the root is found under its own
    name, and what lies outside is not the repository's. The root itself may be a link.
Stores
    `.codeintel/`, and any directory whose `store.json` has our format, is not entered.
Errors
    A file that cannot be read is a row whose `error` says why and whose digest is null. So is a directory, FIFO, socket
    or device with a Python name, and a directory that cannot be listed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import xxhash
from blake3 import blake3

from codeintel.errors import UsageError
from codeintel.extract.git_files import Listing, git_ignored, git_listing
from codeintel.extract.module_names import PROJECT_FILES, Modules
from codeintel.extract.path_patterns import SUFFIXES, Ignores, Patterns, compiled, is_ignored
from codeintel.fingerprint import SIZE
from codeintel.relspec.pipeline import Table

if TYPE_CHECKING:  # a build with nothing to do must not pay for importing Arrow
    pass

# Directories nobody means by "this repository's code". One that is a regular package is kept: `build` and `venv` are
# names of packages too.
DEFAULT_EXCLUDES = frozenset({
    ".bzr", ".cache", ".direnv", ".eggs", ".hypothesis", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pixi",
    ".pytest_cache", ".pytype", ".ruff_cache", ".tox", ".venv", "__pypackages__", "build", "dist", "env",
    "node_modules", "site-packages", "venv",
})  # fmt: skip
# Never entered, not even for an `include`.
NEVER = frozenset({".git", ".hg", ".svn", ".codeintel", "__pycache__"})
STORE_FORMAT = "codeintel"

_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class ScannedFile(NamedTuple):
    """One row of the scan. `path` is relative to the root, with `/`; `bytes` counts what was read."""

    path: str
    module: str
    digest: str | None
    bytes: int
    error: str | None
    bucket: int


REPO_FILES: Table


def __getattr__(name: str) -> Table:
    if name != "REPO_FILES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _repo_files()


@cache
def _repo_files() -> Table:
    import pyarrow as pa  # noqa: PLC0415  costs more than a whole scan, which a build with nothing to do is all about

    schema = pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("module", pa.string(), nullable=False),
            pa.field("digest", pa.string()),
            pa.field("bytes", pa.int64(), nullable=False),
            pa.field("error", pa.string()),
            pa.field("bucket", pa.int32(), nullable=False),
        ]
    )
    return Table(schema, ("path",))


def check_repository(repository: Path) -> None:
    """Raise UsageError, in one line, unless `repository` is a readable directory with something in it."""
    path = os.fspath(repository)
    try:
        with os.scandir(path) as entries:
            names = {entry.name for entry in entries}
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; give the directory of a repository") from None
    except NotADirectoryError:
        raise UsageError(f"{path} is a file; give the directory of a repository") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {_reason(error)}") from None
    if not names:
        raise UsageError(f"{path} is empty; give the directory of a repository")
    if "store.json" in names and _is_store(path):
        raise UsageError(f"{path} is a store of codeintel; give the directory of a repository")


def scan(
    repository: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = (), bucket_count: int = 64
) -> list[ScannedFile]:
    """Every file of the repository with the digest of its bytes, sorted by (bucket, path); imports no Arrow.

    Raises UsageError, before anything could have been written, for a path that `check_repository` refuses, a bad
    pattern, or a repository that holds no Python.
    """
    check_repository(repository)
    root, tree = os.fspath(repository), _tree(repository, include, exclude)
    found = dict(tree.files())
    if not found:
        raise _no_python(repository)
    modules = Modules(tree.packages, tree.projects)
    names = _unique_names(found)
    rows = [_row(root, path, names[path], problem, modules, bucket_count) for path, problem in found.items()]
    return sorted(rows, key=lambda row: (row.bucket, row.path))


def _tree(repository: Path, include: tuple[str, ...], exclude: tuple[str, ...]) -> _Tree:
    root = os.fspath(repository)
    return _Tree(root, Patterns.of(include, exclude), git_listing(root))


def _no_python(repository: Path) -> UsageError:
    return UsageError(f"{repository} holds no Python: no file that is not ignored is named *.py or *.pyi")


def bucket_of(path: str, bucket_count: int) -> int:
    """The partition of every row about the file `path`, whatever else the repository holds."""
    return xxhash.xxh64_intdigest(path.encode(), 0) % bucket_count


def _row(root: str, path: str, name: str, problem: str | None, modules: Modules, bucket_count: int) -> ScannedFile:
    module = modules.name_of(path)
    if name != path:
        problem, module = "name is not UTF-8", _printable(module)
    digest, size, error = (None, 0, problem) if problem else _digest_of(f"{root}/{path}")
    return ScannedFile(name, module, digest, size, error, bucket_of(name, bucket_count))


def _digest_of(path: str) -> tuple[str | None, int, str | None]:
    """Digest, count of bytes, and reason if there is none. Equals `digest_bytes` of the bytes, without holding them."""
    state, size = blake3(), 0
    try:
        handle = os.open(path, _FLAGS)
    except FileNotFoundError:
        return None, 0, "vanished during the scan"
    except OSError as error:
        return None, 0, f"cannot be read: {_reason(error)}"
    try:
        # What was a regular file when its directory was listed may be a FIFO by now.
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return None, 0, "is not a regular file"
        # A buffer of the file's size costs half of what a large one does; the bytes read are what counts, not the size.
        room = max(1, min(status.st_size + 1, _CHUNK))
        while True:
            chunk = os.read(handle, room)
            state.update(chunk)
            size += len(chunk)
            if not chunk or (len(chunk) < room and size >= status.st_size):  # at the end
                break
    except OSError as error:
        return None, 0, f"cannot be read: {_reason(error)}"
    finally:
        os.close(handle)
    return state.hexdigest(SIZE), size, None


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _unique_names(found: Iterable[str]) -> dict[str, str]:
    """The name each path goes by: itself, or, if it is not UTF-8, a printable one that no other path has."""
    names: dict[str, str] = {}
    odd = []
    for path in found:
        try:
            path.encode()
        except UnicodeEncodeError:
            odd.append(path)
        else:
            names[path] = path
    taken = set(names)
    for path in sorted(odd, key=os.fsencode):
        name = _printable(path)
        while name in taken:
            name += "'"
        names[path] = name
        taken.add(name)
    return names


class _Tree:
    """One walk from the root, pruned by what git lists or, without git, by ignore files. Follows no link.

    `files` fills `packages` and `projects` with the directories it passes that bear on module names.
    """

    def __init__(self, root: str, patterns: Patterns, listing: Listing | None) -> None:
        self._root, self._patterns, self._listing = root, patterns, listing
        self._entered = _parents(path for path in listing.files if patterns.names(path)) if listing else set()
        self.packages: set[str] = set()
        self.projects: set[str] = set()

    def files(self) -> Iterator[tuple[str, str | None]]:
        """Each path with what keeps it from being read, if that is known already. In no particular order."""
        misnamed: dict[str, str] = {}
        waiting: list[tuple[str, bool, Ignores]] = [("", False, ())]
        while waiting:
            directory, ignored, ignores = waiting.pop()
            prefix = f"{directory}/" if directory else ""
            try:
                with os.scandir(f"{self._root}/{directory}") as listed:
                    entries = {entry.name: entry for entry in listed}
            except OSError as error:
                yield directory, f"cannot be listed: {_reason(error)}"
                continue
            if directory and "store.json" in entries and _is_store(f"{self._root}/{directory}"):
                continue
            self._note(directory, entries.keys())
            is_package = directory in self.packages
            if directory and (
                "pyvenv.cfg" in entries or (directory.rpartition("/")[2] in DEFAULT_EXCLUDES and not is_package)
            ):
                ignored = True
                if self._listing is None and not self._patterns.reaches(directory):
                    continue
            if self._listing is None and not ignored:
                ignores = self._read_ignores(prefix, entries, ignores)
            for name, entry in entries.items():
                path = prefix + name
                if entry.is_symlink():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if name in NEVER or self._patterns.excludes(f"{path}/"):
                        continue
                    skipped = ignored or (self._listing is None and is_ignored(f"{path}/", ignores))
                    if name.endswith(SUFFIXES) and not skipped:
                        misnamed[path] = "is a directory"
                    if self._enters(path, skipped):
                        waiting.append((path, skipped, ignores))
                elif not self._patterns.names(path) or self._patterns.excludes(path):
                    continue
                elif not entry.is_file(follow_symlinks=False):
                    if not (ignored or (self._listing is None and is_ignored(path, ignores))):
                        misnamed[path] = "is not a regular file"
                elif self._admits(path, ignored, ignores):
                    yield path, None
        if misnamed and self._listing is not None:
            for path in git_ignored(self._root, misnamed):
                misnamed.pop(path, None)
        yield from misnamed.items()

    def _note(self, directory: str, names: Set[str]) -> None:
        if not names.isdisjoint(("__init__.py", "__init__.pyi")):
            self.packages.add(directory)
        if not names.isdisjoint(PROJECT_FILES):
            self.projects.add(directory)

    def _enters(self, directory: str, ignored: bool) -> bool:
        wanted = not ignored if self._listing is None else directory in self._entered
        return wanted or self._patterns.reaches(directory)

    def _admits(self, path: str, ignored: bool, ignores: Ignores) -> bool:
        if self._listing is None:
            admitted = not (ignored or is_ignored(path, ignores))
        else:
            tracked = self._listing.files.get(path)
            admitted = tracked is not None and (tracked or not ignored)
        return admitted or self._patterns.includes_ignored(path)

    def _read_ignores(self, prefix: str, entries: Mapping[str, object], ignores: Ignores) -> Ignores:
        lines: list[str] = []
        for name in (".gitignore", ".ignore"):
            if name in entries:
                lines += _text_lines(f"{self._root}/{prefix}{name}")
        spec = compiled(lines, lenient=True)
        return (*ignores, (prefix, spec)) if spec else ignores


def _parents(paths: Iterable[str]) -> set[str]:
    """Every directory above one of `paths`, and the root as the empty string."""
    found = {""}
    for path in paths:
        directory = path.rpartition("/")[0]
        while directory not in found:
            found.add(directory)
            directory = directory.rpartition("/")[0]
    return found


def _text_lines(path: str) -> list[str]:
    """Lines of a small regular file, and none of anything else: an ignore file must not hang or fail a build."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return []
        return os.fsdecode(os.read(handle, _CHUNK)).splitlines()
    except OSError:
        return []
    finally:
        os.close(handle)


def _is_store(directory: str) -> bool:
    import json  # noqa: PLC0415  met by almost no build

    try:
        head = json.loads("\n".join(_text_lines(f"{directory}/store.json")))
    except ValueError:
        return False
    return isinstance(head, dict) and head.get("format") == STORE_FORMAT

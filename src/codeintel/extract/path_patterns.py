"""Gitignore patterns: those of the settings, and those of ignore files where there is no git to read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codeintel.errors import UsageError

if TYPE_CHECKING:  # slow to import, and a build without patterns in a git repository needs none
    from pathspec import GitIgnoreSpec

SUFFIXES = (".py", ".pyi")

# Of each directory with ignore files, from the root down: its path and their patterns.
Ignores = tuple[tuple[str, "GitIgnoreSpec"], ...]


def is_ignored(path: str, ignores: Ignores) -> bool:
    """Whether ignore files say so, the deepest that speaks of `path` deciding. A directory's path ends in `/`."""
    for prefix, spec in reversed(ignores):
        decision = spec.check_file(path[len(prefix) :]).include
        if decision is not None:
            return decision
    return False


@dataclass(frozen=True, slots=True)
class Patterns:
    """`include` and `exclude` compiled. `reaching` the includes that name a directory, `starts` where they begin."""

    include: GitIgnoreSpec | None
    reaching: GitIgnoreSpec | None
    starts: tuple[str, ...]
    exclude: GitIgnoreSpec | None

    @classmethod
    def of(cls, include: tuple[str, ...], exclude: tuple[str, ...]) -> Patterns:
        anchored = [pattern for pattern in include if "/" in pattern.rstrip("/")]
        return cls(
            compiled(include, setting="include"),
            compiled(anchored, setting="include"),
            tuple(_literal_start(pattern) for pattern in anchored if not pattern.startswith("!")),
            compiled(exclude, setting="exclude"),
        )

    def names(self, path: str) -> bool:
        return path.endswith(SUFFIXES) or (self.include is not None and self.include.match_file(path))

    def excludes(self, path: str) -> bool:
        return self.exclude is not None and self.exclude.match_file(path)

    def includes_ignored(self, path: str) -> bool:
        return self.reaching is not None and self.reaching.match_file(path)

    def reaches(self, directory: str) -> bool:
        """Whether an ignored file under `directory` may be included."""
        inside = f"{directory}/"
        return any(not start or inside.startswith(f"{start}/") or start.startswith(inside) for start in self.starts)


def _literal_start(pattern: str) -> str:
    """The directory all matches of an anchored pattern lie under: `gen/**/*.py` -> `gen`."""
    literal = []
    for part in pattern.lstrip("/").split("/")[:-1]:
        if any(wild in part for wild in "*?[\\"):
            break
        literal.append(part)
    return "/".join(literal)


def compiled(lines: Iterable[str], *, setting: str = "", lenient: bool = False) -> GitIgnoreSpec | None:
    """The patterns compiled, or None if there are none. A bad one is dropped if `lenient`, else a UsageError."""
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  slow to import, and git repositories seldom need it

    good = []
    for line in lines:
        # To git `x/**` is all that is in x, to pathspec also x itself, which would hide what a later `!` brings back.
        text = f"{line}/*" if line.endswith("/**") else line
        try:
            GitIgnoreSpec.from_lines([text])
        except ValueError as error:
            if not lenient:
                raise UsageError(f"{setting} pattern {line!r} is not a gitignore pattern") from error
        else:
            good.append(text)
    return GitIgnoreSpec.from_lines(good) if good else None

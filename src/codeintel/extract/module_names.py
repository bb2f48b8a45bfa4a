"""The dotted name of each module of a repository.

A module's name is its path from the nearest root above it. Roots are the repository; a directory that holds a
`pyproject.toml`, `setup.py` or `setup.cfg`; `src` unless it lies in a package; and `lib` or `Lib` directly under a
root; none of these if it is a regular package itself, which has an `__init__`. All other directories count as
packages, regular or namespace. `pkg/__init__.py` is `pkg`, `pkg/__main__.py` is `pkg.__main__`, a script keeps its
stem even if that is no identifier, and an `__init__` at a root is `__init__`, since the name of the directory that
a repository was cloned to says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from codeintel.extract.path_patterns import SUFFIXES

PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True, slots=True)
class Modules:
    """Names modules. `packages` are the directories with an `__init__`, `projects` those with a project file."""

    packages: set[str]
    projects: set[str]

    def name_of(self, path: str) -> str:
        directory, _, name = path.rpartition("/")
        base = self._base(directory)
        stem = next((name.removesuffix(suffix) for suffix in (*SUFFIXES, ".pyw") if name.endswith(suffix)), name)
        if stem == "__init__" and base:
            return base
        return f"{base}.{stem}" if base else stem

    def _base(self, directory: str) -> str:
        """What the names of the modules in `directory` start with: empty exactly for a root."""
        if not directory:
            return ""
        parent, _, name = directory.rpartition("/")
        above = self._base(parent)
        if directory not in self.packages and (
            directory in self.projects
            or (name == "src" and parent not in self.packages)
            or (name in ("lib", "Lib") and not above)
        ):
            return ""
        return f"{above}.{name}" if above else name

"""Named corpora to measure on, fetched by name and version through pip into a cache outside the repository.

`python -m benchmarks.corpora [--cache DIR] NAME...` prints where each one lies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

CACHE = Path.home() / ".cache" / "codeintel-corpora"


@dataclass(frozen=True)
class Release:
    """One pinned release, and how many `.py` and `.pyi` files it has.

    `wheel`: for any machine, or `own` for this one.
    """

    requirement: str
    files: int
    wheel: Literal["", "any", "own"] = ""


RELEASES = {
    "requests": Release("requests==2.34.2", 35),
    "rich": Release("rich==15.0.0", 100),
    "django": Release("Django==6.1.3", 2912),
    # pip asks a source distribution for its metadata, and this one compiles its extensions to answer.
    "sqlalchemy": Release("SQLAlchemy==2.1.9", 258, wheel="any"),
    "sympy": Release("sympy==1.14.0", 1533, wheel="any"),
    "pandas": Release("pandas==3.1.1", 1481, wheel="own"),
    "scikit-learn": Release("scikit-learn==1.9.1", 673, wheel="own"),
    "homeassistant": Release("homeassistant==2026.11.0", 10916, wheel="any"),
}
UNITED = {
    "m1": ("django", "sqlalchemy"),
    "all": ("django", "sqlalchemy", "stdlib", "rich", "requests"),
    "m2": ("django", "sqlalchemy", "sympy", "pandas", "scikit-learn"),
    "big": ("django", "sqlalchemy", "sympy", "pandas", "scikit-learn", "homeassistant"),
}
"""Several corpora below one directory."""
NAMES = (*RELEASES, "stdlib", *UNITED)

# Of the standard library, what an application could import: no tests, no installed packages.
NOT_STDLIB = shutil.ignore_patterns(
    "test", "tests", "idle_test", "site-packages", "__pycache__", "config-*", "*.so", "*.a"
)
STDLIB_FILES = 500  # at least; the number differs between versions


def corpus(name: str, cache: Path = CACHE) -> Path:
    """The directory of a corpus, fetched if it is not in `cache`. Raises ValueError if its files are not all there."""
    if name == "stdlib":
        return _stdlib(cache)
    if name in UNITED:
        return _united(name, cache)
    release = RELEASES[name]
    target = cache / release.requirement.lower().replace("==", "-")
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, prefix=".fetching-") as directory:
            unpacked(downloaded(release, Path(directory)), Path(directory)).rename(target)
    if (found := _count(target)) != release.files:
        raise ValueError(f"{target} has {found} Python files, {release.requirement} has {release.files}; delete it")
    return target


def _stdlib(cache: Path) -> Path:
    target = cache / f"stdlib-{'.'.join(map(str, sys.version_info[:3]))}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, prefix=".fetching-") as directory:
            Path(shutil.copytree(sysconfig.get_path("stdlib"), f"{directory}/Lib", ignore=NOT_STDLIB)).rename(target)
    if (found := _count(target)) < STDLIB_FILES:
        raise ValueError(f"{target} has {found} Python files, the standard library more than {STDLIB_FILES}; delete it")
    return target


def _united(name: str, cache: Path) -> Path:
    parts = {part: corpus(part, cache) for part in UNITED[name]}
    target = cache / "-".join([name, *(place.name for place in parts.values())])
    if not target.exists():
        with TemporaryDirectory(dir=cache, prefix=".uniting-") as directory:
            for part, place in parts.items():
                shutil.copytree(place, f"{directory}/all/{part}", copy_function=os.link)
            Path(directory, "all").rename(target)
    return target


def downloaded(release: Release, directory: Path) -> Path:
    """The archive of a release. Its own requirement on Python does not matter: nothing of it is run from here."""
    kind = {
        "": ["--no-binary=:all:"],
        "any": ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"],
        "own": ["--only-binary=:all:"],
    }[release.wheel]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--ignore-requires-python", *kind, "--dest", directory, release.requirement],
        check=True, stdout=sys.stderr,
    )  # fmt: skip
    (archive,) = (path for path in directory.iterdir() if path.is_file())
    return archive


def unpacked(archive: Path, directory: Path) -> Path:
    target = directory / "unpacked"
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(target)
        return target
    with tarfile.open(archive) as source:
        source.extractall(target, filter="data")
    (top,) = target.iterdir()
    return top


def _count(directory: Path) -> int:
    return sum(path.suffix in (".py", ".pyi") for path in directory.rglob("*.py*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES, help=f"of {', '.join(NAMES)}; all if none")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where they are kept (%(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no corpus {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in arguments.names:
        print(f"{name}\t{corpus(name, arguments.cache)}")


if __name__ == "__main__":
    main()

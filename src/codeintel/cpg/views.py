"""The views of the graph: one SQL file each, named like the table it derives."""

from __future__ import annotations

from pathlib import Path

from codeintel.errors import UsageError

_FOLDER = Path(__file__).parent / "sql"


def sql_files(folder: Path) -> dict[str, Path]:
    """SQL files of a folder by view name, sorted. Raises UsageError for no folder, or a name that is no identifier."""
    try:
        found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix == ".sql"}
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"no folder of views at {folder}") from None
    except OSError as error:
        raise UsageError(f"views in {folder} cannot be read: {error.strerror or error}") from None
    for name, path in found.items():
        if not name.isidentifier():
            raise UsageError(f"{path}: {name!r} cannot name a table; use letters, digits and underscores")
    return found


def sql_text(file: Path) -> str:
    """The text of one SQL file. Raises UsageError if it cannot be read or is not UTF-8."""
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"view {file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"view {file}:{line} is not UTF-8: {error.reason}") from None


def cpg_views() -> dict[str, str]:
    return {name: sql_text(path) for name, path in sql_files(_FOLDER).items()}

"""The views of the graph: one SQL file each, named like the table it derives."""

from __future__ import annotations

from pathlib import Path

from codeintel.errors import UsageError

_FOLDER = Path(__file__).parent / "sql"


def sql_files(folder: Path) -> dict[str, Path]:
    """SQL files of a folder by view name, sorted. Raises UsageError for no folder, or a name that is no identifier."""
    if not folder.is_dir():
        raise UsageError(f"no folder of views at {folder}")
    found = {path.stem: path for path in sorted(folder.glob("*.sql"))}
    for name, path in found.items():
        if not name.isidentifier():
            raise UsageError(f"{path}: {name!r} cannot name a table; use letters, digits and underscores")
    return found


def cpg_views() -> dict[str, str]:
    return {name: path.read_text("utf-8") for name, path in sql_files(_FOLDER).items()}

"""Pages whose Python blocks are followed by what they print do print that.

`python -m tests.docs.test_pages` (part of `make docs`) writes the pages anew with what their blocks print now.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.compile(r"```python\n(.*?)```(?:\n```text\n(.*?)```)?", re.DOTALL)
PAGES = ("docs/reading.md", "docs/recovery.md")


def rewritten(page: Path, store: Path) -> str:
    """The page with each shown output replaced by what its block prints, run in order in one namespace."""
    names: dict[str, Any] = {"store": store}

    def run(block: re.Match[str]) -> str:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block[1], str(page), "exec"), names)
        lines = "".join(f"{line.rstrip()}\n" for line in said.getvalue().rstrip().splitlines())
        return block[0] if block[2] is None else f"```python\n{block[1]}```\n```text\n{lines}```"

    return BLOCKS.sub(run, page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert rewritten(ROOT / page, tmp_path / "store") == (ROOT / page).read_text("utf-8")


if __name__ == "__main__":
    for name in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            (ROOT / name).write_text(rewritten(ROOT / name, Path(folder) / "store"), "utf-8")

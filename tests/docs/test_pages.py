"""Pages whose Python blocks are followed by what they print do print that."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.compile(r"```python\n(.*?)```(?:\n```text\n(.*?)```)?", re.DOTALL)
PAGES = ("docs/reading.md",)


def printed(page: Path, store: Path) -> list[tuple[str, str]]:
    """(expected, printed) of each block that says what it prints, run in order in one namespace."""
    names: dict[str, Any] = {"store": store}
    found = []
    for code, expected in BLOCKS.findall(page.read_text("utf-8")):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, str(page), "exec"), names)
        if expected:
            found.append((expected, "".join(f"{line.rstrip()}\n" for line in said.getvalue().rstrip().splitlines())))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = printed(ROOT / page, tmp_path / "store")
    assert blocks
    assert [said for _, said in blocks] == [expected for expected, _ in blocks]

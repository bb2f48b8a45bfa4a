"""The map in ARCHITECTURE.md has every module of the tree, and no others."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_map_names_every_module_and_only_modules_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = text[text.index("| place | holds |") : text.index("Looking for")]
    source = ROOT / "src/codeintel"
    modules = {path.stem for path in source.rglob("*.py")} - {"__init__"}
    named = {Path(name.rstrip("/")).stem for name in re.findall(r"`([\w./]+)`", table)}
    assert sorted(modules - named) == []
    known = modules | {path.name for path in source.rglob("*") if path.is_dir()}
    words = {"build", "build_pipeline", "compile_plan", "open", "report", "why", "Pipeline", "Task"}
    assert sorted(named - known - words) == []

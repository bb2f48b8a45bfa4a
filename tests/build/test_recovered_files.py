"""Builds of repositories with files that do not parse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import codeintel

Make = Callable[[Mapping[str, str | bytes]], Path]

WHOLE = "import os\n\n\nclass A:\n    def f(self):\n        return os.sep\n\n    def g(self):\n        return B()\n"
BROKEN = WHOLE.replace("return os.sep", "return os sep (")
FILES = {"a.py": WHOLE, "b.py": "from a import A\nA().g()\n"}


def public_rows(root: Path, table: str) -> list[dict[str, Any]]:
    rows = codeintel.open(root / ".codeintel").table(table).to_pylist()
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


def ids(root: Path) -> dict[str, int]:
    query = "SELECT qualname, node_id FROM cpg_nodes WHERE label IN ('METHOD', 'TYPE_DECL', 'NAMESPACE_BLOCK')"
    return {row["qualname"]: row["node_id"] for row in codeintel.open(root / ".codeintel").rows(query).to_pylist()}


def test_a_file_repaired_later_is_as_if_it_had_never_been_broken(make_repository: Make) -> None:
    never = make_repository(FILES)
    codeintel.build(never, jobs=1)
    expected = {table: public_rows(never, table) for table in codeintel.open(never / ".codeintel").manifest.tables}
    before = ids(never)
    (never / "a.py").write_text(BROKEN)
    assert codeintel.build(never, jobs=1).files["recovered"] == 1
    assert ids(never) == before
    (never / "a.py").write_text(WHOLE)
    assert codeintel.build(never, jobs=1).files["recovered"] == 0
    assert {table: public_rows(never, table) for table in expected} == expected


def test_other_files_refer_to_a_broken_one_as_to_a_whole_one(make_repository: Make) -> None:
    root = make_repository({**FILES, "a.py": BROKEN})
    codeintel.build(root, jobs=1)
    query = (
        "SELECT d.qualname FROM cpg_edges AS e JOIN cpg_nodes AS s ON s.node_id = e.src "
        "JOIN cpg_nodes AS d ON d.node_id = e.dst WHERE e.kind = 'IMPORTS' AND s.path = 'b.py'"
    )
    assert [row["qualname"] for row in codeintel.open(root / ".codeintel").rows(query).to_pylist()] == ["a"]


def test_a_recovered_file_fails_a_strict_build(make_repository: Make) -> None:
    root = make_repository({**FILES, "a.py": BROKEN})
    assert codeintel.build(root, jobs=1).status == "ok"
    assert codeintel.build(root, jobs=1, strict=True).status == "failed"
    assert codeintel.build(root, jobs=1).files == {
        "total": 2, "extracted": 0, "reused": 2, "recovered": 1, "failed": 0,
    }  # fmt: skip

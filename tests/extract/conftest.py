from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from codeintel.extract.python_facts import python_facts
from codeintel.fingerprint import digest_bytes

Row = dict[str, Any]
Rows = dict[str, list[Row]]
Sources = dict[str, str | bytes]
Facts = Callable[..., Rows]
Tables = Callable[..., dict[str, pa.Table]]

SCAN = pa.schema({
    "path": pa.string(), "module": pa.string(), "digest": pa.string(), "bytes": pa.int64(), "error": pa.string(),
    "bucket": pa.int32(),
})  # fmt: skip


def scanned(root: Path, sources: Sources) -> pa.Table:
    """Write the sources below `root` and list them as the repository scan would, all in bucket 0."""
    rows = []
    for path, source in sorted(sources.items()):
        raw = source.encode() if isinstance(source, str) else source
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(raw)
        module = path.rpartition(".")[0].replace("/", ".").removesuffix(".__init__")
        rows.append({"path": path, "module": module, "digest": digest_bytes(raw), "bytes": len(raw), "bucket": 0})
    return pa.Table.from_pylist(rows, schema=SCAN)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    def extract(sources: Sources, namespace: str = "") -> dict[str, pa.Table]:
        return python_facts(scanned(tmp_path, sources), tmp_path, namespace, 1 << 20)

    return extract


@pytest.fixture
def facts(tables: Tables) -> Facts:
    """`facts(source)` is every table as rows, for a module `m`; `facts({path: source})` for several files."""

    def extract(sources: Sources | str | bytes, namespace: str = "") -> Rows:
        listed = sources if isinstance(sources, dict) else {"m.py": sources}
        return {name: table.to_pylist() for name, table in tables(listed, namespace).items()}

    return extract


def dominance_rows(rows: Rows) -> Rows:
    """All edges of each kind of dominance, those that straight steps of control flow stand for among them."""
    found: Rows = {"DOMINATE": [], "POST_DOMINATE": [], "CDG": []}
    for step in rows["cfg_edges"]:
        if step["is_straight"]:
            found["DOMINATE"].append({"src": step["src"], "dst": step["dst"], "label": ""})
            found["POST_DOMINATE"].append({"src": step["dst"], "dst": step["src"], "label": ""})
    for row in rows["dominance_edges"]:
        found[row["kind"]].append(row)
    return found

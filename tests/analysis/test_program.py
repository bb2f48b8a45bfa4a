"""The rows of a program, read as a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from codeintel.analysis.program import Program
from codeintel.extract.tables import TABLES
from tests.analysis.conftest import Facts

FILES = {
    "b.py": "import a\ndef f(x, *, y=1):\n    return a.g(x, y=y)\nf(1)\n",
    "a.py": "class C:\n    def m(self):\n        return self.n\n\ndef g(x, y):\n    x.t = y\n    return C().m()\n",
    "c/__init__.py": "from a import *\nfrom b import f\nf(g)\n",
}
BUCKETS = {"a.py": 5, "b.py": 70, "c/__init__.py": 0}


def rows_of(program: Program) -> list[tuple[object, ...]]:
    """All rows, as they are in the table: by op and path, then as they came."""
    ids = [*program.ids.tolist(), None]
    found = []
    for op in sorted(program.rows):
        rows = program[op]
        slots = ([ids[slot] for slot in column] for column in (rows.target, rows.source, rows.other))
        paths = [program.paths[path] for path in rows.path]
        buckets = [program.bucket_of_path[path] for path in rows.path]
        found += zip(paths, [op] * len(rows), *slots, rows.name, rows.position, buckets, strict=True)
    return found


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_all_rows_are_there_however_they_were_cut(facts_of: Callable[[Mapping[str, str]], Facts], size: int) -> None:
    flows = facts_of(FILES)["value_flows"]
    buckets = pa.array([BUCKETS[path] for path in flows["path"].to_pylist()], pa.int32())
    flows = flows.set_column(flows.schema.get_field_index("bucket"), flows.schema.field("bucket"), buckets)
    flows = flows.take(pc.sort_indices(flows, sort_keys=[("path", "descending")]))
    program = Program(flows.to_reader(max_chunksize=size))
    assert program.paths == sorted(FILES)
    assert program.bucket_of_path == [BUCKETS[path] for path in program.paths]
    assert np.all(np.diff(program.ids) > 0)
    assert program.count == len(program.ids)
    expected = sorted((tuple(row.values()) for row in flows.to_pylist()), key=lambda row: (row[1], row[0]))
    assert rows_of(program) == expected
    held = [column for rows in program.rows.values() for column in rows._columns]
    assert {column.dtype for column in held} == {np.dtype(np.int32)}


def test_a_program_may_have_no_rows() -> None:
    program = Program(TABLES["value_flows"].schema.empty_table().to_reader())
    assert (program.paths, program.bucket_of_path, program.count, dict(program.rows)) == ([], [], 0, {})
    assert program["call"].target == []

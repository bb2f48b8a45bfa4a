"""Partition modes: what inference says of hand-judged views, and that running by bucket equals running whole."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeintel.datafusion_engine.inference import infer
from codeintel.datafusion_engine.session import execute
from codeintel.errors import PlanError
from tests.datafusion_engine.tables import FILE_KEYED, TABLES, blocks

VIEWS = blocks("modes.sql", "view")
BUCKETS = 3
BUCKET_OF = {"p1": 0, "p2": 1, "p3": 2, "p4": 0, "p5": 1}


@pytest.mark.parametrize("title", VIEWS)
def test_modes_are_those_judged_by_hand(title: str) -> None:
    expectation = re.match(r"-- expect: (.*); (cut|one piece)\n", VIEWS[title])
    assert expectation is not None
    modes, cut = expectation.groups()
    expected = dict(part.split("=") for part in modes.split(", ") if part)
    inferred = infer({"v": VIEWS[title]}, TABLES)
    assert inferred.tasks[0].inputs == expected
    assert ("v" in inferred.partitioned) == (cut == "cut")


def test_there_are_at_least_forty_views() -> None:
    assert len(VIEWS) >= 40


Row = tuple[str, int, str | None]
ROWS = st.lists(
    st.tuples(st.sampled_from(sorted(BUCKET_OF)), st.integers(0, 3), st.sampled_from(["q", "p1", "p2", None])),
    max_size=7,
)
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=5)


def file_keyed(rows: list[Row]) -> pa.Table:
    dicts = [{"path": path, "bucket": BUCKET_OF[path], "id": id_, "x": x} for path, id_, x in rows]
    return pa.Table.from_pylist(dicts, schema=FILE_KEYED)


def rows_of(table: pa.Table) -> Counter[tuple[object, ...]]:
    return Counter(tuple(map(repr, row.values())) for row in table.to_pylist())


def part(table: pa.Table, bucket: int) -> pa.Table:
    return table.filter(pc.equal(table.column("bucket"), bucket))


UNSUPPORTED = {"correlated NOT IN"}  # DataFusion 55 plans it and then cannot run it
CUT = [
    (title, inferred.tasks[0], inferred.schemas["v"])
    for title, sql in VIEWS.items()
    if "v" in (inferred := infer({"v": sql}, TABLES)).partitioned and title not in UNSUPPORTED
]


@settings(max_examples=max(5, settings().max_examples // 2))
@given(a=ROWS, b=ROWS, c=ROWS, g=PAIRS, e=PAIRS)
def test_running_bucket_by_bucket_equals_running_whole(
    a: list[Row], b: list[Row], c: list[Row], g: list[tuple[int, int]], e: list[tuple[int, int]]
) -> None:
    data = {name: file_keyed(rows) for name, rows in (("a", a), ("b", b), ("c", c))}
    data["g"] = pa.Table.from_pylist([{"id": i, "n": "p1", "m": m} for i, m in g], schema=TABLES["g"])
    data["e"] = pa.Table.from_pylist([{"src": s, "dst": d} for s, d in e], schema=TABLES["e"])
    for title, task, schema in CUT:
        inputs = {table: data[table] for table in task.inputs}
        whole = execute(VIEWS[title], inputs, schema)
        assert all(BUCKET_OF[row["path"]] == row["bucket"] for row in whole.to_pylist()), title
        parts: Counter[tuple[object, ...]] = Counter()
        for bucket in range(BUCKETS):
            cut = {t: part(table, bucket) if task.inputs[t] == "same_bucket" else table for t, table in inputs.items()}
            parts += rows_of(part(execute(VIEWS[title], cut, schema), bucket))
        assert parts == rows_of(whole), title


def test_a_view_over_a_view_is_cut_only_if_the_lower_one_is() -> None:
    views = {
        "cut": "SELECT path, bucket, id FROM a",
        "torn": "SELECT a.path, b.bucket FROM a JOIN b ON a.id = b.id",
        "over": "SELECT cut.path, cut.bucket, torn.bucket AS other FROM cut JOIN torn ON torn.path = cut.path",
    }
    over = infer(views, TABLES).tasks[-1]
    assert (over.name, over.inputs) == ("over", {"cut": "same_bucket", "torn": "whole"})


def test_an_asserted_mode_that_cannot_be_proven_is_refused() -> None:
    sql = "-- mode: b=same_bucket\nSELECT a.path, a.bucket FROM a JOIN b ON a.id = b.id"
    with pytest.raises(PlanError, match=r"view 'v' \(views/v.sql\) asserts b=same_bucket, but"):
        infer({"v": sql}, TABLES, origins={"v": "views/v.sql"})


def test_whole_may_always_be_asserted() -> None:
    sql = "-- mode: b=whole\nSELECT a.path, a.bucket FROM a JOIN b ON a.path = b.path"
    assert infer({"v": sql}, TABLES).tasks[0].inputs == {"a": "same_bucket", "b": "whole"}


@pytest.mark.parametrize(
    ("assertion", "complaint"),
    [("bb=whole", "does not read; did you mean b"), ("b=hole", "neither same_bucket nor whole")],
)
def test_a_malformed_assertion_is_refused(assertion: str, complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        infer({"v": f"-- mode: {assertion}\nSELECT a.path, bb.id FROM a JOIN b bb ON a.path = bb.path"}, TABLES)

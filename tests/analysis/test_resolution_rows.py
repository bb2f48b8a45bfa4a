"""What was resolved comes a bucket at a time, each row once and in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codeintel.analysis.components import program_components
from codeintel.analysis.resolution import resolutions
from codeintel.analysis.resolution_rows import RESOLUTIONS, ResolutionRows
from codeintel.store.partitions import in_key_order
from tests.analysis.conftest import Facts, resolved

FactsOf = Callable[[Mapping[str, str]], Facts]

FILES = {
    "a.py": "class Base:\n    def run(self):\n        self.size = 1\nclass Other:\n    def run(self): pass\n",
    "b.py": "import a\nx = a.Base()\nx.run()\nprint(x.size)\n",
    "c.py": "import a\ndef f(y):\n    y.run()\n    return y\nf(y=a.Base())\nf(y=a.Other())\n",
    "d.py": "",
}
BUCKETS = {"a.py": 7, "b.py": 2, "c.py": 7, "d.py": 3}


def in_buckets(facts: Facts) -> list[pa.Table]:
    flows = facts["value_flows"]
    buckets = pa.array([BUCKETS[path] for path in flows["path"].to_pylist()], pa.int32())
    place = flows.schema.get_field_index("bucket")
    flows = flows.set_column(place, flows.schema.field(place), buckets)
    return list(resolutions(flows.to_reader(), facts["exports"], program_components(flows.to_reader())))


def test_each_part_is_one_whole_bucket_and_buckets_ascend(facts_of: FactsOf) -> None:
    parts = in_buckets(facts_of(FILES))
    assert [part["bucket"].unique().to_pylist() for part in parts] == [[2], [7]]
    assert [part["path"].unique().to_pylist() for part in parts] == [["b.py"], ["a.py", "c.py"]]
    assert {part.schema for part in parts} == {RESOLUTIONS}


def test_parts_together_are_what_one_bucket_is(facts_of: FactsOf) -> None:
    facts = facts_of(FILES)
    whole, parts = resolved(facts).drop(["bucket"]), pa.concat_tables(in_buckets(facts)).drop(["bucket"])
    assert in_key_order(whole, ()).equals(in_key_order(parts, ()))


def test_rows_are_in_the_order_of_the_columns_and_none_is_there_twice(facts_of: FactsOf) -> None:
    # Methods of one type, of several values: one callee.
    source = "def f(c):\n    return {} if c else {1: 2} if c < 1 else dict()\nf(1).update({})\n"
    rows = resolved(facts_of({**FILES, "e.py": source}))
    names = [name for name in rows.schema.names if name != "bucket"]
    assert rows.equals(in_key_order(rows, names))
    assert rows.group_by(names).aggregate([]).num_rows == rows.num_rows
    update = rows.filter(pc.equal(rows["target_name"], "builtins.dict.update"))
    assert update["origin"].to_pylist() == ["call"]


def test_of_nothing_there_is_nothing(facts_of: FactsOf) -> None:
    assert resolved(facts_of({"d.py": ""})).num_rows == 0


def test_targets_are_compared_before_how_sure_they_are() -> None:
    rows = ResolutionRows()
    rows.number(np.array([0]))
    second = rows.target(2, "function", "m.a"), rows.label("call", "call", 0.95)
    first = rows.target(1, "function", "m.b"), rows.label("call", "special", 0.5)
    rows.add([0], [0], [rows.group([second, first])])
    (part,) = rows.tables(np.array([7]), ["m.py"], [3])
    assert part.drop(["target_kind", "relation"]).to_pylist() == [
        {"path": "m.py", "slot_id": 7, "ordinal": 0, "target_id": 1, "target_name": "m.b", "origin": "special",
         "confidence": 0.5, "bucket": 3},
        {"path": "m.py", "slot_id": 7, "ordinal": 0, "target_id": 2, "target_name": "m.a", "origin": "call",
         "confidence": float(np.float32(0.95)), "bucket": 3},
    ]  # fmt: skip

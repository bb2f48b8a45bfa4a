"""Ids survive edits elsewhere and never collide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from codeintel.extract.ids import consecutive, external_id, fields
from tests.extract.conftest import Facts, Tables

SOURCE = """\
import os

@deco
class A:
    x = 1
    def first(self, a=1):
        def inner():
            return a
        return inner
    def second(self):
        return [lambda: 1, lambda: 2]

def free():
    return A()
"""


def signed(*values: str) -> int:
    value = xxhash.xxh64_intdigest(fields(*values))
    return value - (1 << 64) if value >> 63 else value


def ids_by_owner(rows: Any) -> dict[str, list[int]]:
    """Owner's qualname → ids of its nodes in order, the def's own node among its own."""
    names = {r["node_id"]: r["qualname"] for r in rows["ast_nodes"] if r["qualname"]}
    found: dict[str, list[int]] = {}
    for row in rows["ast_nodes"]:
        owns = row["kind"] in ("Module", "ClassDef", "FunctionDef", "AsyncFunctionDef")
        owner = row["qualname"] if owns else names[row["owner_id"]]
        found.setdefault(owner, []).append(row["node_id"])
    return found


@pytest.mark.parametrize(
    ("old", "new", "owner"),
    [
        ("            return a\n", "            print(a)\n            return a\n", "m.A.first.inner"),
        ("import os\n", "import os\nimport sys\n", "m"),
        ("return A()", "x = 1; return A(x)", "m.free"),
        ("x = 1\n", "x = 1 + 2\n", "m.A"),
    ],
)
def test_an_edit_inside_one_owner_moves_no_id_of_any_other(facts: Facts, old: str, new: str, owner: str) -> None:
    before, after = ids_by_owner(facts(SOURCE)), ids_by_owner(facts(SOURCE.replace(old, new)))
    assert {name for name in before if before[name] != after[name]} == {owner}
    ids = lambda rows: {b["qualname"]: b["binding_id"] for b in rows["bindings"]}  # noqa: E731
    old_bindings, new_bindings = ids(facts(SOURCE)), ids(facts(SOURCE.replace(old, new)))
    assert old_bindings.items() <= new_bindings.items()


def test_an_id_is_the_owners_hash_plus_the_place_in_its_preorder(facts: Facts) -> None:
    rows = facts({"pkg/m.py": SOURCE}, namespace="n")
    for qualname, ids in ids_by_owner(rows).items():
        base = signed("node", "n", "pkg/m.py", qualname.removeprefix("pkg.m").removeprefix("."), "0")
        assert ids == [(base + i + (1 << 63)) % (1 << 64) - (1 << 63) for i in range(len(ids))]


def test_ids_depend_on_the_path_and_namespace_and_not_on_the_module_name(facts: Facts) -> None:
    one = facts({"a/m.py": SOURCE, "b/m.py": SOURCE})["ast_nodes"]
    other = facts({"a/m.py": SOURCE}, namespace="other")["ast_nodes"]
    ids = [r["node_id"] for r in one + other]
    assert len(set(ids)) == len(ids)


def test_definitions_of_one_name_get_different_ids_and_numbers(facts: Facts) -> None:
    source = (
        "from typing import overload\n"
        "class C:\n    @property\n    def p(self): return 1\n    @p.setter\n    def p(self, v): self.v = v\n"
        "@overload\ndef f(a: int): ...\n@overload\ndef f(a: str): ...\ndef f(a): return a\n"
        "if x:\n    class D:\n        def m(self): pass\nelse:\n    class D:\n        def m(self): pass\n"
    )
    rows = facts(source)
    numbered = [(d["qualname"], d["duplicate"]) for d in rows["definitions"]]
    assert numbered == [
        ("m", 0), ("m.C", 0), ("m.C.p", 0), ("m.C.p", 1), ("m.f", 0), ("m.f", 1), ("m.f", 2), ("m.D", 0),
        ("m.D.m", 0), ("m.D", 1), ("m.D.m", 1),
    ]  # fmt: skip
    for table, key in (("ast_nodes", "node_id"), ("scopes", "scope_id"), ("bindings", "binding_id")):
        ids = [row[key] for row in rows[table]]
        assert len(set(ids)) == len(ids), table


def test_bindings_of_comprehensions_and_lambdas_in_one_function_have_ids_of_their_own(facts: Facts) -> None:
    rows = facts("def f(s):\n    return [x for x in s], [x for x in s], (lambda x: x), (lambda x: [x for x in x])\n")
    ids = [b["binding_id"] for b in rows["bindings"] if b["name"] == "x"]
    assert len(ids) == len(set(ids)) == 5


def test_external_ids_hash_the_import_path_alone(facts: Facts) -> None:
    imported = facts({"a.py": "import os.path\nlen\n", "b.py": "from os import path\nlen\n"})["imports"]
    assert {r["external_id"] for r in imported} == {external_id("os.path")} == {signed("external", "os.path")}


def test_rows_do_not_depend_on_which_files_are_read_together(tables: Tables) -> None:
    sources = {f"m{i}.py": SOURCE.replace("free", f"free{i}") for i in range(5)}
    together = tables(sources)
    for path, source in sources.items():
        alone = tables({path: source})
        for name, table in together.items():
            assert [r for r in table.to_pylist() if r["path"] == path] == alone[name].to_pylist(), name


@given(st.lists(st.lists(st.text(max_size=3), max_size=3), min_size=2, max_size=8))
def test_different_fields_never_give_the_same_bytes(tuples: list[list[str]]) -> None:
    assert len({fields(*values) for values in tuples}) == len({tuple(values) for values in tuples})


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_ordinals_run_through_each_home_in_order_and_wrap(homes: list[int]) -> None:
    bases = np.array([0, 2**63 - 1, -5, 100], np.int64)
    ids = consecutive(bases, np.array(homes))
    for home in set(homes):
        found = [int(i) for i, h in zip(ids, homes, strict=True) if h == home]
        wrapped = [(int(bases[home]) + n + 2**63) % 2**64 - 2**63 for n in range(len(found))]
        assert found == wrapped

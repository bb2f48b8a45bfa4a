"""What functions do that others may see."""

from __future__ import annotations

from tests.extract.conftest import Facts, Row

SOURCE = """\
import os
def f(self, a):
    global x
    self.b = a
    self.b = a
    a.c, g().d = 1, 2
    self.e: int = self.b
    x = os.x(y(1))
    x = len
    if a: return a
    if x: return self.b
    if y: return x
    if z: return
    return h(a)
class A:
    z = f(1)
    def m(self):
        q = 1
        def k():
            nonlocal q
            q = x
            q = q
            return lambda: q
        return k
    for i in z: pass
"""


def effects(rows: dict[str, list[Row]]) -> list[str]:
    names = {row["node_id"]: row["qualname"] for row in rows["definitions"]}
    return [
        " ".join(str(part) for part in (names[row["owner_id"]], row["effect"], row["ordinal"], row["name"])) + (
            f" <- {row['source']} {row['value']}" if row["source"] else ""
        )
        for row in rows["function_effects"]
    ]  # fmt: skip


def test_effects_say_what_is_called_returned_and_written_elsewhere(facts: Facts) -> None:
    assert effects(facts(SOURCE)) == [
        "m.f call 0 g",
        "m.f call 1 os.x",
        "m.f call 2 y",
        "m.f call 3 h",
        "m.f return 0 None <- parameter a",
        "m.f return 1 None <- attribute self.b",
        "m.f return 2 None <- global x",
        "m.f return 3 None <- call 3",
        "m.f write_attribute 0 ?.d",
        "m.f write_attribute 1 a.c",
        "m.f write_attribute 2 self.b <- parameter a",
        "m.f write_attribute 3 self.e <- attribute self.b",
        "m.f write_global 0 x",
        "m.f write_global 1 x <- call 1",
        "m.A call 0 f",
        "m.A.m return 0 None",
        "m.A.m.k return 0 None",
        "m.A.m.k write_nonlocal 0 q",
        "m.A.m.k write_nonlocal 1 q <- global x",
    ]


def test_an_edit_that_changes_no_effect_leaves_every_row_as_it_was(facts: Facts) -> None:
    edited = SOURCE.replace("    self.b = a\n", "    u = [1, a]\n    self.b = a\n", 1).replace("if z: return", "pass")
    assert facts(edited)["function_effects"] == facts(SOURCE)["function_effects"]
    assert facts("\n\n" + SOURCE)["function_effects"] == facts(SOURCE)["function_effects"]


def test_many_files_together_have_the_effects_of_each_alone(facts: Facts) -> None:
    sources = {"a.py": "def f(b):\n    b.z = b.a = b\n", "b.py": "def f(b):\n    b.y = b.b = b\n", "c.py": "f()\ng()\n"}
    alone = [row for path in sorted(sources) for row in facts({path: sources[path]})["function_effects"]]
    assert facts(sources)["function_effects"] == alone

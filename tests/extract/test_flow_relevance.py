"""What an edit inside a body may change without any other file having to hear of it."""

from __future__ import annotations

import pytest

from tests.extract.conftest import Facts

BODY = """\
import lib


class Holder:
    size = 3

    def take(self, given):
        {}
        found = lib.look(given)
        self.kept = found
        return found
"""

LEAVES = {
    "a comment": "# nothing",
    "a constant nobody reads": "unread = 1",
    "a display nobody reads": "unread = [1, ('a', {'b': 2})]",
    "a function nobody calls": "unread = lib",
    "a name for a name that nobody reads": "unread = given; also = unread",
    "arithmetic": "1 + 2 * 3",
    "a builtin of a literal": "print('begun', end='')",
    "a builtin of a display": "len([1, 2]); len(())",
    "a builtin of a constant with a name": "text = 'a'; print(text)",
    "an assertion": "assert given is not None",
    "a condition": "if given is None:\n            pass",
}
REACHES = {
    "a call of a parameter": "given()",
    "a call of another module": "lib.other()",
    "an argument that may be called back": "print(given)",
    "a builtin's result that is handed on": "lib.other(len(()))",
    "a builtin that calls what a list holds": "print([given])",
    "a list with a name, filled later": "several = []; several.append(given); print(several)",
    "spread arguments": "print(*given)",
    "an attribute": "given.name",
    "what is stored": "given.name = 1",
    "what is kept for others": "self.other = 1",
    "a new binding of what is read": "given = 1",
    "what is returned": "return 1",
    "an operator of unknown operands": "given + given",
    "a loop over something": "for _ in given: pass",
    "the truth of something": "if given:\n            pass",
    "a comparison of something": "given == 1",
    "a default": "def inner(x=given): return x\n        inner()",
}


def flows(facts: Facts, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in facts(BODY.format(statement))["value_flows"]]


@pytest.mark.parametrize("statement", LEAVES.values(), ids=LEAVES)
def test_what_no_other_file_needs_to_know(facts: Facts, statement: str) -> None:
    assert flows(facts, statement) == flows(facts, "pass")


@pytest.mark.parametrize("statement", REACHES.values(), ids=REACHES)
def test_what_may_reach_others(facts: Facts, statement: str) -> None:
    assert flows(facts, statement) != flows(facts, "pass")


def test_a_settled_call_is_a_row_of_its_own(facts: Facts) -> None:
    found = facts("def main():\n    print('x')\n    return len(())\n")
    assert [row["callee"] for row in found["builtin_calls"]] == ["builtins.print"]
    assert [row["op"] for row in found["value_flows"]].count("call") == 1


def test_what_may_come_from_a_star_import_is_no_builtin(facts: Facts) -> None:
    assert facts("from lib import *\nprint('x')\n")["builtin_calls"] == []

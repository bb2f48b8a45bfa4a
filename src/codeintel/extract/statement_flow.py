"""Statements and patterns woven into a flow: the edges that compound statements, jumps and comprehensions make.

What the edges mean is said in `control_flow`, which adds to them what exceptions do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from codeintel.extract.evaluation_order import RUNS_IN_PLACE, evaluation_order
from codeintel.extract.grammar import FIELD, KIND, KINDS, is_kind
from codeintel.extract.pattern_flow import (
    BREAK,
    CONTINUE,
    EXCEPTION,
    FALSE,
    LOOP,
    NEXT,
    RETURN,
    TRUE,
    YIELD,
    Patterns,
)
from codeintel.extract.syntax import Syntax, Texts

# Added to the label of a jump into a cleanup it has to pass: a `break` of a loop in front of it is another thing.
PASSING = 16

# How a statement that ends a body goes on: from its last node, from several places inside, or not at all.
_PLAIN, _COMPOUND, _LEAVES = range(3)
_ENDING = np.zeros(len(KINDS), np.int64)
_ENDING[is_kind("If", "While", "For", "AsyncFor", "Try", "TryStar", "Match", "Assert")] = _COMPOUND
_ENDING[is_kind("Return", "Raise", "Break", "Continue")] = _LEAVES

_GROUPS = KIND.get("TryStar")
_JUMP = {KIND["Return"]: RETURN, KIND["Break"]: BREAK, KIND["Continue"]: CONTINUE}


class _Holds(IntEnum):
    """What a frame does to a jump that leaves it."""

    UNIT = 0
    LOOP = 1
    CLEANUP = 2
    HANDLERS = 3


@dataclass(slots=True)
class _Frame:
    """A region that jumps leave: a unit, a loop, what a `finally` or `With` cleans up after, or what handlers guard.

    Flow goes in at `inside` and on from `outside`: of a loop the next round and what follows it, of a cleanup its first
    and last point, of a unit its exit. Exceptions in the region go to `raised`.
    """

    parent: int
    holds: _Holds
    inside: int
    outside: int
    raised: int
    caught: bool
    passed: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Bodies:
    """Per control node one of its lists of statements: its last statement and how that ends, its first and last point.

    Of an expression the same. The statement is -1 for no list.
    """

    statement: list[int]
    ending: list[int]
    first: list[int]
    last: list[int]


class Weaver:
    """Finds the edges of the chunk; takes compound statements and jumps one by one, outer ones first."""

    def __init__(self, syntax: Syntax, texts: Texts) -> None:
        self.syntax = syntax
        self.order = order = evaluation_order(syntax, texts)
        self.positions = len(order.node)
        in_place = np.flatnonzero(RUNS_IN_PLACE[syntax.kind] & (order.position >= 0))
        self.opener = np.r_[order.code >> 1, in_place]
        self.row = dict(zip(in_place.tolist(), range(len(order.code), len(self.opener)), strict=True))
        self.home = np.r_[np.arange(len(order.code)), order.unit[order.position[in_place]]]
        self.fixed = self.positions + 2 * len(self.opener)
        self.cut = bytearray(self.positions)
        self.follow = bytearray(self.positions)
        self.edges: list[int] = []  # source, target, label, one behind the other
        self.implicit: list[int] = []  # the same, of implicit exceptions
        self.joins: list[int] = []  # extra points where ways meet and part again, by a position nearby
        # What goes on from the end of a cleanup only if live code sends it in: by the cleanup's first point and label.
        self.onward: dict[tuple[int, int], list[tuple[int, int, int, bool]]] = {}
        self.cleanup_end: dict[int, int] = {}  # last position of cleanups by the first one
        self.after: dict[int, int] = {}  # where a compound statement at the end of a body goes on, or a handler
        self.other: dict[int, int] = {}  # where a handler that does not match leads
        self.last_handlers: list[int] = []
        self.class_begins: dict[int, int] = {}
        self.frames = [
            _Frame(-1, _Holds.UNIT, exit_, exit_, exit_, caught=False)
            for exit_ in range(self.positions + 1, self.positions + 2 * len(order.code), 2)
        ]
        self.frame = order.unit.copy()
        self.patterns = Patterns(syntax, order, self.cut, self.edges)
        self.unit_row = dict(zip(order.code.tolist(), range(len(order.code)), strict=True))

    def edge(self, source: int, target: int, label: int) -> None:
        self.edges += (source, target, label)

    def entry(self, row: int) -> int:
        return self.positions + 2 * row

    def weave(self) -> None:
        syntax, order = self.syntax, self.order
        kind = syntax.kind
        starts, stops = order.start, order.stop
        entries = self.positions + 2 * np.arange(len(starts))
        for begin in np.c_[entries, np.where(starts < stops, starts, entries + 1)].tolist():
            self.edge(begin[0], begin[1], NEXT)
        self._branches_inside_expressions()
        nodes = np.flatnonzero(_IS_CONTROL[kind] & ((order.position >= 0) | (kind == KIND["Module"])))
        self.body, self.orelse, self.finalbody = (self._bodies(nodes, name) for name in ("body", "orelse", "finalbody"))
        self.truth = self._constant_tests()
        self.handlers, self.cases = self._members("handlers"), self._members("cases")
        self.generators, self.conditions = self._members("generators"), self._members("ifs")
        columns = (kind, order.position, order.first, order.last)
        rows = zip(nodes.tolist(), *(column[nodes].tolist() for column in columns), strict=True)
        for i, (node, code, position, first, last) in enumerate(rows):
            _TAKES[code](self, i, node, position, first, last)

    def _members(self, name: str) -> dict[int, list[int]]:
        """The children in a field of few nodes, by parent."""
        children = np.flatnonzero(self.syntax.field == FIELD[name])
        found: dict[int, list[int]] = {}
        for parent, child in zip(self.syntax.parent[children].tolist(), children.tolist(), strict=True):
            found.setdefault(parent, []).append(child)
        return found

    def _bodies(self, nodes: np.ndarray, name: str) -> _Bodies:
        syntax, order = self.syntax, self.order
        children = np.flatnonzero(syntax.field == FIELD[name])
        firsts, lasts = np.full(len(syntax), -1), np.full(len(syntax), -1)
        lasts[syntax.parent[children]] = children
        firsts[syntax.parent[children[::-1]]] = children[::-1]
        first, last = firsts[nodes], lasts[nodes]
        return _Bodies(
            last.tolist(), _ENDING[syntax.kind[last]].tolist(), order.first[first].tolist(), order.last[last].tolist()
        )

    def _constant_tests(self) -> dict[int, bool]:
        """The truth of constants that are tests, by the node that tests them."""
        found = {}
        for constants in (p for p in self.syntax.properties if p.key == "value"):
            at = np.flatnonzero(self.syntax.field[constants.nodes] == FIELD["test"])
            tested = self.syntax.parent[constants.nodes[at]]
            found |= {node: bool(constants.values[i]) for node, i in zip(tested.tolist(), at.tolist(), strict=True)}
        return found

    def _branches_inside_expressions(self) -> None:
        syntax, at = self.syntax, self.order.position
        kind, parent = syntax.kind, syntax.parent
        follow, cut = np.frombuffer(self.follow, np.uint8), np.frombuffer(self.cut, np.uint8)
        follow[at[np.flatnonzero(((kind == KIND["Yield"]) | (kind == KIND["YieldFrom"])) & (at >= 0))]] = YIELD
        below = np.flatnonzero(at >= 0)
        above = kind[parent[below]]
        operands = below[(above == KIND["BoolOp"]) | (above == KIND["Compare"])]
        # All but the last operand and, of comparisons, but the left one.
        operands = operands[at[operands] + 1 != at[parent[operands]]]
        operands = operands[syntax.field[operands] != FIELD["left"]]
        either = np.zeros(len(syntax), bool)
        for ops in (p for p in syntax.properties if p.key == "op"):
            either[ops.nodes] = np.fromiter(map("Or".__eq__, ops.values), bool, len(ops.values))
        either = either[parent[operands]]
        follow[at[operands]] = np.where(either, FALSE, TRUE)
        self._extend(at[operands], at[parent[operands]], np.where(either, TRUE, FALSE))

        inside = below[above == KIND["IfExp"]]
        tests, bodies, others = (inside[syntax.field[inside] == FIELD[f]] for f in ("test", "body", "orelse"))
        tests = tests[np.argsort(parent[tests])]
        bodies = bodies[np.argsort(parent[bodies])]
        others = others[np.argsort(parent[others])]
        follow[at[tests]] = TRUE
        self._extend(at[tests], self.order.first[others], np.full(len(tests), FALSE))
        cut[at[bodies]] = 1
        self._extend(at[bodies], at[parent[bodies]], follow[at[bodies]])

    def _extend(self, sources: np.ndarray, targets: np.ndarray, labels: np.ndarray) -> None:
        self.edges += np.c_[sources, targets, labels].ravel().tolist()

    def close(self, bodies: _Bodies, i: int, target: int, label: int = NEXT) -> None:
        """Lead what falls off the end of a body to `target`."""
        end = bodies.last[i]
        match bodies.ending[i]:
            case 0 if target != end + 1:
                self.cut[end] = 1
                self.edge(end, target, label or self.follow[end])
            case 1:
                self.after[bodies.statement[i]] = target

    def beyond(self, node: int, last: int) -> int:
        return self.after.get(node, last + 1)

    def leave(self, source: int, label: int, frame: _Frame) -> None:
        """Lead a jump out of its frames to where it goes, through the cleanups on its way."""
        trigger = None
        while True:
            if frame.holds is _Holds.CLEANUP:
                self._onward(trigger, source, frame.inside, label | PASSING)
                if label in frame.passed:
                    return
                frame.passed.add(label)
                trigger, source = (frame.inside, label | PASSING), frame.outside
            elif frame.holds is _Holds.UNIT:
                self._onward(trigger, source, frame.outside, label)
                return
            elif frame.holds is _Holds.LOOP and label in (BREAK, CONTINUE):
                self._onward(trigger, source, frame.outside if label == BREAK else frame.inside, label)
                return
            frame = self.frames[frame.parent]

    def _onward(self, trigger: tuple[int, int] | None, source: int, target: int, label: int) -> None:
        if trigger is None:
            self.edge(source, target, label)
        else:
            self.onward.setdefault(trigger, []).append((source, target, label, False))

    def raises(self, source: int, frame: _Frame, trigger: tuple[int, int] | None = None) -> None:
        """Let an exception go on from a point that is no node: the end of a cleanup, or the exit of a class body."""
        if trigger is not None:
            self.onward.setdefault(trigger, []).append((source, frame.raised, EXCEPTION, not frame.caught))
        else:
            (self.edges if frame.caught else self.implicit).extend((source, frame.raised, EXCEPTION))

    def join(self, near: int) -> int:
        self.joins.append(near)
        return self.fixed + len(self.joins) - 1

    def enclose(self, begin: int, end: int, parent: int, holds: _Holds, inside: int, outside: int) -> _Frame:
        """A new frame around the positions from `begin` up to `end`."""
        around = self.frames[parent]
        frame = _Frame(parent, holds, inside, outside, around.raised, around.caught)
        if holds in (_Holds.CLEANUP, _Holds.HANDLERS):
            frame.raised, frame.caught = inside, True
        elif holds is _Holds.UNIT:
            frame.raised = outside
        self.frame[begin:end] = len(self.frames)
        self.frames.append(frame)
        return frame

    def function(self, i: int, node: int, *_: int) -> None:
        exit_ = self.entry(self.unit_row[2 * node]) + 1
        if self.body.statement[i] >= 0:
            self.close(self.body, i, exit_)

    def lazy(self, _i: int, node: int, *_: int) -> None:
        for code in (2 * node, 2 * node + 1):
            if code in self.unit_row:
                row = self.unit_row[code]
                end = int(self.order.stop[row]) - 1
                self.cut[end] = 1
                self.edge(end, self.entry(row) + 1, NEXT)

    def class_(self, i: int, node: int, position: int, *_: int) -> None:
        entry, begin = self.entry(self.row[node]), self.body.first[i]
        self.class_begins[node] = begin
        parent = int(self.frame[position])
        self.enclose(begin, position, parent, _Holds.UNIT, entry + 1, entry + 1)
        self.close(self.body, i, entry + 1)
        self.edge(entry + 1, position, NEXT)
        self.raises(entry + 1, self.frames[parent])

    def if_(self, i: int, node: int, position: int, _: int, last: int) -> None:
        after, truth = self.beyond(node, last), self.truth.get(node)
        self._decide(position, self.orelse.first[i] if self.orelse.statement[i] >= 0 else after, truth)
        self.close(self.body, i, after)
        if self.orelse.statement[i] >= 0:
            self.close(self.orelse, i, after)

    def _decide(self, position: int, otherwise: int, truth: bool | None) -> None:
        self.follow[position] = TRUE
        if truth is False:
            self.cut[position] = 1
        if truth is not True:
            self.edge(position, otherwise, FALSE)

    def loop(self, i: int, node: int, position: int, first: int, last: int) -> None:
        after = self.beyond(node, last)
        head = first if self.syntax.kind[node] == KIND["While"] else position
        truth = self.truth.get(node)
        self._decide(position, self.orelse.first[i] if self.orelse.statement[i] >= 0 else after, truth)
        around = int(self.frame[position])
        self.enclose(self.body.first[i], self.body.last[i] + 1, around, _Holds.LOOP, head, after)
        self.close(self.body, i, head, LOOP)
        if self.orelse.statement[i] >= 0:
            self.close(self.orelse, i, after)

    def assert_(self, _i: int, node: int, position: int, _first: int, last: int) -> None:
        test, truth = int(self.order.position[node + 1]), self.truth.get(node)
        self.follow[test] = FALSE
        if truth is True:
            self.cut[test] = 1
        if truth is not False:
            self.edge(test, self.beyond(node, last), TRUE)
        self.cut[position] = 1

    def jump(self, _i: int, node: int, position: int, *_: int) -> None:
        self.cut[position] = 1
        label = _JUMP.get(self.syntax.kind[node])
        if label is not None:
            self.leave(position, label, self.frames[self.frame[position]])

    def try_(self, i: int, node: int, position: int, _: int, last: int) -> None:
        order, after, around = self.order, self.beyond(node, last), int(self.frame[position])
        handlers = self.handlers.get(node, [])
        firsts = [int(order.first[handler]) for handler in handlers]
        inner, onward, end = around, after, last + 1
        if self.finalbody.statement[i] >= 0:
            onward = end = self.finalbody.first[i]
            done = self.join(onward)
            self.cleanup_end[onward] = last
            inner = len(self.frames)
            self.enclose(position + 1, end, around, _Holds.CLEANUP, onward, done)
            self.close(self.finalbody, i, done)
            self.onward.setdefault((onward, NEXT), []).append((done, after, NEXT, False))
            self.raises(done, self.frames[around], (onward, EXCEPTION))
        if handlers:
            self.enclose(position + 1, self.body.last[i] + 1, inner, _Holds.HANDLERS, firsts[0], -1)
            self.last_handlers.append(handlers[-1])
        if self.orelse.statement[i] >= 0:
            self.close(self.body, i, self.orelse.first[i])
            self.close(self.orelse, i, onward)
        else:
            self.close(self.body, i, onward)
        if self.syntax.kind[node] == _GROUPS:
            # What one handler leaves of a group goes to the next, and so does what its body raises.
            rest = self.join(position)
            self.edge(rest, onward, NEXT)
            self.raises(rest, self.frames[inner])
            for handler, other in zip(handlers, [*firsts[1:], rest], strict=True):
                self.other[handler] = self.after[handler] = other
                if other != rest:
                    begin, stop = int(order.first[handler]), int(order.last[handler]) + 1
                    self.enclose(begin, stop, inner, _Holds.HANDLERS, other, -1)
        elif handlers:
            for handler, other in zip(handlers, [*firsts[1:], -1], strict=True):
                self.other[handler], self.after[handler] = other, onward

    def handler(self, i: int, node: int, position: int, first: int, _: int) -> None:
        if first != position:
            self.follow[position] = TRUE
            if self.other[node] >= 0:
                self.edge(position, self.other[node], FALSE)
        self.close(self.body, i, self.after[node])

    def with_(self, _i: int, node: int, position: int, *_: int) -> None:
        """The region to clean up begins when the first context has been entered; its body ends right before."""
        entered = int(self.order.position[node + 1])
        self.enclose(entered + 1, position, int(self.frame[position]), _Holds.CLEANUP, position, position)
        self.cleanup_end[position] = position

    def comprehension(self, _i: int, node: int, position: int, *_: int) -> None:
        order, at = self.order, self.order.position
        heads = at[self.generators[node]].tolist()
        if node in self.row:
            entry, iterable = self.entry(self.row[node]), heads[0] - 1
            parent = int(self.frame[position])
            self.enclose(heads[0], position, parent, _Holds.UNIT, entry + 1, entry + 1)
            self.cut[iterable] = 1
            self.edge(iterable, entry, self.follow[iterable])
            self.edge(entry, heads[0], NEXT)
            self.edge(entry + 1, position, NEXT)
            self.raises(entry + 1, self.frames[parent])
            end = position - 1
        else:
            row = self.unit_row[2 * node]
            entry, end = self.entry(row), int(order.stop[row]) - 1
        for head, outer in zip(heads, [entry + 1, *heads], strict=False):
            self.follow[head] = TRUE
            self.edge(head, outer, FALSE)
        for generator, head in zip(self.generators[node], heads, strict=True):
            for test in at[self.conditions.get(generator, [])].tolist():
                self.follow[test] = TRUE
                self.edge(test, head, FALSE)
        self.cut[end] = 1
        self.edge(end, heads[-1], LOOP)

    def match(self, _i: int, node: int, position: int, _: int, last: int) -> None:
        after = self.beyond(node, last)
        self.after |= dict.fromkeys(self.cases[node], after)
        self.cut[position] = 1
        self.patterns.match(position, self.cases[node], after)

    def case(self, i: int, node: int, *_: int) -> None:
        self.close(self.body, i, self.after[node])


_TAKES = {
    KIND[name]: take
    for names, take in {
        ("Module", "FunctionDef", "AsyncFunctionDef", "Lambda"): Weaver.function,
        ("TypeAlias", "TypeVar", "ParamSpec", "TypeVarTuple"): Weaver.lazy,
        ("ClassDef",): Weaver.class_,
        ("If",): Weaver.if_,
        ("While", "For", "AsyncFor"): Weaver.loop,
        ("Try", "TryStar"): Weaver.try_,
        ("ExceptHandler",): Weaver.handler,
        ("With", "AsyncWith"): Weaver.with_,
        ("Match",): Weaver.match,
        ("match_case",): Weaver.case,
        ("Assert",): Weaver.assert_,
        ("Return", "Raise", "Break", "Continue"): Weaver.jump,
        ("ListComp", "SetComp", "DictComp", "GeneratorExp"): Weaver.comprehension,
    }.items()
    for name in names
    if name in KIND
}
_IS_CONTROL = is_kind(*(KINDS[code] for code in _TAKES))

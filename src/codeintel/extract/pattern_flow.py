"""How `match` tries its cases, and the labels of all edges of control flow.

A pattern's node is the moment of its own check: of a sequence, mapping or class before the patterns inside it; the keys
of a mapping are evaluated after it, and the last one stands for looking them up. Captures bind when the whole pattern
has matched, as CPython has it, and the wildcard is passed where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from codeintel.extract.evaluation_order import Order
from codeintel.extract.grammar import FIELD, KINDS
from codeintel.extract.syntax import Syntax

LABELS = ["", "true", "false", "exception", "loop", "break", "continue", "return", "yield"]
NEXT, TRUE, FALSE, EXCEPTION, LOOP, BREAK, CONTINUE, RETURN, YIELD = range(len(LABELS))

Ways = list[tuple[int, int]]  # points and the labels under which flow leaves them, to where is yet to be said
Capture: TypeAlias = "int | list[list[Capture]]"  # a node that binds, or those of each alternative


@dataclass(slots=True)
class Patterns:
    """Leads flow through patterns; adds to `edges` (source, target, label, one behind the other) and `cut`."""

    syntax: Syntax
    order: Order
    cut: bytearray
    edges: list[int]

    def match(self, position: int, cases: list[int], after: int) -> None:
        """From `position`, where the subject is known, into each case's body, or to `after` if none matches."""
        ways: Ways = [(position, NEXT)]
        for case in cases:
            pattern, *rest = self._children(case)
            failed: Ways = []
            captures: list[Capture] = []
            ways = self._pattern(pattern, ways, failed, captures)
            ways = self._bind(captures, ways)
            if rest and self.syntax.field[rest[0]] == FIELD["guard"]:
                ways = self._evaluate(rest[0], ways)
                failed += [(end, FALSE) for end, _ in ways]
                ways = [(end, TRUE) for end, _ in ways]
            self._lead(ways, int(self.order.position[case]))
            ways = failed
        self._lead(ways, after)

    def _children(self, node: int) -> list[int]:
        found, child = [], node + 1
        while child < node + self.syntax.size[node]:
            found.append(child)
            child += int(self.syntax.size[child])
        return found

    def _lead(self, ways: Ways, target: int) -> None:
        for source, label in ways:
            self.edges += (source, target, label)

    def _evaluate(self, expression: int, ways: Ways) -> Ways:
        end = int(self.order.position[expression])
        self._lead(ways, int(self.order.first[expression]))
        self.cut[end] = 1
        return [(end, NEXT)]

    def _check(self, node: int, ways: Ways, failed: Ways | None) -> Ways:
        """The moment of a pattern itself, which fails to `failed` if it can."""
        position = int(self.order.position[node])
        self._lead(ways, position)
        self.cut[position] = 1
        if failed is None:
            return [(position, NEXT)]
        failed.append((position, FALSE))
        return [(position, TRUE)]

    def _pattern(self, node: int, ways: Ways, failed: Ways, captures: list[Capture]) -> Ways:
        """Lead `ways` through a pattern: what comes out where it matches. The parser bounds how deep patterns nest."""
        kind, fields, parts = KINDS[self.syntax.kind[node]], self.syntax.field, self._children(node)
        if kind == "MatchValue":
            self._lead(ways, int(self.order.first[node]))
            return self._check(node, [], failed)
        if kind == "MatchSingleton":
            return self._check(node, ways, failed)
        if kind == "MatchClass":
            self._lead(ways, int(self.order.first[parts[0]]))
            ways, parts = self._check(node, [], failed), parts[1:]
        elif kind in ("MatchSequence", "MatchMapping"):
            ways = self._check(node, ways, failed)
            keys = [part for part in parts if fields[part] == FIELD["keys"]]
            for key in keys:
                ways = self._evaluate(key, ways)
            if keys:  # all are looked up at once
                failed += [(end, FALSE) for end, _ in ways]
                ways = [(end, TRUE) for end, _ in ways]
            parts = [part for part in parts if fields[part] != FIELD["keys"]]
        elif kind == "MatchOr":
            return self._alternatives(node, parts, ways, failed, captures)
        for part in parts:
            ways = self._pattern(part, ways, failed, captures)
        if kind in ("MatchAs", "MatchStar"):
            if self.syntax.name[node]:
                captures.append(node)
            else:
                return self._check(node, ways, None)
        return ways

    def _alternatives(self, node: int, parts: list[int], ways: Ways, failed: Ways, captures: list[Capture]) -> Ways:
        matched: Ways = []
        bound: list[list[Capture]] = []
        for part in parts:
            other: Ways = []
            bound.append([])
            matched += self._pattern(part, ways, other, bound[-1])
            ways = other
        failed += ways
        if any(bound):
            captures.append(bound)
        return self._check(node, matched, None)

    def _bind(self, captures: list[Capture], ways: Ways) -> Ways:
        """Names are bound when all of the pattern has matched; which of its alternatives did is not told apart."""
        for capture in captures:
            if isinstance(capture, int):
                ways = self._check(capture, ways, None)
            else:
                ways = [way for alternative in capture for way in self._bind(alternative, ways)]
        return ways

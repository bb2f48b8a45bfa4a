"""The blocks that data flows through: live straight code, and what is bound and unbound on the ways between.

An `except` clause binds its name only where it matches, and unbinds it on every way out of its body. What binds and may
fail (an import, an augmented assignment, a decorated function, a store to an attribute) has bound nothing where its
exception is caught. Such ways get a block of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.control_flow import Blocks, ControlFlow
from codeintel.extract.dominance import immediate_dominators
from codeintel.extract.grammar import FIELD, KIND, is_kind
from codeintel.extract.pattern_flow import EXCEPTION, TRUE
from codeintel.extract.reaching import DEFINE, MAY_DEFINE, Tree, spread
from codeintel.extract.syntax import Syntax

_BINDS = is_kind("alias", "FunctionDef", "AsyncFunctionDef", "ClassDef", "AugAssign")
_IS_PLACE = is_kind("Name", "Attribute")
_LOAD = 1


@dataclass(slots=True)
class FlowBlocks:
    """Live edges between blocks, each once, with the dominator tree; `of` says which block a point is in.

    `place` is the position at which each point stands, -1 for entries and exits of units. `loop` numbers the outermost
    loops that points are in, -1 for none. `clause`, `between` and `binds` say which `except` clauses (nodes) act in
    which blocks of their own: bind or unbind. `failing` are points, sorted, that act in the block `succeeded` instead;
    `blurred` ones may act in their own block too, as their exceptions share an edge with those they only let pass.
    """

    of: np.ndarray
    live: np.ndarray
    place: np.ndarray
    loop: np.ndarray
    source: np.ndarray
    target: np.ndarray
    tree: Tree
    clause: np.ndarray
    between: np.ndarray
    binds: np.ndarray
    failing: np.ndarray
    succeeded: np.ndarray
    blurred: np.ndarray

    def acting(self, point: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`(row, block, kind)`: where what is defined at each point is there, and how (see `reaching`)."""
        begin, end = (np.searchsorted(self.failing, point, side) for side in ("left", "right"))
        row, at = spread(begin, end)
        blurred = self.blurred[point]
        plain = np.flatnonzero((begin == end) | blurred)
        here = np.where(blurred & (kind == DEFINE), MAY_DEFINE, kind)[plain]
        return np.r_[plain, row], np.r_[self.of[point[plain]], self.succeeded[at]], np.r_[here, kind[row]]


def flow_blocks(syntax: Syntax, flow: ControlFlow) -> FlowBlocks:
    """The blocks of the chunk, without exceptions that nothing catches: no code sees what they would carry."""
    order = flow.order
    positions = len(order.node)
    points = positions + 2 * len(flow.opener)
    seen = ~flow.is_implicit
    edges = np.c_[flow.source[seen], flow.target[seen], flow.label[seen]]
    leads = np.zeros(points + 1, bool)
    leads[positions:] = True
    leads[order.start] = True
    leads[np.flatnonzero(~flow.follows) + 1] = True
    named = np.flatnonzero((syntax.kind == KIND["ExceptHandler"]) & (syntax.name != 0) & (order.position >= 0))
    leads[edges[:, 1]] = leads[edges[:, 0] + 1] = True
    leads[order.position[named] + 1] = leads[order.last[named] + 1] = True
    blocks = Blocks.cut(leads[:-1], flow.follows, flow.follow_label, edges)
    live = flow.reachable[blocks.first]
    used = live[blocks.source]
    source, target, label = blocks.source[used], blocks.target[used], blocks.label[used]

    units = len(order.code)
    place = np.r_[np.arange(positions), np.full(2 * units, -1), np.repeat(order.position[flow.opener[units:]], 2)]
    clause, way, binds = _ways_of_clauses(named, flow, blocks, place, source, target, label)
    failing = _failing(syntax, flow)
    fine = np.flatnonzero(failing[blocks.last[source]] & (label != EXCEPTION))
    blurred = _blurred(syntax, flow, failing, blocks.last[source[fine]], place[blocks.first[target[fine]]])
    mark = np.zeros(len(source), np.int64)
    mark[way] = 1
    mark[fine] = 2
    _, first, same = np.unique(source << 32 | target << 2 | mark, return_index=True, return_inverse=True)
    way, fine, source, target = same[way], distinct(same[fine]), source[first], target[first]
    split = np.union1d(way, fine)
    count = len(live)
    between = np.full(len(source), -1)
    between[split] = count + np.arange(len(split))
    onward = target[split]
    target[split] = between[split]
    source, target = np.r_[source, between[split]], np.r_[target, onward]
    fails = blocks.last[source[fine]]
    by_point = np.argsort(fails, kind="stable")
    entries = blocks.of[positions + 2 * np.arange(units)]
    idom = immediate_dominators(count + len(split), source, target, entries)
    return FlowBlocks(
        blocks.of, live[blocks.of], place, _loops(flow, place), source, target, Tree.numbered(idom), clause,
        between[way], binds, fails[by_point], between[fine[by_point]], blurred,
    )  # fmt: skip


def _failing(syntax: Syntax, flow: ControlFlow) -> np.ndarray:
    """Whether each point may bind, and may fail to with something around that catches."""
    caught = flow.source[(flow.label == EXCEPTION) & ~flow.is_implicit]
    caught = caught[caught < len(flow.order.node)]
    node = flow.order.node[caught]
    caught = caught[_BINDS[syntax.kind[node]] | (_IS_PLACE[syntax.kind[node]] & (syntax.ctx[node] != _LOAD))]
    found = np.zeros(len(flow.order.node) + 2 * len(flow.opener), bool)
    found[caught] = True
    return found


def _blurred(syntax: Syntax, flow: ControlFlow, failing: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Which failing points end a `finally` or a clause of `except*`, from where an exception may also go on.

    `begin` and `end` are the edges by which failing points succeed.
    """
    order = flow.order
    cleanups = np.flatnonzero((syntax.field == FIELD["finalbody"]) & (syntax.ordinal == 0))
    # A body ends where its parent does.
    parts = [(order.first[cleanups], order.last[syntax.parent[cleanups]])]
    if "TryStar" in KIND:
        clauses = np.flatnonzero(
            (syntax.kind == KIND["ExceptHandler"]) & (syntax.kind[syntax.parent] == KIND["TryStar"])
        )
        parts.append((order.position[clauses] + 1, order.last[clauses]))
    first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
    by_begin = np.argsort(first, kind="stable")
    first, last = first[by_begin], last[by_begin]
    inner = np.full(len(failing), -1)
    for row, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        inner[start : stop + 1] = row
    found = failing & (inner >= 0)
    row = inner[begin]
    inside = (row >= 0) & (first[row] <= end) & (end <= last[row]) if len(first) else row >= 0
    found[begin[inside]] = False
    return found


def _ways_of_clauses(
    named: np.ndarray,
    flow: ControlFlow,
    blocks: Blocks,
    place: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    label: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(clause, edge, binds)`: the edges on which the named clauses bind or unbind; no edge does both."""
    order = flow.order
    first, last = order.position[named] + 1, order.last[named]
    inner = np.full(len(order.node) + 1, -1)  # the innermost clause whose body a position is in
    for row, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        inner[begin : end + 1] = row
    around = inner[order.position[named]]
    clauses, ways, binds = [], [], []
    tests = np.full(len(order.node) + 1, -1)
    tests[order.position[named]] = np.arange(len(named))
    begins, ends = place[blocks.last[source]], place[blocks.first[target]]
    way = np.flatnonzero((tests[begins] >= 0) & (label == TRUE))
    clauses.append(tests[begins[way]])
    ways.append(way)
    binds.append(np.ones(len(way), bool))
    way = np.flatnonzero(inner[begins] >= 0)
    row = inner[begins[way]]
    while len(way):
        leaves = (ends[way] < first[row]) | (ends[way] > last[row])
        way, row = way[leaves], row[leaves]
        clauses.append(row)
        ways.append(way)
        binds.append(np.zeros(len(way), bool))
        row = around[row]
        way, row = way[row >= 0], row[row >= 0]
    return named[np.concatenate(clauses)], np.concatenate(ways), np.concatenate(binds)


def _loops(flow: ControlFlow, place: np.ndarray) -> np.ndarray:
    """The number of the outermost loop around each point: flow goes back only inside these."""
    # Entry and exit of a class body or comprehension stand where it ends, and nothing goes back from them.
    seen = ~flow.is_implicit & (flow.source < len(flow.order.node))
    begin, end = place[flow.target[seen]], place[flow.source[seen]]
    back = (begin <= end) & (begin >= 0)
    steps = np.zeros(len(flow.order.node) + 1, np.int64)
    np.add.at(steps, begin[back], 1)
    np.subtract.at(steps, end[back] + 1, 1)
    inside = np.cumsum(steps)[:-1] > 0
    starts = inside & np.r_[True, ~inside[:-1]]
    loop = np.where(inside, np.cumsum(starts), -1)
    return np.where(place >= 0, loop[place], -1)

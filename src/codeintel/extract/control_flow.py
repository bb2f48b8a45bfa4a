"""Control flow: which node is evaluated after which.

Points are the positions of `Order`, and behind them an entry and an exit for each unit and for each class body and
comprehension, which run in place: the flow around them goes in at their entry and out of their exit. Straight code
follows its positions, so only branches and jumps are edges of their own.

*Branches.* `If`, `While`, `For` and `comprehension` decide with `true` and `false`; so do the operands of `and`, `or`
and chained comparisons, the test of a conditional expression, an `assert` or a comprehension's `if`, a `case`'s guard
and the patterns that can fail. `BoolOp` and `Compare` come after their operands, also where they are cut short. A
constant test of a statement takes one way only. What follows a `yield` is reached through `yield`.

*Cleaning up.* `return`, `break`, `continue` and exceptions go through every `finally` and every `With` (its `__exit__`)
on their way, and from there on, with the same label, only if some live code sends them in. A finally block is there
once: paths through it are not told apart. `With` goes on normally too where an exception came in, as it may swallow it.

*Exceptions.* Whatever may raise has a path along an `exception` edge to the nearest handler, `finally`, `With` or exit;
a handler that does not match leads to the next one along `false`, and the last one out along `exception`. Not counted
is what may strike anywhere: signals and lack of memory. To keep edges few, straight runs share one edge, from the first
node of the run that may raise. Where something around catches, a run ends at each effect (a call, a store, an import, a
suspension), which has its own edge, so that no binding separates a node from its run's edge; where nothing does, at
each statement. `raise`, a failing `assert`, the last handler and `With` always have their own.
*Implicit* are the edges of exceptions that nothing in the unit catches, unless a `raise` or `assert` names them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codeintel.extract.definitions import generators
from codeintel.extract.evaluation_order import Order
from codeintel.extract.grammar import FIELD, KIND, is_kind
from codeintel.extract.pattern_flow import EXCEPTION, LOOP, NEXT
from codeintel.extract.statement_flow import PASSING, Weaver
from codeintel.extract.syntax import Syntax, Texts

_IS_STATEMENT = is_kind(  # that may raise
    "FunctionDef", "AsyncFunctionDef", "ClassDef", "Return", "Delete", "Assign", "AugAssign", "AnnAssign", "For",
    "AsyncFor", "While", "If", "With", "AsyncWith", "Match", "Raise", "Assert", "Import", "ImportFrom", "Expr",
    "Unparsed",
)  # fmt: skip
_RAISES = is_kind(
    "Name", "Attribute", "Subscript", "Call", "BinOp", "UnaryOp", "Compare", "Await", "Yield", "YieldFrom", "Starred",
    "FormattedValue", "Interpolation", "Set", "Dict", "alias", "ClassDef", "FunctionDef", "AsyncFunctionDef", "For",
    "AsyncFor", "comprehension", "GeneratorExp", "withitem", "With", "AsyncWith", "AugAssign", "If", "While", "Raise",
    "Assert", "MatchValue", "MatchMapping", "MatchSequence", "List", "Tuple", "Unparsed",
)  # fmt: skip
# Besides stores, and where no branch parts runs in any case.
_HAS_EFFECT = is_kind(
    "Call", "Await", "Yield", "YieldFrom", "alias", "ClassDef", "FunctionDef", "AsyncFunctionDef", "For", "AsyncFor",
    "withitem", "AugAssign",
)  # fmt: skip
_IS_OWN = is_kind("Raise", "Assert", "With", "AsyncWith")
_IS_EXPLICIT = is_kind("Raise", "Assert")
_STORE, _DEL = 2, 3
_SETTLES = is_kind("Name", "Starred")  # storing one cannot fail
_UNPACKS = is_kind("List", "Tuple")  # only storing one can
_IS_FUNCTION = is_kind("FunctionDef", "AsyncFunctionDef")
_BINDS = is_kind("Name", "FunctionDef", "AsyncFunctionDef")
_SUSPENDS = is_kind("AsyncFunctionDef", "GeneratorExp")
_CAPTURES = is_kind("MatchAs", "MatchStar")


@dataclass(slots=True)
class ControlFlow:
    """The flow of all files. `follows` says which positions are left to the next one, along `follow_label`.

    `source`, `target` and `label` are the other edges. Entry and exit of row i of `opener`, the node that is a unit or
    runs in place, are the points `len(order.node) + 2 * i` and the one behind; the rows of units are those of `Order`.
    """

    order: Order
    opener: np.ndarray
    home: np.ndarray  # the unit of each row
    follows: np.ndarray
    follow_label: np.ndarray
    source: np.ndarray
    target: np.ndarray
    label: np.ndarray
    is_implicit: np.ndarray
    reachable: np.ndarray


def control_flow(syntax: Syntax, texts: Texts) -> ControlFlow:
    """The control flow of the chunk."""
    weaver = Weaver(syntax, texts)
    weaver.weave()
    order, points = weaver.order, weaver.fixed + len(weaver.joins)
    cut, follow = np.frombuffer(weaver.cut, np.uint8), np.frombuffer(weaver.follow, np.uint8)
    edges = np.array(weaver.edges, np.int64).reshape(-1, 3)
    implicit = np.concatenate([np.array(weaver.implicit, np.int64).reshape(-1, 3), _thrown_in(weaver, syntax)])
    onward = [(trigger, edge) for trigger, listed in weaver.onward.items() for edge in listed]
    later = np.array([edge for _, edge in onward], np.int64).reshape(-1, 4)
    triggers = np.array([trigger for trigger, _ in onward], np.int64).reshape(-1, 2)
    raised = np.array([frame.raised for frame in weaver.frames], np.int64)
    caught = np.array([frame.caught for frame in weaver.frames], bool)

    entries = _ClassEntries(weaver, points)
    edges = np.concatenate([entries.redirected(edges), entries.edges(cut, follow)])
    later[:, :3] = entries.redirected(later[:, :3])
    triggers[:, 0] = entries.of(triggers[:, 0])
    cleanup_end = {int(entries.of(np.array([begin]))[0]): (begin, end) for begin, end in weaver.cleanup_end.items()}
    raised = entries.of(raised)

    leads = np.zeros(points + 1, bool)
    leads[len(order.node) :] = True
    leads[np.flatnonzero(cut) + 1] = True
    leads[list(cleanup_end)] = True
    for some in (edges, later):
        leads[some[:, 1]] = leads[some[:, 0] + 1] = True
    source, is_implicit = _exceptions(weaver, syntax, leads, caught)
    thrown = np.c_[source, raised[weaver.frame[source]], np.full(len(source), EXCEPTION)]
    edges = np.concatenate([edges, thrown[~is_implicit]])
    implicit = np.concatenate([implicit, thrown[is_implicit]])
    follows = cut == 0
    reachable, taken = _reachable(Blocks.cut(leads[:-1], follows, follow, edges), weaver, triggers, later, cleanup_end)
    implicit = np.concatenate([implicit, taken[taken[:, 3] == 1, :3]])
    edges = np.concatenate([edges, taken[taken[:, 3] == 0, :3]])
    edges[:, 2] &= PASSING - 1
    edges, implicit = _without_joins(edges, implicit, weaver.fixed)
    edges = np.concatenate([np.c_[edges, np.zeros(len(edges), int)], np.c_[implicit, np.ones(len(implicit), int)]])
    _, kept = np.unique((edges[:, 0] << 36) | (edges[:, 1] << 8) | edges[:, 2], return_index=True)
    source, target, label, is_implicit = edges[kept].T
    # But for captures, which bind after the patterns behind them, only loops go down in position.
    down = (label == NEXT) & (target < source) & (source < len(order.node))
    down[down] &= ~_CAPTURES[syntax.kind[order.node[target[down]]]]
    label = np.where(down, LOOP, label)
    return ControlFlow(
        order, weaver.opener, weaver.home, follows, follow, source, target, label, is_implicit.astype(bool),
        reachable[: weaver.fixed],
    )  # fmt: skip


class _ClassEntries:
    """Leads what enters a class body from outside through the entry of the class.

    Bodies that begin with a class that has no bases begin at one point, so the outermost class comes first.
    """

    def __init__(self, weaver: Weaver, points: int) -> None:
        place = np.arange(points)
        place[weaver.fixed :] = weaver.joins
        self.place = place
        self.begins: dict[int, list[tuple[int, int]]] = {}
        for node, begin in weaver.class_begins.items():
            entry, end = weaver.entry(weaver.row[node]), int(weaver.order.position[node])
            self.begins.setdefault(begin, []).append((entry, end))
        self.is_begin = np.zeros(points, bool)
        self.is_begin[list(self.begins)] = True

    def of(self, targets: np.ndarray) -> np.ndarray:
        """Where flow from outside goes that is meant for these points."""
        targets = targets.copy()
        for i in np.flatnonzero(self.is_begin[targets]).tolist():
            targets[i] = self.begins[int(targets[i])][0][0]
        return targets

    def redirected(self, edges: np.ndarray) -> np.ndarray:
        for i in np.flatnonzero(self.is_begin[edges[:, 1]]).tolist():
            source, begin = int(self.place[edges[i, 0]]), int(edges[i, 1])
            for entry, end in self.begins[begin]:
                if not begin <= source < end:
                    edges[i, 1] = entry
                    break
        return edges

    def edges(self, cut: np.ndarray, follow: np.ndarray) -> np.ndarray:
        """The edges into and out of the entries; takes away those they replace."""
        found = []
        for begin, classes in self.begins.items():
            if begin and not cut[begin - 1]:
                cut[begin - 1] = 1
                found.append((begin - 1, classes[0][0], int(follow[begin - 1])))
            entries = [entry for entry, _ in classes]
            found += [(entry, inner, NEXT) for entry, inner in zip(entries, [*entries[1:], begin], strict=True)]
        return np.array(found, np.int64).reshape(-1, 3)


def _exceptions(weaver: Weaver, syntax: Syntax, leads: np.ndarray, caught: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions that have an edge to where their exceptions go, and whether that edge is implicit."""
    order, n = weaver.order, weaver.positions
    kind, ctx = syntax.kind[order.node], syntax.ctx[order.node]
    stores = (ctx == _STORE) | (ctx == _DEL)
    raises = _RAISES[kind] & ~((ctx == _STORE) & _SETTLES[kind] | (ctx != _STORE) & _UNPACKS[kind])
    in_class = syntax.kind[syntax.scope[order.node] >> 1] == KIND["ClassDef"]
    plain = np.ones(len(syntax), bool)
    plain[syntax.parent[syntax.field == FIELD["decorator_list"]]] = False
    raises &= ~(_IS_FUNCTION[kind] & plain[order.node])
    raises |= in_class & _BINDS[kind]  # a metaclass gives the namespace, which may refuse
    own = _IS_OWN[kind]
    last = order.position[[h for h in weaver.last_handlers if order.first[h] != order.position[h]]]
    own[last] = raises[last] = True
    is_caught = caught[weaver.frame]
    effect = own | (_HAS_EFFECT[kind] | stores) & is_caught

    starts = leads[:n].copy()
    statements = order.first[np.flatnonzero(_IS_STATEMENT[syntax.kind])]
    starts[statements[~is_caught[statements]]] = True
    starts |= effect
    starts[1:] |= effect[:-1] | (weaver.frame[1:] != weaver.frame[:-1])
    run = np.cumsum(starts)
    at = np.flatnonzero(raises)
    at = at[np.r_[True, run[at[1:]] != run[at[:-1]]]] if len(at) else at
    return at, ~is_caught[at] & ~_IS_EXPLICIT[kind[at]]


def _thrown_in(weaver: Weaver, syntax: Syntax) -> np.ndarray:
    """An exception may be thrown into a generator or coroutine that has not begun."""
    suspends = generators(syntax) | _SUSPENDS[syntax.kind]
    rows = np.flatnonzero(suspends[weaver.order.code >> 1])
    entries = weaver.positions + 2 * rows
    return np.c_[entries, entries + 1, np.full(len(rows), EXCEPTION)]


@dataclass(slots=True)
class Blocks:
    """Straight runs of points, in order, and the edges between them.

    `first` and `last` bound the points of each; `of` says which block a point is in.
    """

    of: np.ndarray
    first: np.ndarray
    last: np.ndarray
    source: np.ndarray
    target: np.ndarray
    label: np.ndarray

    @classmethod
    def cut(cls, leads: np.ndarray, follows: np.ndarray, follow: np.ndarray, edges: np.ndarray) -> Blocks:
        """Blocks begin where `leads` is true; `edges` has the rows source, target, label of points."""
        first = np.flatnonzero(leads)
        last = np.r_[first[1:], len(leads)][: len(first)] - 1
        of = np.cumsum(leads) - 1
        ends = last[last < len(follows)]
        ends = ends[follows[ends]]
        return cls(
            of, first, last, np.r_[of[ends], of[edges[:, 0]]], np.r_[of[ends] + 1, of[edges[:, 1]]],
            np.r_[follow[ends], edges[:, 2]],
        )  # fmt: skip


def _reachable(
    blocks: Blocks,
    weaver: Weaver,
    triggers: np.ndarray,
    later: np.ndarray,
    cleanup_end: dict[int, tuple[int, int]],
) -> tuple[np.ndarray, np.ndarray]:
    """Which points live flow reaches, and which edges out of cleanups are taken, because it enters them so."""
    waiting: dict[tuple[int, int], list[int]] = {}
    for i, (point, label) in enumerate(triggers.tolist()):
        waiting.setdefault((int(blocks.of[point]), label), []).append(i)
    cleanups = {int(blocks.of[point]): span for point, span in cleanup_end.items()}
    order = np.argsort(blocks.source, kind="stable")
    targets, labels = blocks.target[order].tolist(), blocks.label[order].tolist()
    bounds = np.searchsorted(blocks.source[order], np.arange(len(blocks.first) + 1)).tolist()
    more: dict[int, list[tuple[int, int]]] = {}
    seen = bytearray(len(blocks.first))
    taken: list[int] = []
    stack = blocks.of[weaver.positions + 2 * np.arange(len(weaver.order.code))].tolist()
    for block in stack:
        seen[block] = 1

    def enter(block: int, target: int, label: int) -> None:
        if not seen[target]:
            seen[target] = 1
            stack.append(target)
        if target in cleanups:
            begin, end = cleanups[target]
            if not begin <= blocks.last[block] <= end:
                for i in waiting.pop((target, label if label == EXCEPTION or label & PASSING else NEXT), ()):
                    taken.append(i)
                    out, to, how, implicit = later[i].tolist()
                    if not implicit:
                        around, to = int(blocks.of[out]), int(blocks.of[to])
                        more.setdefault(around, []).append((to, how))
                        if around in done:
                            enter(around, to, how)

    done: set[int] = set()
    while stack:
        block = stack.pop()
        done.add(block)
        for i in range(bounds[block], bounds[block + 1]):
            enter(block, targets[i], labels[i])
        for target, label in more.get(block, ()):
            enter(block, target, label)
    return np.frombuffer(seen, np.uint8)[blocks.of].astype(bool), later[taken].reshape(-1, 4)


def _without_joins(edges: np.ndarray, implicit: np.ndarray, fixed: int) -> tuple[np.ndarray, np.ndarray]:
    """The edges with each way through a join as one edge, under the label of its last part that has one."""
    out: dict[int, list[tuple[int, int, bool]]] = {}
    for some, is_implicit in ((edges, False), (implicit, True)):
        for source, target, label in some[some[:, 0] >= fixed].tolist():
            out.setdefault(source, []).append((target, label, is_implicit))
    kept: dict[bool, list[tuple[int, int, int]]] = {False: [], True: []}
    waiting = [(*edge, False) for edge in edges[(edges[:, 1] >= fixed) & (edges[:, 0] < fixed)].tolist()]
    while waiting:
        source, join, label, _ = waiting.pop()
        for target, next_label, is_implicit in out.get(join, ()):
            if target >= fixed:
                waiting.append((source, target, next_label or label, is_implicit))
            else:
                kept[is_implicit].append((source, target, next_label or label))
    return _settled(edges, kept[False], fixed), _settled(implicit, kept[True], fixed)


def _settled(edges: np.ndarray, more: list[tuple[int, int, int]], fixed: int) -> np.ndarray:
    return np.concatenate([edges[(edges[:, :2] < fixed).all(1)], np.array(more, np.int64).reshape(-1, 3)])

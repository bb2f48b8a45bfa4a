"""Dominators, post-dominators and control dependence, over blocks of straight code.

Immediate dominators: Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001), as rustworkx has it.
Control dependence from the post-dominator tree: Ferrante, Ottenstein and Warren, "The Program Dependence Graph and Its
Use in Optimization" (1987), without their extra edge from entry to exit: what runs in any case depends on nothing.

Seen is the flow that entries reach, without implicit exceptions, by which every call could leave its function.
A loop that never ends, or code that ends in nothing but an implicit exception, is taken to lead to the exit of its unit
from the end of its first straight run, so that everything is post-dominated by an exit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import rustworkx as rx

from codeintel.extract.control_flow import Blocks, ControlFlow

DOMINANCE_KINDS = ["DOMINATE", "POST_DOMINATE", "CDG"]


@dataclass(slots=True)
class Dominance:
    """Edges between points: from the immediate (post-)dominator, or from what decides; `kind` indexes DOMINANCE_KINDS.

    `label` is that of the branch which leads to what depends on it, otherwise 0. Most nodes have one way in, from a
    node with one way out: `straight` are the positions that dominate the one behind, and are post-dominated by it. They
    have no edges beside.
    """

    straight: np.ndarray
    source: np.ndarray
    target: np.ndarray
    kind: np.ndarray
    label: np.ndarray


def dominance(flow: ControlFlow) -> Dominance:
    """All three relations of the chunk."""
    points = len(flow.order.node) + 2 * len(flow.opener)
    seen = ~flow.is_implicit
    edges = np.c_[flow.source[seen], flow.target[seen], flow.label[seen]]
    leads = np.zeros(points + 1, bool)
    leads[len(flow.order.node) :] = True
    leads[np.flatnonzero(~flow.follows) + 1] = True
    leads[edges[:, 1]] = leads[edges[:, 0] + 1] = True
    blocks = Blocks.cut(leads[:-1], flow.follows, flow.follow_label, edges)

    live = flow.reachable[blocks.first]
    used = live[blocks.source]
    source, target, label = blocks.source[used], blocks.target[used], blocks.label[used]
    units = len(flow.order.code)
    entries = blocks.of[len(flow.order.node) + 2 * np.arange(units)]
    exits = entries + 1
    home = _homes(flow, blocks)
    endless = _endless(source, target, exits, live)
    idom = immediate_dominators(len(live), source, target, entries)
    ipdom = immediate_dominators(
        len(live), np.r_[target, exits[home[endless]]], np.r_[source, endless], exits
    )  # fmt: skip
    decides, depends, branch = control_dependence(source, target, label, ipdom, endless)

    below, above = np.flatnonzero(idom >= 0), np.flatnonzero(ipdom >= 0)
    lengths = (blocks.last - blocks.first + 1)[depends]
    parts = (
        (blocks.last[idom[below]], blocks.first[below], None),
        (blocks.first[ipdom[above]], blocks.last[above], None),
        (
            np.repeat(blocks.last[decides], lengths),
            np.repeat(blocks.first[depends] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum()),
            np.repeat(branch, lengths),
        ),
    )
    return Dominance(
        np.flatnonzero(~leads[:-1] & flow.reachable) - 1,
        np.concatenate([source for source, _, _ in parts]),
        np.concatenate([target for _, target, _ in parts]),
        np.repeat(np.arange(3), [len(source) for source, _, _ in parts]),
        np.concatenate([np.zeros(len(source), int) if label is None else label for source, _, label in parts]),
    )


def _homes(flow: ControlFlow, blocks: Blocks) -> np.ndarray:
    """The unit of each block."""
    return np.r_[flow.order.unit, np.repeat(flow.home, 2)][blocks.first]


def immediate_dominators(count: int, source: np.ndarray, target: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Of each of `count` nodes the immediate dominator on the ways from any root; -1 for roots and the unreached."""
    graph = _graph(count + 1, np.r_[source, np.full(len(roots), count)], np.r_[target, roots])
    found = rx.immediate_dominators(graph, count)
    result = np.full(count + 1, -1, np.int64)
    result[np.fromiter(found.keys(), np.int64, len(found))] = np.fromiter(found.values(), np.int64, len(found))
    return np.where(result == count, -1, result)[:count]


def _graph(count: int, source: np.ndarray, target: np.ndarray) -> rx.PyDiGraph:
    graph = rx.PyDiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from_no_data(list(zip(source.tolist(), target.tolist(), strict=True)))
    return graph


def _endless(source: np.ndarray, target: np.ndarray, exits: np.ndarray, live: np.ndarray) -> np.ndarray:
    """The first block of each knot of live blocks that no way leaves, sorted."""
    stuck = live & ~_reaching(len(live), source, target, exits)
    if not stuck.any():
        return np.zeros(0, np.int64)
    among = np.flatnonzero(stuck)
    place = np.cumsum(stuck) - 1
    inside = stuck[source]
    graph = _graph(len(among), place[source[inside]], place[target[inside]])
    knot = np.zeros(len(among), np.int64)
    knots = rx.strongly_connected_components(graph)
    for number, members in enumerate(knots):
        knot[list(members)] = number
    leaves = np.zeros(len(knots), bool)
    begin, end = knot[place[source[inside]]], knot[place[target[inside]]]
    leaves[begin[begin != end]] = True
    return np.sort(among[[min(members) for members, out in zip(knots, leaves.tolist(), strict=True) if not out]])


def _reaching(count: int, source: np.ndarray, target: np.ndarray, goals: Iterable[int]) -> np.ndarray:
    """Whether each node reaches one of `goals`."""
    order = np.argsort(target, kind="stable")
    sources = source[order].tolist()
    bounds = np.searchsorted(target[order], np.arange(count + 1)).tolist()
    seen = bytearray(count)
    stack = [int(goal) for goal in goals]
    for node in stack:
        seen[node] = 1
    while stack:
        node = stack.pop()
        for before in sources[bounds[node] : bounds[node + 1]]:
            if not seen[before]:
                seen[before] = 1
                stack.append(before)
    return np.frombuffer(seen, np.uint8).astype(bool)


def control_dependence(
    source: np.ndarray, target: np.ndarray, label: np.ndarray, ipdom: np.ndarray, endless: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(decides, depends, label)`: each node with those that an edge out of it makes certain, but it does not itself.

    `endless` are nodes with a further edge, to an exit, that is not listed.
    """
    ways = np.bincount(source, minlength=len(ipdom))
    ways[endless] += 1
    branches = np.flatnonzero(ways[source] > 1)
    up = ipdom.tolist()
    found: set[tuple[int, int, int]] = set()
    for node, step, name in zip(source[branches].tolist(), target[branches].tolist(), label[branches].tolist(),
                                strict=True):  # fmt: skip
        stop = up[node]
        while step not in (stop, -1):
            found.add((node, step, name))
            step = up[step]  # noqa: PLW2901 (the walk up the tree)
    rows = np.array(sorted(found), np.int64).reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2]

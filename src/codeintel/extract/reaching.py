"""Which definitions reach which uses, over any graphs of straight blocks: the algorithm alone, without syntax.

Most variables are answered without looking at paths: a use behind a definition in its own block, or dominated by the
one block that defines its variable, is reached from there alone. For the rest, versions are joined where the iterated
dominance frontier of their definitions says so, as in static single assignment form (Cytron, Ferrante, Rosen, Wegman
and Zadeck, "Efficiently Computing Static Single Assignment Form and the Control Dependence Graph", 1991), which only
visits blocks where something meets; a version is found by the nearest block above in the dominator tree that has one.
Joins that no use asks for are never filled in. At last the sets behind the joins are solved for, as bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codeintel.arrays import distinct

USE, DEFINE, MAY_DEFINE, UNDEFINE = range(4)
NOTHING = -1  # in place of a definition: the variable is as it was on entry, or was unbound


def spread(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(row, index)`: for each row all indices from its `begin` up to its `end`."""
    counts = end - begin
    return (
        np.repeat(np.arange(len(counts)), counts),
        np.repeat(begin - np.cumsum(counts) + counts, counts) + np.arange(counts.sum()),
    )


@dataclass(slots=True)
class Events:
    """What happens to variables: row by row a variable, a block, the place in it, and one of the kinds above.

    Rows of one place are ordered by `kind`: uses come before what is defined there. MAY_DEFINE leaves earlier
    definitions in force, UNDEFINE is a definition that reaches as NOTHING.
    """

    variable: np.ndarray
    block: np.ndarray
    place: np.ndarray
    kind: np.ndarray

    def taken(self, rows: np.ndarray) -> Events:
        return Events(self.variable[rows], self.block[rows], self.place[rows], self.kind[rows])


@dataclass(slots=True)
class Tree:
    """The dominator tree by preorder number of each block and the last number below it."""

    idom: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def numbered(cls, idom: np.ndarray) -> Tree:
        n = len(idom)
        levels = list(_levels(idom))
        size = np.ones(n, np.int64)
        for level in reversed(levels[1:]):
            np.add.at(size, idom[level], size[level])
        order = np.argsort(idom, kind="stable")
        parent = idom[order]
        before = np.cumsum(size[order]) - size[order]
        starts = np.flatnonzero(np.diff(parent, prepend=-2))
        before -= np.repeat(before[starts], np.diff(starts, append=n))
        first = np.empty(n, np.int64)
        first[order] = before
        for level in levels[1:]:
            first[level] += first[idom[level]] + 1
        return cls(idom, first, first + size - 1)


def _levels(idom: np.ndarray) -> Iterator[np.ndarray]:
    """The nodes of a forest by depth."""
    depth = (idom >= 0).astype(np.int64)
    up = idom.copy()
    while (goes_on := np.flatnonzero(up >= 0)).size:
        depth[goes_on] += depth[up[goes_on]] * (up[goes_on] >= 0)
        up[goes_on] = up[up[goes_on]]
    order = np.argsort(depth, kind="stable")
    bounds = np.searchsorted(depth[order], np.arange(depth.max(initial=0) + 2))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield order[begin:end]


def reaching(tree: Tree, source: np.ndarray, target: np.ndarray, events: Events) -> tuple[np.ndarray, np.ndarray]:
    """`(use, definition)`: rows of events, each use with everything that reaches it, sorted; NOTHING where that can.

    `source` and `target` are the edges between live blocks, each once; every event is in a live block.
    """
    order = np.lexsort((events.kind, events.place, tree.first[events.block], events.variable))
    versions = _Versions(tree, source, target, events.taken(order))
    use, definition = versions.solved()
    use, definition = order[use], np.where(definition >= 0, order[definition], NOTHING)
    rows = np.lexsort((definition, use))
    return use[rows], definition[rows]


class _Versions:
    """Finds the version of its variable that each event sees.

    A version is the row of the event that made it, or, of a join, the number of rows plus the number of the join.
    """

    def __init__(self, tree: Tree, source: np.ndarray, target: np.ndarray, events: Events) -> None:
        self.tree, self.source, self.target, self.events = tree, source, target, events
        n = len(events.kind)
        defines = events.kind != USE
        begins = np.ones(n, bool)
        begins[1:] = (events.variable[1:] != events.variable[:-1]) | (events.block[1:] != events.block[:-1])
        start = np.flatnonzero(begins)[np.cumsum(begins) - 1] if n else np.zeros(0, np.int64)
        latest = np.maximum.accumulate(np.where(defines, np.arange(n), -1)) if n else start
        before = np.r_[-1, latest[:-1]][:n]
        self.before = np.where(before >= start, before, NOTHING)
        self.asks = (events.kind == USE) | (events.kind == MAY_DEFINE)
        self.exposed = np.flatnonzero(self.asks & (self.before < 0))
        ends = np.r_[begins[1:], True][:n]
        made = latest[ends & (latest >= start)]
        # Per variable and block with a version: by variable, then in preorder of the tree.
        self.variable, self.block, self.made = events.variable[made], events.block[made], made
        self.joins = np.zeros(0, np.int64)  # blocks of joins, by number
        self.join_variable = np.zeros(0, np.int64)
        self.join = np.full(len(made), -1)
        self._index()
        self._look_up_exposed()

    def _index(self) -> None:
        first = self.tree.first
        self.keys = self.variable << 32 | first[self.block]
        # Nearest enclosing block with a version: that of the one before, or one of those which enclose that one.
        n = len(self.keys)
        self.up = np.arange(-1, n - 1)
        self.up[1:][self.variable[1:] != self.variable[:-1]] = NOTHING
        waiting = np.arange(n)
        while len(waiting):
            above = self.up[waiting]
            waiting = waiting[(above >= 0) & ~self._encloses(above, self.block[waiting])]
            self.up[waiting] = self.up[self.up[waiting]]

    def _encloses(self, at: np.ndarray, block: np.ndarray) -> np.ndarray:
        return self.tree.last[self.block[at]] >= self.tree.first[block]

    def _at(self, variable: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest row above or at each block that has a version, -1 for none, and whether it is at it."""
        keys = variable << 32 | self.tree.first[block]
        at = np.searchsorted(self.keys, keys, "right") - 1
        at[(at >= 0) & (self.variable[at] != variable)] = NOTHING
        here = (at >= 0) & (self.keys[at] == keys)
        waiting = np.flatnonzero((at >= 0) & ~here)
        while len(waiting):
            waiting = waiting[~self._encloses(at[waiting], block[waiting])]
            at[waiting] = self.up[at[waiting]]
            waiting = waiting[at[waiting] >= 0]
        return at, here

    def _at_end(self, variable: np.ndarray, block: np.ndarray) -> np.ndarray:
        at, _ = self._at(variable, block)
        return np.where(at >= 0, self.made[at], NOTHING)

    def _look_up_exposed(self) -> None:
        """What events see that nothing in their block precedes; joins are placed for those that need them."""
        if not len(self.keys):
            return
        events, exposed = self.events, self.exposed
        at, here = self._at(events.variable[exposed], events.block[exposed])
        single = np.bincount(self.variable, minlength=int(events.variable.max(initial=0)) + 1) == 1
        simple = single[events.variable[exposed]] & (at >= 0) & ~here
        self.before[exposed[simple]] = self.made[at[simple]]
        exposed = exposed[~simple]
        wanted = np.zeros(len(single), bool)
        wanted[events.variable[exposed]] = True
        self._place_joins(wanted)
        at, here = self._at(events.variable[exposed], events.block[exposed])
        join = np.where(here, self.join[at], -1)
        at = np.where(here, self.up[at], at)
        self.before[exposed] = np.where(
            join >= 0, len(events.kind) + join, np.where(at >= 0, self.made[at], NOTHING)
        )  # fmt: skip

    def _place_joins(self, wanted: np.ndarray) -> None:
        """Add a join to every block of the iterated dominance frontier of the wanted variables' definitions."""
        some = wanted[self.variable]
        if not some.any():
            return
        variable, block = self.variable[some], self.block[some]
        begin, members = self._frontiers()
        known = np.zeros(0, np.int64)
        keys = variable << 32 | block
        while len(keys):
            variable, block = keys >> 32, keys & 0xFFFFFFFF
            row, found = spread(begin[block], begin[block + 1])
            keys = distinct(variable[row] << 32 | members[found])
            keys = keys[~_among(keys, known)]
            known = np.union1d(known, keys)
        self.join_variable, self.joins = known >> 32, known & 0xFFFFFFFF
        rows = len(self.events.kind)
        variable = np.r_[self.variable, self.join_variable]
        block = np.r_[self.block, self.joins]
        made = np.r_[self.made, rows + np.arange(len(known))]
        join = np.r_[self.join, np.arange(len(known))]
        order = np.lexsort((made, self.tree.first[block], variable))
        variable, block, made, join = variable[order], block[order], made[order], join[order]
        # Where a block has both, what is made in it counts at its end, and the join at its start.
        doubled = np.flatnonzero((variable[1:] == variable[:-1]) & (block[1:] == block[:-1]))
        join[doubled] = join[doubled + 1]
        kept = np.ones(len(variable), bool)
        kept[doubled + 1] = False
        self.variable, self.block, self.made, self.join = variable[kept], block[kept], made[kept], join[kept]
        self._index()

    def _frontiers(self) -> tuple[np.ndarray, np.ndarray]:
        """The dominance frontier of each block, as bounds and members: from a join's ways in, up to its dominator."""
        idom = self.tree.idom
        ways = np.bincount(self.target, minlength=len(idom))
        joining = np.flatnonzero(ways[self.target] > 1)
        up = idom.tolist()
        mark = [-1] * len(up)
        runners: list[int] = []
        members: list[int] = []
        order = joining[np.argsort(self.target[joining], kind="stable")]
        for step, join in zip(self.source[order].tolist(), self.target[order].tolist(), strict=True):
            stop = up[join]
            while step != stop and mark[step] != join:
                mark[step] = join
                runners.append(step)
                members.append(join)
                step = up[step]  # noqa: PLW2901 (the walk up the tree)
        runner = np.array(runners, np.int64)
        by_runner = np.argsort(runner, kind="stable")
        return np.searchsorted(runner[by_runner], np.arange(len(up) + 1)), np.array(members, np.int64)[by_runner]

    def _operands(self) -> tuple[np.ndarray, np.ndarray]:
        """`(version, operand)` of every version that is made of others and that a use asks for."""
        rows = len(self.events.kind)
        composite = np.zeros(rows + len(self.joins), bool)
        composite[:rows] = self.events.kind == MAY_DEFINE
        composite[rows:] = True
        by_target = np.argsort(self.target, kind="stable")
        bounds = np.searchsorted(self.target[by_target], np.arange(len(self.tree.idom) + 1))
        seen = np.zeros(len(composite), bool)
        asked = self.before[self.events.kind == USE]
        found: list[tuple[np.ndarray, np.ndarray]] = []
        while True:
            asked = distinct(asked[asked >= 0])
            asked = asked[composite[asked] & ~seen[asked]]
            if not len(asked):
                break
            seen[asked] = True
            plain, joins = asked[asked < rows], asked[asked >= rows] - rows
            block = self.joins[joins]
            row, way = spread(bounds[block], bounds[block + 1])
            operand = self._at_end(self.join_variable[joins[row]], self.source[by_target[way]])
            found += [(plain, plain), (plain, self.before[plain]), (joins[row] + rows, operand)]
            asked = np.r_[self.before[plain], operand]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        version, operand = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return version, operand

    def solved(self) -> tuple[np.ndarray, np.ndarray]:
        """`(use, definition)` rows of all uses."""
        use = np.flatnonzero(self.events.kind == USE)
        seen = self.before[use]
        sets = self._sets(*self._operands())
        rows = len(self.events.kind)
        joined = (seen >= rows) | ((seen >= 0) & (self.events.kind[np.minimum(seen, rows - 1)] == MAY_DEFINE))
        plain, found = seen[~joined], [sets[version] for version in seen[joined].tolist()]
        undefined = (plain >= 0) & (self.events.kind[plain] == UNDEFINE)
        members = np.concatenate([np.where(undefined, NOTHING, plain), *found])
        return np.r_[use[~joined], np.repeat(use[joined], [len(part) for part in found])], members

    def _sets(self, version: np.ndarray, operand: np.ndarray) -> dict[int, np.ndarray]:
        """The definitions behind each version that is made of others. Bit 0 of a set of bits is NOTHING."""
        rows, kind = len(self.events.kind), self.events.kind
        if not len(version):
            return {}
        self_made = (version == operand) & (version < rows)  # the part that a MAY_DEFINE adds itself
        inner = np.minimum(operand, rows - 1)
        base = self_made | (operand < 0) | ((operand < rows) & (kind[inner] != MAY_DEFINE))
        nothing = (operand < 0) | (base & (kind[inner] == UNDEFINE))
        first = np.searchsorted(self.events.variable, self.events.variable)
        bit = np.where(nothing, 0, operand - first[inner] + 1)
        bits: dict[int, int] = dict.fromkeys(version.tolist(), 0)
        for made, number in zip(version[base].tolist(), bit[base].tolist(), strict=True):
            bits[made] |= 1 << number
        variable_of = np.r_[self.events.variable, self.join_variable]
        starts = np.searchsorted(self.events.variable, variable_of[np.array(list(bits))])
        begins = dict(zip(bits, starts.tolist(), strict=True))
        readers: dict[int, list[int]] = {}
        for made, part in zip(version[~base].tolist(), operand[~base].tolist(), strict=True):
            readers.setdefault(part, []).append(made)
        waiting = list(readers)
        while waiting:
            part = waiting.pop()
            have = bits[part]
            for made in readers.get(part, ()):
                if have & ~bits[made]:
                    bits[made] |= have
                    waiting.append(made)
        return {made: _members(have, begins[made]) for made, have in bits.items()}


def _members(bits: int, first: int) -> np.ndarray:
    raw = np.frombuffer(bits.to_bytes(bits.bit_length() // 8 + 1, "little"), np.uint8)
    found = np.flatnonzero(np.unpackbits(raw, bitorder="little"))
    return np.where(found == 0, NOTHING, found - 1 + first)


def _among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which of the sorted `values` are among the sorted `known`."""
    if not len(known):
        return np.zeros(len(values), bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values

"""Where a test of a name says something about the value that the name has: rows `narrow` of the reads that see it.

`if isinstance(x, C): …` speaks for the reads of `x` in its body, `not` of it for those in the `else` branch and, where
the body ends in a jump, for those in the statements that follow. `and`, `or`, conditional expressions, assertions,
`while`, conditions of comprehensions and guards of patterns speak likewise for what is evaluated after them. A read
before which the name, or the attribute, may have been given another value sees nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codeintel.extract.bindings import BUILTIN, Bindings
from codeintel.extract.definitions import defined_in
from codeintel.extract.grammar import CONTEXTS, FIELD, KIND, KINDS, is_kind
from codeintel.extract.syntax import Syntax, Texts

_LOAD = CONTEXTS.index("Load")
_JUMPS = is_kind("Return", "Raise", "Continue", "Break")
_LOOPS = is_kind("For", "AsyncFor", "While", "ListComp", "SetComp", "DictComp", "GeneratorExp")
_TESTS = ("isinstance", "issubclass", "callable")
Truth = tuple[str | None, str | None]  # what is so where an expression is true, and where it is false


class Regions:
    """Reads of a name or attribute in stretches of a file where it keeps the value it had at their beginning."""

    def __init__(self, syntax: Syntax, bindings: Bindings) -> None:
        self.syntax, self.bindings = syntax, bindings
        self.target = np.full(len(syntax), -1, np.int64)
        self.target[bindings.reference] = bindings.target
        known = bindings.target >= 0
        self.reads = np.sort(bindings.target[known] << 32 | bindings.reference[known])
        bound = bindings.binder_binding >= 0
        self.writes = np.sort(bindings.binder_binding[bound] << 32 | bindings.binder[bound])
        attribute = np.flatnonzero(syntax.kind == KIND["Attribute"])
        self.attributes = np.sort(syntax.name[attribute].astype(np.int64) << 32 | attribute)
        self.around = defined_in(syntax, np.arange(len(syntax)))
        self.loops = np.flatnonzero(_LOOPS[syntax.kind])
        self.operators = syntax.values_of("op", "ops")

    def children(self, node: int) -> Iterator[int]:
        child, end = node + 1, node + int(self.syntax.size[node])
        while child < end:
            yield child
            child += int(self.syntax.size[child])

    def end(self, node: int) -> int:
        return node + int(self.syntax.size[node])

    def field(self, node: int, *names: str) -> tuple[int, int]:
        """Where the children in these fields begin and end."""
        codes = [FIELD[name] for name in names]
        found = [child for child in self.children(node) if self.syntax.field[child] in codes]
        return (found[0], self.end(found[-1])) if found else (0, 0)

    def behind(self, statement: int) -> tuple[int, int]:
        """The statements that follow in the same block."""
        syntax, begin = self.syntax, self.end(statement)
        parent, end = int(syntax.parent[statement]), begin
        while end < self.end(parent) and syntax.parent[end] == parent and syntax.field[end] == syntax.field[statement]:
            end += int(syntax.size[end])
        return begin, end

    def leaves(self, node: int, field: str) -> bool:
        """Whether a block ends in a jump."""
        last = next((c for c in reversed([*self.children(node)]) if self.syntax.field[c] == FIELD[field]), -1)
        if last < 0:
            return False
        if self.syntax.kind[last] == KIND["If"]:
            return self.leaves(last, "body") and self.leaves(last, "orelse")
        return bool(_JUMPS[self.syntax.kind[last]])

    def seen(self, what: int, begin: int, end: int) -> list[int]:
        """Reads of what the expression `what` reads between two nodes, before it may be something else."""
        syntax, path, root = self.syntax, [], what
        while syntax.kind[root] == KIND["Attribute"]:
            path.append(int(syntax.name[root]))
            root += 1
        if syntax.kind[root] != KIND["Name"] or self.target[root] < 0 or end <= begin:
            return []
        binding = int(self.target[root])
        changes = self._between(self.writes, binding, begin, end)
        if not path:
            reads = self._between(self.reads, binding, begin, end)
        else:
            reads = [n for n in self._between(self.attributes, path[0], begin, end) if self._is_same(n, path, binding)]
            for name in path:
                changes += [n for n in self._between(self.attributes, name, begin, end) if syntax.ctx[n] != _LOAD]
        reads = [n for n in reads if syntax.ctx[n] == _LOAD]
        if not changes and all(self.around[n] == self.around[root] for n in reads):
            return reads
        single = len(self._between(self.writes, binding, 0, len(syntax))) == 1
        first = min(changes, default=end)
        loop = self.loops[np.searchsorted(self.loops, begin) :]
        if changes and len(loop):
            first = min(first, int(loop[0]))
        return [n for n in reads if n < first and (single or self.around[n] == self.around[root])]

    def _between(self, keys: np.ndarray, key: int, begin: int, end: int) -> list[int]:
        low, high = np.searchsorted(keys, [key << 32 | begin, key << 32 | end])
        return (keys[low:high] & 0xFFFFFFFF).tolist()

    def _is_same(self, node: int, path: list[int], binding: int) -> bool:
        for name in path:
            if self.syntax.kind[node] != KIND["Attribute"] or self.syntax.name[node] != name:
                return False
            node += 1
        return bool(self.syntax.kind[node] == KIND["Name"] and self.target[node] == binding)


def narrowed(syntax: Syntax, texts: Texts, regions: Regions) -> list[tuple[int, int, str]]:
    """`(read, class expression, what is known)` for reads behind tests; outer tests first. -1 for no class."""
    found: list[tuple[int, int, str]] = []
    for test, what, cls, how in _tests(syntax, texts, regions):
        for begin, end, known in speaks_for(regions, test):
            found += [(read, cls, known + how) for read in regions.seen(what, begin, end)]
    return found


def _tests(syntax: Syntax, texts: Texts, regions: Regions) -> Iterator[tuple[int, int, int, str]]:
    """`(test, what is tested, class expression, how)` in the order of the source."""
    bindings = regions.bindings
    codes = {texts[name]: name for name in (*_TESTS, "type")}
    named = np.isin(syntax.name[bindings.reference], [*codes]) & (bindings.resolution == BUILTIN)
    for name in bindings.reference[named].tolist():
        call = int(syntax.parent[name])
        if syntax.kind[call] != KIND["Call"] or syntax.field[name] != FIELD["func"]:
            continue
        how = codes[int(syntax.name[name])]
        given = [*regions.children(call)][1:]
        if how != "type":
            if len(given) == (1 if how == "callable" else 2):
                yield call, given[0], given[1] if len(given) > 1 else -1, how
            continue
        compare = int(syntax.parent[call])
        is_first = syntax.kind[compare] == KIND["Compare"] and len(given) == 1 and call == compare + 1
        if is_first and regions.operators[compare] in ("Is", "Eq"):
            yield compare, given[0], regions.end(call), "exactly"


def speaks_for(regions: Regions, test: int) -> Iterator[tuple[int, int, str]]:
    """Stretches behind a test with what is known there: nothing before it for so, `not ` for not so."""
    syntax = regions.syntax
    true, false = "", "not "
    at = test
    known: Truth = (true, false)
    while any(side is not None for side in known):
        parent = int(syntax.parent[at])
        kind, field = KINDS[syntax.kind[parent]], syntax.field[at]
        behind = (regions.end(at), regions.end(parent))
        spoken: list[tuple[tuple[int, int], str | None]] = []
        going: Truth = (None, None)
        if kind == "UnaryOp" and regions.operators[parent] == "Not":
            going = (known[1], known[0])
        elif kind == "BoolOp":
            is_and = regions.operators[parent] == "And"
            spoken = [(behind, known[0] if is_and else known[1])]
            going = (known[0], None) if is_and else (None, known[1])
        elif kind in ("If", "IfExp", "While") and field == FIELD["test"]:
            spoken = [(regions.field(parent, "body"), known[0])]
            if kind != "While":
                spoken.append((regions.field(parent, "orelse"), known[1]))
            if kind == "If":
                if regions.leaves(parent, "body"):
                    spoken.append((regions.behind(parent), known[1]))
                elif regions.leaves(parent, "orelse"):
                    spoken.append((regions.behind(parent), known[0]))
        elif kind == "Assert" and field == FIELD["test"]:
            spoken = [(regions.behind(parent), known[0])]
        elif kind == "comprehension" and field == FIELD["ifs"]:
            whole = int(syntax.parent[parent])
            spoken = [((regions.end(at), regions.end(whole)), known[0])]
            spoken += [(regions.field(whole, name), known[0]) for name in ("elt", "key", "value")]
        elif kind == "match_case" and field == FIELD["guard"]:
            spoken = [(behind, known[0])]
        for (begin, end), fact in spoken:
            if fact is not None and end > begin:
                yield begin, end, fact
        known, at = going, parent


def matched_reads(regions: Regions, second: int) -> list[tuple[int, int]]:
    """Reads of a name that is matched, inside a case of it, with the slot of what the case lets through."""
    syntax = regions.syntax
    found = []
    for case in np.flatnonzero(syntax.kind == KIND["match_case"]).tolist():
        pattern, match = case + 1, int(syntax.parent[case])
        begin = pattern + int(syntax.size[pattern])
        passed = let_through(regions, pattern, second)
        found += [(read, passed) for read in regions.seen(match + 1, begin, regions.end(case))]
    return found


def let_through(regions: Regions, pattern: int, second: int) -> int:
    """The slot of what a pattern lets through."""
    syntax = regions.syntax
    while syntax.kind[pattern] == KIND["MatchAs"] and syntax.size[pattern] > 1:
        pattern += 1
    return pattern + second if KINDS[syntax.kind[pattern]] in ("MatchClass", "MatchOr") else pattern

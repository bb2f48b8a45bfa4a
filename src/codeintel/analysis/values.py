"""Which values each slot may hold: a bounded, inclusion-based points-to analysis.

Andersen, "Program analysis and specialization for the C programming language" (1994), over the rows of
`value_flows`: sets of abstract values flow along edges between slots until nothing changes, and what a value means
where it is read, called or iterated over adds edges on the way. Only differences flow (Pearce, Kelly and Hankin, 2004).

Values are interned as numbers:

| kind | stands for |
|---|---|
| module, function, class | one definition |
| instance | all instances of exactly that class |
| open instance | an instance of that class or any class below it |
| bound | a callable with the receiver it is bound to |
| container | all that one display, comprehension or `*args` evaluates to |
| constant, builtin | one literal; any value of a builtin type |
| external, result | something outside by its import path; an instance of such a class |
| outside | whatever else comes from outside |
| members | the attributes of a value whose names begin with a text |
| generator, super, partial, … | what their names say |

A slot that would hold more than `WIDE` values becomes *unknown*: it keeps what it has, tells nobody of more, and is
marked. Constants of one type beyond `CONSTANTS` are widened to any value of the type, receivers of a method beyond
`RECEIVERS` to an open instance of the method's class.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

WIDE = 48
CONSTANTS = 6
RECEIVERS = 12


class Kind:
    """The kinds of values; plain numbers, since members of an enumeration are slow to come by."""

    FUNCTION = 0
    CLASS = 1
    MODULE = 2
    INSTANCE = 3
    OPEN = 4
    BOUND = 5
    CONTAINER = 6
    CONSTANT = 7
    BUILTIN = 8
    EXTERNAL = 9
    RESULT = 10
    GENERATOR = 11
    SUPER = 12
    PARTIAL = 13
    PROPERTY = 14
    STATIC = 15
    CLASSMETHOD = 16
    METHOD = 17  # of a value of a builtin type
    IDENTITY = 18  # a decorator that hands on what it decorates
    NAMESPACE = 19
    OUTSIDE = 20
    ALIAS = 21  # a type that is subscripted
    QUOTED = 22  # an annotation in quotes
    CALLABLE = 23  # of which only an annotation is known
    RECORD = 24  # what `namedtuple` gives
    MEMBERS = 27  # whatever attribute of a value has a name that begins in a certain way
    SPACE = 26  # the names of a value as a dictionary
    GETTER = 25  # what `operator.itemgetter` and its like give


INSTANCES = (Kind.INSTANCE, Kind.OPEN)  # of a class of the program

Handler = Callable[..., None]  # called with each new value and arguments
_Watcher = tuple[Any, ...]  # a handler and its arguments


class Values:
    """Sets of values by slot, edges between slots, and what is to be done with values that arrive."""

    def __init__(self, count: int) -> None:
        # Never changed in place: most slots hold what another one does, and share it.
        self.sets: list[frozenset[int] | None] = [None] * count
        self.edges: list[int | list[int] | None] = [None] * count  # most slots have one
        self.handlers: list[_Watcher | list[_Watcher] | None] = [None] * count
        self.heard = bytearray(count)  # whether anything is done with what arrives
        self.fresh: dict[int, frozenset[int]] = {}
        self.queue: deque[int] = deque()
        self.untold: dict[int, frozenset[int]] = {}  # by slot: values that flowed on, and those that watch wait for
        self.jobs: deque[tuple[Callable[..., None], tuple[Any, ...], list[Any]]] = deque()
        self.kinds: list[int] = []
        self.parts: list[tuple[Any, ...]] = []
        self.numbers: dict[tuple[Any, ...], int] = {}
        self.alone: dict[int, frozenset[int]] = {}
        self.alike: dict[frozenset[int], frozenset[int]] = {}  # equal sets are one
        self.methods: dict[Handler, Handler] = {}  # bound methods, each made once
        # What rows of the program ask for takes a fifth of the memory in columns: by slot where its own begin, and for
        # each the number of its group and its place there.
        self.groups: list[tuple[np.ndarray, Handler, tuple[Sequence[Any], ...], bool]] = []
        self.begin, self.group, self.place = array("i"), array("B"), array("i")
        self.watched = -1  # the last slot that has any
        self.begun = 0  # groups
        self.constants: set[int] = set()
        self.wide: set[int] = set()
        self.receivers: dict[int, int] = {}  # slots of `self`, with the open instance they widen to
        self.opened: set[int] = set()  # those that did

    def value(self, kind: int, *parts: Any) -> int:
        key = (kind, *parts)
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.kinds)
            self.kinds.append(kind)
            self.parts.append(parts)
            if kind == Kind.CONSTANT:
                self.constants.add(number)
        return number

    def define(self, kinds: Sequence[int], slots: Sequence[int]) -> None:
        """The first values of all: each stands for a slot, which holds it."""
        self.kinds += kinds
        self.parts += [(slot,) for slot in slots]
        self.numbers.update(zip(zip(kinds, slots, strict=True), range(len(slots)), strict=True))
        self.alone.update(enumerate(frozenset((number,)) for number in range(len(slots))))
        for number, slot in enumerate(slots):
            self.sets[slot] = self.alone[number]

    def slot(self) -> int:
        self.sets.append(None)
        self.edges.append(None)
        self.handlers.append(None)
        self.heard.append(0)
        return len(self.sets) - 1

    def held(self, slot: int) -> frozenset[int]:
        return self.sets[slot] or _EMPTY

    def put(self, slot: int, value: int) -> None:
        have = self.sets[slot]
        if have is not None and value in have:
            return
        alone = self.alone.get(value)
        if alone is None:
            alone = self.alone[value] = frozenset((value,))
        if have is not None:
            self.pour(slot, alone)
            return
        self.sets[slot] = alone
        if self.heard[slot]:
            self.fresh[slot] = alone
            self.queue.append(slot)

    def receive(self, slot: int, value: int) -> None:
        """`put` a receiver into a slot of `self`, unless it stands for any instance already."""
        if slot not in self.opened or self.kinds[value] not in INSTANCES:
            self.put(slot, value)

    def pour(self, slot: int, values: frozenset[int]) -> None:
        """Add values to a slot."""
        have = self.sets[slot]
        if have is None:
            have, new = _EMPTY, values
        elif have is values:
            return
        else:
            new = values - have
            if not new:
                return
        if (count := len(have) + len(new)) > CONSTANTS:
            if count > WIDE or slot in self.wide:
                self.wide.add(slot)
                return
            if (count > RECEIVERS and slot in self.receivers) or not self.constants.isdisjoint(new):
                new = self._narrowed(slot, have, new)
                if not new:
                    return
        if have:
            whole = have | new
            self.sets[slot] = self.alike.setdefault(whole, whole)
        else:
            self.sets[slot] = new
        if not self.heard[slot]:
            return
        fresh = self.fresh.get(slot)
        if fresh is None:
            self.fresh[slot] = new
            self.queue.append(slot)
        else:
            self.fresh[slot] = fresh | new

    def _narrowed(self, slot: int, have: frozenset[int], new: frozenset[int]) -> frozenset[int]:
        """What of `new` is still added to a slot that grows large."""
        kinds, parts = self.kinds, self.parts
        if len(have) + len(new) > RECEIVERS and (instance := self.receivers.get(slot)) is not None:
            kept = frozenset(v for v in new if kinds[v] not in INSTANCES)
            if len(kept) == len(new):
                return new
            self.opened.add(slot)
            return kept if instance in have else kept | {instance}
        constants, given = self.constants, self.constants & new
        if given and len(constants & have) + len(given) > CONSTANTS:
            types = {self.value(Kind.BUILTIN, parts[v][0]) for v in given}
            return (new - constants) | (types - have)
        return new

    def flow(self, source: int, target: int) -> None:
        """Everything that `source` holds, now or later, goes to `target`."""
        self._lead(source, target)
        if have := self.sets[source]:
            self.pour(target, have)

    def flow_together(self, sources: Sequence[int], target: int) -> None:
        """Everything that any of several slots holds, now or later, goes to `target`."""
        sets = self.sets
        for source in sources:
            self._lead(source, target)
        given = [have for source in sources if (have := sets[source])]
        if len(given) > 1:
            whole = _EMPTY.union(*given)
            if len(whole | (sets[target] or _EMPTY)) <= WIDE and self.constants.isdisjoint(whole):
                self.pour(target, self.alike.setdefault(whole, whole))
                return
        for have in given:  # of what is too much, as much as there is room for
            self.pour(target, have)

    def _lead(self, source: int, target: int) -> None:
        edges = self.edges[source]
        if edges is None:
            self.edges[source] = target
            self.heard[source] = 1
        elif isinstance(edges, int):
            if edges != target:
                self.edges[source] = [edges, target]
        elif edges[-1] != target:  # one more edge that is there already does no harm
            edges.append(target)

    def led_to(self, source: int) -> Sequence[int]:
        """The slots that get all that `source` holds."""
        edges = self.edges[source]
        return () if edges is None else (edges,) if isinstance(edges, int) else edges

    def hand_on(self, source: int, targets: list[int]) -> None:
        """Everything that a new slot will hold goes to several."""
        self.edges[source] = targets
        self.heard[source] = 1

    def watch(self, slot: int, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function` with each value that `slot` holds, now or later, and the arguments."""
        function = self.methods.setdefault(function, function)
        handlers = self.handlers[slot]
        if handlers is None:
            self.handlers[slot] = (function, *arguments)
            self.heard[slot] = 1
        elif isinstance(handlers, tuple):
            self.handlers[slot] = [handlers, (function, *arguments)]
        else:
            handlers.append((function, *arguments))
        # What is still to flow from there reaches the new handler with the rest; nothing is called from in here, or
        # chains of calls in the program would be chains of calls in this one.
        if (have := self.sets[slot]) and (old := have - self.fresh.get(slot, _EMPTY) - self.untold.get(slot, _EMPTY)):
            self.jobs.append((function, arguments, sorted(old)))

    def watch_all(self, slots: np.ndarray, function: Handler, *columns: Sequence[Any], at_once: bool = False) -> None:
        """`watch` each slot that is one, with the arguments in its place of all columns; from `begin_rows` on.

        With `at_once` the function is called with a sequence of values.
        """
        self.groups.append((slots, function, columns, at_once))

    def begin_rows(self) -> None:
        """Let rows be watched; those of before are watched already."""
        sets, fresh = self.sets, self.fresh
        for slots, function, columns, at_once in self.groups[self.begun :]:
            for place, slot in enumerate(slots.tolist()):
                if slot >= 0 and (have := sets[slot]) and (old := have - fresh.get(slot, _EMPTY)):
                    given, values = tuple([column[place] for column in columns]), sorted(old)
                    self.jobs.append((function, given, [values] if at_once else values))
        self.begun = len(self.groups)
        watched = np.concatenate([slots for slots, *_ in self.groups])
        order = np.argsort(watched, kind="stable")[np.count_nonzero(watched < 0) :]
        count = [len(slots) for slots, *_ in self.groups]
        self.watched = int(watched.max(initial=-1))
        heard = np.array(self.heard)
        heard[watched[order]] = 1
        self.heard[:] = heard.tobytes()
        self.begin = array("i", np.searchsorted(watched[order], np.arange(self.watched + 2)).astype(np.int32).tobytes())
        self.group = array("B", np.repeat(np.arange(len(count), dtype=np.uint8), count)[order].tobytes())
        place = np.concatenate([np.arange(n, dtype=np.int32) for n in count])
        self.place = array("i", place[order].tobytes())

    def forget_unused(self) -> None:
        """Let go of the sets that slots had only on the way."""
        # Refer to it: the dictionary twice, this loop, and the question.
        self.alike = {values: values for values in self.alike if sys.getrefcount(values) > _UNUSED}

    def forget_edges(self) -> None:
        """Let go of all that makes values flow, when they have: what they are can still be asked."""
        self.edges, self.handlers, self.alike, self.methods = [], [], {}, {}
        self.groups, self.group, self.place = [], array("B"), array("i")

    def later(self, function: Callable[..., None], value: int, *arguments: Any) -> None:
        """Call `function` with a value and the arguments, after what is being done."""
        self.jobs.append((function, arguments, [value]))

    def solve(self) -> None:
        """Let values flow until nothing changes: along all edges first, then to those that watch, then anew."""
        queue, fresh, edges, handlers, jobs = self.queue, self.fresh, self.edges, self.handlers, self.jobs
        pour, sets, watched, untold = self.pour, self.sets, self.watched, self.untold
        begin, group, place = self.begin, self.group, self.place
        groups = [(function, columns, at_once) for _, function, columns, at_once in self.groups]
        while queue or jobs or untold:
            while jobs:
                function, given, values = jobs.popleft()
                for value in values:
                    function(value, *given)
            while queue:
                slot = queue.popleft()
                new = fresh.pop(slot)
                targets = edges[slot]
                for target in () if targets is None else (targets,) if isinstance(targets, int) else targets:
                    have = sets[target]
                    if have is None or not new <= have:
                        pour(target, new)
                if handlers[slot] or (slot <= watched and begin[slot] != begin[slot + 1]):
                    before = untold.get(slot)
                    untold[slot] = new if before is None else before | new
            for slot in list(untold):
                new, watching = untold.pop(slot), handlers[slot]
                ordered = sorted(new) if len(new) > 1 else new
                if slot <= watched:
                    for at in range(begin[slot], begin[slot + 1]):
                        function, columns, at_once = groups[group[at]]
                        row = place[at]
                        given = [column[row] for column in columns]
                        for value in (ordered,) if at_once else ordered:
                            function(value, *given)
                if watching:
                    for function, *given in (watching,) if isinstance(watching, tuple) else watching[:]:
                        for value in ordered:
                            function(value, *given)


def type_path(name: str) -> str:
    """The import path of the type of a value that is not of the program: that of a builtin has no dot."""
    return name if "." in name else f"builtins.{name}"


_UNUSED = 4
_EMPTY: frozenset[int] = frozenset()

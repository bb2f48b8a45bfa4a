"""What calling a value does: arguments reach parameters, results come back, and the call gets an edge.

A function that returns a parameter of its own as it is hands on the argument of each call, not those of all calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from codeintel.analysis.containers import Containers
from codeintel.analysis.program import CLASS, GENERATOR, MODULE, PARAMETERS
from codeintel.analysis.values import INSTANCES, Kind

_NO_KEYWORDS: Mapping[str, int] = MappingProxyType({})
_RECEIVER = (1 << 32) - 1
MOST_ELEMENTS = 64  # of `*args` that are told apart: a function that calls itself with one more has no end of them
PARTIALS = 3  # of partials of partials that are followed
_PLAIN_DECORATORS_OF_METHODS = {
    "builtins.staticmethod": Kind.STATIC, "builtins.classmethod": Kind.CLASSMETHOD, "builtins.property": Kind.PROPERTY,
    "functools.cached_property": Kind.PROPERTY, "abc.abstractproperty": Kind.PROPERTY,
    "abc.abstractclassmethod": Kind.CLASSMETHOD, "abc.abstractstaticmethod": Kind.STATIC,
    "types.DynamicClassAttribute": Kind.PROPERTY, "enum.property": Kind.PROPERTY,
}  # fmt: skip


@dataclass(eq=False, slots=True)
class Call:
    """One call site. Slots of arguments; `starred` with the position each begins at. `result` -1: nobody asks."""

    site: int
    result: int
    origin: str
    positional: Sequence[int] = ()
    keywords: Mapping[str, int] = field(default_factory=lambda: _NO_KEYWORDS)
    starred: Sequence[tuple[int, int]] = ()
    double_starred: Sequence[int] = ()
    through: tuple[int, ...] = ()  # partial objects, and sites of calls that call back, that it came through
    # The callee with its receiver in one number; or several, and -1 - callee for those that have had one.
    made: int | set[int] | None = None


@dataclass(slots=True)
class Parameters:
    """A function's parameters: slots in order, by name; `passes` are those that it returns as they are."""

    positional: list[int] = field(default_factory=list)
    by_name: dict[str, int] = field(default_factory=dict)
    rest: int = -1
    keywords: int = -1
    passes: frozenset[int] = frozenset()
    rest_at: int = -1  # the slot of `*args`, as `keywords_at` that of `**kwargs`
    keywords_at: int = -1
    # By optional parameter: slots of what is returned only if it is given, and only if it is not.
    optional: dict[int, tuple[int, int]] = field(default_factory=dict)
    result: int = -1
    yielded: int = -1


class Calls(Containers):
    """Calls and their edges: `callees[site][callee] = origin`; a callee is a value."""

    def start_calls(self) -> None:
        self.functions: dict[int, Parameters] = defaultdict(Parameters)
        self.callees: dict[int, dict[int, str]] = {}
        self.only: dict[tuple[int, str], dict[int, str]] = {}
        self.assumed = ""
        self.decorations: set[int] = set()
        self.special_calls: dict[tuple[str | int, ...], Call] = {}  # one for all receivers
        # By value that stands for many members: the functions among them, and who calls it.
        self.among: dict[int, tuple[dict[int, None], list[Call]]] = {}
        self.steps: dict[tuple[int, int], int] = {}  # by site and target of an iteration
        # Definitions of modules and classes, not those that functions make anew at each call.
        self.decorated = {
            value
            for slot in self.program["decorate"].other
            if slot in self.sort and self.sort[self.around[slot]] in (MODULE, CLASS)
            for value in self.held(slot)
        }
        self.binding_of: dict[int, int] = {}  # of parameters
        slots: dict[int, int] = {}
        for op in PARAMETERS:
            rows = self.program[op]
            for slot, function, name, binding in zip(rows.target, rows.source, rows.name, rows.other, strict=True):
                slots[slot] = function
                self.binding_of[slot] = binding
                own = self.functions[function]
                match op:
                    case "var_positional":
                        own.rest, own.rest_at = self.container("tuple", slot), slot
                        self.put(slot, own.rest)
                    case "var_keyword":
                        own.keywords, own.keywords_at = self.container("dict", slot), slot
                        self.put(slot, own.keywords)
                    case _:
                        if op != "keyword_only":
                            own.positional.append(slot)
                        if op != "positional_only":
                            own.by_name[name or ""] = slot
        for function in self.sort:
            own = self.functions[function]
            own.result, own.yielded = self.slot(), self.slot()
        changed = set(self.program["copy"].target)
        for op in ("return", "yield"):
            rows = self.program[op]
            for function, source, other, how in zip(rows.target, rows.source, rows.other, rows.position, strict=True):
                own = self.functions[function]
                passed = source in own.positional or source in own.by_name.values()
                if op == "yield":
                    self.flow(source, own.yielded)
                elif slots.get(source) == function and passed and source not in changed:
                    own.passes |= {source}
                elif how and slots.get(other) == function:
                    if other not in own.optional:
                        own.optional[other] = self.slot(), self.slot()
                    self.flow(source, own.optional[other][how - 1])
                else:
                    self.flow(source, own.result)
        for function, own in self.functions.items():
            if own.positional and (around := self.around.get(function, -1)) >= 0 and self.sort[around] == 1:
                self.receivers[own.positional[0]] = self.value(Kind.OPEN, around)

    # --- calls

    def call(self, value: int, call: Call, receiver: int = -1) -> None:
        """Call a value at a call site, with a receiver before the arguments (-1 for none)."""
        if len(call.through) > PARTIALS:
            return
        kind, parts = self.kinds[value], self.parts[value]
        while kind == Kind.BOUND and self.kinds[parts[0]] != Kind.EXTERNAL:
            value, receiver = parts
            kind, parts = self.kinds[value], self.parts[value]
        pair, made = value << 32 | receiver + 1, call.made
        if made is None:
            call.made = pair
        elif isinstance(made, int):
            if made == pair:
                return
            call.made = {made, pair, -1 - (made >> 32)} if made & _RECEIVER else {made, pair}
        elif pair in made:
            return
        else:
            made.add(pair)
        match kind:
            case Kind.FUNCTION:
                self.note(call, value)
                if receiver < 0 or self._is_first(value, call):
                    self._enter(parts[0], call, receiver)
                if receiver >= 0:
                    self._receive(parts[0], call, receiver)
            case Kind.BOUND:
                self.call_inherited(parts[0], parts[1], call)
            case Kind.CLASS:
                self._construct(value, call)
            case Kind.INSTANCE | Kind.OPEN:
                self.watch(self.attribute(value, "__call__"), self.call, call)
            case Kind.EXTERNAL:
                self.note(call, value)
                self.call_external(parts[0], call)
            case Kind.METHOD:
                self.note(call, value)
                self.call_method_of_builtin(parts, call)
            case Kind.PARTIAL:
                self._call_partial(parts[0], call, receiver)
            case Kind.IDENTITY:
                if call.positional and call.result >= 0:
                    self.flow(call.positional[0], call.result)
            case Kind.STATIC:
                self.call(parts[0], call)
            case Kind.MEMBERS:
                self.call_members(value, call)
            case Kind.RESULT | Kind.OUTSIDE:
                self.hand_out(call)
                if call.result >= 0:
                    self.put(call.result, self.value(Kind.OUTSIDE))
            case _:
                self.call_other(value, call)

    def note(self, call: Call, callee: int, origin: str = "") -> None:
        callees = self.callees.get(call.site)
        if callees is not None and callee in callees:
            return
        origin = self.assumed + (origin or call.origin)
        if callees is None:  # most sites have one callee, which others have, too
            self.callees[call.site] = self.only.setdefault((callee, origin), {callee: origin})
            return
        if len(callees) == 1:
            callees = self.callees[call.site] = {**callees}
        callees[callee] = origin

    def hand_out(self, call: Call) -> None:
        """What is handed to something outside may be called, or stepped through, by it."""
        if not self.assumed:
            for slot in (*call.positional, *call.keywords.values()):
                if slot >= 0:
                    self.watch(slot, self._handed_out, call)

    def call_members(self, value: int, call: Call) -> None:
        """Any of many may be called: nobody knows what with."""
        if value not in self.among:
            self.among[value] = {}, []
            source, prefix = self.parts[value]
            for name in self.names_like(source, prefix):
                self.watch(self.attribute(source, name), self._called_by_name, value)
        functions, calls = self.among[value]
        calls.append(call)
        for function in functions:
            self.note(call, function, "computed")

    def _called_by_name(self, function: int, members: int) -> None:
        if self.kinds[function] == Kind.BOUND:
            function = self.parts[function][0]
        functions, calls = self.among[members]
        if self.kinds[function] == Kind.FUNCTION and function not in functions:
            functions[function] = None
            for call in calls:
                self.note(call, function, "computed")

    def _handed_out(self, value: int, call: Call) -> None:
        kind, parts = self.kinds[value], self.parts[value]
        if self.assumed:
            return  # what is only assumed to get there was not seen to be called
        if kind == Kind.FUNCTION:
            self.note(call, value, "handed out")
        elif kind == Kind.BOUND:
            self.call(parts[0], Call(call.site, -1, "handed out"), parts[1])
        elif kind == Kind.GENERATOR:
            self.note(call, self.numbers[Kind.FUNCTION, parts[0]], "handed out")

    def call_external(self, path: str, call: Call) -> None:
        raise NotImplementedError

    def call_method_of_builtin(self, parts: tuple[str, str, int], call: Call) -> None:
        raise NotImplementedError

    def _construct(self, value: int, call: Call) -> None:
        raise NotImplementedError

    def call_inherited(self, function: int, receiver: int, call: Call) -> None:
        raise NotImplementedError

    def call_other(self, value: int, call: Call) -> None:
        raise NotImplementedError

    def _enter(self, function: int, call: Call, receiver: int) -> None:
        own = self.functions[function]
        offset = 0 if receiver < 0 else 1
        positional = own.positional
        if call.result >= 0:
            if self.sort[function] == GENERATOR:
                self.put(call.result, self.value(Kind.GENERATOR, function))
            else:
                self.flow(own.result, call.result)
                for parameter, results in own.optional.items():
                    for result in self._returned(own, parameter, results, call, offset):
                        self.flow(result, call.result)
        last, passes = len(positional), own.passes if call.result >= 0 else frozenset[int]()
        for index, slot in enumerate(call.positional, offset):
            if slot < 0:
                continue
            if index < last:
                self.flow(slot, positional[index])
                if positional[index] in passes:
                    self.flow(slot, call.result)
            elif own.rest >= 0:
                self.flow(slot, self.element(own.rest, str(index - last) if index - last < MOST_ELEMENTS else None))
        for name, slot in call.keywords.items():
            if (target := own.by_name.get(name)) is not None:
                self.flow(slot, target)
                if target in passes:
                    self.flow(slot, call.result)
            elif own.keywords >= 0:
                self.flow(slot, self.element(own.keywords, f"'{name}"))
        for slot, begin in call.starred:
            self.watch(slot, self._spread, function, begin + offset)
        for slot in call.double_starred:
            self.watch(slot, self._spread_names, function)

    def _returned(
        self, own: Parameters, parameter: int, results: tuple[int, int], call: Call, offset: int
    ) -> Sequence[int]:
        """Of the slots of what is returned if a parameter is given, and if not, those that a call may see."""
        if call.starred or call.double_starred:
            return results
        count = len(call.positional) + offset
        if parameter == own.rest_at:
            is_given = count > len(own.positional)
        elif parameter == own.keywords_at:
            is_given = not call.keywords.keys() <= own.by_name.keys()
        else:
            place = own.positional.index(parameter) if parameter in own.positional else count
            is_given = place < count or any(own.by_name.get(name) == parameter for name in call.keywords)
        if not is_given:
            return results[1:]
        # What is decorated is never as little as a default; of other arguments nobody knows.
        return results[:1] if call.origin == "decorator" else results

    def results(self, function: int) -> Sequence[int]:
        """Slots of what a function returns."""
        own = self.functions[function]
        return (own.result, *(slot for results in own.optional.values() for slot in results))

    def _is_first(self, value: int, call: Call) -> bool:
        """Whether a call has not yet called a function with any receiver: its arguments are the same each time."""
        made, mark = call.made, -1 - value
        if not isinstance(made, set):
            return True
        is_first = mark not in made
        made.add(mark)
        return is_first

    def _receive(self, function: int, call: Call, receiver: int) -> None:
        own = self.functions[function]
        if own.positional:
            self.receive(own.positional[0], receiver)
            if call.result >= 0 and own.positional[0] in own.passes:
                self.put(call.result, receiver)
        elif own.rest >= 0:
            self.put(self.element(own.rest, "0"), receiver)

    def _spread(self, value: int, function: int, begin: int) -> None:
        """`*value` from parameter `begin` on."""
        own = self.functions[function]
        if self.kinds[value] != Kind.CONTAINER:
            return
        self.each_element(value, self._spread_element, own, begin)
        for target in own.positional[begin:]:
            self._hand(self.unknown_of(value), own, target)
        if own.rest >= 0:
            self.flow(self.unknown_of(value), self.unknown_of(own.rest))

    def _spread_names(self, value: int, function: int) -> None:
        own = self.functions[function]
        if self.kinds[value] != Kind.CONTAINER:
            return
        self.each_element(value, self._spread_name, own)
        for target in own.by_name.values():
            self._hand(self.unknown_of(value), own, target)
        if own.keywords >= 0:
            self.flow(self.unknown_of(value), self.unknown_of(own.keywords))

    def _spread_element(self, key: str, slot: int, own: Parameters, begin: int) -> None:
        if not key.isdecimal() or begin + int(key) > MOST_ELEMENTS:
            return
        index = begin + int(key)
        if index < len(own.positional):
            self._hand(slot, own, own.positional[index])
        elif own.rest >= 0:
            self.flow(slot, self.element(own.rest, str(index - len(own.positional))))

    def _spread_name(self, key: str, slot: int, own: Parameters) -> None:
        if (target := own.by_name.get(key.removeprefix("'"))) is not None:
            self._hand(slot, own, target)
        elif own.keywords >= 0:
            self.flow(slot, self.element(own.keywords, key))

    def _hand(self, slot: int, own: Parameters, target: int) -> None:
        self.flow(slot, target)
        if target in own.passes:
            self.flow(slot, own.result)

    def _call_partial(self, site: int, call: Call, receiver: int = -1) -> None:
        made = self.partials[site]
        if site in call.through or len(call.through) >= PARTIALS:
            return
        whole = Call(call.site, call.result, "partial", [*made.positional[1:], *call.positional],
                     {**made.keywords, **call.keywords}, call.starred, call.double_starred,
                     through=(*call.through, site))  # fmt: skip
        if made.positional and made.positional[0] >= 0:
            self.watch(made.positional[0], self.call, whole, receiver)

    partials: dict[int, Call]

    # --- calls that are not written as such

    def call_method(self, value: int, name: str, site: int, result: int, arguments: Sequence[int]) -> None:
        """Call a special method of an instance, if its class has it."""
        if self.kinds[value] in (Kind.INSTANCE, Kind.OPEN, Kind.CLASS):
            key = (name, site, result, *arguments)
            if (call := self.special_calls.get(key)) is None:
                call = self.special_calls[key] = Call(site, result, "special", arguments)
            self.watch(self.attribute(value, name), self.call, call)

    def read_property(self, getter: int, descriptor: int, receiver: int, slot: int) -> None:
        """Reading calls the getter, or the `__get__` of a descriptor that will call it."""
        call = Call(-1, slot, "property")
        reads = [self.members.get((each, "__get__"), -1) for each in self.order(descriptor)] if descriptor >= 0 else []
        self.getters[slot] |= {-1 - member for member in reads if member >= 0} or {getter}
        self.call(getter, call, receiver)

    def iterate(self, value: int, target: int, site: int) -> None:
        kind, parts = self.kinds[value], self.parts[value]
        match kind:
            case Kind.CONTAINER:
                if parts[0] != "dict":
                    self.flow(self.all_in(value), target)
                else:
                    self.each_element(value, self._key_of, target)
                    self.flow(self.keys_of(value), target)
            case Kind.GENERATOR:
                if site >= 0:  # the body of a generator runs where somebody steps through it
                    self.note(Call(site, -1, "iteration"), self.numbers[Kind.FUNCTION, parts[0]])
                self.flow(self.functions[parts[0]].yielded, target)
            case Kind.INSTANCE | Kind.OPEN:
                steps = self.steps.get((site, target))
                if steps is None:
                    steps = self.steps[site, target] = self.slot()
                    self.watch(steps, self._step, target, site)
                self.call_method(value, "__iter__", site, steps, [])
                self.call_method(value, "__aiter__", site, steps, [])
                is_indexed = not self.has_member(parts[0], "__iter__")
                if is_indexed and self.has_member(parts[0], "__getitem__", is_open=kind == Kind.OPEN):
                    self.call_method(value, "__getitem__", site, target, [])
            case Kind.CLASS:
                self.put(target, self.value(Kind.INSTANCE, parts[0]))  # members of an enumeration
            case Kind.CONSTANT | Kind.BUILTIN if parts[0] == "str":
                self.put(target, self.value(Kind.BUILTIN, "str"))
            case _:
                pass

    def _key_of(self, key: str, _slot: int, target: int) -> None:
        self.put(target, self.constant(key))

    def _step(self, value: int, target: int, site: int) -> None:
        if self.kinds[value] in INSTANCES:
            self.call_method(value, "__next__", site, target, [])
            self.call_method(value, "__anext__", site, target, [])
        else:
            self.iterate(value, target, site)

    def enter(self, value: int, target: int, site: int) -> None:
        """What `with` binds."""
        kind = self.kinds[value]
        if kind in INSTANCES:
            for name in ("__enter__", "__aenter__"):
                self.call_method(value, name, site, target, [])
            for name in ("__exit__", "__aexit__"):
                self.call_method(value, name, site, -1, [])
        elif kind == Kind.GENERATOR:
            self.iterate(value, target, -1)
        elif kind in (Kind.RESULT, Kind.CONTAINER, Kind.OUTSIDE):
            self.put(target, value)

    def caught(self, value: int, target: int) -> None:
        """What `except … as` binds."""
        kind, parts = self.kinds[value], self.parts[value]
        if kind == Kind.CLASS:
            self.put(target, self.value(Kind.INSTANCE, parts[0]))
        elif kind == Kind.EXTERNAL:
            self.put(target, self.result_of(parts[0]))
        elif kind == Kind.CONTAINER:
            self.watch(self.all_in(value), self.caught, target)

    def raised(self, value: int, site: int) -> None:
        """Raising a class makes an instance of it."""
        if self.kinds[value] == Kind.CLASS:
            self.call(value, Call(site, -1, "special"))

    def decorate(self, value: int, target: int, source: int) -> None:
        """`@value` on what `source` holds."""
        kind, parts = self.kinds[value], self.parts[value]
        if kind == Kind.EXTERNAL and parts[0] in _PLAIN_DECORATORS_OF_METHODS:
            self.watch(source, self._wrap, target, _PLAIN_DECORATORS_OF_METHODS[parts[0]])
        elif kind in (Kind.EXTERNAL, Kind.RESULT, Kind.OUTSIDE):
            self.flow(source, target)
            if kind == Kind.EXTERNAL:
                self.note(Call(target, -1, "decorator"), value)
        elif kind == Kind.METHOD and parts[:2] in (("property", "setter"), ("property", "getter"),
                                                  ("property", "deleter")):  # fmt: skip
            self.put(target, parts[2])
            self.flow(source, self.stored_on(-2 - parts[2], parts[1]))
        elif kind == Kind.CLASS and self._is_property_like(parts[0], source):
            self._construct(value, Call(target, -1, "decorator", [source]))
            self.watch(source, self._wrap, target, Kind.PROPERTY, parts[0])
        else:
            given = self.stored_on(target, "@")
            if given not in self.decorations:
                self.decorations.add(given)
                self.watch(given, self._decorated, target, source)
                self.watch(source, self._given_back, target, given)
            self.call(value, Call(target, given, "decorator", [source]))

    def _is_property_like(self, cls: int, source: int) -> bool:
        """Whether what a class makes of a method is only there to be read: each use is told apart, then."""
        if not self.has_member(cls, "__get__") or self.has_member(cls, "__call__"):
            return False
        around = {self.around.get(self.parts[v][0], -1) for v in self.held(source) if self.kinds[v] == Kind.FUNCTION}
        return any(each >= 0 and self.sort[each] == CLASS for each in around)

    def _decorated(self, value: int, target: int, source: int) -> None:
        """What a decorator returns, but for what others gave it to decorate: its results are not told apart by call."""
        if value not in self.decorated or value in self.held(source):
            self.put(target, value)

    def _given_back(self, value: int, target: int, given: int) -> None:
        if value in self.held(given):
            self.put(target, value)

    def _wrap(self, value: int, target: int, kind: int, *descriptor: int) -> None:
        self.put(target, self.value(kind, value, *descriptor))

"""Special methods: what operators, tests, builtins and reads of missing attributes call.

The rules are those of the language reference, "Data model": the left operand answers first, the right one by its
reflected method where the left one has none; a class is asked through its metaclass.
"""

from __future__ import annotations

from collections.abc import Sequence

from codeintel.analysis.calls import Call, Calls
from codeintel.analysis.values import INSTANCES, Kind

_ASKABLE = (Kind.INSTANCE, Kind.OPEN, Kind.CLASS)
_OPERATORS = ("add", "sub", "mul", "matmul", "truediv", "mod", "pow", "lshift", "rshift", "or", "xor", "and",
              "floordiv")  # fmt: skip
_REFLECTED = {f"__{name}__": f"__r{name}__" for name in _OPERATORS} | {
    "__eq__": "__eq__", "__ne__": "__ne__", "__lt__": "__gt__", "__gt__": "__lt__", "__le__": "__ge__",
    "__ge__": "__le__",
}  # fmt: skip
_IN_PLACE = {f"__i{name}__": f"__{name}__" for name in _OPERATORS}
# Where a method is missing, these are asked in its place.
_ELSE = {"__bool__": ("__len__",), "__ne__": ("__eq__",), "__contains__": ("__iter__", "__getitem__"),
         "__format__": ("__str__", "__repr__"), "__str__": ("__repr__",), "__int__": ("__index__", "__trunc__"),
         "__reversed__": ("__len__",), "__float__": ("__index__",), "__complex__": ("__float__",)}  # fmt: skip
_NUMBERS = ("int", "float", "complex", "bool")
LONG = 16  # the sum of lengths of lists from which on their elements are not told apart
_LONGEST = 64  # of texts that are put together and still told apart


class SpecialMethods(Calls):
    """Special methods by class, and what operators give."""

    def start_special_methods(self) -> None:
        self.has_method: dict[tuple[int, str], bool] = {}
        self.reflecting: set[tuple[int, str, int]] = set()
        self.asked: set[tuple[int, str, int]] = set()
        self.mute: set[tuple[int, str | None]] = set()  # values without the method of that name
        self.unanswered: list[tuple[int, str, int]] = []
        self.start_asks()

    def start_asks(self) -> None:
        """Which methods are asked for their answers alone: those that some class has."""
        rows = self.program["asks"]
        answered = {name for name in {*rows.name} if name is not None and self.is_answered(name)}
        self.asks = [
            (site, source, other, name)
            for site, source, other, name in zip(rows.target, rows.source, rows.other, rows.name, strict=True)
            if name in answered and name is not None
        ]
        self.seen: list[tuple[frozenset[int] | None, frozenset[int] | None]] = [(None, None)] * len(self.asks)

    def is_answered(self, name: str) -> bool:
        """Whether any class has the method of that name, or one that answers in its place."""
        names = self.special_names
        return name in names or _REFLECTED.get(name) in names or not names.isdisjoint(_ELSE.get(name, ()))

    def ask_for(self, name: str, site: int, slot: int, other: int = -1) -> None:
        """What `slot` holds, now or later, is asked for the answer of a method."""
        if slot >= 0 and self.is_answered(name):
            self.asks.append((site, slot, other, name))
            self.seen.append((None, None))

    def has(self, value: int, name: str) -> bool:
        """Whether the class of an instance, or one below it where it is open, has a method of its own."""
        if name not in self.special_names or self.kinds[value] not in INSTANCES:
            return False
        found = self.has_method.get((value, name))
        if found is None:
            cls = self.parts[value][0]
            found = self.has_member(cls, name, is_open=self.kinds[value] == Kind.OPEN)
            self.has_method[value, name] = found
        return found

    def of_metaclass(self, value: int, name: str) -> int:
        """The slot of a method of the metaclass of a class, bound to the class; -1 if it has none."""
        if name not in self.special_names:
            return -1
        for meta in self.metaclasses(self.parts[value][0]):
            if self.has_member(meta, name):
                own = self.attributes[f"{name} of its class"]
                slot = own.get(value)
                if slot is None:
                    slot = own[value] = self.slot()
                    self._look_up(self.order(meta), name, slot, value, meta)
                return slot
        return -1

    def metaclasses(self, cls: int) -> Sequence[int]:
        return [meta for each in self.order(cls) for meta in self.metas.get(each, ())][:1]

    def call_method(self, value: int, name: str, site: int, result: int, arguments: Sequence[int]) -> None:
        if self.kinds[value] == Kind.CLASS:
            if (method := self.of_metaclass(value, name)) >= 0:
                self.watch(method, self.call, Call(site, result, "special", list(arguments)))
        else:
            super().call_method(value, name, site, result, arguments)
            if name == "__getitem__" and self.has(value, "__missing__"):
                super().call_method(value, "__missing__", site, result, arguments)

    def call_first(self, value: int, name: str, site: int, result: int, arguments: Sequence[int] = ()) -> bool:
        """Call the method of that name, or what is asked in its place; whether there is one."""
        for each in (name, *_ELSE.get(name, ())):
            if self.has(value, each):
                self.call_method(value, each, site, result, arguments)
                if name == "__reversed__":
                    self.call_method(value, "__getitem__", site, result, [])
                return True
            if self.kinds[value] == Kind.CLASS and (method := self.of_metaclass(value, each)) >= 0:
                self.watch(method, self.call, Call(site, result, "special", list(arguments)))
                return True
        return False

    def ask(self) -> bool:
        """Call the methods that are only called for their answers, of all that is known by now; whether any is new."""
        inherits, before = self.inherit(), len(self.asked)
        kinds, sets, seen = self.kinds, self.sets, self.seen
        for row, (site, source, other, name) in enumerate(self.asks):
            now = sets[source], sets[other] if other >= 0 else None
            if now[0] is seen[row][0] and now[1] is seen[row][1]:
                continue
            seen[row] = now
            may_reflect = name in _REFLECTED and now[1] is not None
            for value in now[0] or ():
                if kinds[value] in _ASKABLE and (value, name) not in self.mute:
                    self._ask(value, site, other, name)
                if may_reflect and ((value, name) in self.mute or kinds[value] not in _ASKABLE):
                    self._ask_other(site, source, other, name)
                    may_reflect = False
        return inherits or len(self.asked) > before

    def _ask(self, value: int, site: int, other: int, name: str) -> None:
        if (site, name, value) not in self.asked:
            if self.call_first(value, name, site, -1, [other] if other >= 0 else []):
                self.asked.add((site, name, value))
            else:
                self.mute.add((value, name))

    def _ask_other(self, site: int, source: int, other: int, name: str) -> None:
        answer = _REFLECTED.get(name)
        if other < 0 or answer is None:
            return
        for value in self.held(other):
            key = (site, answer, value)
            if key not in self.asked and self.has(value, answer):
                self.call_first(value, answer, site, -1, [source])
                self.asked.add(key)

    # --- operators

    def operate(self, value: int, name: str, target: int, source: int, other: int) -> None:
        """`target` gets what the operator `name` gives for the value of its left operand `source`."""
        kind = self.kinds[value]
        given = [other] if other >= 0 else []
        plain = _IN_PLACE.get(name, name)
        if name == "__await__":
            if self.has(value, name):
                steps = self.slot()
                self.call_method(value, name, target, steps, [])
                self.watch(steps, self.returned_by, target)
        elif kind in INSTANCES:
            if name != plain and self.has(value, name):
                self.call_method(value, name, target, target, given)
            elif self.has(value, plain):
                self.call_method(value, plain, target, target, given)
            elif self.outside(self.order(self.parts[value][0])):
                self.call_method(value, name, target, target if name == plain else -1, given)
                if name != plain:
                    self.put(target, value)
            else:
                self._reflect(plain, target, source, other)
        elif kind == Kind.CLASS and (method := self.of_metaclass(value, plain)) >= 0:
            self.watch(method, self.call, Call(target, target, "special", given))
        elif kind in (Kind.CLASS, Kind.EXTERNAL, Kind.ALIAS) and plain == "__or__":
            self.put(target, value)  # a union of types
            if other >= 0:
                self.flow(other, target)
        elif kind == Kind.CONTAINER:
            self._joined(value, name, target, other)
            self._reflect(plain, target, source, other)
        elif kind in (Kind.CONSTANT, Kind.BUILTIN):
            if self.parts[value][0] in _NUMBERS:
                if other < 0:
                    self.put(target, self.value(Kind.BUILTIN, self.parts[value][0]))
                elif (target, name, -1) not in self.reflecting:
                    self.reflecting.add((target, name, -1))
                    self.watch(other, self._number, target)
            elif plain == "__add__" and kind == Kind.CONSTANT and other >= 0:
                self.watch(other, self._text_with, value, target)
            else:
                if name == "__mod__" and other >= 0 and self.parts[value][0] == "str" and self.is_answered("__str__"):
                    self._format(target, other)
                self.put(target, self.value(Kind.BUILTIN, self.parts[value][0]))
            self._reflect(plain, target, source, other)

    def _format(self, target: int, other: int) -> None:
        """A text, `%`, and what is put into it."""
        if (target, "%", other) not in self.reflecting:
            self.reflecting.add((target, "%", other))
            self.ask_for("__str__", target, other)
            self.watch(other, self._format_elements, target)

    def _format_elements(self, value: int, target: int) -> None:
        if self.kinds[value] == Kind.CONTAINER and self.parts[value][0] in ("tuple", "dict"):
            for slot in self.held_in(value):
                self.ask_for("__str__", target, slot)

    def delegated(self, value: int, target: int, function: int) -> None:
        """`yield from` in a function gets what a generator returns, and hands on what is sent."""
        if self.kinds[value] == Kind.GENERATOR:
            self.returned_by(value, target)
            self.flow(self.stored_on(function, "send()"), self.stored_on(self.parts[value][0], "send()"))

    def returned_by(self, value: int, target: int) -> None:
        """`target` gets what a generator returns in the end."""
        if self.kinds[value] == Kind.GENERATOR:
            self.flow_together(self.results(self.parts[value][0]), target)

    def reflected(self, value: int, name: str, target: int) -> None:
        """The right operand of an operator whose left one has no value."""
        if name == "__or__" and self.kinds[value] in (Kind.CLASS, Kind.EXTERNAL, Kind.ALIAS):
            self.put(target, value)
        else:
            self._answer(value, _REFLECTED[name], target, -1)

    def _reflect(self, name: str, target: int, source: int, other: int) -> None:
        answer = _REFLECTED.get(name)
        if other >= 0 and answer in self.special_names and (target, answer, source) not in self.reflecting:
            self.reflecting.add((target, answer, source))
            self.watch(other, self._answer, answer, target, source)

    def _answer(self, value: int, name: str, target: int, source: int) -> None:
        if self.has(value, name):
            self.call_method(value, name, target, target, [source])

    def _number(self, value: int, target: int) -> None:
        if self.kinds[value] in (Kind.CONSTANT, Kind.BUILTIN):
            self.put(target, self.value(Kind.BUILTIN, self.parts[value][0]))

    def _joined(self, value: int, name: str, target: int, other: int) -> None:
        """What `+`, `|` and the like make of containers: in place the left one, else a new one."""
        if name in _IN_PLACE:
            self.put(target, value)
            if other >= 0 and name in ("__iadd__", "__ior__"):
                self.watch(other, self.merge, value, target)
        elif name in ("__add__", "__or__", "__xor__") and other >= 0:
            made = self.container(self.parts[value][0], target)
            if made == value:
                return
            self.put(target, made)
            if name == "__add__" and self.lengths.get(value, LONG) < LONG:
                self.each_element(value, self.merge_element, made)
                self.flow(self.unknown_of(value), self.unknown_of(made))
                self.watch(other, self._behind, value, made, target)
            else:
                self.merge(value, made, target)
                if (target, "+", -1) not in self.reflecting:
                    self.reflecting.add((target, "+", -1))
                    self.watch(other, self._behind, -1, made, target)
        else:
            self.put(target, value)

    def _behind(self, value: int, before: int, made: int, site: int) -> None:
        """The elements of `value` come behind those of `before` in the container `made`; anywhere, if that is -1."""
        count, more = self.lengths.get(before, LONG), self.lengths.get(value, LONG)
        if value == made or count + more >= LONG:
            if (made, "+", value) not in self.reflecting:
                self.reflecting.add((made, "+", value))
                self.merge(value, made, site)
            return
        self.each_element(value, self._element_behind, made, count)
        self.flow(self.unknown_of(value), self.unknown_of(made))
        self.lengths.setdefault(made, count + more)

    def _element_behind(self, key: str, slot: int, made: int, count: int) -> None:
        at = int(key) + count if key.isdecimal() else LONG
        self.flow(slot, self.element(made, str(at) if at < LONG else None))

    def _text_with(self, value: int, before: int, target: int) -> None:
        """The text `before`, and behind it another one."""
        first, second = self.key(before), self.key(value)
        if first is not None and second is not None and first[0] == second[0] == "'":
            self._text(f"{first}{second[1:]}", target)
        elif self.parts[before][0] == "str":
            self.put(target, self.value(Kind.BUILTIN, "str"))

    def formatted(self, value: int, template: str, target: int) -> None:
        """A text with one place, filled in with a text."""
        key = self.key(value)
        if key is not None and key.startswith("'"):
            self._text("'" + template.replace("{}", key[1:]), target)

    def _text(self, key: str, target: int) -> None:
        self.put(target, self.constant(key) if len(key) <= _LONGEST else self.value(Kind.BUILTIN, "str"))

    # --- attributes that are not simply there

    def _instance_attribute(self, value: int, cls: int, name: str, slot: int) -> None:
        super()._instance_attribute(value, cls, name, slot)
        if self.has(value, "__getattribute__"):
            self.answer_missing(cls, "__getattribute__", name, slot, value)
        elif (
            self.has(value, "__getattr__") and not name.startswith("__")
            and not self.has_member(cls, name, is_open=self.kinds[value] == Kind.OPEN)
        ):  # fmt: skip
            if name in self.stored:
                self.unanswered.append((value, name, slot))
            else:
                self.answer_missing(cls, "__getattr__", name, slot, value)

    def assume_answers(self) -> None:
        """`__getattr__` of instances on which nobody stores an attribute that others have."""
        for value, name, slot in self.unanswered:
            if not self.held(slot):
                self.answer_missing(self.parts[value][0], "__getattr__", name, slot, value)

    def answer_missing(self, home: int, method: str, name: str, slot: int, receiver: int) -> None:
        """The attribute `name` is what the method of a class, or the function of a module, says."""
        for each in self.order(home):
            if (member := self.members.get((each, method))) is not None:
                self.getters[slot].add(-1 - member)
                text = self.stored_on(-1, name)
                self.put(text, self.constant(f"'{name}"))
                self.watch(member, self.call, Call(-1, slot, "property", [text]), receiver)
                return

    def read_descriptor(self, value: int, slot: int, receiver: int, cls: int) -> None:
        if not self.has(value, "__get__"):
            self.put(slot, value)
            return
        if (member := self.class_member(self.parts[value][0], "__get__")) >= 0:
            self.getters[slot].add(-1 - member)
        given = [self.holding(receiver) if receiver >= 0 else -1, self.holding(self.value(Kind.CLASS, cls))]
        self.watch(self.attribute(value, "__get__"), self.call, Call(-1, slot, "property", given))

    def store_through(self, value: int, source: int, name: str) -> None:
        """A descriptor in the class of an instance hears of what is stored there."""
        if (member := self.class_member(self.parts[value][0], name)) >= 0:
            self.watch(member, self._set_through, value, source)

    def tell_stored(self, value: int, source: int, name: str) -> None:
        """So does the class itself."""
        if self.has(value, "__setattr__"):
            self.call_method(value, "__setattr__", source, -1, [self.holding(self.constant(f"'{name}")), source])

    def _set_through(self, value: int, receiver: int, source: int) -> None:
        if self.kinds[value] == Kind.PROPERTY:
            setter = self.stored_on(-2 - value, "setter")
            self.watch(setter, self.call, Call(source, -1, "property", [source]), receiver)
        elif self.has(value, "__set__"):
            self.call_method(value, "__set__", source, -1, [self.holding(receiver), source])

    def delete(self, value: int, site: int, name: str) -> None:
        """What `del value.name` calls."""
        if self.kinds[value] not in INSTANCES:
            return
        if (member := self.class_member(self.parts[value][0], name)) >= 0:
            self.watch(member, self._delete_through, value, site)
        if self.has(value, "__delattr__"):
            self.call_method(value, "__delattr__", site, -1, [self.holding(self.constant(f"'{name}"))])

    def _delete_through(self, value: int, receiver: int, site: int) -> None:
        if self.kinds[value] == Kind.PROPERTY:
            deleter = self.stored_on(-2 - value, "deleter")
            self.watch(deleter, self.call, Call(site, -1, "property"), receiver)
        elif self.has(value, "__delete__"):
            self.call_method(value, "__delete__", site, -1, [self.holding(receiver)])

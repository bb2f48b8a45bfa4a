"""Making classes and instances: metaclasses, `__new__` and `__init__`, `__init_subclass__`, `__set_name__`."""

from __future__ import annotations

from codeintel.analysis.calls import Call
from codeintel.analysis.keyed_lookups import KeyedLookups
from codeintel.analysis.values import INSTANCES, Kind


class Construction(KeyedLookups):
    """What calling a class does, and what its definition calls."""

    def start_construction(self) -> None:
        self.unmade: list[tuple[int, int]] = []  # slots that an instance is in unless something else arrives

    def _construct(self, value: int, call: Call) -> None:
        if call.origin == "constructor":
            return  # a class in the place of an `__init__`, which makes nothing
        self.note(call, value, "constructor")
        method = self.of_metaclass(value, "__call__")
        if method < 0:
            self.construct_plainly(value, call)
            return
        made = call.result if call.result >= 0 else self.slot()
        self.watch(method, self.call, self._same(call, made))
        self.unmade.append((made, self.value(Kind.INSTANCE, self.parts[value][0])))

    def _same(self, call: Call, result: int) -> Call:
        """The same call with its result elsewhere."""
        return Call(call.site, result, "constructor", call.positional, call.keywords, call.starred,
                    call.double_starred)  # fmt: skip

    def construct_plainly(self, value: int, call: Call) -> None:
        """What `type.__call__` does: `__new__`, and `__init__` of what that gave if it is an instance."""
        cls = self.parts[value][0]
        instance = self.value(Kind.INSTANCE, cls)
        if not self.has_member(cls, "__new__"):
            if call.result >= 0:
                self.put(call.result, instance)
            self.initialise(instance, call)
            return
        made = self.slot()
        self.watch(self.attribute(value, "__new__"), self.call, self._same(call, made), value)
        self.watch(made, self._made, cls, call)
        self.unmade.append((made, instance))

    def _made(self, value: int, cls: int, call: Call) -> None:
        if call.result >= 0:
            self.put(call.result, value)
        if self.kinds[value] in INSTANCES and cls in self.order(self.parts[value][0]):
            self.initialise(value, call)

    def initialise(self, instance: int, call: Call) -> None:
        """Call `__init__`, or what stands for it outside."""
        cls = self.parts[instance][0]
        if self.has_member(cls, "__init__"):
            self.watch(self.attribute(instance, "__init__"), self.call, self._same(call, -1))
            return
        for base in self.outside(self.order(cls))[:1]:
            if not base.startswith("builtins."):
                self.note(call, self.external(f"{base}.__init__"), "constructor")

    def call_inherited(self, function: int, receiver: int, call: Call) -> None:
        """Call a method from outside that was found on a receiver."""
        self.note(call, function)
        path = self.parts[function][0]
        if path == "builtins.type.__call__" and self.kinds[receiver] == Kind.CLASS:
            self.construct_plainly(receiver, call)
        else:
            self.call_external(path, call)

    def instance_exactly(self, value: int, target: int) -> None:
        """`target` gets an instance of the class `value`, as `object.__new__` makes it."""
        if self.kinds[value] == Kind.CLASS:
            self.put(target, self.value(Kind.INSTANCE, self.parts[value][0]))

    def assume_made(self) -> None:
        for slot, instance in self.unmade:
            if not self.held(slot):
                self.put(slot, instance)

    # --- definitions of classes

    def create(self, cls: int, call: Call) -> None:
        """The statement that defines a class: its metaclass makes it, its bases and its members hear of it."""
        value, order = self.value(Kind.CLASS, cls), self.order(cls)
        names = self.special_names
        if "__init_subclass__" in names:
            slot = self.slot()
            if self._look_up(order[1:], "__init_subclass__", slot, -1, cls):
                self.watch(slot, self.call, call)
        for meta in self.metaclasses(cls):
            above, namespace = self.order(meta), self.holding(self.value(Kind.SPACE, value))
            made_by = self.value(Kind.CLASS, meta)
            for name, receiver in (("__prepare__", made_by), ("__new__", made_by), ("__init__", value)):
                slot = self.slot()
                given = Call(call.site, -1, "special", [-1, -1, namespace], call.keywords)
                if self.has_member(meta, name):
                    self._look_up(above, name, slot, receiver, meta)
                    if name == "__new__":
                        self.watch(slot, self.call, given, receiver)
                    else:
                        self.watch(slot, self.call, given)
        if "__set_name__" in names:
            for name in self.own_names[cls]:
                self.watch(self.members[cls, name], self._tell_name, cls, call)

    def _tell_name(self, value: int, cls: int, call: Call) -> None:
        if self.has(value, "__set_name__"):
            self.call_method(value, "__set_name__", call.site, -1, [cls, -1])

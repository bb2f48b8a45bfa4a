"""What an attribute of a value is: modules, classes and their instances, `super()`, and names from outside.

Each attribute of a value is a slot, made when it is first asked for; reading the attribute is an edge from it.
"""

from __future__ import annotations

import builtins
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import islice
from types import GeneratorType

from codeintel.analysis.mro import linearised
from codeintel.analysis.program import CLASS, FUNCTION, GENERATOR, LAMBDA, MODULE, Modules, Program
from codeintel.analysis.values import INSTANCES, WIDE, Kind, Values

Exports = Mapping[str, tuple[frozenset[str], bool]]
BASES = Mapping[int, Sequence[int | str]]
MOST_CLASSES = 12  # that `__class__` of a value of an open type is
MOST_NAMES = 200  # of attributes that a computed name may mean
DEPTH = 6  # attributes of attributes of something external that are told apart
_FUNCTION_KINDS = (Kind.FUNCTION, Kind.PARTIAL)
# Bases that say what a class is, and hand it no methods that anybody calls by name.
_MARKERS = frozenset({
    "builtins.object", "abc.ABC", "enum.Enum", "enum.IntEnum", "enum.StrEnum", "enum.Flag", "enum.IntFlag",
    *(f"{home}.{name}" for home in ("typing", "typing_extensions") for name in (
        "Generic", "Protocol", "NamedTuple", "TypedDict")),
})  # fmt: skip
_NOWHERE: Mapping[int, int] = {}
_IMPLICITLY_STATIC = ("__new__",)
_IMPLICITLY_CLASS = ("__init_subclass__", "__class_getitem__")


class Attributes(Values):
    """Values of one program's definitions.

    `bases` are the resolved ones, classes by slot and externals by path; `metas` the metaclasses that classes name.
    """

    def __init__(
        self,
        program: Program,
        modules: Modules,
        exports: Exports,
        bases: BASES,
        metas: Mapping[int, Sequence[int]],
    ) -> None:
        super().__init__(program.count)
        self.program, self.modules, self.exports, self.bases, self.metas = program, modules, exports, bases, metas
        self.orders = linearised({cls: [b for b in own if isinstance(b, int)] for cls, own in bases.items()})
        defined = program.definitions
        self.name, self.sort, self.around = defined.name, defined.sort, defined.around
        self.members, self.own_names, self.stars = defined.members, defined.own_names, defined.stars
        self.special_names = defined.special_names
        self.homes: Mapping[str, Mapping[int, int]] = defined.homes
        self.bases_outside: dict[tuple[int, ...], list[str]] = {}
        self.below: dict[int, dict[int, None]] = defaultdict(dict)  # an ordered set
        self.mixed_with: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
        self.stored = set(defined.stored)
        self.likes: dict[tuple[int, str], list[str]] = {}
        self.attributes: dict[str, dict[int, int]] = defaultdict(dict)  # by name and value
        self.instance_slots: dict[str, dict[int, int]] = defaultdict(dict)  # by name and class
        self.class_slots: dict[str, dict[int, int]] = defaultdict(dict)
        # By name: slots read off instances of a class, or of any below it; and classes that were searched, with
        # where to and for whom.
        self.readers_on: dict[str, dict[int, list[tuple[int, bool]]]] = defaultdict(lambda: defaultdict(list))
        self.looked_up: dict[str, list[tuple[Sequence[int], int, int, int]]] = defaultdict(list)
        self.beside: dict[str, list[tuple[int, frozenset[int]]]] = defaultdict(list)  # by name: slots, and of what
        self.getters: dict[int, set[int]] = defaultdict(
            set
        )  # by slot of an attribute: what reading it calls, a value or -1 - slot
        self.origins: dict[int, tuple[int, ...]] = {}  # by slot of an attribute: bindings it may come from
        self.partial_methods: set[int] = set()
        self.handed_on: dict[int, list[int]] = defaultdict(list)  # by slot of an attribute: of what it is the same
        # Slots of attributes that a base from outside has, or others store, with whose they are.
        self.inheriting: list[tuple[int, str, int]] = []
        self._define()

    def _define(self) -> None:
        kinds = {MODULE: Kind.MODULE, CLASS: Kind.CLASS, FUNCTION: Kind.FUNCTION, GENERATOR: Kind.FUNCTION,
                 LAMBDA: Kind.FUNCTION}  # fmt: skip
        self.define([kinds[sort] for sort in self.sort.values()], list(self.sort))
        for cls in sorted(self.orders):
            for above in self.orders[cls][1:]:
                self.below[above][cls] = None

    # --- modules

    def module(self, name: str, importer: str) -> int:
        """The value that importing `name` gives."""
        found = self.modules.find(name, importer)
        if found is not None:
            return self.value(Kind.MODULE, found)
        if name in self.modules.packages:
            return self.value(Kind.NAMESPACE, name)
        return self.external(name.lstrip("."))

    def result_of(self, path: str) -> int:
        """What calling something outside gives: an instance, if it looks like a class."""
        return self.value(Kind.RESULT, path) if is_class_like(path) else self.value(Kind.OUTSIDE)

    def external(self, path: str) -> int:
        return self.value(Kind.EXTERNAL, path)

    def _module_attribute(self, module: int, name: str, slot: int) -> None:
        """Of its own, else what its star imports bring, else a submodule."""
        own = self.members.get((module, name))
        if own is not None:
            self.flow(own, slot)
            self.comes_from(slot, own)
            return
        public = not name.startswith("_")
        for star in self.stars[module]:
            value = self.module(star, self.modules.path[module])
            if self.kinds[value] == Kind.MODULE:
                source = self.parts[value][0]
                if source == module:
                    continue
                listed, complete = self.exports.get(self.modules.path[source], (None, True))
                if name in listed if listed is not None and complete else public:
                    inner = self.attribute(value, name)
                    self.flow(inner, slot)
                    self.handed_on[slot].append(inner)
            elif self.kinds[value] == Kind.EXTERNAL and public and not is_builtin(name):
                self.put(slot, self.external(f"{self.parts[value][0]}.{name}"))
        if name in self.stored:
            self.flow(self.stored_on(module, name), slot)
        submodule = self.modules.submodule(module, name)
        if submodule is not None:
            self.put(slot, self.value(Kind.MODULE, submodule))
        elif (module, "__getattr__") in self.members and name not in self.stored and not self.has_name(module, name):
            self.answer_missing(module, "__getattr__", name, slot, -1)

    def comes_from(self, slot: int, binding: int) -> None:
        self.origins[slot] = (*self.origins.get(slot, ()), binding)

    def bindings(self, slot: int) -> set[int]:
        """The bindings that an attribute may be."""
        if slot not in self.handed_on:
            return {*self.origins.get(slot, ())}
        seen, waiting, found = {slot}, [slot], set[int]()
        while waiting:
            at = waiting.pop()
            found.update(self.origins.get(at, ()))
            new = set(self.handed_on.get(at, ())) - seen
            seen |= new
            waiting += new
        return found

    def has_name(self, module: int, name: str) -> bool:
        """Whether a module binds a name itself or through star imports. Those may lead in a circle."""
        seen, waiting = {module}, [module]
        while waiting:
            at = waiting.pop()
            if (at, name) in self.members:
                return True
            for star in self.stars[at]:
                value = self.module(star, self.modules.path[at])
                if self.kinds[value] == Kind.MODULE and self.parts[value][0] not in seen:
                    listed, complete = self.exports.get(self.modules.path[self.parts[value][0]], (None, True))
                    if name in listed if listed is not None and complete else not name.startswith("_"):
                        seen.add(self.parts[value][0])
                        waiting.append(self.parts[value][0])
                elif self.kinds[value] == Kind.EXTERNAL and not is_builtin(name):
                    return True
        return False

    # --- classes

    def class_around(self, definition: int) -> int:
        """The innermost class that a definition is in, or is; -1 if there is none."""
        while definition >= 0 and self.sort[definition] != CLASS:
            definition = self.around[definition]
        return definition

    def order(self, cls: int) -> tuple[int, ...]:
        return self.orders.get(cls, (cls,))

    def outside(self, order: Sequence[int]) -> list[str]:
        """Import paths of bases from outside, in the order of the classes that have them."""
        found = self.bases_outside.get(key := tuple(order))
        if found is None:
            listed = dict.fromkeys(base for cls in order for base in self.bases.get(cls, ()) if isinstance(base, str))
            found = self.bases_outside[key] = [base for base in listed if base not in _MARKERS]
        return found

    def class_member(self, cls: int, name: str) -> int:
        """The binding of the first member of that name of a class or one above it; -1 if there is none."""
        members = self.homes.get(name)
        return next((members[each] for each in self.order(cls) if each in members), -1) if members else -1

    def has_member(self, cls: int, name: str, *, is_open: bool = False) -> bool:
        """Whether a class or one above it, or one below it if it is open, has a member of that name."""
        if self.class_member(cls, name) >= 0:
            return True
        return is_open and bool(_common(self.below[cls], self.homes.get(name, _NOWHERE)))

    def inherited(self, order: Sequence[int], name: str) -> str | None:
        """The import path of an attribute that a base from outside has, or may have; None if there is none."""
        for base in self.outside(order):
            own = vars(builtins).get(base.removeprefix("builtins.")) if base.startswith("builtins.") else None
            if own is None or hasattr(own, name):
                return f"{base}.{name}"
        return None

    def stored_on_instances(self, cls: int, name: str) -> int:
        """The slot of what is assigned to an attribute of instances of a class; whoever read it before gets it too."""
        own = self.instance_slots[name]
        slot = own.get(cls)
        if slot is None:
            slot = own[cls] = self.slot()
            above, below, readers = self.order(cls)[1:], self.below[cls], self.readers_on.get(name, {})
            for each, reading in readers.items():
                if each == cls or each in below or each in above:
                    for reader, is_open in reading:
                        if is_open or each not in above:
                            self.flow(slot, reader)
            for reader, homes in self.beside.get(name, ()):
                if cls in homes:
                    self.flow(slot, reader)
        return slot

    def read_stored(self, value: int, cls: int, name: str, slot: int) -> None:
        """Lead what is stored on instances, now or later, to `slot`, which is read off such a one."""
        is_open = self.kinds[value] == Kind.OPEN
        self.readers_on[name][cls].append((slot, is_open))
        own = self.instance_slots[name]
        for each in self.order(cls) if own else ():
            if each in own:
                self.flow(own[each], slot)
        for each in _common(self.below[cls], own) if is_open else ():
            self.flow(own[each], slot)

    def stored_on(self, value_slot: int, name: str) -> int:
        """The slot of what is assigned to an attribute of a class, a function or a module's missing name."""
        slots = self.class_slots[name]
        own = slots.get(value_slot)
        if own is None:
            own = slots[value_slot] = self.slot()
            for searched, slot, receiver, via in self.looked_up.get(name, ()):
                if value_slot in searched:
                    self.watch(own, self.bind, slot, receiver, via, name)
        return own

    def _look_up(self, order: Sequence[int], name: str, slot: int, receiver: int, via: int) -> bool:
        """Lead the first class member of that name to `slot`, bound to `receiver`; whether there is one."""
        is_stored, members = name in self.stored, self.homes.get(name, _NOWHERE)
        if not is_stored and not members:
            return False
        home = next((at for at, cls in enumerate(order) if cls in members), -1)
        if is_stored:
            self.search_stored(order if home < 0 else order[: home + 1], name, slot, receiver, via)
        if home >= 0:
            member = members[order[home]]
            self.comes_from(slot, member)
            self.watch(member, self.bind, slot, receiver, via, name)
        return home >= 0

    def search_stored(self, classes: Sequence[int], name: str, slot: int, receiver: int, via: int) -> None:
        """Lead what is stored on classes, now or later, to `slot`, bound to `receiver`."""
        self.looked_up[name].append((classes, slot, receiver, via))
        own = self.class_slots[name]
        for cls in classes if own else ():
            if cls in own:
                self.watch(own[cls], self.bind, slot, receiver, via, name)

    def bind(self, value: int, slot: int, receiver: int, cls: int, name: str) -> None:
        """What a value found in a class is when it is read off `receiver`, which is -1 for the class itself."""
        kind = self.kinds[value]
        if kind == Kind.PARTIAL and self.parts[value][0] not in self.partial_methods:
            self.put(slot, value)
        elif kind in _FUNCTION_KINDS:
            if name in _IMPLICITLY_STATIC:
                self.put(slot, value)
            elif name in _IMPLICITLY_CLASS:
                self.put(slot, self.value(Kind.BOUND, value, self.value(Kind.CLASS, cls)))
            else:
                self.put(slot, value if receiver < 0 else self.value(Kind.BOUND, value, receiver))
        elif kind == Kind.STATIC:
            self.put(slot, self.parts[value][0])
        elif kind == Kind.CLASSMETHOD:
            self.put(slot, self.value(Kind.BOUND, self.parts[value][0], self.value(Kind.CLASS, cls)))
        elif kind == Kind.PROPERTY and receiver >= 0:
            getter, *descriptor = self.parts[value]
            self.read_property(getter, descriptor[0] if descriptor else -1, receiver, slot)
        elif kind in INSTANCES and "__get__" in self.special_names:
            self.read_descriptor(value, slot, receiver, cls)
        else:
            self.put(slot, value)

    def read_property(self, getter: int, descriptor: int, receiver: int, slot: int) -> None:
        raise NotImplementedError

    def read_descriptor(self, value: int, slot: int, receiver: int, cls: int) -> None:
        raise NotImplementedError

    def answer_missing(self, home: int, method: str, name: str, slot: int, receiver: int) -> None:
        raise NotImplementedError

    def _instance_attribute(self, value: int, cls: int, name: str, slot: int) -> None:
        order = self.order(cls)
        if name in self.stored:
            self.read_stored(value, cls, name, slot)
        found = self._look_up(order, name, slot, value, cls)
        if self.kinds[value] == Kind.OPEN:
            members = self.homes.get(name, _NOWHERE)
            for below in _common(self.below[cls], members):
                self.watch(members[below], self.bind, slot, self.value(Kind.OPEN, below), below, name)
                found = True
            if not found:
                found = self._look_beside(cls, name, slot)
        if not found:
            if (path := self.inherited(order, name)) is not None:
                self._inherit(slot, path, name, value)
            elif name == "__class__":
                for each in (cls, *(islice(self.below[cls], MOST_CLASSES) if self.kinds[value] == Kind.OPEN else ())):
                    self.put(slot, self.value(Kind.CLASS, each))

    def _look_beside(self, cls: int, name: str, slot: int) -> bool:
        """Classes below may inherit from others too, and what is missing here may be there: `cls` is mixed in."""
        members = self.homes.get(name, _NOWHERE)
        if name not in self.stored and not members:
            return False
        if cls not in self.mixed_with:
            whole = frozenset(each for below in self.below[cls] for each in self.order(below)) - {cls}
            self.mixed_with[cls] = whole, whole.difference(self.below[cls])
        homes, others = self.mixed_with[cls]
        if name in self.stored:
            own = self.instance_slots[name]
            for each in _common(others, own):
                self.flow(own[each], slot)
            self.beside[name].append((slot, others))
        having = _common(homes, members)
        for each in having:
            self.comes_from(slot, members[each])
            self.watch(members[each], self.bind, slot, self.value(Kind.OPEN, each), each, name)
        return bool(having)

    def names_like(self, value: int, prefix: str) -> list[str]:
        """Names of a value's attributes that begin with a text; of all of them only those that are not special.

        None at all if there are too many.
        """
        names = self.likes.get((value, prefix))
        if names is None:
            home = self.parts[value][0]
            homes = [home] if self.kinds[value] == Kind.MODULE else [*self.order(home)]
            homes += self.below[home] if self.kinds[value] == Kind.OPEN else []
            found = {name for each in homes for name in self.own_names[each] if name.startswith(prefix)}
            names = sorted(name for name in found if prefix or not name.startswith("__"))
            names = self.likes[value, prefix] = names if len(names) <= (MOST_NAMES if prefix else WIDE) else []
        return names

    def _class_attribute(self, value: int, cls: int, name: str, slot: int) -> None:
        order = self.order(cls)
        if self._look_up(order, name, slot, -1, cls):
            return
        for meta in [meta for each in order for meta in self.metas.get(each, ())][:1]:
            if self._look_up(self.order(meta), name, slot, value, meta):
                return
        if (path := self.inherited(order, name)) is not None:
            self._inherit(slot, path, name, value)

    def _inherit(self, slot: int, path: str, name: str, receiver: int) -> None:
        """An attribute is that of a base from outside, unless it turns out to be stored."""
        if name in self.stored:
            self.inheriting.append((slot, path, receiver))
        else:
            self.put(slot, self.of_base(path, receiver))

    def of_base(self, path: str, receiver: int) -> int:
        """What the attribute at an import path is when it is read off a value of a class below its class."""
        raise NotImplementedError

    def inherit(self) -> bool:
        """Where nothing was found to be stored by now it is the attribute of the base; whether there is such a one."""
        missing = [(slot, path, receiver) for slot, path, receiver in self.inheriting if not self.held(slot)]
        self.inheriting.clear()
        for slot, path, receiver in missing:
            self.put(slot, self.of_base(path, receiver))
        return bool(missing)

    def _super_attribute(self, after: int, receiver: int, name: str, slot: int) -> None:
        cls = self.parts[receiver][0]
        order = self.order(cls)
        rest = order[order.index(after) + 1 :] if after in order else self.order(after)[1:]
        bound = -1 if self.kinds[receiver] == Kind.CLASS and name != "__init__" else receiver
        if self._look_up(rest, name, slot, bound, cls):
            return
        path = self.inherited([after, *rest], name) or f"builtins.object.{name}"
        if self.kinds[receiver] == Kind.CLASS and name == "__call__":
            self.put(slot, self.value(Kind.BOUND, self.external(path), receiver))
        else:
            self.put(slot, self.of_base(path, receiver))

    # --- any value

    def attribute(self, value: int, name: str) -> int:
        """The slot of an attribute of a value."""
        slot = self.attributes[name].get(value)
        return self.new_attribute(value, name) if slot is None else slot

    def new_attribute(self, value: int, name: str) -> int:
        slot = self.attributes[name][value] = self.slot()
        parts = self.parts[value]
        match self.kinds[value]:
            case Kind.MODULE:
                self.later(self._module_attribute, parts[0], name, slot)
            case Kind.NAMESPACE:
                self.put(slot, self.module(f"{parts[0]}.{name}", ""))
            case Kind.CLASS:
                self._class_attribute(value, parts[0], name, slot)
            case Kind.INSTANCE | Kind.OPEN:
                self._instance_attribute(value, parts[0], name, slot)
            case Kind.SUPER:
                self._super_attribute(parts[0], parts[1], name, slot)
            case Kind.EXTERNAL if parts[0].endswith(f".{name}"):
                self.put(slot, value)  # `while f.__wrapped__: f = f.__wrapped__` has an end
            case Kind.EXTERNAL:
                if parts[0].count(".") < DEPTH and parts[0] not in _BUILTIN_FUNCTIONS:
                    self.put(slot, self.external(f"{parts[0]}.{name}"))
            case Kind.RESULT:
                if parts[0].count(".") < DEPTH:
                    self.put(slot, self.external(f"{parts[0]}.{name}"))
            case Kind.OUTSIDE:
                self.put(slot, value)
            case Kind.FUNCTION:
                if name in self.stored:
                    self.flow(self.stored_on(parts[0], name), slot)
            case Kind.BOUND:
                if name == "__self__":
                    self.put(slot, parts[1])
                elif name == "__func__":
                    self.put(slot, parts[0])
                else:
                    self.flow(self.attribute(parts[0], name), slot)
            case Kind.PROPERTY if len(parts) > 1:  # made by a descriptor of the program
                self.flow(self.attribute(self.value(Kind.INSTANCE, parts[1]), name), slot)
            case Kind.CONTAINER | Kind.CONSTANT | Kind.BUILTIN | Kind.GENERATOR | Kind.PROPERTY:
                type_name = self.type_name(value)
                if instances_have(type_name, name):
                    self.put(slot, self.value(Kind.METHOD, type_name, name, value))
            case _:
                pass
        return slot

    def type_name(self, value: int) -> str:
        """The builtin type of a value that has one."""
        match self.kinds[value]:
            case Kind.GENERATOR:
                return "generator"
            case Kind.PROPERTY:
                return "property"
        return str(self.parts[value][0])


def _common(classes: Collection[int], known: Mapping[int, int]) -> list[int]:
    """The classes that are keys of `known`, ascending."""
    few, many = (known, classes) if len(known) < len(classes) else (classes, known)
    return sorted(each for each in few if each in many)


@cache
def instances_have(type_name: str, name: str) -> bool:
    """Whether what is of a builtin type has an attribute; its type may have others."""
    own = GeneratorType if type_name == "generator" else vars(builtins).get(type_name)
    return own is None or any(name in vars(each) for each in own.__mro__)


def is_class_like(path: str) -> bool:
    """Whether a name from outside looks like a class: nothing is read from there."""
    last = path.rpartition(".")[2].lstrip("_")
    return last[:1].isupper()


_BUILTINS = frozenset(dir(builtins))
_BUILTIN_FUNCTIONS = frozenset(
    f"builtins.{name}" for name, value in vars(builtins).items() if not isinstance(value, type)
)


def is_builtin(name: str) -> bool:
    return name in _BUILTINS

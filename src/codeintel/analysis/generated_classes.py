"""Classes whose constructors and members are generated: dataclasses, named tuples, enumerations.

A generated constructor is looked through: what it is given are the fields, and what it calls is called where the class
is called. Each member of an enumeration is an instance of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from codeintel.analysis.calls import Call
from codeintel.analysis.construction import Construction
from codeintel.analysis.program import CLASS
from codeintel.analysis.values import INSTANCES, Kind

_DATACLASSES = frozenset({
    "dataclasses.dataclass", "attr.s", "attr.attrs", "attr.dataclass", "attr.define", "attr.frozen", "attr.mutable",
    "attrs.define", "attrs.frozen", "attrs.mutable", "pydantic.dataclasses.dataclass",
})  # fmt: skip
_DATA_BASES = frozenset({"pydantic.BaseModel", "msgspec.Struct", "typing.NamedTuple", "typing_extensions.NamedTuple"})
_TUPLES = ("typing.NamedTuple", "typing_extensions.NamedTuple", "collections.namedtuple")
_ENUMS = frozenset({f"enum.{name}" for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "ReprEnum")})
_FIELDS = frozenset({"attr.ib", "attr.attrib", "attr.field", "attrs.field"})
_FACTORIES = ("default_factory", "factory")
_OF_TUPLES = ("_replace", "_make")
_ORDERING = "functools.total_ordering"
_ORDERED = ("__lt__", "__le__", "__gt__", "__ge__")  # the first one that is there makes the others
MEMBERS = 12  # of an enumeration that are told apart where any may be meant


class GeneratedClasses(Construction):
    """`fields` of classes with a generated constructor in its order, with slots of defaults; names of named tuples."""

    sites: dict[int, Call]
    callee_of: dict[int, int]  # by call site, the slot of what is called

    def start_generated(self) -> None:
        self.fields: dict[int, dict[str, int]] = {}
        self.tuples: dict[int, tuple[str, ...]] = {}
        self.field_names: dict[int, tuple[str, ...]] = {}  # of containers that are named tuples
        self.enums: dict[int, dict[str, int]] = {}  # by class its members, by name their slots
        for cls in self.orders:
            if any(base in _ENUMS for each in self.order(cls) for base in self.bases.get(each, ())):
                self.enums[cls] = {}
        self._find_members()

    def find_generated(self) -> None:
        """Which classes these are, by what their decorators and bases are named alone."""
        own: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
        rows = self.program["field"]
        for cls, name, default, position in zip(rows.target, rows.name, rows.other, rows.position, strict=True):
            own[cls].append((position, name or "", default))
        if any((Kind.EXTERNAL, path) in self.numbers for path in _FIELDS):
            self._find_fields(own)
        made = self._decorated_classes() if own else set()
        named = self._made_by_call()
        for cls in sorted(self.orders, key=lambda each: (len(self.orders[each]), each)):
            above = {base for each in self.order(cls) for base in self.bases.get(each, ()) if isinstance(base, str)}
            is_tuple = not above.isdisjoint(_TUPLES)
            if cls in named:
                self.fields[cls] = dict.fromkeys(named[cls], -1)
                self.tuples[cls] = named[cls]
            elif cls in made or (cls in own and above & _DATA_BASES):
                found: dict[str, int] = {}
                for each in reversed(self.order(cls)):
                    found |= self.fields.get(each, {})
                self.fields[cls] = found | {name: default for _, name, default in sorted(own[cls])}
                if is_tuple:
                    self.tuples[cls] = tuple(self.fields[cls])
        for cls in sorted(self.tuples.keys() | self.orders.keys()):
            if cls not in self.tuples:
                for each in self.order(cls)[1:]:
                    if each in self.tuples:
                        self.tuples[cls] = self.tuples[each]
                        break
        for cls in sorted(self.tuples):
            value = self.value(Kind.CLASS, cls)
            if (slot := self.attributes["_make"].get(value)) is not None:  # read before anybody knew
                self.put(slot, self.value(Kind.GETTER, "_make", value))
        self.stored.update(name for names in self.fields.values() for name in names)
        if (Kind.EXTERNAL, _ORDERING) in self.numbers:
            self._complete_orders()

    def _complete_orders(self) -> None:
        """Operators that `functools.total_ordering` adds call the one that is there."""
        added: dict[tuple[int, str], int] = {}
        for cls in sorted(self._decorated_classes(frozenset({_ORDERING}))):
            own = [(each, name) for name in _ORDERED for each in self.order(cls) if (each, name) in self.members]
            found = {name for _, name in own}
            added |= {(cls, name): self.members[own[0]] for name in _ORDERED if own and name not in found}
        self.members = self.members | added
        homes = {name: dict(self.homes.get(name, {})) for _, name in added}
        for (cls, name), member in added.items():
            homes[name][cls] = member
        self.homes = {**self.homes, **homes}
        self.special_names |= homes.keys()
        self.start_asks()

    def _find_fields(self, own: dict[int, list[tuple[int, str, int]]]) -> None:
        """`name = attr.ib(…)` in a class is a field without an annotation, too."""
        sites = {site: at for at, (site, source) in enumerate(self.callee_of.items()) if self._paths(source) & _FIELDS}
        rows = self.program["copy"]
        given = {target: source for target, source in zip(rows.target, rows.source, strict=True) if source in sites}
        annotated = {(cls, name) for cls, fields in own.items() for _, name, _ in fields}
        for (cls, name), member in self.members.items():
            if member in given and self.sort[cls] == CLASS and (cls, name) not in annotated:
                own[cls].append((sites[given[member]], name, given[member]))

    def _decorated_classes(self, wanted: frozenset[str] = _DATACLASSES) -> set[int]:
        rows, found = self.program["decorate"], set[int]()
        below = dict(zip(rows.target, rows.other, strict=True))
        for source, other in zip(rows.source, rows.other, strict=True):
            at = other
            while at in below:
                at = below[at]
            if self.sort.get(at) == CLASS and source >= 0:
                paths = self._paths(source) | self._paths(self.callee_of.get(source, -1))
                if paths & wanted:
                    found.add(at)
        return found

    def _paths(self, slot: int) -> set[str]:
        held = self.held(slot) if slot >= 0 else ()
        return {self.parts[v][0] for v in held if self.kinds[v] == Kind.EXTERNAL}

    def _made_by_call(self) -> dict[int, tuple[str, ...]]:
        """Classes that inherit from what `namedtuple(…)` gives."""
        rows, found = self.program["base"], {}
        for cls, source in zip(rows.target, rows.source, strict=True):
            if self._paths(self.callee_of.get(source, -1)) & {*_TUPLES} and (
                names := self.names_given(self.sites[source])
            ):
                found[cls] = names
        return found

    def names_given(self, call: Call) -> tuple[str, ...]:
        """The literal names of fields that `namedtuple` is given."""
        given = call.positional[1] if len(call.positional) > 1 else call.keywords.get("field_names", -1)
        if given < 0:
            return ()
        texts = self.texts(given)
        if len(texts) == 1:
            return tuple(texts[0].replace(",", " ").split())
        names, listed = [], self._listed(given)
        for source in listed:
            pair = self._listed(source)  # `("name", type)`
            names += self.texts(pair[0] if pair else source)[:1]
        return tuple(names) if len(names) == len(listed) else ()

    def _listed(self, slot: int) -> list[int]:
        """Slots of the elements of the display that a slot holds, in order."""
        slots = {key: at for v in self.held(slot) if self.kinds[v] == Kind.CONTAINER
                 for key, at in self.elements_of(v).items()}  # fmt: skip
        return [slots[key] for key in sorted((key for key in slots if key.isdecimal()), key=int)]

    def texts(self, slot: int) -> list[str]:
        """The texts that a slot is known to hold."""
        keys = [self.key(value) for value in self.held(slot)] if slot >= 0 else []
        return [key[1:] for key in keys if key and key.startswith("'")]

    def _find_members(self) -> None:
        defined = {
            (around, self.name[slot].rpartition(".")[2]) for slot, around in self.around.items() if around in self.enums
        }
        for cls, found in self.enums.items():
            for name in sorted(self.own_names[cls]):
                if not name.startswith("_") and (cls, name) not in defined:
                    found[name] = self.members[cls, name]

    # --- instances

    def _fields_of(self, cls: int) -> dict[str, int] | None:
        """The fields that the generated constructor of a class takes; None if it is another one."""
        for each in self.order(cls):
            if each in self.fields:
                return None if (each, "__init__") in self.members else self.fields[each]
            if (each, "__init__") in self.members:
                return None
        return None

    def initialise(self, instance: int, call: Call) -> None:
        cls = self.parts[instance][0]
        fields = self._fields_of(cls) if self.fields else None
        if fields is None:
            if cls not in self.enums or self.has_member(cls, "__init__"):
                super().initialise(instance, call)
            return
        names, given = list(fields), set(call.keywords)
        for name, slot in zip(names, call.positional, strict=False):
            given.add(name)
            if slot >= 0:
                self._set_field(cls, name, fields[name], slot, call)
        for keyword, slot in call.keywords.items():
            name = keyword if keyword in fields else f"_{keyword}"  # attrs leaves out the underscore
            given.add(name)
            if name in fields:
                self._set_field(cls, name, fields[name], slot, call)
        for slot, begin in call.starred:
            self.watch(slot, self._spread_fields, cls, names[begin:])
        for slot in call.double_starred:
            self.watch(slot, self._spread_named_fields, cls, names)
        for name, default in fields.items():
            made = self.sites.get(default)
            if made is not None and name not in given:
                for keyword in _FACTORIES:
                    if (factory := made.keywords.get(keyword, -1)) >= 0:
                        self.watch(factory, self.call, Call(call.site, -1, "callback"))
                if (factory := made.keywords.get("default", -1)) >= 0:
                    self.watch(factory, self._make_default, call)
        if self.has(instance, "__post_init__"):
            self.watch(self.attribute(instance, "__post_init__"), self.call, Call(call.site, -1, "constructor"))

    def _set_field(self, cls: int, name: str, default: int, slot: int, call: Call) -> None:
        """A field gets an argument, or what its converter makes of it."""
        stored, made = self.stored_on_instances(cls, name), self.sites.get(default)
        converter = made.keywords.get("converter", -1) if made is not None else -1
        if converter >= 0:
            self.watch(converter, self.call, Call(call.site, stored, "callback", [slot]))
        else:
            self.flow(slot, stored)

    def _make_default(self, value: int, call: Call) -> None:
        """A default that is an `attr.Factory` is made anew for each instance."""
        if self.kinds[value] == Kind.GETTER and self.parts[value][0] == "factory":
            self.watch(self.parts[value][1], self.call, Call(call.site, -1, "callback"))

    def _spread_fields(self, value: int, cls: int, names: Sequence[str]) -> None:
        if self.kinds[value] == Kind.CONTAINER:
            for index, name in enumerate(names):
                self.flow(self.element(value, str(index)), self.stored_on_instances(cls, name))

    def _spread_named_fields(self, value: int, cls: int, names: Sequence[str]) -> None:
        if self.kinds[value] == Kind.CONTAINER:
            for name in names:
                self.flow(self.element(value, f"'{name}"), self.stored_on_instances(cls, name))

    def make_record(self, record: int, call: Call) -> None:
        """Call what `namedtuple(…)` gave."""
        names = self.parts[record][1]
        if call.result < 0:
            return
        made = self.container("tuple", call.result)
        self.field_names[made] = names
        for index, slot in enumerate(call.positional):
            if slot >= 0:
                self.flow(slot, self.element(made, str(index)))
        for name, slot in call.keywords.items():
            if name in names:
                self.flow(slot, self.element(made, str(names.index(name))))
        for slot, begin in call.starred:
            self.watch(slot, self._spread_record, made, begin, call.site)
        self.put(call.result, made)

    def _spread_record(self, value: int, made: int, begin: int, site: int) -> None:
        if self.kinds[value] == Kind.CONTAINER and self.parts[value][0] in ("list", "tuple"):
            self.each_element(value, self._element_behind, made, begin)
            self.flow(self.unknown_of(value), self.unknown_of(made))
        else:
            self.merge(value, made, site)

    def new_attribute(self, value: int, name: str) -> int:
        if self.field_names and name in (names := self.field_names.get(value, ())):
            return self.element(value, str(names.index(name)))
        if name in _OF_TUPLES:
            kind = self.kinds[value]
            is_class = kind == Kind.RECORD or (kind == Kind.CLASS and self.parts[value][0] in self.tuples)
            is_tuple = value in self.field_names or (kind in INSTANCES and self.parts[value][0] in self.tuples)
            if is_class if name == "_make" else is_tuple:
                slot = self.attributes[name][value] = self.slot()
                self.put(slot, self.value(Kind.GETTER, name, value))
                return slot
        return super().new_attribute(value, name)

    def call_tuple(self, what: str, of: int, call: Call) -> None:
        """`_replace` of an instance, or `_make` of a class, of named tuples."""
        if call.result < 0:
            return
        if what == "_make" and self.kinds[of] == Kind.RECORD:
            self.make_record(
                of, Call(call.site, call.result, call.origin, starred=[(s, 0) for s in call.positional[:1]])
            )
        elif what == "_make":
            cls = self.parts[of][0]
            self.put(call.result, self.value(Kind.INSTANCE, cls))
            for slot in call.positional[:1]:
                self.watch(slot, self._spread_fields, cls, self.tuples[cls])
        else:
            self.put(call.result, of)
            for name, slot in call.keywords.items():
                if self.kinds[of] != Kind.CONTAINER:
                    self.flow(slot, self.stored_on_instances(self.parts[of][0], name))
                elif name in self.field_names[of]:
                    self.flow(slot, self.element(of, str(self.field_names[of].index(name))))

    # --- named tuples as tuples

    def _place(self, value: int, key: str | None) -> list[str]:
        """The names of the fields of an instance that a key, or any key, leads to."""
        names = self.tuples.get(self.parts[value][0], ()) if self.kinds[value] in INSTANCES else ()
        if key is None or not names:
            return [*names]
        at = int(key) if key.removeprefix("-").isdecimal() else len(names)
        return [names[at]] if -len(names) <= at < len(names) else []

    def item(self, value: int, target: int, key: str | None, other: int) -> None:
        if self.enums and self.kinds[value] == Kind.CLASS and self.parts[value][0] in self.enums:
            self._any_member(self.parts[value][0], target, key)
        elif self.tuples and (names := self._place(value, key)):
            for name in names:
                self.flow(self.attribute(value, name), target)
        else:
            super().item(value, target, key, other)

    def unpack(self, value: int, target: int, key: str, site: int) -> None:
        if self.tuples and (names := self._place(value, key)):
            self.flow(self.attribute(value, names[0]), target)
        else:
            super().unpack(value, target, key, site)

    def iterate(self, value: int, target: int, site: int) -> None:
        if self.enums and self.kinds[value] == Kind.CLASS and self.parts[value][0] in self.enums:
            self._any_member(self.parts[value][0], target, None)
        elif self.tuples and (names := self._place(value, None)):
            for name in names:
                self.flow(self.attribute(value, name), target)
        else:
            super().iterate(value, target, site)

    # --- enumerations

    def _any_member(self, cls: int, target: int, key: str | None) -> None:
        names = self.enums[cls]
        if key is not None and key[1:] in names:
            self.put(target, self.value(Kind.INSTANCE, cls, key[1:]))
        elif not names or len(names) > MEMBERS:
            self.put(target, self.value(Kind.INSTANCE, cls))
        else:
            for name in names:
                self.put(target, self.value(Kind.INSTANCE, cls, name))

    def construct_plainly(self, value: int, call: Call) -> None:
        cls = self.parts[value][0]
        if cls not in self.enums:
            super().construct_plainly(value, call)
        elif call.result >= 0:
            self._any_member(cls, call.result, None)  # `Color(1)` looks a member up

    def _member_of(self, cls: int, name: str, slot: int) -> bool:
        for each in self.order(cls):
            if name in self.enums.get(each, ()):
                self.comes_from(slot, self.members[each, name])
                self.put(slot, self.value(Kind.INSTANCE, each, name))
                return True
        return False

    def _class_attribute(self, value: int, cls: int, name: str, slot: int) -> None:
        if not self.enums or cls not in self.enums or not self._member_of(cls, name, slot):
            super()._class_attribute(value, cls, name, slot)

    def _instance_attribute(self, value: int, cls: int, name: str, slot: int) -> None:
        if not self.enums or cls not in self.enums:
            super()._instance_attribute(value, cls, name, slot)
        elif name in ("value", "_value_") and not self.has_member(cls, name):
            members, which = self.enums[cls], self.parts[value][1:]
            for each in which or sorted(members):
                self.flow(members[each], slot)
        elif not self._member_of(cls, name, slot):
            super()._instance_attribute(value, cls, name, slot)

    def create(self, cls: int, call: Call) -> None:
        super().create(cls, call)
        if cls in self.enums and self.has_member(cls, "__init__"):
            for name, member in sorted(self.enums[cls].items()):
                self.watch(member, self._given_member, self.value(Kind.INSTANCE, cls, name), member, call)

    def _given_member(self, value: int, instance: int, member: int, call: Call) -> None:
        """The value of a member is what its constructor is given, the elements of a tuple one by one."""
        is_tuple = self.kinds[value] == Kind.CONTAINER and self.parts[value][0] == "tuple"
        given = Call(call.site, -1, "constructor", starred=[(member, 0)]) if is_tuple else Call(
            call.site, -1, "constructor", [member])  # fmt: skip
        self.watch(self.attribute(instance, "__init__"), self.call, given)

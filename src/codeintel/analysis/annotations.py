"""What annotations promise: instances of the classes they name, and containers and callables of those.

`Optional[C]`, `list[C]`, `dict[K, V]`, `Callable[…, C]` and their like are values of the kind *alias*: the import path
of what is subscripted, and the slot of what it is subscripted with. Quoted annotations are read when somebody asks.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Sequence
from functools import cache

from codeintel.analysis.attributes import is_class_like
from codeintel.analysis.calls import Call
from codeintel.analysis.generated_classes import GeneratedClasses
from codeintel.analysis.program import CLASS, MODULE
from codeintel.analysis.values import Kind

_WRAPPERS = frozenset({"Optional", "Union", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly", "Awaitable",
                       "Coroutine", "AsyncContextManager", "ContextManager", "AbstractContextManager",
                       "AbstractAsyncContextManager", "InitVar", "Unpack"})  # fmt: skip
_MAPPINGS = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict", "OrderedDict",
                       "ChainMap", "MappingProxyType", "WeakValueDictionary"})  # fmt: skip
_COLLECTIONS = frozenset({
    "list", "List", "set", "Set", "frozenset", "FrozenSet", "deque", "Deque", "Sequence", "MutableSequence", "Iterable",
    "Iterator", "Collection", "Container", "Generator", "AsyncIterable", "AsyncIterator", "AsyncGenerator",
    "AbstractSet", "MutableSet", "Reversible", "ValuesView", "KeysView", "Queue",
})  # fmt: skip
_HOMES = ("builtins", "typing", "typing_extensions", "collections", "types", "contextlib", "dataclasses", "queue",
          "asyncio", "weakref")  # fmt: skip
_OVERLOADS = ("typing.overload", "typing_extensions.overload")
_PROTOCOLS = frozenset({"typing.Protocol", "typing_extensions.Protocol"})
MOST_IMPLEMENTERS = 12  # of a protocol
_SAY_NOTHING = ("builtins.object", "builtins.type", "builtins.property")


@cache
def _is_generic(path: str) -> bool:
    """Whether something from outside may be a type that is subscripted."""
    home, _, name = path.partition(".")
    return home in _HOMES and (isinstance(vars(builtins).get(name), type) if home == "builtins" else "__" not in name)


class Annotations(GeneratedClasses):
    """Types as values, and the values that are of a type."""

    def start_annotations(self) -> None:
        self.promised: dict[int, int] = {}  # by alias, the container of what it says
        self.read: dict[tuple[str, int], int] = {}
        self.implementers: dict[int, list[int]] = {}  # by protocol
        self.overloads: dict[int, int] = {}  # functions, by the slot of what decorating them gives
        rows = self.program["quoted"]
        for target, source, name in zip(rows.target, rows.source, rows.name, strict=True):
            self.put(target, self.value(Kind.QUOTED, name or "", source))

    def item(self, value: int, target: int, key: str | None, other: int) -> None:
        kind = self.kinds[value]
        if kind == Kind.EXTERNAL and other >= 0 and key is None and _is_generic(self.parts[value][0]):
            self.put(target, self.value(Kind.ALIAS, self.parts[value][0], other))
        elif kind == Kind.CLASS and self.class_item(value, target, other):
            return
        else:
            super().item(value, target, key, other)

    def decorate(self, value: int, target: int, source: int) -> None:
        if self.kinds[value] == Kind.EXTERNAL and self.parts[value][0] in _OVERLOADS:
            self.note(Call(target, -1, "decorator"), value)
            self.overloads[target] = source
        else:
            super().decorate(value, target, source)

    def assume_overloads(self) -> None:
        """Nobody calls an overload, but where nothing else has its name; what it promises the other gives."""
        rows = self.program["decorate"]
        around = dict(zip(rows.other, rows.target, strict=True)) if self.overloads else {}
        named: dict[int, Sequence[int]] = {}
        for target in self.overloads:
            outermost = target
            while outermost in around:
                outermost = around[outermost]
            named[target] = self.led_to(outermost)
        given = {target: sorted({f for name in names for f in self.held(name)}) for target, names in named.items()}
        for target, source in self.overloads.items():
            if not given[target]:
                self.flow(source, target)
            for function in given[target]:
                if self.kinds[function] == Kind.FUNCTION:
                    results = self.results(self.parts[function][0])
                    if not any(map(self.held, results)):
                        self.flow(self.functions[source].result, results[0])

    def class_item(self, value: int, target: int, other: int) -> bool:
        """`C[…]` by the class's own method, or its metaclass's."""
        given = [other] if other >= 0 else []
        if (method := self.of_metaclass(value, "__getitem__")) >= 0:
            self.watch(method, self.call, Call(target, target, "special", given))
            return True
        if self.has_member(self.parts[value][0], "__class_getitem__"):
            self.watch(self.attribute(value, "__class_getitem__"), self.call, Call(target, target, "special", given))
        return False  # whatever it gives stands for the class, too

    def instance_of(self, value: int, target: int) -> None:
        """`target` is annotated with a type."""
        kind, parts = self.kinds[value], self.parts[value]
        match kind:
            case Kind.CLASS:
                self.put(target, self.value(Kind.OPEN, parts[0]))
                if not _PROTOCOLS.isdisjoint(self.bases.get(parts[0], ())):
                    for cls in self._implementing(parts[0]):
                        self.put(target, self.value(Kind.OPEN, cls))
            case Kind.EXTERNAL if parts[0].startswith("builtins."):
                if parts[0] not in _SAY_NOTHING:
                    self.put(target, self.value(Kind.BUILTIN, parts[0].removeprefix("builtins.")))
            case Kind.EXTERNAL:
                if is_class_like(parts[0]) and not parts[0].startswith(("typing.", "typing_extensions.")):
                    self.put(target, self.value(Kind.RESULT, parts[0]))
            case Kind.QUOTED:
                self.watch(self._quoted(*parts), self.instance_of, target)
            case Kind.ALIAS:
                self._instance_of_alias(value, parts[0].rpartition(".")[2], parts[1], target)
            case Kind.GETTER if parts[0] == "new type":
                self.watch(parts[1], self.instance_of, target)
            case Kind.CONSTANT if isinstance(parts[1], str) and parts[1].startswith("'"):
                pass  # a literal
            case _:
                pass

    def _implementing(self, protocol: int) -> Sequence[int]:
        """The classes that have every method of a protocol, without those that are below another one of them."""
        found = self.implementers.get(protocol)
        if found is None:
            names = {
                name for each in self.order(protocol) for name in self.own_names[each] if not name.startswith("__")
                and any(self.kinds[v] == Kind.FUNCTION for v in self.held(self.members[each, name]))
            }  # fmt: skip
            having = [self._having(name) for name in sorted(names)]
            classes = frozenset.intersection(*having) if having else frozenset()
            classes -= {protocol, *self.below[protocol]}
            classes = {cls for cls in classes if _PROTOCOLS.isdisjoint(self.bases.get(cls, ()))}
            highest = sorted(cls for cls in classes if classes.isdisjoint(self.order(cls)[1:]))
            found = self.implementers[protocol] = highest if len(highest) <= MOST_IMPLEMENTERS else []
        return found

    def _having(self, name: str) -> frozenset[int]:
        own = self.homes.get(name, ())
        return frozenset(own).union(*(self.below[cls] for cls in own))

    def _instance_of_alias(self, alias: int, head: str, other: int, target: int) -> None:
        if head in _WRAPPERS:
            self.watch(other, self._each_type, target)
        elif head == "Annotated":
            self.watch(self.argument(other, "0"), self.instance_of, target)
        elif head in ("Type", "type"):
            self.watch(other, self._class_of, target)
        elif head == "Callable":
            self.put(target, self.value(Kind.CALLABLE, other))
        elif head in _MAPPINGS or head in _COLLECTIONS or head in ("tuple", "Tuple"):
            container = self.promised.get(alias)
            if container is None:
                sort = "dict" if head in _MAPPINGS else "tuple" if head in ("tuple", "Tuple") else "list"
                container = self.promised[alias] = self.container(sort, self.slot())
                if sort == "tuple":
                    self.watch(other, self._places, container)
                elif sort == "dict":
                    self.watch(self.argument(other, "1"), self.instance_of, self.unknown_of(container))
                    self.watch(self.argument(other, "0"), self.instance_of, self.keys_of(container))
                else:
                    self.watch(self.argument(other, "0"), self.instance_of, self.unknown_of(container))
            self.put(target, container)

    def argument(self, other: int, index: str) -> int:
        """A slot for one of the types that an alias is subscripted with."""
        slot = self.slot()
        self.watch(other, self._argument, index, slot)
        return slot

    def _argument(self, value: int, index: str, slot: int) -> None:
        if self.kinds[value] == Kind.CONTAINER and self.parts[value][0] == "tuple":
            self.flow(self.element(value, index), slot)
        elif index in ("0", "-1"):
            self.put(slot, value)

    def _each_type(self, value: int, target: int) -> None:
        if self.kinds[value] == Kind.CONTAINER:
            self.watch(self.all_in(value), self.instance_of, target)
        else:
            self.instance_of(value, target)

    def _class_of(self, value: int, target: int) -> None:
        if self.kinds[value] == Kind.QUOTED:
            self.watch(self._quoted(*self.parts[value]), self._class_of, target)
        elif self.kinds[value] in (Kind.CLASS, Kind.EXTERNAL):
            self.put(target, value)
        elif self.kinds[value] == Kind.ALIAS:
            self.watch(self.parts[value][1], self._class_of, target)

    def _places(self, value: int, container: int) -> None:
        """The elements of `tuple[A, B]`, or of `tuple[A, ...]`."""
        if self.kinds[value] != Kind.CONTAINER:
            self.instance_of(value, self.element(container, "0"))
            return
        count = self.lengths.get(value, 0)
        if count == 2 and not self.held(self.element(value, "1")):
            self.watch(self.element(value, "0"), self.instance_of, self.unknown_of(container))
            return
        for index in range(count):
            self.watch(self.element(value, str(index)), self.instance_of, self.element(container, str(index)))

    def call_promised(self, value: int, call: Call) -> None:
        """Call something of which only the type of its results is known."""
        if call.result >= 0:
            self.watch(self.argument(self.parts[value][0], "-1"), self.instance_of, call.result)

    # --- annotations in quotes

    def _quoted(self, text: str, definition: int) -> int:
        """The slot of the type that a text means inside a definition."""
        slot = self.read.get((text, definition))
        if slot is None:
            slot = self.read[text, definition] = self.slot()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    tree = ast.parse(text.strip(), mode="eval")
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                return slot
            self.flow(self._evaluated(tree.body, definition), slot)
        return slot

    def _evaluated(self, node: ast.expr, definition: int) -> int:
        slot = self.slot()
        match node:
            case ast.Name(id=name):
                return self._name_in(name, definition)
            case ast.Attribute(value=value, attr=name):
                self.watch(self._evaluated(value, definition), self._type_attribute, slot, name)
            case ast.Subscript(value=value, slice=inner):
                given = self._evaluated(inner, definition)
                self.watch(self._evaluated(value, definition), self.item, slot, None, given)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                self.flow(self._evaluated(left, definition), slot)
                self.flow(self._evaluated(right, definition), slot)
            case ast.Tuple(elts=elts) | ast.List(elts=elts):
                made = self.container("tuple" if isinstance(node, ast.Tuple) else "list", slot)
                self.lengths[made] = len(elts)
                for index, each in enumerate(elts):
                    self.flow(self._evaluated(each, definition), self.element(made, str(index)))
                self.put(slot, made)
            case ast.Constant(value=str(text)):
                self.put(slot, self.value(Kind.QUOTED, text, definition))
        return slot

    def _name_in(self, name: str, definition: int) -> int:
        at = definition
        while at >= 0 and self.sort[at] != MODULE:
            if self.sort[at] == CLASS and (at, name) in self.members:
                return self.members[at, name]
            at = self.around.get(at, -1)
        if at >= 0 and self.has_name(at, name):
            return self.attribute(self.value(Kind.MODULE, at), name)
        slot = self.slot()
        self.put(slot, self.external(f"builtins.{name}"))
        return slot

    def _type_attribute(self, value: int, slot: int, name: str) -> None:
        self.flow(self.attribute(value, name), slot)

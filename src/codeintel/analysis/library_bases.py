"""What classes get from bases of the standard library: elements of containers, and methods that call their own.

An instance of a class below `list` or `dict` has elements like one: those of all instances of the class that names the
base, and of classes below, are one container. Methods of other bases call methods that the class has or overrides, as
the documentation of the base says.
"""

from __future__ import annotations

from collections.abc import Sequence

from codeintel.analysis.calls import Call
from codeintel.analysis.library_models import NAMESPACE, LibraryModels
from codeintel.analysis.values import INSTANCES, Kind

_CONTAINERS = {
    "list": ("builtins.list", "collections.deque", "collections.UserList", "typing.List", "typing.Deque"),
    "dict": ("builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.UserDict",
             "collections.Counter", "typing.Dict", "typing.OrderedDict", "typing.DefaultDict"),
    "set": ("builtins.set", "builtins.frozenset", "typing.Set", "typing.FrozenSet"),
    "tuple": ("builtins.tuple", "typing.Tuple"),
}  # fmt: skip
_TYPE_OF = {path: name for name, paths in _CONTAINERS.items() for path in paths}
_WITH_FACTORY = ("collections.defaultdict", "typing.DefaultDict")

# By class: what its methods call, each on the same instance; names with a star are beginnings.
_VISITS = {"visit": ("visit_*", "generic_visit"), "generic_visit": ("visit", "visit_*")}
_MAPPING = {"get": ("__getitem__",), "__contains__": ("__getitem__",)}
_MUTABLE_MAPPING = _MAPPING | {
    "setdefault": ("__getitem__", "__setitem__"), "update": ("__setitem__",), "pop": ("__getitem__", "__delitem__"),
}  # fmt: skip
_SEQUENCE = {"index": ("__getitem__",), "count": ("__getitem__",), "__contains__": ("__getitem__",)}
_MUTABLE_SEQUENCE = _SEQUENCE | {
    "append": ("insert",), "extend": ("insert",), "pop": ("__getitem__", "__delitem__"), "remove": ("__delitem__",),
    "__iadd__": ("insert",),
}  # fmt: skip
_MUTABLE_SET = {"remove": ("discard",), "__ior__": ("add",), "__isub__": ("discard",)}
_STARTS = {"start": ("run",)}
_CALLED = {
    f"{base}.{name}": called
    for bases, own in (
        (("ast.NodeVisitor", "ast.NodeTransformer"), _VISITS),
        (
            ("threading.Thread", "threading.Timer", "multiprocessing.Process", "multiprocessing.context.Process"),
            _STARTS,
        ),
        (("collections.abc.Mapping", "typing.Mapping"), _MAPPING),
        (("collections.abc.MutableMapping", "typing.MutableMapping", "collections.UserDict"), _MUTABLE_MAPPING),
        (("collections.abc.Sequence", "typing.Sequence"), _SEQUENCE),
        (("collections.abc.MutableSequence", "typing.MutableSequence", "collections.UserList"), _MUTABLE_SEQUENCE),
        (("collections.abc.MutableSet", "typing.MutableSet"), _MUTABLE_SET),
        (("cmd.Cmd",), {"onecmd": ("do_*", "default"), "cmdloop": ("do_*", "default")}),
        (("html.parser.HTMLParser",), {"feed": ("handle_*",), "close": ("handle_*",)}),
        (("json.JSONEncoder",), {"encode": ("default",), "iterencode": ("default",)}),
        (("logging.Handler",), {"handle": ("emit",)}),
    )
    for base in bases
    for name, called in own.items()
}
_ON_RECEIVER = ("__setattr__", "__getattribute__")


class LibraryBases(LibraryModels):
    """Instances of classes whose bases are outside."""

    def start_bases(self) -> None:
        self.containers_of: dict[int, tuple[int, str]] = {}  # by class: the container, and the base that it is of

    def contents(self, value: int) -> tuple[int, str]:
        """The container of what instances like a value hold, and the base that makes it one; -1 if there is none."""
        if self.kinds[value] not in INSTANCES:
            return -1, ""
        cls = self.parts[value][0]
        found = self.containers_of.get(cls)
        if found is None:
            found = next(
                (
                    (self.container(_TYPE_OF[base], self.stored_on(each, "[]")), base)
                    for each in self.order(cls)
                    for base in self.bases.get(each, ())
                    if isinstance(base, str) and base in _TYPE_OF
                ),
                (-1, ""),
            )
            self.containers_of[cls] = found
        return found

    def of_base(self, path: str, receiver: int) -> int:
        base, _, name = path.rpartition(".")
        if base == NAMESPACE:
            return self.value(Kind.OUTSIDE)
        if self.kinds[receiver] in INSTANCES:
            if name in _ON_RECEIVER or any(self._answers(receiver, each) for each in _CALLED.get(path, ())):
                return self.value(Kind.BOUND, self.external(path), receiver)
            container, _ = self.contents(receiver)
            if container >= 0 and base in _TYPE_OF:
                return self.value(Kind.METHOD, base.removeprefix("builtins."), name, container)
        return self.external(path)

    def _answers(self, value: int, name: str) -> bool:
        """Whether the class of an instance has a method of that name, or any that begins so."""
        if name.endswith("*"):
            return bool(self.names_like(value, name[:-1]))
        return self.has_member(self.parts[value][0], name, is_open=self.kinds[value] == Kind.OPEN)

    def call_inherited(self, function: int, receiver: int, call: Call) -> None:
        path = self.parts[function][0]
        name = path.rpartition(".")[2]
        if name not in _ON_RECEIVER:
            super().call_inherited(function, receiver, call)
            for each in _CALLED.get(path, ()):
                if self._answers(receiver, each):
                    self._call_own(receiver, each, name, call)
            return
        self.note(call, function)
        if call.positional and self.is_literal(call.positional[0]):  # others would be any attribute, with any value
            self.watch(call.positional[0], self._named_on, receiver, name, call)
        elif name == "__getattribute__":
            self.call_external(path, call)

    def _named_on(self, key: int, receiver: int, name: str, call: Call) -> None:
        text = self.text_of(key)
        if text is not None and name == "__setattr__":
            for slot in call.positional[1:2]:
                self.store_plainly(receiver, slot, text)
        elif text is not None and call.result >= 0:
            self.read_named(receiver, call.site, call.result, text)

    def _call_own(self, receiver: int, name: str, caller: str, call: Call) -> None:
        if name.endswith("*"):
            self.call_members(self.value(Kind.MEMBERS, receiver, name[:-1]), self.called_back(call, -1))
            return
        gives = name == "__getitem__" and caller != "__contains__"
        given = [-1, *call.positional[-1:]] if name == "insert" else call.positional[:2]
        self.watch(self.attribute(receiver, name), self.call,
                   self.called_back(call, call.result if gives else -1, () if name == "run" else given))  # fmt: skip
        if gives and len(call.positional) > 1 and call.result >= 0 <= call.positional[1]:
            self.flow(call.positional[1], call.result)

    def call_first(self, value: int, name: str, site: int, result: int, arguments: Sequence[int] = ()) -> bool:
        if name == "__contains__" and self.kinds[value] in INSTANCES and not self.has(value, name):
            called = _CALLED.get(self.inherited(self.order(self.parts[value][0]), name) or "", ())
            for each in called:
                self.call_method(value, each, site, -1, arguments)
            if called:
                return True
        return super().call_first(value, name, site, result, arguments)

    # --- elements

    def initialise(self, instance: int, call: Call) -> None:
        super().initialise(instance, call)
        container, base = self.contents(instance)
        if container >= 0 and not self.has_member(self.parts[instance][0], "__init__"):
            self._fill_with(container, base, call)

    def _fill_with(self, container: int, base: str, call: Call) -> None:
        given = call.positional
        if base in _WITH_FACTORY:
            self.make_missing(container, given[:1])
            given = given[1:]
        self._fill(container, call, given)

    def call_method_of_builtin(self, parts: tuple[str, str, int], call: Call) -> None:
        super().call_method_of_builtin(parts, call)
        type_name, name, value = parts
        if name == "__init__" and self.kinds[value] == Kind.CONTAINER:
            self._fill_with(value, type_name, call)
        elif name in ("__add__", "__or__") and call.result >= 0:
            self.put(call.result, value)

    def merge(self, value: int, container: int, site: int = -1) -> None:
        inside, _ = self.contents(value)
        is_dict = inside >= 0 and self.parts[container][0] == self.parts[inside][0] == "dict"
        super().merge(inside if is_dict and not self._answers(value, "__iter__") else value, container, site)

    def slice(self, value: int, target: int, span: str | None) -> None:
        inside, _ = self.contents(value)
        super().slice(value if inside < 0 or self._answers(value, "__getitem__") else inside, target, span)

"""What calls of builtins, and of a few functions of the standard library, do with values.

Only what moves values or calls back is here; all else from outside takes what it gets and gives something unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from codeintel.analysis.calls import Call
from codeintel.analysis.made_classes import MadeClasses
from codeintel.analysis.values import INSTANCES, Kind

_TYPES = ("str", "int", "float", "bytes", "bool", "bytearray", "complex", "memoryview", "range", "object")
_CONTAINERS = ("list", "tuple", "set", "dict", "frozenset")
_RETURNS = {
    "str": ("builtins.str", "builtins.repr", "builtins.format", "builtins.input", "builtins.chr", "builtins.hex"),
    "int": ("builtins.int", "builtins.len", "builtins.ord", "builtins.hash", "builtins.id"),
    "float": ("builtins.float",),
    "bytes": ("builtins.bytes",),
}
_RESULT_TYPE = {path: name for name, paths in _RETURNS.items() for path in paths}
_METHOD_RESULTS = {
    ("str", name): "str"
    for name in ("join", "format", "strip", "lstrip", "rstrip", "lower", "upper", "replace", "title", "capitalize",
                 "removeprefix", "removesuffix", "zfill", "ljust", "rjust", "center", "expandtabs")
} | {("str", "encode"): "bytes", ("bytes", "decode"): "str", ("str", "split"): "list", ("str", "rsplit"): "list",
     ("str", "splitlines"): "list"}  # fmt: skip
_LOOKS_UP = frozenset({"get", "pop", "setdefault", "add", "discard", "remove", "index", "count", "__contains__"})
_PART = ("pop", "get", "setdefault", "popitem", "popleft", "get_nowait", "__getitem__")
_ADDS = ("append", "add", "appendleft", "put", "put_nowait", "set")


class Models(MadeClasses):
    """Calls of what is outside; `unnamed` are calls of `getattr`."""

    unnamed: list[Call]
    named_reads: dict[tuple[int, int], str]  # by site and slot of an attribute that is read by its name

    def call_external(self, path: str, call: Call) -> None:
        model = _MODELS.get(path)
        if model is not None:
            model(self, call)
        elif (name := _RESULT_TYPE.get(path)) is not None:
            self._gives(call, self.value(Kind.BUILTIN, name))
        elif path in _TRANSPARENT:
            if call.positional and call.positional[0] >= 0:
                self._hands_on(call, call.positional[0])
        elif path.startswith("builtins.") and path[9:] in _CONTAINERS:
            self._collect(call, path[9:])
        else:
            if path not in _CALLS_NOTHING:
                self.hand_out(call)
            if call.result >= 0:
                self.put(call.result, self.result_of(path))

    def _gives(self, call: Call, value: int) -> None:
        if call.result >= 0:
            self.put(call.result, value)

    def _hands_on(self, call: Call, slot: int) -> None:
        if call.result >= 0:
            self.flow(slot, call.result)

    def _collect(self, call: Call, name: str) -> None:
        """`list(x)`: a new container of what iterating gives."""
        if call.result < 0:
            return
        made = self.container(name, call.result)
        self.put(call.result, made)
        for slot in call.positional:
            if slot >= 0:
                self.watch(slot, self.merge, made, call.site)
        if name == "dict":
            for key, slot in call.keywords.items():
                self.flow(slot, self.element(made, f"'{key}"))
        elif name in ("set", "frozenset") and call.positional:
            self.look_for(made, call.site, self.unknown_of(made))

    def call_back(self, call: Call, function: int, arguments: list[int], result: int) -> None:
        """Something outside calls what a slot holds."""
        if function >= 0:
            self.watch(function, self.call, self.called_back(call, result, arguments))

    def called_back(
        self, call: Call, result: int, arguments: Sequence[int] = (), keywords: Mapping[str, int] | None = None,
        starred: Sequence[tuple[int, int]] = (), double_starred: Sequence[int] = (),
    ) -> Call:  # fmt: skip
        """A call that something outside makes while it is called."""
        return Call(call.site, result, "callback", arguments, keywords or {}, starred, double_starred,
                    (*call.through, call.site))  # fmt: skip

    def compare(self, call: Call, slot: int, name: str = "__lt__") -> None:
        """What is in a slot, or what `key` makes of it, is put in order."""
        key, keys = call.keywords.get("key", -1), slot
        if key >= 0:
            keys = self.slot() if self.is_answered(name) else -1
            self.call_back(call, key, [slot], keys)
        self.ask_for(name, call.site, keys, keys)

    def each(self, call: Call, slot: int) -> int:
        """A slot for what iterating over an argument gives."""
        step = self.slot()
        if slot >= 0:
            self.watch(slot, self.iterate, step, call.site)
        return step

    def call_method_of_builtin(self, parts: tuple[str, str, int], call: Call) -> None:
        type_name, name, value = parts
        first = call.positional[0] if call.positional else -1
        if (result := _METHOD_RESULTS.get((type_name, name))) is not None:
            self._gives(call, self.value(Kind.BUILTIN, result))
            if name == "format":
                for slot in (*call.positional, *call.keywords.values()):
                    self.ask_for("__format__", call.site, slot)
        if self.kinds[value] == Kind.GENERATOR:
            if name in ("__next__", "send", "__anext__", "asend") and call.result >= 0:
                self.iterate(value, call.result, call.site)
            if name in ("send", "asend") and first >= 0:
                self.flow(first, self.stored_on(self.parts[value][0], "send()"))
            return
        if self.kinds[value] != Kind.CONTAINER:
            return
        if name in _LOOKS_UP:
            self.look_for(value, call.site, first)
        if name in _ADDS and first >= 0:
            self.flow(first, self.unknown_of(value))
        elif name == "insert" and len(call.positional) > 1 and call.positional[1] >= 0:
            self.flow(call.positional[1], self.unknown_of(value))
        elif name in ("extend", "update", "union", "extendleft") and first >= 0:
            self.watch(first, self.merge, value, call.site)
        elif name == "sort":
            self.compare(call, self.all_in(value))
        elif name in ("setdefault", "__setitem__") and len(call.positional) > 1 and call.positional[1] >= 0:
            self._at_key(call, value, call.positional[1], store=True)
        if name == "update":
            for key, slot in call.keywords.items():
                self.flow(slot, self.element(value, f"'{key}"))
        if call.result < 0:
            return
        if name == "popitem" and self.parts[value][0] == "dict":
            self.put(call.result, self._item_of(value))
        elif name in _PART:
            self._at_key(call, value, call.result, store=False)
            if name in ("get", "pop", "setdefault") and len(call.positional) > 1 and call.positional[1] >= 0:
                self.flow(call.positional[1], call.result)
        elif name in ("copy", "__iter__"):
            self.put(call.result, value)
        elif name == "values":
            made = self.container("list", call.result)
            self.flow(self.all_in(value), self.unknown_of(made))
            self.put(call.result, made)
        elif name == "items":
            made = self.container("list", call.result)
            self.put(self.unknown_of(made), self._item_of(value))
            self.put(call.result, made)

    def _item_of(self, value: int) -> int:
        """A key of a dict with what is there."""
        pair = self.container("tuple", self.slot_of(value, "items"))
        self.iterate(value, self.element(pair, "0"), -1)
        self.flow(self.all_in(value), self.element(pair, "1"))
        return pair

    def slot_of(self, value: int, name: str) -> int:
        return self.stored_on(-2 - value, name)

    def _at_key(self, call: Call, container: int, slot: int, *, store: bool) -> None:
        """The element of a container at the key in the first argument flows to `slot`, or from it."""
        is_dict = self.parts[container][0] == "dict"
        if is_dict and call.positional and call.positional[0] >= 0:
            (self.set_at if store else self.at_key)(call.positional[0], container, slot)
        elif store:
            self.flow(slot, self.unknown_of(container))
        else:
            self.flow(self.all_in(container), slot)

    # --- by name

    def model_map(self, call: Call) -> None:
        if len(call.positional) > 1 and call.result >= 0:
            made = self.container("list", call.result)
            given = [self.each(call, slot) for slot in call.positional[1:]]
            self.call_back(call, call.positional[0], given, self.unknown_of(made))
            self.put(call.result, made)

    def model_filter(self, call: Call) -> None:
        if len(call.positional) > 1 and call.result >= 0:
            made = self.container("list", call.result)
            step = self.each(call, call.positional[1])
            self.call_back(call, call.positional[0], [step], -1)
            self.flow(step, self.unknown_of(made))
            self.put(call.result, made)

    def model_sorted(self, call: Call) -> None:
        if call.positional and call.result >= 0:
            made = self.container("list", call.result)
            step = self.each(call, call.positional[0])
            self.flow(step, self.unknown_of(made))
            self.put(call.result, made)
            self.compare(call, step)

    def model_least(self, call: Call) -> None:
        self._model_most(call, "__lt__")

    def model_most(self, call: Call) -> None:
        self._model_most(call, "__gt__")

    def _model_most(self, call: Call, name: str) -> None:
        if len(call.positional) == 1:
            step = self.each(call, call.positional[0])
            given = [step]
        else:
            given = [slot for slot in call.positional if slot >= 0]
        for slot in given:
            self._hands_on(call, slot)
            self.compare(call, slot, name)

    def model_reduce(self, call: Call) -> None:
        if len(call.positional) > 1:
            step, result = self.each(call, call.positional[1]), self.slot()
            self.call_back(call, call.positional[0], [result, step], result)
            self._hands_on(call, result)
            first = call.positional[2] if len(call.positional) > 2 else step
            if first >= 0:
                self.flow(first, result)

    def model_next(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0:
            self.watch(call.positional[0], self._step, call.result if call.result >= 0 else self.slot(), call.site)
            for slot in call.positional[1:2]:
                self._hands_on(call, slot)

    def model_iter(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0:
            self.watch(call.positional[0], self._iterator, call)

    def _iterator(self, value: int, call: Call) -> None:
        if self.kinds[value] in INSTANCES:
            self.call_method(value, "__iter__", call.site, call.result, [])
        elif len(call.positional) > 1:
            self.call_back(call, call.positional[0], [], self.slot())
        else:
            self._gives(call, value)

    def model_enumerate(self, call: Call) -> None:
        if call.positional and call.result >= 0:
            pair = self.container("tuple", self.stored_on(-2 - call.result, "enumerate"))
            self.put(self.element(pair, "0"), self.value(Kind.BUILTIN, "int"))
            self.flow(self.each(call, call.positional[0]), self.element(pair, "1"))
            made = self.container("list", call.result)
            self.put(self.unknown_of(made), pair)
            self.put(call.result, made)

    def model_zip(self, call: Call) -> None:
        if call.result >= 0:
            row = self.container("tuple", self.stored_on(-2 - call.result, "zip"))
            for index, slot in enumerate(call.positional):
                self.flow(self.each(call, slot), self.element(row, str(index)))
            made = self.container("list", call.result)
            self.put(self.unknown_of(made), row)
            self.put(call.result, made)
            for slot, _ in call.starred:
                self.watch(self.each(call, slot), self._transpose, made, call)

    def _transpose(self, row: int, made: int, call: Call) -> None:
        """What is at one place of the rows that `zip` is given makes one row."""
        if self.kinds[row] == Kind.CONTAINER:
            self.each_element(row, self._transpose_element, made, call.result)
            anywhere = self.container("tuple", self.stored_on(-2 - call.result, "zip"))
            self.flow(self.unknown_of(row), self.unknown_of(anywhere))
            self.put(self.unknown_of(made), anywhere)

    def _transpose_element(self, key: str, slot: int, made: int, result: int) -> None:
        column = self.container("tuple", self.stored_on(-2 - result, f"zip {key}"))
        self.flow(slot, self.unknown_of(column))
        self.put(self.element(made, key), column)

    def model_from_keys(self, call: Call) -> None:
        if call.positional and call.result >= 0:
            made = self.container("dict", call.result)
            self.flow(self.each(call, call.positional[0]), self.keys_of(made))
            for slot in call.positional[1:2]:
                self.flow(slot, self.unknown_of(made))
            self.put(call.result, made)

    def model_getattr(self, call: Call) -> None:
        if len(call.positional) > 1 and min(call.positional[:2]) >= 0:
            if call.result >= 0:
                self.unnamed.append(call)
            self.watch(call.positional[1], self._named_attribute, call)
            for slot in call.positional[2:3]:
                self._hands_on(call, slot)

    def model_hasattr(self, call: Call) -> None:
        """`hasattr` reads the attribute, and gives something else."""
        if len(call.positional) > 1 and min(call.positional[:2]) >= 0:
            read = Call(call.site, self.slot(), call.origin, call.positional)
            self.watch(call.positional[1], self._named_attribute, read)

    def _named_attribute(self, name: int, call: Call) -> None:
        if call.result < 0:
            return
        if (text := self.text_of(name)) is not None:
            written = self.is_literal(call.positional[1])
            self.watch(call.positional[0], self.read_named, call.site, call.result, text, written)
        elif self.kinds[name] == Kind.BUILTIN and len(self.parts[name]) > 1:
            self.watch(call.positional[0], self.read_computed, call.result, self.parts[name][1])

    def read_computed(self, value: int, target: int, prefix: str = "") -> None:
        if self.kinds[value] in (Kind.INSTANCE, Kind.OPEN, Kind.CLASS, Kind.MODULE):
            self.put(target, self.value(Kind.MEMBERS, value, prefix))

    def read_named(self, value: int, site: int, target: int, name: str, written: bool = True) -> None:
        """`target` gets the attribute of that name of a value; what reading it calls is called at `site`."""
        if written or self.kinds[value] != Kind.RESULT:
            read = self.attribute(value, name)
            self.flow(read, target)
            self.named_reads.setdefault((site, read), self.assumed)
        else:  # one of several names, of something that nobody has looked into
            self.put(target, self.value(Kind.OUTSIDE))

    def model_setattr(self, call: Call) -> None:
        if len(call.positional) > 2 and min(call.positional[:3]) >= 0:
            self.watch(call.positional[1], self._store_named, call, self.store_late)

    def _store_named(self, name: int, call: Call, store: Callable[[int, int, str], None]) -> None:
        if (text := self.text_of(name)) is not None:
            self.watch(call.positional[0], store, call.positional[2], text)

    def store(self, value: int, source: int, name: str) -> None:
        """An attribute of a value is set to what `source` holds."""
        self.store_known(value, source, name)
        if self.kinds[value] in INSTANCES:
            self.tell_stored(value, source, name)

    def store_known(self, value: int, source: int, name: str) -> None:
        """`store` without a word to `__setattr__`."""
        kind, parts = self.kinds[value], self.parts[value]
        if kind in INSTANCES:
            self.flow(source, self.stored_on_instances(parts[0], name))
            self.store_through(value, source, name)
        elif kind == Kind.CLASS or kind == Kind.MODULE:
            member = self.members.get((parts[0], name))
            self.flow(source, member if member is not None else self.stored_on(parts[0], name))
        elif kind == Kind.FUNCTION:
            self.flow(source, self.stored_on(parts[0], name))

    def store_plainly(self, value: int, source: int, name: str) -> None:
        """What `object.__setattr__` does."""
        self.note_stored(name)
        self.store_known(value, source, name)

    def model_set_plainly(self, call: Call) -> None:
        if len(call.positional) > 2 and min(call.positional[:3]) >= 0 and self.is_literal(call.positional[1]):
            self.watch(call.positional[1], self._store_named, call, self.store_plainly)

    def model_delattr(self, call: Call) -> None:
        if len(call.positional) > 1 and min(call.positional[:2]) >= 0:
            self.watch(call.positional[1], self._delete_named, call)

    def _delete_named(self, name: int, call: Call) -> None:
        if (text := self.text_of(name)) is not None:
            self.watch(call.positional[0], self.delete, call.site, text)

    def model_type(self, call: Call) -> None:
        if len(call.positional) == 1 and call.positional[0] >= 0:
            self.watch(call.positional[0], self._type_of, call)
        elif len(call.positional) == 3:
            self.make_class(call)

    def _type_of(self, value: int, call: Call) -> None:
        if self.kinds[value] in INSTANCES and call.result >= 0:
            self.flow(self.attribute(value, "__class__"), call.result)

    def model_super(self, call: Call) -> None:
        if len(call.positional) == 2 and min(call.positional) >= 0:
            self.watch(call.positional[0], self._super_of, call)

    def _super_of(self, value: int, call: Call) -> None:
        if self.kinds[value] == Kind.CLASS:
            self.watch(call.positional[1], self._super_for, self.parts[value][0], call.result)

    def _super_for(self, value: int, cls: int, result: int) -> None:
        if self.kinds[value] in (Kind.INSTANCE, Kind.OPEN, Kind.CLASS) and result >= 0:
            self.put(result, self.value(Kind.SUPER, cls, value))

    def model_partial_method(self, call: Call) -> None:
        self.model_partial(call)
        self.partial_methods.add(call.result)

    def model_partial(self, call: Call) -> None:
        if call.result >= 0:
            self.partials[call.result] = call
            self.put(call.result, self.value(Kind.PARTIAL, call.result))

    def model_wraps(self, call: Call) -> None:
        self._gives(call, self.value(Kind.IDENTITY))

    def model_property(self, call: Call) -> None:
        given = [*call.positional, -1, -1, -1]
        getter = call.keywords.get("fget", given[0])
        if getter >= 0 and call.result >= 0:
            self.watch(getter, self._wrap, call.result, Kind.PROPERTY)
            for name, slot in (("setter", call.keywords.get("fset", given[1])),
                               ("deleter", call.keywords.get("fdel", given[2]))):  # fmt: skip
                if slot >= 0:
                    self.watch(call.result, self._also, name, slot)

    def _also(self, value: int, name: str, slot: int) -> None:
        if self.kinds[value] == Kind.PROPERTY:
            self.flow(slot, self.stored_on(-2 - value, name))

    def model_static(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0 and call.result >= 0:
            self.watch(call.positional[0], self._wrap, call.result, Kind.STATIC)

    def model_class_method(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0 and call.result >= 0:
            self.watch(call.positional[0], self._wrap, call.result, Kind.CLASSMETHOD)

    def model_bound(self, call: Call) -> None:
        if len(call.positional) == 2 and min(call.positional) >= 0 and call.result >= 0:
            self.watch(call.positional[0], self._bound_to, call)

    def _bound_to(self, value: int, call: Call) -> None:
        if self.kinds[value] in (Kind.FUNCTION, Kind.PARTIAL):
            self.watch(call.positional[1], self._bind_function, value, call.result)

    def _bind_function(self, receiver: int, function: int, target: int) -> None:
        self.put(target, self.value(Kind.BOUND, function, receiver))

    def model_cast(self, call: Call) -> None:
        if len(call.positional) > 1 and call.result >= 0:
            if call.positional[0] >= 0:
                self.watch(call.positional[0], self.instance_of, call.result)
            if call.positional[1] >= 0:
                self._hands_on(call, call.positional[1])


# Builtins without a model that call none of what they are given.
_CALLS_NOTHING = frozenset(
    f"builtins.{name}" for name in ("callable", "delattr", "id", "isinstance", "issubclass", "object", "print", "vars")
)
_TRANSPARENT = frozenset({
    "copy.copy", "copy.deepcopy", "weakref.proxy", "contextlib.contextmanager", "contextlib.asynccontextmanager",
    "functools.total_ordering",
    "abc.abstractmethod", "typing.overload", "typing.final", "typing.no_type_check",
    "functools.update_wrapper", "asyncio.create_task", "asyncio.ensure_future", "asyncio.run", "sys.intern",
    "asyncio.shield", "asyncio.wait_for",
})  # fmt: skip
_MODELS: dict[str, Callable[[Models, Call], None]] = {
    "builtins.dict.fromkeys": Models.model_from_keys,
    "builtins.map": Models.model_map, "builtins.filter": Models.model_filter, "builtins.sorted": Models.model_sorted,
    "builtins.max": Models.model_most, "builtins.min": Models.model_least, "functools.reduce": Models.model_reduce,
    "builtins.next": Models.model_next, "builtins.iter": Models.model_iter, "builtins.zip": Models.model_zip,
    "builtins.enumerate": Models.model_enumerate, "builtins.getattr": Models.model_getattr,
    "builtins.hasattr": Models.model_hasattr, "builtins.object.__setattr__": Models.model_set_plainly,
    "builtins.setattr": Models.model_setattr, "builtins.type": Models.model_type, "builtins.super": Models.model_super,
    "functools.partial": Models.model_partial, "functools.partialmethod": Models.model_partial_method,
    "functools.wraps": Models.model_wraps, "builtins.property": Models.model_property,
    "builtins.staticmethod": Models.model_static, "builtins.classmethod": Models.model_class_method,
    "types.MethodType": Models.model_bound, "builtins.object.__getattribute__": Models.model_getattr,
    "typing.cast": Models.model_cast, "builtins.globals": Models.model_globals, "builtins.vars": Models.model_vars,
    "builtins.locals": Models.model_vars, "importlib.import_module": Models.model_import_module,
    "builtins.__import__": Models.model_import, "builtins.delattr": Models.model_delattr,
}  # fmt: skip

"""What a few functions of the standard library do with values: who calls what back, and what comes out.

Everything that is not here gives what anything from outside gives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from codeintel.analysis.calls import Call
from codeintel.analysis.dispatch import Dispatch
from codeintel.analysis.values import WIDE, Kind

# What a builtin asks its first argument for.
_ASKED = {
    "builtins.len": "__len__", "builtins.bool": "__bool__", "builtins.str": "__str__", "builtins.repr": "__repr__",
    "builtins.hash": "__hash__", "builtins.format": "__format__", "builtins.int": "__int__",
    "builtins.float": "__float__", "builtins.complex": "__complex__", "builtins.bytes": "__bytes__",
    "builtins.abs": "__abs__", "builtins.round": "__round__", "builtins.dir": "__dir__", "builtins.ascii": "__repr__",
    "builtins.bin": "__index__", "builtins.hex": "__index__", "builtins.oct": "__index__",
    "builtins.divmod": "__divmod__", "builtins.aiter": "__aiter__", "builtins.anext": "__anext__",
    "math.floor": "__floor__", "math.ceil": "__ceil__", "math.trunc": "__trunc__", "operator.index": "__index__",
    "operator.length_hint": "__length_hint__", "os.fspath": "__fspath__", "sys.getsizeof": "__sizeof__",
    "copy.copy": "__copy__", "copy.deepcopy": "__deepcopy__",
}  # fmt: skip
_GIVE_WHAT_IS_ASKED = frozenset(f"builtins.{name}" for name in ("abs", "round", "divmod", "aiter", "anext"))
_OPERATORS = {f"operator.{name}": f"__{name.rstrip('_')}__" for name in (
    "add", "sub", "mul", "matmul", "truediv", "mod", "pow", "lshift", "rshift", "or_", "xor", "and_", "floordiv",
    "iadd", "isub", "imul", "ior", "iand")}  # fmt: skip
_EXECUTORS = ("concurrent.futures.ThreadPoolExecutor", "concurrent.futures.ProcessPoolExecutor",
              "concurrent.futures.Executor", "concurrent.futures.thread.ThreadPoolExecutor",
              "concurrent.futures.process.ProcessPoolExecutor")  # fmt: skip
_POOLS = ("multiprocessing.Pool", "multiprocessing.pool.Pool", "multiprocessing.pool.ThreadPool")
_QUEUES = ("queue.Queue", "queue.LifoQueue", "queue.PriorityQueue", "queue.SimpleQueue", "asyncio.Queue",
           "asyncio.LifoQueue", "asyncio.PriorityQueue", "multiprocessing.Queue", "contextvars.ContextVar")  # fmt: skip
NAMESPACE = "argparse.Namespace"
_GIVES = {
    "argparse.ArgumentParser.add_subparsers": "argparse._SubParsersAction",
    "argparse._SubParsersAction.add_parser": "argparse.ArgumentParser",
    "argparse.ArgumentParser.parse_args": NAMESPACE,
}
_STACKS = ("contextlib.ExitStack", "contextlib.AsyncExitStack")


class LibraryModels(Dispatch):
    """Calls of the standard library."""

    def call_external(self, path: str, call: Call) -> None:
        if path in _ASKED and call.positional and call.positional[0] >= 0:
            self.watch(call.positional[0], self._asked, path, call)
            if path == "builtins.hash":
                self.watch(call.positional[0], self.hash_elements, call.site)
        model = _MODELS.get(path)
        if model is not None:
            model(self, call)
        elif path in _OPERATORS:
            if len(call.positional) > 1 and call.positional[0] >= 0 and call.result >= 0:
                left, right = call.positional[:2]
                self.watch(left, self.operate, _OPERATORS[path], call.result, left, right)
        elif path in _GIVES:
            self._gives(call, self.value(Kind.RESULT, _GIVES[path]))
        elif path.endswith(".__new__"):
            if call.positional and call.positional[0] >= 0 and call.result >= 0:
                self.watch(call.positional[0], self.instance_exactly, call.result)
        else:
            super().call_external(path, call)

    def _asked(self, value: int, path: str, call: Call) -> None:
        if self.kinds[value] in (Kind.INSTANCE, Kind.OPEN, Kind.CLASS):
            gives = call.result if path in _GIVE_WHAT_IS_ASKED or path.startswith("copy.") else -1
            self.call_first(value, _ASKED[path], call.site, gives)

    def call_other(self, value: int, call: Call) -> None:
        kind, parts = self.kinds[value], self.parts[value]
        match kind:
            case Kind.ALIAS:
                self.call(self.external(parts[0]), call)
            case Kind.CALLABLE:
                self.call_promised(value, call)
            case Kind.RECORD:
                self.make_record(value, call)
            case Kind.GETTER if parts[0] == "holder":
                self._hands_on(call, parts[1])
            case Kind.GETTER if parts[0] == "subclasses":
                self._give_subclasses(parts[1], call)
            case Kind.GETTER if parts[0] == "when done":
                self._when_done(parts[1], call)
            case Kind.GETTER if parts[0] == "new type":
                if call.positional and call.positional[0] >= 0:
                    self._hands_on(call, call.positional[0])
            case Kind.GETTER if parts[0] in ("_replace", "_make"):
                self.call_tuple(parts[0], parts[1], call)
            case Kind.GETTER if parts[0] in ("register", "registers", "dispatch"):
                self.register(parts[0], parts[1], parts[2:], call)
            case Kind.GETTER:
                self._get(parts[0], parts[1], call)
            case _:
                pass

    # --- functions that take a part of what they are called with

    def model_attrgetter(self, call: Call) -> None:
        self._getter("attribute", call)

    def model_itemgetter(self, call: Call) -> None:
        self._getter("item", call)

    def model_methodcaller(self, call: Call) -> None:
        self._getter("method", call)

    def _getter(self, what: str, call: Call) -> None:
        if call.result >= 0 and call.positional and call.positional[0] >= 0:
            self.partials[call.result] = call
            self.put(call.result, self.value(Kind.GETTER, what, call.result))

    def _get(self, what: str, site: int, call: Call) -> None:
        made = self.partials[site]
        if not call.positional or call.positional[0] < 0:
            return
        result = call.result if call.result >= 0 else self.slot()
        if what == "item":
            self.watch(call.positional[0], self.item, result, None, made.positional[0])
        else:
            self.watch(made.positional[0], self._get_named, what, made, call, result)

    def _get_named(self, name: int, what: str, made: Call, call: Call, result: int) -> None:
        key = self.key(name)
        if key is None or not key.startswith("'"):
            return
        slot, names = call.positional[0], key[1:].split(".")
        for each in names[:6]:
            found = result if what == "attribute" and each == names[-1] else self.slot()
            self.watch(slot, self.read_named, call.site, found, each)
            slot = found
        if what == "method":
            self.watch(slot, self.call, self.called_back(call, result, made.positional[1:], made.keywords))

    # --- who holds something for later

    def _hold(self, call: Call, slot: int) -> None:
        """The result gives what is in `slot` when it is called."""
        if call.result >= 0 and slot >= 0:
            self.put(call.result, self.value(Kind.GETTER, "holder", slot))

    def model_reference(self, call: Call) -> None:
        if call.positional:
            self._hold(call, call.positional[0])
            if len(call.positional) > 1:
                self.call_back(call, call.positional[1], [-1], -1)

    def _run_with(self, call: Call, function: int, begin: int, result: int) -> None:
        """Something calls a function with the arguments from place `begin` on."""
        if function >= 0:
            later = [(slot, max(at - begin, 0)) for slot, at in call.starred]
            self.watch(function, self.call, self.called_back(call, result, call.positional[begin:], call.keywords,
                                                             later, call.double_starred))  # fmt: skip

    def model_runs_first(self, call: Call) -> None:
        if call.positional:
            result = self.slot()
            self._run_with(call, call.positional[0], 1, result)
            self._hands_on(call, result)

    def model_registers(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0:
            self._run_with(call, call.positional[0], 1, -1)
            self._hands_on(call, call.positional[0])

    def model_runs_second(self, call: Call) -> None:
        if len(call.positional) > 1:
            self._run_with(call, call.positional[1], 2, call.result)

    def model_runs_third(self, call: Call) -> None:
        if len(call.positional) > 2:
            self._run_with(call, call.positional[2], 3, -1)

    def model_submit(self, call: Call) -> None:
        if call.positional and call.result >= 0:
            result = self.slot()
            self._run_with(call, call.positional[0], 1, result)
            self.put(call.result, self.value(Kind.GETTER, "future", result))

    def model_thread(self, call: Call) -> None:
        self._later(call, call.keywords.get("target", call.positional[1] if len(call.positional) > 1 else -1))
        self._gives(call, self.value(Kind.RESULT, "threading.Thread"))

    def model_process(self, call: Call) -> None:
        self._later(call, call.keywords.get("target", call.positional[1] if len(call.positional) > 1 else -1))
        self._gives(call, self.value(Kind.RESULT, "multiprocessing.Process"))

    def model_timer(self, call: Call) -> None:
        self._later(call, call.keywords.get("function", call.positional[1] if len(call.positional) > 1 else -1), 2)
        self._gives(call, self.value(Kind.RESULT, "threading.Timer"))

    def _later(self, call: Call, function: int, place: int = 3) -> None:
        """A function is called with the elements of `args` and `kwargs`."""
        if function >= 0:
            args = call.keywords.get("args", call.positional[place] if len(call.positional) > place else -1)
            named = call.keywords.get("kwargs", -1)
            given = self.called_back(call, -1, starred=[(args, 0)] if args >= 0 else [],
                                     double_starred=[named] if named >= 0 else [])  # fmt: skip
            self.watch(function, self.call, given)

    def model_closing(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0 and call.result >= 0:
            self.put(call.result, self.value(Kind.GETTER, "closing", call.positional[0]))

    def model_no_context(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0 and call.result >= 0:
            self.put(call.result, self.value(Kind.GETTER, "open", call.positional[0]))

    def model_enter_context(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0:
            result = call.result if call.result >= 0 else self.slot()
            self.watch(call.positional[0], self.enter, result, call.site)

    def enter(self, value: int, target: int, site: int) -> None:
        if self.kinds[value] == Kind.GETTER and self.parts[value][0] in ("closing", "open"):
            self.flow(self.parts[value][1], target)
            if self.parts[value][0] == "closing":
                self.watch(self.parts[value][1], self.call_method, "close", site, -1, [])
        else:
            super().enter(value, target, site)

    def new_attribute(self, value: int, name: str) -> int:
        kind, parts = self.kinds[value], self.parts[value]
        if kind == Kind.RESULT and parts[0] == NAMESPACE:
            slot = self.attributes[name][value] = self.slot()
            self.flow(self.stored_on(-1, f"argument {name}"), slot)
            self.inheriting.append((slot, f"{NAMESPACE}.{name}", value))  # unless nothing arrives
            return slot
        slot = super().new_attribute(value, name)
        if kind == Kind.GETTER and parts[0] == "future" and name == "result":
            self.put(slot, self.value(Kind.GETTER, "holder", parts[1]))
        elif kind == Kind.GETTER and parts[0] == "future" and name == "add_done_callback":
            self.put(slot, self.value(Kind.GETTER, "when done", value))
        elif kind == Kind.CLASS and name == "__subclasses__":
            self.put(slot, self.value(Kind.GETTER, "subclasses", parts[0]))
        return slot

    def _give_subclasses(self, cls: int, call: Call) -> None:
        direct = [each for each in self.below[cls] if cls in self.bases.get(each, ())]
        if call.result >= 0 and direct:
            made = self.container("list", call.result)
            for each in direct[:WIDE]:
                self.put(self.unknown_of(made), self.value(Kind.CLASS, each))
            self.put(call.result, made)

    def _when_done(self, future: int, call: Call) -> None:
        if call.positional:
            self.call_back(call, call.positional[0], [self.holding(future)], -1)

    def model_defaults(self, call: Call) -> None:
        """`parser.set_defaults(func=f)` is what `parser.parse_args().func` gives, of whichever parser."""
        for name, slot in call.keywords.items():
            self.flow(slot, self.stored_on(-1, f"argument {name}"))

    # --- others

    def model_namedtuple(self, call: Call) -> None:
        if call.result >= 0 and (names := self.names_given(call)):
            self.put(call.result, self.value(Kind.RECORD, call.result, names))

    def model_type_variable(self, call: Call) -> None:
        """A type variable means its bound or its constraints."""
        for slot in (*call.positional[1:], call.keywords.get("bound", -1)):
            if slot >= 0:
                self._hands_on(call, slot)

    def model_new_type(self, call: Call) -> None:
        if len(call.positional) > 1:
            self._gives(call, self.value(Kind.GETTER, "new type", call.positional[1]))

    def model_factory(self, call: Call) -> None:
        factory = call.positional[0] if call.positional else call.keywords.get("factory", -1)
        if factory >= 0:
            self._gives(call, self.value(Kind.GETTER, "factory", factory))

    def model_field(self, call: Call) -> None:
        if call.result >= 0:
            for keyword in ("default_factory", "factory"):
                if (factory := call.keywords.get(keyword, -1)) >= 0:
                    self.watch(factory, self.call, Call(-1, call.result, "callback"))
            if (default := call.keywords.get("default", -1)) >= 0:
                self.watch(default, self._default_of, call.result)

    def _default_of(self, value: int, target: int) -> None:
        if self.kinds[value] == Kind.GETTER and self.parts[value][0] == "factory":
            self.watch(self.parts[value][1], self.call, Call(-1, target, "callback"))
        else:
            self.put(target, value)

    def model_replace(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0:
            self._hands_on(call, call.positional[0])
            for name, slot in call.keywords.items():
                self.watch(call.positional[0], self.store, slot, name)

    def model_gather(self, call: Call) -> None:
        self._list_of(call, *[slot for slot in call.positional if slot >= 0],
                      *[self.each(call, slot) for slot, _ in call.starred])  # fmt: skip

    def model_decorates(self, call: Call) -> None:
        """`@lru_cache` and `@lru_cache(…)` alike leave the function what it is."""
        if call.positional and call.positional[0] >= 0:
            self._decorates(call, call.positional[0])
        else:
            self._gives(call, self.value(Kind.IDENTITY))

    def _decorates(self, call: Call, slot: int) -> None:
        if call.result >= 0:
            self.watch(slot, self._decorated_by, call.result)

    def _decorated_by(self, value: int, target: int) -> None:
        kept = self.kinds[value] not in (Kind.CONSTANT, Kind.BUILTIN)  # `lru_cache(128)`
        self.put(target, value if kept else self.value(Kind.IDENTITY))


_MODELS: dict[str, Callable[[LibraryModels, Call], None]] = {
    "operator.attrgetter": LibraryModels.model_attrgetter, "operator.itemgetter": LibraryModels.model_itemgetter,
    "operator.methodcaller": LibraryModels.model_methodcaller, "weakref.ref": LibraryModels.model_reference,
    "weakref.WeakMethod": LibraryModels.model_reference, "atexit.register": LibraryModels.model_registers,
    "asyncio.to_thread": LibraryModels.model_runs_first, "contextvars.Context.run": LibraryModels.model_runs_first,
    "signal.signal": LibraryModels.model_runs_second, "weakref.finalize": LibraryModels.model_runs_second,
    "re.sub": LibraryModels.model_runs_second, "threading.Thread": LibraryModels.model_thread,
    "threading.Timer": LibraryModels.model_timer, "multiprocessing.Process": LibraryModels.model_process,
    "contextlib.closing": LibraryModels.model_closing, "contextlib.aclosing": LibraryModels.model_closing,
    "contextlib.nullcontext": LibraryModels.model_no_context, "itertools.chain": LibraryModels.model_chain,
    "itertools.chain.from_iterable": LibraryModels.model_chain_of, "itertools.cycle": LibraryModels.model_same_elements,
    "itertools.islice": LibraryModels.model_same_elements, "itertools.takewhile": LibraryModels.model_chosen,
    "itertools.dropwhile": LibraryModels.model_chosen, "itertools.filterfalse": LibraryModels.model_chosen,
    "itertools.starmap": LibraryModels.model_starmap, "itertools.accumulate": LibraryModels.model_accumulate,
    "itertools.groupby": LibraryModels.model_group, "itertools.permutations": LibraryModels.model_combined,
    "itertools.combinations": LibraryModels.model_combined, "itertools.pairwise": LibraryModels.model_combined,
    "itertools.tee": LibraryModels.model_combined, "itertools.repeat": LibraryModels.model_repeat,
    "itertools.product": LibraryModels.model_zip, "itertools.zip_longest": LibraryModels.model_zip,
    "builtins.any": LibraryModels.model_iterates, "builtins.all": LibraryModels.model_iterates,
    "builtins.sum": LibraryModels.model_sum, "builtins.reversed": LibraryModels.model_reversed,
    "builtins.print": LibraryModels.model_print, "heapq.nlargest": LibraryModels.model_largest,
    "heapq.nsmallest": LibraryModels.model_largest, "heapq.merge": LibraryModels.model_merged,
    "collections.deque": LibraryModels.model_deque, "collections.OrderedDict": LibraryModels.model_ordered,
    "collections.Counter": LibraryModels.model_counter, "collections.ChainMap": LibraryModels.model_chain_map,
    "collections.defaultdict": LibraryModels.model_defaultdict,
    "collections.namedtuple": LibraryModels.model_namedtuple, "typing.NamedTuple": LibraryModels.model_namedtuple,
    "typing.TypeVar": LibraryModels.model_type_variable, "typing_extensions.TypeVar": LibraryModels.model_type_variable,
    "dataclasses.field": LibraryModels.model_field, "attr.ib": LibraryModels.model_field,
    "attr.attrib": LibraryModels.model_field, "attr.field": LibraryModels.model_field,
    "attr.Factory": LibraryModels.model_factory, "attrs.Factory": LibraryModels.model_factory,
    "typing.NewType": LibraryModels.model_new_type, "typing_extensions.NewType": LibraryModels.model_new_type,
    "attrs.field": LibraryModels.model_field, "attr.evolve": LibraryModels.model_replace,
    "attrs.evolve": LibraryModels.model_replace, "dataclasses.replace": LibraryModels.model_replace,
    "copy.replace": LibraryModels.model_replace, "asyncio.gather": LibraryModels.model_gather,
    "functools.singledispatch": LibraryModels.model_dispatch,
    "functools.singledispatchmethod": LibraryModels.model_dispatch_method,
    "functools.lru_cache": LibraryModels.model_decorates, "functools.cache": LibraryModels.model_decorates,
    "argparse.ArgumentParser.set_defaults": LibraryModels.model_defaults,
    "dataclasses.dataclass": LibraryModels.model_decorates, "functools.cmp_to_key": LibraryModels.model_decorates,
}  # fmt: skip
for _pool in (*_EXECUTORS, *_POOLS):
    _MODELS |= {f"{_pool}.submit": LibraryModels.model_submit, f"{_pool}.map": LibraryModels.model_map,
                f"{_pool}.imap": LibraryModels.model_map, f"{_pool}.starmap": LibraryModels.model_starmap,
                f"{_pool}.apply": LibraryModels.model_runs_first}  # fmt: skip
for _queue in _QUEUES:
    _MODELS[_queue] = partial(LibraryModels.model_queue, path=_queue)
for _name in ("heappush", "heappushpop", "heapreplace"):
    _MODELS[f"heapq.{_name}"] = LibraryModels.model_put_in_order
for _name in ("heapify", "heappop"):
    _MODELS[f"heapq.{_name}"] = LibraryModels.model_ordered_in_place
for _name in ("insort", "insort_left", "insort_right", "bisect", "bisect_left", "bisect_right"):
    _MODELS[f"bisect.{_name}"] = LibraryModels.model_put_in_order if _name[0] == "i" else (
        LibraryModels.model_ordered_in_place)  # fmt: skip
for _stack in _STACKS:
    _MODELS |= {f"{_stack}.enter_context": LibraryModels.model_enter_context,
                f"{_stack}.enter_async_context": LibraryModels.model_enter_context,
                f"{_stack}.callback": LibraryModels.model_registers}  # fmt: skip

"""The rows of a program put to work: first its class hierarchy, then everything."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from codeintel.analysis.attributes import BASES, MOST_CLASSES, Exports
from codeintel.analysis.calls import Call
from codeintel.analysis.guesses import ROUNDS_OF_GUESSES, Guesses
from codeintel.analysis.program import CLASS, Modules, Program
from codeintel.analysis.values import Kind

_STATIC = ("copy", "load", "item", "global")
TAKES_CLASS = ("__new__", "__init_subclass__", "__class_getitem__")
_SELF = ("typing.Self", "typing_extensions.Self")
ROUNDS = 3  # of resolving bases that are read off classes whose own bases matter


class Solver(Guesses):
    """All values of a program; `run` fills the sets."""

    def __init__(
        self,
        program: Program,
        modules: Modules,
        exports: Exports,
        bases: BASES,
        metas: Mapping[int, Sequence[int]],
    ) -> None:
        super().__init__(program, modules, exports, bases, metas)
        self.container_at, self.elements, self.unknown, self.all_of, self.lengths = {}, {}, {}, {}, {}
        self.unopened, self.readers, self.partials, self.unnamed, self.named_reads = {}, {}, {}, [], {}
        self.keyed, self.type_names, self.factories = [], {}, {}
        self.promised, self.read, self.made_at, self.dispatchers, self.types_in = {}, {}, {}, {}, {}
        self.sites, self.callee_of = {}, {}
        self.start_special_methods()
        self.start_construction()
        self.start_dynamic_names()
        self.start_generated()
        self.start_bases()

    def names(self) -> None:
        """What names, imports and attributes lead to."""
        program, paths = self.program, self.program.paths
        rows = program["import"]
        for target, name, path in zip(rows.target, rows.name, rows.path, strict=True):
            self.put(target, self.module(name or "", paths[path]))
        rows = program["external"]
        for target, name in zip(rows.target, rows.name, strict=True):
            self.put(target, self.external(name or ""))
        rows = program["copy"]
        for target, source in zip(rows.target, rows.source, strict=True):
            self.flow(source, target)
        rows = program["global"]
        for target, source, name in zip(rows.target, rows.source, rows.name, strict=True):
            self._global(source, name or "", target)
        self._loads()
        self.begin_rows()

    def _loads(self) -> None:
        """Whoever reads the same attribute of the same slot gets the same."""
        rows = self.program["load"]
        target, columns = rows.targets, [rows.column(name) for name in ("path", "name", "source")]
        order = np.lexsort(columns)
        differs = [column[order][1:] != column[order][:-1] for column in columns]
        first = np.flatnonzero(np.r_[True, np.logical_or.reduce(differs)][: len(order)])
        count = np.diff(first, append=len(order))
        read = target[order[first]]
        for at in np.flatnonzero(count > 1).tolist():
            read[at] = self.slot()
            self.hand_on(int(read[at]), target[order[first[at] : first[at] + count[at]]].tolist())
        ranked = np.argsort(order[first])
        kept = rows.where(order[first][ranked])
        self.watch_all(
            kept.column("source"), self._load, array("i", read[ranked].tobytes()), *kept.packed("name", "path"),
            at_once=True,
        )  # fmt: skip

    def _global(self, module: int, name: str, target: int) -> None:
        if self.has_name(module, name):
            self.flow(self.attribute(self.value(Kind.MODULE, module), name), target)
        else:
            self.put(target, self.external(f"builtins.{name}"))

    def _load(self, values: Iterable[int], target: int, name: str, path: int) -> None:
        """`target` gets the attribute of that name of all values, read in a file."""
        found, known = [], self.attributes[name]
        for value in values:
            if self.kinds[value] == Kind.MODULE and self.modules.path[self.parts[value][0]] == self.program.paths[path]:
                # `from . import name` inside the package itself: the module it binds the name to, not the name.
                submodule = self.modules.submodule(self.parts[value][0], name)
                if submodule is not None:
                    self.put(target, self.value(Kind.MODULE, submodule))
                    continue
            slot = known.get(value)
            found.append(self.new_attribute(value, name) if slot is None else slot)
        self.flow_together(found, target)

    def run(self) -> None:
        """Let everything flow; then once more with what has to be assumed of what nothing is known of."""
        self.start_calls()
        self.start_containers()
        self.names()
        self.start_annotations()
        self.solve()
        self._rows()
        self.find_generated()
        self.start_lookups()
        self.find_stored_by_text()
        self.callee_of.clear()
        self.start_narrowing()
        self._settle()
        self.assumed = "assumed "
        self.forget_unused()
        self._assume()
        self._settle()
        self.assume_tested()
        self._settle()
        self.forget_unused()
        self.known = list(self.sets)
        self.assumed = "guessed "
        self.start_guesses()
        self.begin_texts()
        self.solve()
        self.read_unknown_names()
        self.made_outside()
        for _ in range(ROUNDS_OF_GUESSES):
            self.guess()
            self._settle()
        self.note_lookups()
        self.forget_edges()

    def _settle(self) -> None:
        """Let values flow, and ask what they are asked for, until neither gives anything new."""
        self.solve()
        while self.ask():
            self.solve()

    def _rows(self) -> None:
        program = self.program
        rows = program["store"]
        self.watch_all(rows.targets, self.store, *rows.packed("source", "name"))
        for op, by, function, columns in (
            ("set_item", "target", self.set_item, ("source", "name", "other")),
            ("item", "source", self.item, ("target", "name", "other")),
            ("slice", "source", self.slice, ("target", "name")),
            ("unpack", "source", self.unpack, ("target", "name", "source")),
            ("iterate", "source", self.iterate, ("target", "target")),
            ("enter", "source", self.enter, ("target", "target")),
            ("caught", "source", self.caught, ("target",)),
            ("raise", "source", self.raised, ("target",)),
            ("special", "source", self.operate, ("name", "target", "source", "other")),
            ("reflected", "source", self.reflected, ("name", "target")),
            ("formatted", "source", self.formatted, ("name", "target")),
            ("delegated", "source", self.delegated, ("target", "other")),
            ("delete", "source", self.delete, ("target", "name")),
            ("decorate", "source", self.decorate, ("target", "other")),
        ):
            rows = program[op]
            self.watch_all(rows.column(by), function, *rows.packed(*columns))
        rows = program["sent"]
        for target, source in zip(rows.target, rows.source, strict=True):
            self.flow(self.stored_on(source, "send()"), target)
        rows = program["constant"]
        for target, name in zip(rows.target, rows.name, strict=True):
            if name and (name[0] in "'-" or name[0].isdecimal()):
                self.put(target, self.constant(name))
            elif name:
                self.put(target, self.value(Kind.BUILTIN, name))
        rows = program["super"]
        for target, source in zip(rows.target, rows.source, strict=True):
            self._super(target, source)
        self._calls()
        self.begin_rows()

    def _super(self, target: int, definition: int) -> None:
        """`super()` of a method, or of a function inside one."""
        function = definition
        while (around := self.around.get(function, -1)) >= 0 and self.sort[around] != CLASS:
            function = around
        if around < 0 or not self.functions[function].positional:
            return
        self.watch(self.functions[function].positional[0], self._super_for, around, target)

    def _calls(self) -> None:
        program = self.program
        self.sites, self.callee_of = {}, {}
        rows = program["call"]
        for target, source in zip(rows.target, rows.source, strict=True):
            self.sites[target] = Call(target, target, "call")
            self.callee_of[target] = source
        self.watch_all(rows.column("source"), self.call, [self.sites[target] for target in rows.target])
        created = program["create"]
        for target in created.target:
            self.sites[target] = Call(target, -1, "special")
        positional: dict[int, list[int]] = defaultdict(list)
        keywords: dict[int, dict[str, int]] = defaultdict(dict)
        starred: dict[int, list[tuple[int, int]]] = defaultdict(list)
        double_starred: dict[int, list[int]] = defaultdict(list)
        rows = program["starred"]
        for target, source, position in zip(rows.target, rows.source, rows.position, strict=True):
            starred[target].append((source, position))
        rows = program["argument"]
        for target, source, position in zip(rows.target, rows.source, rows.position, strict=True):
            if target in starred and position > starred[target][0][1]:
                continue  # nobody knows at which place it arrives
            own = positional[target]
            own += [-1] * (position - len(own))
            own.append(source)
        rows = program["keyword"]
        for target, source, name in zip(rows.target, rows.source, rows.name, strict=True):
            if source >= 0:
                keywords[target][name or ""] = source
        rows = program["double_starred"]
        for target, source in zip(rows.target, rows.source, strict=True):
            double_starred[target].append(source)
        sites = self.sites
        for target, slots in positional.items():
            sites[target].positional = slots
        for target, named in keywords.items():
            sites[target].keywords = named
        for target, begun in starred.items():
            sites[target].starred = begun
        for target, spread in double_starred.items():
            sites[target].double_starred = spread
        for target, cls in zip(created.target, created.source, strict=True):
            self.later(self._create, cls, sites[target])

    def _create(self, cls: int, call: Call) -> None:
        self.create(cls, call)

    def _assume(self) -> None:
        """What nothing was found to flow into.

        The receiver of a method that nobody calls is any instance of its class; a parameter or result without a value
        is what its annotation says; a key without a value is any key; an unknown decorator leaves things as they are.
        """
        program = self.program
        self.assume_made()
        self.assume_answers()
        for function, own in sorted(self.functions.items()):
            around = self.around.get(function, -1)
            if own.positional and around >= 0 and self.sort[around] == CLASS and not self.held(own.positional[0]):
                self._assume_receiver(function, own.positional[0], around)
        for op in ("annotated", "returns"):
            rows = program[op]
            for target, source, position in zip(rows.target, rows.source, rows.position, strict=True):
                slot = target if op == "annotated" else self.functions[target].result
                if position:  # of `*args` and `**kwargs`
                    slot = self.unknown_of(self.container_at[target])
                known = self.results(target) if op == "returns" else (slot,)
                if not any(map(self.held, known)):
                    self.watch(source, self._promised, target, slot)
        self.assume_overloads()
        rows = program["decorate"]
        for target, other in zip(rows.target, rows.other, strict=True):
            if not self.held(target) and target not in self.overloads:
                self.flow(other, target)
        self.assume_keys()

    def _promised(self, value: int, target: int, slot: int) -> None:
        """An annotation of a parameter, a variable, or of the result of the function `target`."""
        if self.kinds[value] == Kind.EXTERNAL and self.parts[value][0] in _SELF:
            own = self.functions[target].positional if target in self.functions else ()
            if own:
                self.flow(own[0], slot)
        else:
            self.instance_of(value, slot)

    def _assume_receiver(self, function: int, slot: int, cls: int) -> None:
        value = self.numbers[Kind.FUNCTION, function]
        name = self.name[function].rpartition(".")[2]
        if (Kind.STATIC, value) in self.numbers:
            return
        takes_class = (Kind.CLASSMETHOD, value) in self.numbers or name in TAKES_CLASS
        if takes_class:
            for each in (cls, *islice(self.below[cls], MOST_CLASSES)):
                self.put(slot, self.value(Kind.CLASS, each))
        else:
            self.put(slot, self.value(Kind.OPEN, cls))


def hierarchy(
    program: Program, modules: Modules, exports: Exports
) -> tuple[dict[int, list[int | str]], dict[int, list[int]]]:
    """The resolved bases of every class in order, classes by slot and externals by path, and its own metaclasses."""
    base, meta = program["base"], program["metaclass"]
    classes = [
        slot for slot, sort in zip(program["define"].target, program["define"].position, strict=True) if sort == CLASS
    ]
    asked = np.concatenate([base.column("source"), meta.column("source")])
    program = program.restricted((*_STATIC, "decorate", "import", "external"), _demanded(program, asked))
    bases: dict[int, list[int | str]] = {}
    metas: dict[int, list[int]] = {}
    for _ in range(ROUNDS):
        static = Solver(program, modules, exports, bases, {})
        static.names()
        rows = program["decorate"]  # a class that is decorated still is that class
        for target, other in zip(rows.target, rows.other, strict=True):
            static.flow(other, target)
        rows = program["item"]
        for target, source in zip(rows.target, rows.source, strict=True):
            if source >= 0:
                static.watch(source, static.item, target, None, -1)
        static.solve()
        found: dict[int, list[int | str]] = {cls: [] for cls in classes}
        for cls, _, source in sorted(zip(base.target, base.position, base.source, strict=True)):
            found[cls] += _class_values(static, source)
        metas = {cls: [] for cls in meta.target}
        for cls, source in zip(meta.target, meta.source, strict=True):
            metas[cls] += [v for v in _class_values(static, source) if isinstance(v, int)]
        vars(static).clear()  # its handlers refer to it, and nothing collects cycles here
        if found == bases:
            break
        bases = found
    return bases, metas


def _class_values(static: Solver, slot: int) -> list[int | str]:
    """One base: of several classes that a name may stand for, the first one by its name."""
    found = [
        static.parts[v][0] for v in static.held(slot) if static.kinds[v] in (Kind.CLASS, Kind.EXTERNAL)
    ]  # fmt: skip
    return sorted(found, key=lambda v: (isinstance(v, str), v if isinstance(v, str) else static.name[v]))[:1]


def _demanded(program: Program, start: np.ndarray) -> np.ndarray:
    """Whether what the slots `start` hold may come from a slot, by names and attributes alone."""
    read = [program[op] for op in _STATIC]
    target = np.concatenate([*(rows.targets for rows in read), program["decorate"].targets])
    source = np.concatenate([*(rows.column("source") for rows in read), program["decorate"].column("other")])
    named = [program[op] for op in ("load", "global")]
    reader, name = (np.concatenate([rows.column(column) for rows in named]) for column in ("target", "name"))
    member = program["member"]
    wanted = np.zeros(program.count + 1, bool)  # the last one is none
    wanted[start] = True
    names = np.zeros(int(max(name.max(initial=-1), member.column("name").max(initial=-1))) + 1, bool)
    before = 0
    while before < (before := np.count_nonzero(wanted)):
        wanted[source[wanted[target]]] = True
        names[name[wanted[reader]]] = True
        wanted[member.column("source")[names[member.column("name")]]] = True
        wanted[-1] = False
    return wanted

"""Names and modules that are given as texts: namespaces as dictionaries, and imports by name.

`globals()`, `vars(x)` and `x.__dict__` are values of the kind *namespace* whose keys are attributes; `sys.modules` has
the modules of the program. What a text is must be known: a literal, or literals put together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from codeintel.analysis.attributes import MOST_NAMES, instances_have
from codeintel.analysis.calls import Call
from codeintel.analysis.narrowing import Narrowing
from codeintel.analysis.program import MODULE
from codeintel.analysis.values import INSTANCES, WIDE, Kind

_HAVE_NAMES = (Kind.INSTANCE, Kind.OPEN, Kind.CLASS, Kind.MODULE)


class DynamicNames(Narrowing):
    """Attributes by keys."""

    def new_attribute(self, value: int, name: str) -> int:
        if name == "__dict__" and self.kinds[value] in _HAVE_NAMES:
            slot = self.attributes[name][value] = self.slot()
            self.put(slot, self.value(Kind.SPACE, value))
            return slot
        if self.kinds[value] == Kind.SPACE and instances_have("dict", name):
            slot = self.attributes[name][value] = self.slot()
            self.put(slot, self.value(Kind.METHOD, "dict", name, self._as_dict(value)))
            return slot
        return super().new_attribute(value, name)

    def names_in(self, value: int) -> int:
        """A dict of the attributes that a module, a class, or what is stored on instances of one, has itself."""
        made = self.container("dict", self.stored_on(-2 - value, "__dict__"))
        if made not in self.namespaces:
            self.namespaces[made] = value
            for name in self._own_names(value):
                self.flow(self.attribute(value, name), self.element(made, f"'{name}"))
        return made

    def _own_names(self, value: int) -> Sequence[str]:
        home = self.parts[value][0]
        if self.kinds[value] not in INSTANCES:
            names = self.own_names[home]
            return names if len(names) <= MOST_NAMES else ()
        if self.stored_names is None:
            self.stored_names = defaultdict(dict)
            rows = self.program["store"]
            for name, function in zip(rows.name, rows.other, strict=True):
                if (cls := self.class_around(function)) >= 0:
                    self.stored_names[cls][name or ""] = None
        stored = self.stored_names
        return [name for cls in self.order(home) for name in stored.get(cls, ())]

    def _as_dict(self, value: int) -> int:
        """A namespace as the dict that it is; any other value itself."""
        return self.names_in(self.parts[value][0]) if self.kinds[value] == Kind.SPACE else value

    def iterate(self, value: int, target: int, site: int) -> None:
        super().iterate(self._as_dict(value), target, site)

    def merge(self, value: int, container: int, site: int = -1) -> None:
        super().merge(self._as_dict(value), container, site)

    def call_method_of_builtin(self, parts: tuple[str, str, int], call: Call) -> None:
        home = self.namespaces.get(parts[2])
        if home is not None and parts[1] == "update":
            for name, slot in call.keywords.items():
                self.store_late(home, slot, name)
            for slot in call.positional:
                if slot >= 0:
                    self.watch(slot, self._store_all, home)
        super().call_method_of_builtin(parts, call)

    def _store_all(self, value: int, home: int) -> None:
        if self.kinds[value] == Kind.CONTAINER:
            self.each_element(value, self._store_element, home)

    def _store_element(self, key: str, slot: int, home: int) -> None:
        if key.startswith("'"):
            self.store_late(home, slot, key[1:])

    def item(self, value: int, target: int, key: str | None, other: int) -> None:
        if self.kinds[value] == Kind.SPACE:
            self._space_item(key, other, self._read_key, self.parts[value][0], target)
        elif self.kinds[value] == Kind.EXTERNAL and self.parts[value][0] == "sys.modules":
            self._space_item(key, other, self._module_named, target)
        else:
            super().item(value, target, key, other)

    def set_item(self, value: int, source: int, key: str | None, other: int) -> None:
        if self.kinds[value] == Kind.SPACE:
            self._space_item(key, other, self._write_key, self.parts[value][0], source)
        else:
            super().set_item(value, source, key, other)

    def _space_item(self, key: str | None, other: int, function: Callable[..., None], *arguments: int) -> None:
        if key is not None:
            function(self.constant(key), *arguments)
        elif other >= 0:
            self.watch(other, function, *arguments)

    def _read_key(self, key: int, value: int, target: int) -> None:
        if (name := self.text_of(key)) is not None:
            self.flow(self.attribute(value, name), target)

    def _write_key(self, key: int, value: int, source: int) -> None:
        if (name := self.text_of(key)) is not None and name in self.stored:
            self.store(value, source, name)

    def is_literal(self, slot: int) -> bool:
        """Whether a slot is that of a literal."""
        return 0 <= slot < len(self.literals) and self.literals[slot] == 1

    def text_of(self, value: int) -> str | None:
        """The text that a value is, if that is known."""
        key = self.key(value)
        return key[1:] if key is not None and key.startswith("'") else None

    def _module_named(self, key: int, target: int) -> None:
        if (name := self.text_of(key)) is not None and self.kinds[found := self.module(name, "")] == Kind.MODULE:
            self.put(target, found)

    def store(self, value: int, source: int, name: str) -> None:
        raise NotImplementedError

    def store_late(self, value: int, source: int, name: str) -> None:
        """Store under a name that came to be known on the way."""
        self.note_stored(name)
        self.store(value, source, name)

    def note_stored(self, name: str) -> None:
        """Whoever read an attribute of that name before is told between rounds."""
        if name not in self.stored:
            self.stored.add(name)
            self.newly_stored.add(name)

    def ask(self) -> bool:
        asked = super().ask()
        if not self.newly_stored:
            return asked
        names, self.newly_stored = self.newly_stored, set()
        for name in sorted(names):
            for value, slot in [*self.attributes[name].items()]:
                if self.kinds[value] in (*_HAVE_NAMES, Kind.FUNCTION):
                    self._read_late(value, name, slot)
        return True

    def _read_late(self, value: int, name: str, slot: int) -> None:
        home = self.parts[value][0]
        if self.kinds[value] in (Kind.MODULE, Kind.FUNCTION):
            self.flow(self.stored_on(home, name), slot)
            return
        is_class = self.kinds[value] == Kind.CLASS
        self.search_stored(self.order(home), name, slot, -1 if is_class else value, home)
        if not is_class:
            self.read_stored(value, home, name, slot)

    def find_stored_by_text(self) -> None:
        """Names of attributes that are stored under a literal text: `setattr(x, "name", …)`, `vars(x)["name"] = …`."""
        rows = self.program["external"]
        named = dict(zip(rows.target, rows.name, strict=True))
        spaces = {slot for slot, name in zip(self.program["load"].target, self.program["load"].name, strict=True)
                  if name == "__dict__"}  # fmt: skip
        for site, source in self.callee_of.items():
            name = named.get(source)
            if name == "builtins.setattr" and len(self.sites[site].positional) > 1:
                self.stored.update(self.texts(self.sites[site].positional[1]))
            elif name in ("builtins.vars", "builtins.globals", "builtins.locals"):
                spaces.add(site)
        rows = self.program["set_item"]
        for target, key in zip(rows.target, rows.name, strict=True):
            if target in spaces and key and key.startswith("'"):
                self.stored.add(key[1:])

    # --- calls

    def module_of(self, site: int) -> int:
        """The slot of the module that a call stands in; -1 if nobody knows."""
        return self.module_at.get(int(self.program.path_of[site]), -1) if 0 <= site < self.program.count else -1

    def start_dynamic_names(self) -> None:
        self.newly_stored: set[str] = set()
        self.namespaces: dict[int, int] = {}  # by dict of attributes: whose they are
        self.stored_names: dict[int, dict[str, None]] | None = None  # by class: what is stored on its instances
        self.literals = bytearray(self.program.count)  # by slot of the program
        for slot in self.program["constant"].target:
            self.literals[slot] = 1
        defined = self.program["define"]
        self.module_at = {
            path: slot for slot, sort, path in zip(defined.target, defined.position, defined.path, strict=True)
            if sort == MODULE
        }  # fmt: skip

    def model_globals(self, call: Call) -> None:
        if call.result >= 0 and (module := self.module_of(call.site)) >= 0:
            self.put(call.result, self.value(Kind.SPACE, self.value(Kind.MODULE, module)))

    def model_vars(self, call: Call) -> None:
        if not call.positional:
            self.model_globals(call)
        elif call.positional[0] >= 0 and call.result >= 0:
            self.watch(call.positional[0], self._space_of, call.result)

    def _space_of(self, value: int, target: int) -> None:
        if self.kinds[value] in _HAVE_NAMES:
            self.put(target, self.value(Kind.SPACE, value))

    def model_import_module(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0 and call.result >= 0:
            self.watch(call.positional[0], self._imported, call)

    def _imported(self, name: int, call: Call) -> None:
        text = self.text_of(name)
        if text is None:
            if self.kinds[name] == Kind.BUILTIN and len(self.parts[name]) > 1:
                self._imported_like(self.parts[name][1], call)
            return
        if not text.startswith("."):
            self.put(call.result, self.module(text, self._path_of(call.site)))
        elif (package := call.keywords.get("package", call.positional[1] if len(call.positional) > 1 else -1)) >= 0:
            self.watch(package, self._imported_below, text, call)

    def _imported_like(self, begin: str, call: Call) -> None:
        """Any module whose name begins with a text and has no more dots: none at all if they are too many."""
        dots = begin.count(".")
        names = [name for name in self.modules.named if name.startswith(begin) and name.count(".") == dots]
        for name in sorted(names) if dots and len(names) <= WIDE else ():
            self.put(call.result, self.module(name, self._path_of(call.site)))

    def _imported_below(self, package: int, text: str, call: Call) -> None:
        if (name := self.text_of(package)) is not None:
            bare = text.lstrip(".")
            parts = name.split(".")
            above = parts[: len(parts) - (len(text) - len(bare) - 1)]
            self.put(call.result, self.module(".".join([*above, bare]), self._path_of(call.site)))

    def _path_of(self, site: int) -> str:
        module = self.module_of(site)
        return self.modules.path[module] if module >= 0 else ""

    def model_import(self, call: Call) -> None:
        if call.positional and call.positional[0] >= 0 and call.result >= 0:
            named = len(call.positional) > 3 or "fromlist" in call.keywords
            self.watch(call.positional[0], self._imported_first, call, named)

    def _imported_first(self, name: int, call: Call, named: bool) -> None:
        if (text := self.text_of(name)) is not None:
            path = self._path_of(call.site)
            self.put(call.result, self.module(text if named else text.partition(".")[0], path))

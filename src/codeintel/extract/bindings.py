"""What each name is bound to, inside its file, by the compiler's own rules (LEGB).

A binding is a name that a scope owns and something binds. Which scope owns it is read off the compiler's symbol flags;
that it is really bound, off the syntax: since PEP 709 a function's symbols also list the variables of comprehensions
inlined into it, which bind nothing there.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.definitions import child_in
from codeintel.extract.grammar import FIELD, FIELDS, KIND, KINDS, is_kind
from codeintel.extract.scopes import (
    CELL,
    CLASS,
    COMPREHENSIONS,
    FREE,
    FUNCTION,
    GLOBAL_EXPLICIT,
    GLOBAL_IMPLICIT,
    LOCAL,
    MODULE,
    Scopes,
)
from codeintel.extract.syntax import NO_TEXT, Syntax, Texts

BUILTINS = frozenset(dir(builtins))
# What the import system puts into a module before its first statement, and the compiler into a class body.
_IMPLICIT_IN_MODULE = ("__name__", "__file__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__",
                       "__cached__", "__path__", "__annotations__")  # fmt: skip
_IMPLICIT_IN_CLASS = ("__module__", "__qualname__")

HOWS = ["parameter", "assignment", "import", "function", "class", "for", "with", "except", "match", "walrus",
        "comprehension", "type_parameter", "implicit", "declared", "augmented", "annotation", "del"]  # fmt: skip
HOW = {name: code for code, name in enumerate(HOWS)}
_KIND_OF_HOW = np.array([HOW["assignment"] if how in ("augmented", "annotation", "del") else HOW[how] for how in HOWS])

RESOLUTIONS = ["local", "closure", "global", "class", "builtin", "unresolved"]
LOCALLY, CLOSURE, GLOBALLY, IN_CLASS, BUILTIN, UNRESOLVED = range(6)

_LOAD, _STORE, _DEL = 1, 2, 3
_NESTS = is_kind("Tuple", "List", "Starred")
_IS_ASSIGNMENT = is_kind("Assign", "AnnAssign", "AugAssign")
_HOW_OF_KIND = np.full(len(KINDS), -1)
for _name, _how in {
    "arg": "parameter", "FunctionDef": "function", "AsyncFunctionDef": "function", "ClassDef": "class",
    "ExceptHandler": "except", "MatchAs": "match", "MatchStar": "match", "TypeVar": "type_parameter",
    "ParamSpec": "type_parameter", "TypeVarTuple": "type_parameter",
}.items():  # fmt: skip
    if _name in KIND:
        _HOW_OF_KIND[KIND[_name]] = HOW[_how]
_HOW_OF_TARGET = np.full((len(KINDS), len(FIELDS)), HOW["assignment"])
for _name, _field, _how in (
    ("For", "target", "for"), ("AsyncFor", "target", "for"), ("withitem", "optional_vars", "with"),
    ("comprehension", "target", "comprehension"), ("NamedExpr", "target", "walrus"),
    ("AugAssign", "target", "augmented"),
):  # fmt: skip
    _HOW_OF_TARGET[KIND[_name], FIELD[_field]] = HOW[_how]


@dataclass(slots=True)
class Bindings:
    """Columns over bindings by scope and name, and over what binds and refers.

    Binders and references are in preorder; `target` is a binding's row, -1 for none. `external` is the text code of the
    builtin's import path, NO_TEXT for none. `of_symbol` is the binding of each symbol, -1 for none.
    """

    scope: np.ndarray
    name: np.ndarray
    kind: np.ndarray
    binder: np.ndarray
    binder_binding: np.ndarray
    binder_how: np.ndarray
    reference: np.ndarray
    target: np.ndarray
    resolution: np.ndarray
    external: np.ndarray
    of_symbol: np.ndarray


class _Lookup:
    """`(scope, name)` to a row: sorted keys and binary search."""

    def __init__(self, scope: np.ndarray, name: np.ndarray) -> None:
        keys = _key(scope, name)
        self.order = np.argsort(keys, kind="stable")
        self.keys = keys[self.order]

    def __call__(self, scope: np.ndarray, name: np.ndarray) -> np.ndarray:
        """Rows, -1 where there is none; scope -1 has no names."""
        if not len(self.keys):
            return np.full(len(scope), -1, np.int64)
        wanted = _key(scope, name)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, self.order[at], -1)


def _key(scope: np.ndarray, name: np.ndarray) -> np.ndarray:
    return scope.astype(np.int64) << 32 | name


class Resolver:
    """Binds and resolves every name of a chunk; `bindings` is the result."""

    def __init__(
        self, syntax: Syntax, scopes: Scopes, texts: Texts, bound_by_import: np.ndarray, alphabetical: np.ndarray
    ) -> None:
        self.syntax, self.scopes, self.texts = syntax, scopes, texts
        self.symbol = _Lookup(scopes.symbol_scope, scopes.symbol_name)
        self.symbol_type = scopes.symbol_type
        self.is_comprehension = np.array([kind in COMPREHENSIONS for kind in scopes.kind], bool)
        self.module = self._modules()
        self.private = self._private_class()
        self.bindings = self._resolve(bound_by_import, alphabetical)

    def _modules(self) -> np.ndarray:
        """The module scope of each scope."""
        modules = np.flatnonzero(self.scopes.type == MODULE)
        by_file = np.full(int(self.scopes.file.max(initial=0)) + 1, -1, np.int64)
        by_file[self.scopes.file[modules]] = modules
        return by_file[self.scopes.file]

    def _private_class(self) -> np.ndarray:
        """The class scope whose name mangles `__private` names in each scope, -1 for none."""
        scopes = self.scopes
        found = np.where(scopes.type == CLASS, np.arange(len(scopes.type)), -1)
        # A generic class mangles in its own type-parameter scope too; that scope bears the class's name.
        owns = (scopes.code & 1) & (self.syntax.kind[np.maximum(scopes.code, 0) >> 1] == KIND["ClassDef"])
        found = np.where(owns.astype(bool) & (scopes.code >= 0), np.arange(len(scopes.type)), found)
        outer = scopes.around.copy()
        while len(missing := np.flatnonzero((found < 0) & (outer >= 0))):
            found[missing] = np.where(found[outer[missing]] >= 0, found[outer[missing]], -1)
            outer[missing] = np.where(found[missing] < 0, scopes.around[outer[missing]], -1)
        return found

    def mangled(self, scope: np.ndarray, name: np.ndarray) -> np.ndarray:
        """Names as the compiler files them: `__x` inside class `C` is `_C__x`."""
        listed = list(self.texts)
        private = np.array([
            text is not None and text.startswith("__") and not text.endswith("__") and "." not in text
            for text in listed
        ])  # fmt: skip
        at = np.flatnonzero(private[name])
        at = at[self.private[scope[at]] >= 0]
        if not len(at):
            return name
        result = name.copy()
        for i, space, code in zip(at.tolist(), self.private[scope[at]].tolist(), name[at].tolist(), strict=True):
            bare = self.scopes.name[space].lstrip("_")
            if bare:
                result[i] = self.texts[f"_{bare}{listed[code]}"]
        return result

    def _resolve(self, bound_by_import: np.ndarray, alphabetical: np.ndarray) -> Bindings:
        node, scope, name, how = self._binders(bound_by_import)
        owner = self._owners(scope, name)
        bound = owner >= 0
        node, name, how, owner = node[bound], name[bound], how[bound], owner[bound]
        reference, from_scope, as_name = self._references()

        declared = self._declared(owner, name)
        implicit = self._implicit(from_scope, as_name, owner, name)
        all_scopes = np.concatenate([owner, *[s for s, _ in (declared, implicit)]])
        all_names = np.concatenate([name, *[n for _, n in (declared, implicit)]])
        all_hows = np.concatenate([how, np.full(len(declared[0]), HOW["declared"]),
                                   np.full(len(implicit[0]), HOW["implicit"])])  # fmt: skip
        # `del` makes a name local but is never what it is bound by first, unless nothing else binds it.
        order = np.lexsort((np.arange(len(all_scopes)), all_hows == HOW["del"], all_names, all_scopes))
        keys = _key(all_scopes[order], all_names[order])
        _, first = np.unique(keys, return_index=True)
        chosen = order[first]
        rank = self._ranks(alphabetical)
        chosen = chosen[np.lexsort((rank[all_names[chosen]], all_scopes[chosen]))]
        self.scope, self.name = all_scopes[chosen], all_names[chosen]
        self.binding = _Lookup(self.scope, self.name)

        target, resolution = self._targets(from_scope, as_name)
        self._look_past_class(
            reference, from_scope, as_name, target, resolution, (node, self.binding(owner, name), how)
        )
        external = np.full(len(reference), NO_TEXT, np.int32)
        listed = list(self.texts)
        missing = np.flatnonzero(target < 0)
        is_builtin = np.array([text in BUILTINS for text in listed])
        found = missing[is_builtin[as_name[missing]]]
        resolution[found] = BUILTIN
        codes, inverse = np.unique(as_name[found], return_inverse=True)
        paths = self.texts.codes([f"builtins.{listed[code]}" for code in codes.tolist()])
        if len(found):
            external[found] = paths[inverse]
        of_symbol, _ = self._targets(self.scopes.symbol_scope, self.scopes.symbol_name)
        return Bindings(
            scope=self.scope, name=self.name, kind=_KIND_OF_HOW[all_hows[chosen]],
            binder=node, binder_binding=self.binding(owner, name), binder_how=how,
            reference=reference, target=target, resolution=resolution, external=external, of_symbol=of_symbol,
        )  # fmt: skip

    def _look_past_class(
        self,
        reference: np.ndarray,
        scope: np.ndarray,
        name: np.ndarray,
        target: np.ndarray,
        resolution: np.ndarray,
        binders: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> None:
        """Lead what a class body reads before it binds it (`list = list`) to the module or the builtins.

        A class body looks a name of its own up at run time: in itself, the module, the builtins. Decided by the order
        in the source; loops are not followed.
        """
        node, binding, how = binders
        real = (how != HOW["annotation"]) & (how != HOW["del"])
        bound_at = np.full(len(self.scope), len(self.syntax), np.int64)
        np.minimum.at(bound_at, binding[real], self._bound_after(node[real]))
        own = np.flatnonzero((resolution == IN_CLASS) & (self.scopes.type[scope] == CLASS))
        own = own[(self.scope[target[own]] == scope[own]) & (reference[own] < bound_at[target[own]])]
        outside = self.binding(self.module[scope[own]], name[own])
        listed = list(self.texts)
        leads_out = (outside >= 0) | np.array([listed[code] in BUILTINS for code in name[own].tolist()], bool)
        own, outside = own[leads_out], outside[leads_out]
        target[own] = outside
        resolution[own] = np.where(outside >= 0, GLOBALLY, BUILTIN)

    def _bound_after(self, node: np.ndarray) -> np.ndarray:
        """The index from which on each binder has bound its name: past the whole of an assignment or definition."""
        statement = node.copy()
        while len(inside := np.flatnonzero(_NESTS[self.syntax.kind[self.syntax.parent[statement]]])):
            statement[inside] = self.syntax.parent[statement[inside]]
        above = self.syntax.parent[statement]
        statement = np.where(_IS_ASSIGNMENT[self.syntax.kind[above]], above, statement)
        return statement + self.syntax.size[statement]

    def _ranks(self, alphabetical: np.ndarray) -> np.ndarray:
        """Alphabetical ranks, made anew if mangling met names that no symbol has."""
        if len(alphabetical) == len(self.texts):
            return alphabetical
        listed = [text or "" for text in self.texts]
        rank = np.empty(len(listed), np.int64)
        rank[sorted(range(len(listed)), key=listed.__getitem__)] = np.arange(len(listed))
        return rank

    def _binders(self, bound_by_import: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`(node, scope, name, how)` of everything that binds a name, in preorder; names are mangled."""
        syntax, kind = self.syntax, self.syntax.kind
        how = _HOW_OF_KIND[kind]
        names = syntax.name.copy()
        stored = np.flatnonzero((kind == KIND["Name"]) & (syntax.ctx == _STORE))
        how[stored] = self._how_stored(stored)
        how[(kind == KIND["Name"]) & (syntax.ctx == _DEL)] = HOW["del"]
        aliases = np.flatnonzero(kind == KIND["alias"])
        how[aliases] = HOW["import"]
        names[aliases] = bound_by_import
        for rest in (p for p in syntax.properties if p.key == "rest"):
            how[rest.nodes] = HOW["match"]
            names[rest.nodes] = self.texts.codes(rest.values)
        node = np.flatnonzero((how >= 0) & (names != NO_TEXT))
        code = syntax.scope[node]
        code = np.where(kind[node] == KIND["arg"], 2 * syntax.parent[syntax.parent[node]], code)
        scope = self.scopes.of_code[code]
        node, scope = node[scope >= 0], scope[scope >= 0]
        # A walrus binds around the comprehensions it stands in.
        while len(inside := np.flatnonzero((how[node] == HOW["walrus"]) & self.is_comprehension[scope])):
            scope[inside] = self.scopes.around[scope[inside]]
        return node, scope, self.mangled(scope, names[node]), how[node]

    def _how_stored(self, names: np.ndarray) -> np.ndarray:
        """What kind of statement each stored Name is the target of."""
        syntax = self.syntax
        target = names.copy()
        while len(inside := np.flatnonzero(_NESTS[syntax.kind[syntax.parent[target]]])):
            target[inside] = syntax.parent[target[inside]]
        statement = syntax.parent[target]
        how = _HOW_OF_TARGET[syntax.kind[statement], syntax.field[target]]
        annotated = (syntax.kind[statement] == KIND["AnnAssign"]) & (child_in(syntax, statement, "value") < 0)
        return np.where(annotated, HOW["annotation"], how)

    def _references(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`(node, scope, mangled name)` of every Name that is read or deleted, augmented targets included."""
        syntax = self.syntax
        augmented = (syntax.kind[syntax.parent] == KIND["AugAssign"]) & (syntax.field == FIELD["target"])
        node = np.flatnonzero((syntax.kind == KIND["Name"]) & ((syntax.ctx != _STORE) | augmented))
        scope = self.scopes.of_code[syntax.scope[node]]
        node, scope = node[scope >= 0], scope[scope >= 0]
        return node, scope, self.mangled(scope, syntax.name[node])

    def _owners(self, scope: np.ndarray, name: np.ndarray) -> np.ndarray:
        """The scope that owns what is bound as `name` in `scope`; -1 where the compiler binds nothing."""
        symbol = self.symbol(scope, name)
        where = np.where(symbol >= 0, self.symbol_type[symbol], 0)
        owner = np.where((where == LOCAL) | (where == CELL) | ~self.scopes.is_listed[scope], scope, -1)
        owner = np.where(where == GLOBAL_EXPLICIT, self.module[scope], owner)
        own = _Lookup(owner[owner >= 0], name[owner >= 0])
        free = np.flatnonzero(where == FREE)
        owner[free] = self._climb(own, scope[free], name[free])[0]
        return owner

    def _climb(self, known: _Lookup, scope: np.ndarray, name: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest function-like scope around `scope` in which `name` is known, and its row; -1 for none."""
        scopes = self.scopes
        found, row = np.full(len(scope), -1, np.int64), np.full(len(scope), -1, np.int64)
        live, current = np.arange(len(scope)), scopes.around[scope]
        # Scopes of annotations and type parameters right inside a class see the class's names.
        sees_class = self._sees_class(scope)
        while len(live):
            seen = scopes.is_function_like[current] & (current >= 0) | sees_class & (scopes.type[current] == CLASS)
            at = np.where(seen, known(current, name[live]), -1)
            hit = at >= 0
            found[live[hit]], row[live[hit]] = current[hit], at[hit]
            goes_on = ~hit & (current >= 0) & (scopes.type[current] != MODULE)
            sees_class = sees_class[goes_on] & self._sees_class(current[goes_on])
            live, current = live[goes_on], scopes.around[current[goes_on]]
        return found, row

    def _sees_class(self, scope: np.ndarray) -> np.ndarray:
        return (self.scopes.type[scope] != FUNCTION) & self.scopes.is_function_like[scope]

    def _declared(self, owner: np.ndarray, name: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(module scope, name)` of names that are declared global and bound nowhere."""
        explicit = np.flatnonzero(self.symbol_type == GLOBAL_EXPLICIT)
        module, names = self.module[self.scopes.symbol_scope[explicit]], self.scopes.symbol_name[explicit]
        new = _Lookup(owner, name)(module, names) < 0
        keys = distinct(_key(module[new], names[new]))
        listed = list(self.texts)
        kept = np.array([listed[code & 0xFFFFFFFF] not in BUILTINS for code in keys.tolist()], bool)
        return keys[kept] >> 32, keys[kept] & 0xFFFFFFFF

    def _implicit(
        self, scope: np.ndarray, name: np.ndarray, owner: np.ndarray, bound: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`(scope, name)` of names that exist without being bound, as far as they are referred to."""
        known = _Lookup(owner, bound)
        module_names = [self.texts[text] for text in _IMPLICIT_IN_MODULE if text in self.texts]
        class_names = [self.texts[text] for text in _IMPLICIT_IN_CLASS if text in self.texts]
        cell = self.texts.get("__class__", -1)
        at = np.flatnonzero(np.isin(name, [*module_names, *class_names, cell]))
        scope, name = scope[at], name[at]
        symbol = self.symbol(scope, name)
        where = np.where(symbol >= 0, self.symbol_type[symbol], GLOBAL_IMPLICIT)
        in_class = np.isin(name, class_names) & (self.scopes.type[scope] == CLASS) & (where == GLOBAL_IMPLICIT)
        globally = np.isin(name, module_names) & (where == GLOBAL_IMPLICIT)
        globally |= np.isin(name, module_names) & (scope == self.module[scope])
        home = np.where(in_class, scope, np.where(globally, self.module[scope], -1))
        free = np.flatnonzero((name == cell) & (where == FREE))
        home[free] = self.private[scope[free]]
        home = np.where((home >= 0) & (known(home, name) < 0), home, -1)
        keys = distinct(_key(home[home >= 0], name[home >= 0]))
        return keys >> 32, keys & 0xFFFFFFFF

    def _targets(self, scope: np.ndarray, name: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(binding, resolution)` of each name looked up from its scope; builtins are left unresolved."""
        scopes = self.scopes
        symbol = self.symbol(scope, name)
        where = np.where(symbol >= 0, self.symbol_type[symbol], 0)
        own = self.binding(scope, name)
        target = np.where((where == LOCAL) | (where == CELL), own, -1)
        # 0: an annotation the compiler does not evaluate has no symbols; look from where it stands.
        own_first = (where == 0) | (where == GLOBAL_IMPLICIT) & (scopes.type[scope] == CLASS)
        target = np.where(own_first, own, target)
        climbs = np.flatnonzero((target < 0) & ((where == FREE) | (where == 0) | self._sees_class(scope)))
        target[climbs] = self._climb(self.binding, scope[climbs], name[climbs])[1]
        # The implicit `__class__` cell lives in a class scope, which climbing passes by.
        cell = np.flatnonzero((target < 0) & (where == FREE))
        target[cell] = self.binding(self.private[scope[cell]], name[cell])
        globally = np.flatnonzero((target < 0) & (where != LOCAL) & (where != CELL))
        target[globally] = self.binding(self.module[scope[globally]], name[globally])
        home = self.scope[target] if len(self.scope) else np.zeros(len(target), np.int64)
        kinds = scopes.type[home] if len(scopes.type) else home
        resolution = np.where(kinds == MODULE, GLOBALLY, np.where(kinds == CLASS, IN_CLASS, CLOSURE))
        resolution = np.where((resolution == CLOSURE) & (home == scope), LOCALLY, resolution)
        return target, np.where(target >= 0, resolution, UNRESOLVED)

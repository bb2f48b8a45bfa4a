"""Slots: what can hold a value in a file, by number, and which of them an expression reads or a target writes.

Numbers are those of nodes, of bindings, of external names by their text, of second slots of nodes (what a loop steps
to, what a decorator gives), and of definitions, one range behind the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.bindings import BUILTIN, UNRESOLVED, Bindings, Resolver
from codeintel.extract.data_flow import DataFlow
from codeintel.extract.definitions import Definitions, child_in, defined_in
from codeintel.extract.grammar import CONTEXTS, FIELD, IS_OWNER, KIND, is_kind
from codeintel.extract.ids import all_hashed, external_id, fields
from codeintel.extract.imports import Imports
from codeintel.extract.narrowing import Regions, matched_reads, narrowed
from codeintel.extract.scopes import Scopes
from codeintel.extract.stored_elements import stored_elements
from codeintel.extract.syntax import NO_TEXT, Syntax, Texts

_STORE = CONTEXTS.index("Store")
_PASSES_ON = is_kind("NamedExpr", "Starred")
_HAS_SLOT = is_kind(
    "Call", "IfExp", "BoolOp", "Lambda", "Dict", "Set", "ListComp", "SetComp", "DictComp", "GeneratorExp", "Constant",
    "JoinedStr", "BinOp", "UnaryOp", "Await", "YieldFrom", "Yield",
)  # fmt: skip
_HAS_SLOT_IF_READ = is_kind("Attribute", "Subscript", "List", "Tuple")
_IS_TARGET = is_kind("Attribute", "Subscript", "List", "Tuple")
_KEY_LENGTH = 64  # of texts that may name an element or an attribute
_SLOT = fields("slot")


@dataclass(slots=True)
class Rows:
    """Rows as they are found: parallel arrays, one part for each sort."""

    ops: list[str] = field(default_factory=list)
    parts: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def add(
        self,
        op: str,
        node: np.ndarray,
        target: np.ndarray,
        source: np.ndarray | int = -1,
        *,
        other: np.ndarray | int = -1,
        name: np.ndarray | int = NO_TEXT,
        position: np.ndarray | int = 0,
    ) -> None:
        """Rows that belong to `node`, which says where they stand."""
        if op not in self.ops:
            self.ops.append(op)
        n = len(node)
        columns = [np.broadcast_to(np.asarray(c, np.int64), n) for c in (target, source, other, name, position)]
        self.parts.append((np.full(n, self.ops.index(op), np.int64), np.asarray(node, np.int64), *columns))

    def columns(self) -> list[np.ndarray]:
        """`op, node, target, source, other, name, position` by node."""
        empty = np.zeros(0, np.int64)
        joined = [np.concatenate([empty, *[part[i] for part in self.parts]]) for i in range(7)]
        order = np.argsort(joined[1], kind="stable")
        return [column[order] for column in joined]


class Codes:
    """Slots as numbers: nodes, bindings, external names by their text, second slots of nodes, definitions."""

    def __init__(self, n_nodes: int, n_bindings: int, n_texts: int) -> None:
        self.binding = n_nodes
        self.external = n_nodes + n_bindings
        self.second = self.external + n_texts
        self.definition = self.second + n_nodes
        self.end = self.definition + n_nodes


class Slots:
    """The slots of a chunk; `operand` and `write` lead from nodes to them, `rows` has what was found out on the way."""

    def __init__(
        self, syntax: Syntax, texts: Texts, definitions: Definitions, scopes: Scopes, resolver: Resolver,
        imported: Imports, reached: DataFlow,
    ) -> None:  # fmt: skip
        self.reached = reached
        self.syntax, self.texts, self.definitions, self.scopes = syntax, texts, definitions, scopes
        self.bindings: Bindings = resolver.bindings
        self.imported = imported
        self.rows = Rows()
        self.everything = np.arange(len(syntax))
        self.children: dict[str, np.ndarray] = {}
        self.names = self._attribute_names(resolver)
        self.keys = self._keys()
        self.quoted = self._quoted()
        self.codes = Codes(len(syntax), len(self.bindings.scope), len(texts))
        self.module = self._modules()
        self.regions = Regions(syntax, self.bindings)
        self.around = defined_in(syntax, self.everything)
        self.operand = self._operands()
        self.write = self._writes()

    def child(self, name: str) -> np.ndarray:
        if name not in self.children:
            self.children[name] = child_in(self.syntax, self.everything, name)
        return self.children[name]

    def at(self, *kinds: str) -> np.ndarray:
        return np.flatnonzero(is_kind(*kinds)[self.syntax.kind])

    def _modules(self) -> np.ndarray:
        """By file, the module's node."""
        modules = np.flatnonzero(self.syntax.parent < 0)
        by_file = np.zeros(int(self.syntax.file.max(initial=0)) + 1, np.int64)
        by_file[self.syntax.file[modules]] = modules
        return by_file

    def _attribute_names(self, resolver: Resolver) -> np.ndarray:
        """Names of nodes, with those of attributes as the compiler mangles them."""
        names = self.syntax.name.copy()
        at = np.flatnonzero(self.syntax.kind == KIND["Attribute"])
        scope = self.scopes.of_code[self.syntax.scope[at]]
        at, scope = at[scope >= 0], scope[scope >= 0]
        names[at] = resolver.mangled(scope, names[at])
        return names

    def _keys(self) -> np.ndarray:
        """Over all nodes: the text that a constant is as a key of an element, or the name of its type."""
        found = np.full(len(self.syntax) + 1, NO_TEXT, np.int64)
        constant = self.syntax.kind == KIND["Constant"]
        for values in (p for p in self.syntax.properties if p.key == "value"):
            at = constant[values.nodes]
            nodes = values.nodes[at]
            found[nodes] = self.texts.codes([
                _key(value) for value, is_constant in zip(values.values, at.tolist(), strict=True) if is_constant
            ])  # fmt: skip
        operand = self.child("operand")
        negative = self.at("UnaryOp")
        negative = negative[found[operand[negative]] != NO_TEXT]
        listed = list(self.texts)
        for node in negative.tolist():
            text = listed[found[operand[node]]] or ""
            if text.isdecimal():
                found[node] = self.texts[f"-{text}"]
        return found

    def _quoted(self) -> np.ndarray:
        """Over all nodes: whether it is a text that stands for a type."""
        syntax = self.syntax
        change = np.zeros(len(syntax) + 1, np.int64)
        types = np.isin(syntax.field, [FIELD["annotation"], FIELD["returns"], FIELD.get("bound", -1)])
        calls = np.isin(syntax.name, [self.texts[name] for name in ("cast", "TypeVar", "NewType")])
        calls &= syntax.field == FIELD["func"]
        types |= (syntax.field == FIELD["args"]) & calls[np.minimum(syntax.parent + 1, len(syntax) - 1)]
        keyword = (syntax.kind == KIND["keyword"]) & (syntax.name == self.texts["bound"])
        types |= keyword & calls[np.minimum(syntax.parent + 1, len(syntax) - 1)]
        literal = (syntax.name == self.texts["Literal"]) & (syntax.field == FIELD["value"])
        for at, by in ((np.flatnonzero(types), 1), (syntax.parent[np.flatnonzero(literal)], -64)):
            np.add.at(change, at, by)
            np.add.at(change, at + syntax.size[at], -by)
        return (np.cumsum(change)[:-1] > 0) & (syntax.kind == KIND["Constant"]) & (self.keys[:-1] != NO_TEXT)

    def _operands(self) -> np.ndarray:
        """Over all nodes: the slot that holds the value of an expression, -1 where nothing is known of it."""
        syntax, kind = self.syntax, self.syntax.kind
        read = syntax.ctx != _STORE
        has_slot = _HAS_SLOT[kind] | (_HAS_SLOT_IF_READ[kind] & read)
        has_slot &= ~((kind == KIND["Constant"]) & (self.keys[:-1] == NO_TEXT))
        operand = np.where(has_slot, self.everything, -1)
        reference, target = self.bindings.reference, self.bindings.target
        external = self.bindings.external
        value = np.where(target >= 0, self.codes.binding + target, -1)
        value = np.where((target < 0) & (external != NO_TEXT), self.codes.external + external, value)
        operand[reference] = value
        self._follow_reaching(operand)
        # Where a star import may put any name into the module, what the file does not bind is asked of the module.
        starred = np.zeros(int(syntax.file.max(initial=0)) + 1, bool)
        stars = np.array([bound is None for bound in self.imported.bound], bool)
        starred[syntax.file[self.imported.node[stars]]] = True
        open_names = reference[
            np.isin(self.bindings.resolution, [BUILTIN, UNRESOLVED]) & starred[syntax.file[reference]]
        ]
        operand[open_names] = open_names
        self.rows.add("global", open_names, open_names, self.codes.definition + self.module[syntax.file[open_names]],
                      name=self.names[open_names])  # fmt: skip
        bound = np.full(len(syntax), -1, np.int64)
        bound[reference] = target
        subscripts = syntax.kind == KIND["Subscript"]
        keys = np.where(subscripts, self.keys[self.child("slice")], NO_TEXT)
        read, stored = stored_elements(syntax, self.child("value"), keys, bound)
        operand[read] = stored
        self._narrow(operand)
        passing = np.flatnonzero(_PASSES_ON[kind])
        child = self.child("value")
        current = child[passing]
        while len(inside := np.flatnonzero(_PASSES_ON[kind[current]])):
            current[inside] = child[current[inside]]
        operand[passing] = operand[current]
        return np.append(operand, -1)  # what is not there has no value

    def _narrow(self, operand: np.ndarray) -> None:
        """Reads behind a test see what it lets through."""
        second = self.codes.second
        for read, passed in matched_reads(self.regions, second):
            if operand[read] >= 0 and operand[read] != second + read:
                operand[read] = passed
        found = narrowed(self.syntax, self.texts, self.regions)
        for read, cls, how in found:
            target = second + read if operand[read] == read else read
            if operand[read] >= 0 and operand[read] != second + read:
                self.rows.add("narrow", np.array([read]), np.array([target]), operand[read],
                              other=operand[cls] if cls >= 0 else -1, name=self.texts[how])  # fmt: skip
                operand[read] = target

    def _follow_reaching(self, operand: np.ndarray) -> None:
        """Where data flow says for certain which of a name's binders reach a read, it sees those and no others."""
        syntax, target = self.syntax, self.bindings.target
        reference = self.bindings.reference[target >= 0]
        binding = np.full(len(syntax), -1, np.int64)
        binding[reference] = target[target >= 0]
        is_binder = np.zeros(len(syntax), bool)
        is_binder[self.bindings.binder] = True
        use, definition = self.reached.use, self.reached.definition
        unsure = np.zeros(len(syntax), bool)
        unsure[use[(self.reached.confidence < 1) | ~is_binder[definition]]] = True
        binders = np.bincount(self.bindings.binder_binding[self.bindings.binder_binding >= 0],
                              minlength=len(self.bindings.scope) + 1)  # fmt: skip
        reaching = np.bincount(use, minlength=len(syntax))
        told = (binding >= 0) & (reaching > 0) & (reaching < binders[binding]) & ~unsure
        kept = told[use]
        use, definition = use[kept], definition[kept]
        self.sole = distinct(definition)
        operand[use] = np.where(reaching[use] == 1, definition, use)
        several = reaching[use] > 1
        self.rows.add("copy", use[several], use[several], definition[several])
        # What was stored in an attribute and surely is what is read there.
        stored = (syntax.kind[self.reached.definition] == KIND["Attribute"]) & (self.reached.confidence == 1)
        stored &= reaching[self.reached.use] == 1
        operand[self.reached.use[stored]] = self.reached.definition[stored]

    def _writes(self) -> np.ndarray:
        """Over all nodes: the slot that what is assigned to a target, or bound by a node, goes into."""
        write = np.full(len(self.syntax) + 1, -1, np.int64)
        stored = _IS_TARGET[self.syntax.kind] & (self.syntax.ctx == _STORE)
        write[:-1][stored] = self.everything[stored]
        binder, binding = self.bindings.binder, self.bindings.binder_binding
        write[binder] = np.where(binding >= 0, self.codes.binding + binding, -1)
        self.bound = write.copy()
        own = np.zeros(len(self.syntax), bool)
        own[self.sole] = True
        seen = own[binder] & (binding >= 0)
        write[binder[seen]] = binder[seen]
        self.rows.add("copy", binder[seen], self.codes.binding + binding[seen], binder[seen])
        return write

    def ids(self, used: np.ndarray, binding_ids: np.ndarray) -> np.ndarray:
        """The ids of slots, which are sorted by code.

        An expression's slot is its owner's hash plus its number among the slots of its owner, in preorder; what is a
        binding, an external name or an owner has the id it has everywhere.
        """
        codes, syntax = self.codes, self.syntax
        ids = np.zeros(len(used), np.int64)
        bounds = np.searchsorted(used, [codes.binding, codes.external, codes.second, codes.definition])
        ids[bounds[0] : bounds[1]] = binding_ids[used[bounds[0] : bounds[1]] - codes.binding]
        listed = list(self.texts)
        names = used[bounds[1] : bounds[2]] - codes.external
        ids[bounds[1] : bounds[2]] = [external_id(listed[code] or "") for code in names.tolist()]
        definition = used[bounds[3] :] - codes.definition
        owns = IS_OWNER[syntax.kind[definition]]
        ids[bounds[3] :][owns] = self.definitions.node_id[definition[owns]]
        # Slots proper, those of lambdas as definitions among them. Numbers leave room for a node's second slot.
        lambdas = definition[~owns]
        if self.numbered is None:
            nodes = np.concatenate([used[: bounds[0]], used[bounds[2] : bounds[3]] - codes.second, lambdas])
            self.numbered = distinct(nodes)
            homes = syntax.owner[self.numbered]
            owners, inverse = np.unique(homes, return_inverse=True)
            bases = all_hashed(_SLOT + self.definitions.prefix[at] for at in self.definitions.at[owners].tolist())
            order = np.argsort(inverse, kind="stable")
            starts = np.searchsorted(inverse[order], np.arange(len(owners)))
            number = np.empty(len(homes), np.int64)
            number[order] = np.arange(len(homes)) - starts[inverse[order]]
            self.slot_ids = (bases[inverse].view(np.uint64) + 2 * number.astype(np.uint64)).view(np.int64)
        for begin, end, nodes, second in (
            (0, bounds[0], used[: bounds[0]], 0),
            (bounds[2], bounds[3], used[bounds[2] : bounds[3]] - codes.second, 1),
        ):
            ids[begin:end] = self._slot_ids(nodes) + second
        ids[bounds[3] :][~owns] = self._slot_ids(lambdas)
        return ids

    numbered: np.ndarray | None = None
    slot_ids: np.ndarray

    def _slot_ids(self, nodes: np.ndarray) -> np.ndarray:
        assert self.numbered is not None
        return self.slot_ids[np.searchsorted(self.numbered, nodes)] if len(nodes) else np.zeros(0, np.int64)

    def numbers(self, numbers: np.ndarray) -> np.ndarray:
        codes, inverse = np.unique(numbers, return_inverse=True)
        return self.texts.codes([str(n) for n in codes.tolist()])[inverse] if len(numbers) else numbers

    def subscripts(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The literal key of each subscript, and the slot of one that is none."""
        key = self.child("slice")[at]
        literal = (self.keys[key] != NO_TEXT) & ~np.append(self.quoted, False)[key]
        return np.where(literal, self.keys[key], NO_TEXT), np.where(literal, -1, self.operand[key])


def _key(value: object) -> str | None:
    """A constant as the key of an element, else the name of its type; None for what no method of interest has."""
    match value:
        case None | bool() | complex():
            return None
        case str():
            return f"'{value}" if len(value) <= _KEY_LENGTH and value.isprintable() else "str"
        case int():
            return str(value) if -10_000 < value < 10_000 else "int"
        case _ if value is ...:
            return None
    return type(value).__name__

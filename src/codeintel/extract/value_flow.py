"""How values flow inside a file: the rows of an assignment graph, without positions.

A *slot* is whatever can hold a value: a binding, the result of an expression, an external name. A row says how a slot
gets its values from others; what the rows mean together is worked out over the whole program, by
`codeintel.analysis.values`. Slots of expressions are numbered inside their owner among those that matter here, so an
edit leaves the rows of other owners alone, and one that changes no flow (a comment, a moved line, a longer text)
leaves them all.

| `op` | `target` gets its values from |
|---|---|
| copy | `source` |
| define | itself: the module (position 0), class (1), function (2), generator (3) or lambda (4) `name` inside the \
definition `source` |
| member | `source` is what is called `name` in the module or class `target` |
| positional_only, … (`inspect`'s words) | `target` is parameter `name` (binding `other`) at `position` of `source` |
| return, yield | `source` is returned or yielded by the function `target`; at position 1 only if parameter `other` \
is given, at 2 only if not |
| returns, annotated | an instance of the type that `source` evaluates to; at position 1 its elements are |
| base, metaclass | `source` is a base of the class `target` |
| create | the statement that defines the class `source` |
| field | `source` is an annotated name of the class `target`, `other` its default, `position` its place |
| external | `target` stands for the import path `name` |
| import, star | the module `name`; for star every public name of it becomes a global of the module `target` |
| global | what the module `source` has under `name`, or else the builtin of that name |
| load, store | the attribute `name` of `source`; for store it goes into that of `target`, inside `other` |
| item, set_item | the element `name` of `source` (`'text`, or a number), or at the key in `other`; stored likewise |
| slice, unpack | elements of `source` in `name` (`from:to`); the one at index `name` |
| container, element, merge | a new `name`; `source` is its element at `name`; all elements of `source` are |
| constant | a constant: its key as in `item`, or else its type |
| quoted | the type that the text `name` means inside the definition `source` |
| iterate, enter, caught | what iterating over, entering, or raising `source` gives |
| sent, delegated | what is sent to the generator `source`; what those in `source`, to which `other` hands on, return |
| raise, special | the method `name` of `source` is called, with `other` |
| reflected | the same, where `source` is the right operand and the left one has no value |
| asks, delete | the method `name` of `source` is called for its answer alone; the attribute `name` is deleted |
| narrow | `source`, as far as it passes the test `name` (`isinstance`, `not callable`, …) for the class `other` |
| matched | what a class pattern has at place `position` of `source` |
| formatted | the text `name` with a text in `source` filled in |
| call, argument, starred, keyword, double_starred | calling `source`; an argument of `target`, named at `other` |
| decorate | calling the decorator `source` with `other` |
| super | zero-argument `super()` inside the definition `source` |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.bindings import Resolver
from codeintel.extract.calls import ARGUMENT_KINDS, arguments
from codeintel.extract.data_flow import DataFlow
from codeintel.extract.definition_flow import add_definitions
from codeintel.extract.definitions import Definitions
from codeintel.extract.flow_relevance import relevant
from codeintel.extract.grammar import CONTEXTS, FIELD, IS_DEFINITION, KIND, is_kind
from codeintel.extract.imports import Imports
from codeintel.extract.operator_flow import add_operators
from codeintel.extract.pattern_values import add_patterns
from codeintel.extract.scopes import Scopes
from codeintel.extract.syntax import NO_TEXT, Syntax, Texts
from codeintel.extract.value_slots import Slots

_LOAD, _STORE = CONTEXTS.index("Load"), CONTEXTS.index("Store")


@dataclass(slots=True)
class ValueFlow:
    """Columns over rows in the order of the source. `target`, `source` and `other` are ids, with 0 for none.

    Beside them the slots that stand for a node of their own: `slot_id`, its `slot_node` and what `slot_caller`, a
    definition, runs it; and calls of builtins that are settled here: nodes, that of the definition around, text.
    """

    file: np.ndarray
    op: list[str]
    op_code: np.ndarray
    target: np.ndarray
    source: np.ndarray
    other: np.ndarray
    name: np.ndarray
    position: np.ndarray
    slot_id: np.ndarray
    slot_node: np.ndarray
    slot_caller: np.ndarray
    settled: np.ndarray
    settled_caller: np.ndarray
    settled_callee: np.ndarray


def value_flow(
    syntax: Syntax, texts: Texts, definitions: Definitions, scopes: Scopes, resolver: Resolver, imported: Imports,
    reached: DataFlow, binding_ids: np.ndarray,
) -> ValueFlow:  # fmt: skip
    """Every row of the files."""
    return _Flows(syntax, texts, definitions, scopes, resolver, imported, reached).made(binding_ids)


class _Flows(Slots):
    def made(self, binding_ids: np.ndarray) -> ValueFlow:
        add_definitions(self)
        self._assignments()
        self._expressions()
        self._calls()
        self._imports()
        self._constants()
        self._externals()
        op, node, target, source, other, name, position = self.rows.columns()
        # A value that comes from nowhere says nothing; these are about more than a value.
        keeps = np.isin([*self.rows.ops], _SAY_MORE)
        kept = keeps[op] | (source >= 0) if len(op) else np.zeros(0, bool)
        op, node, target, source, other, name, position = (
            c[kept] for c in (op, node, target, source, other, name, position)
        )
        matter = relevant(self.rows.ops, op, target, source, other, self._builtins())
        settled, settled_callee = node[matter.settled], source[matter.settled] - self.codes.external
        op, node, target, source, other, name, position = (
            c[matter.kept] for c in (op, node, target, source, other, name, position)
        )
        mentioned = self._mentioned(op, node, target, source, other)
        op, node, target, source, other, name, position = (
            c[mentioned] for c in (op, node, target, source, other, name, position)
        )
        used = distinct(np.concatenate([target, source, other]))
        used = used[used >= 0]
        ids = self.ids(used, binding_ids)
        found = [
            np.where(c >= 0, ids[np.searchsorted(used, np.maximum(c, 0))] if len(ids) else 0, 0)
            for c in (target, source, other)
        ]
        slots = used[(used < self.codes.binding) | ((used >= self.codes.second) & (used < self.codes.definition))]
        nodes = np.where(slots >= self.codes.second, slots - self.codes.second, slots)
        told = np.isin(slots, target) | _IS_MENTION[self.syntax.kind[nodes]]
        told &= ~_IS_PLAIN[self.syntax.kind[nodes]] | (
            _UNPACKS[self.syntax.kind[nodes]] & (self.syntax.ctx[nodes] == _STORE)
        )
        slots, nodes = slots[told], nodes[told]
        order = np.argsort(nodes, kind="stable")
        slots, nodes = slots[order], nodes[order]
        callers = self.around[nodes]
        caller_codes = distinct(callers)
        caller_ids = self.ids(caller_codes + self.codes.definition, binding_ids)
        return ValueFlow(
            file=self.syntax.file[node], op=self.rows.ops, op_code=op, target=found[0], source=found[1],
            other=found[2], name=name, position=position,
            slot_id=ids[np.searchsorted(used, slots)] if len(ids) else np.zeros(0, np.int64), slot_node=nodes,
            slot_caller=caller_ids[np.searchsorted(caller_codes, callers)] if len(callers) else callers,
            settled=settled, settled_caller=self.around[settled], settled_callee=settled_callee,
        )  # fmt: skip

    def _mentioned(
        self, op: np.ndarray, node: np.ndarray, target: np.ndarray, source: np.ndarray, other: np.ndarray
    ) -> np.ndarray:
        """Over rows: whether it is more than a name from outside that only another file of the chunk uses."""
        file, end = self.syntax.file[node].astype(np.int64), self.codes.end
        external = op == self.rows.ops.index("external")
        used = np.concatenate([file * end + source, file * end + other])
        return ~external | np.isin(file * end + target, used)

    def _builtins(self) -> np.ndarray:
        """Over all slots: whether it is a builtin's; what may as well come from a star import is none."""
        found = np.zeros(self.codes.end, bool)
        low, high = self.codes.external, self.codes.second
        found[low:high] = [(text or "").startswith("builtins.") for text in islice(self.texts, high - low)]
        return found

    def _assign(self, op: str, target: np.ndarray, value: np.ndarray) -> None:
        """Rows from values, which are nodes, into targets, which are nodes."""
        known = (target >= 0) & (value >= 0)
        target, value = target[known], value[known]
        self.rows.add(op, target, np.maximum(self.write[target], -1), self.operand[value])

    def _assignments(self) -> None:
        syntax, child, rows = self.syntax, self.child, self.rows
        at = np.flatnonzero((syntax.field == FIELD["targets"]) & (syntax.kind[syntax.parent] == KIND["Assign"]))
        self._assign("copy", at, child("value")[syntax.parent[at]])
        for kind in ("AnnAssign", "NamedExpr"):
            at = self.at(kind)
            self._assign("copy", child("target")[at], child("value")[at])
        at = self.at("AnnAssign")
        target = child("target")[at]
        bound = self.write[target] >= 0
        rows.add("annotated", target[bound], self.write[target[bound]], self.operand[child("annotation")[at[bound]]])
        at = self.at("For", "AsyncFor", "comprehension")
        rows.add("iterate", at, self.codes.second + at, self.operand[child("iter")[at]])
        rows.add("copy", child("target")[at], self.write[child("target")[at]], self.codes.second + at)
        at = self.at("withitem")
        rows.add("enter", at, self.codes.second + at, self.operand[child("context_expr")[at]])
        named = at[child("optional_vars")[at] >= 0]
        target = child("optional_vars")[named]
        rows.add("copy", target, self.write[target], self.codes.second + named)
        at = self.at("ExceptHandler")
        at = at[(self.write[at] >= 0) & (child("type")[at] >= 0)]
        rows.add("caught", at, self.write[at], self.operand[child("type")[at]])
        at = self.at("Raise")
        at = at[child("exc")[at] >= 0]
        rows.add("raise", at, self.codes.second + at, self.operand[child("exc")[at]])

        at = np.flatnonzero((syntax.kind == KIND["Attribute"]) & (syntax.ctx == _STORE))
        rows.add("store", at, self.operand[child("value")[at]], at, other=self.codes.definition + self.around[at],
                 name=self.names[at])  # fmt: skip
        at = np.flatnonzero((syntax.kind == KIND["Subscript"]) & (syntax.ctx == _STORE))
        name, other = self.subscripts(at)
        rows.add("set_item", at, self.operand[child("value")[at]], at, name=name, other=other)
        holders = is_kind("Tuple", "List")[syntax.kind] & (syntax.ctx == _STORE)
        at = np.flatnonzero(holders[syntax.parent] & (syntax.field == FIELD["elts"]))
        starred = np.flatnonzero((syntax.kind == KIND["Starred"]) & (syntax.ctx == _STORE))
        star_at = np.full(len(syntax), 1 << 30, np.int64)
        star_at[syntax.parent[starred]] = syntax.ordinal[starred]
        count = np.bincount(syntax.parent[at], minlength=len(syntax))
        plain = at[(syntax.kind[at] != KIND["Starred"])]
        index = syntax.ordinal[plain].astype(np.int64)
        index = np.where(index > star_at[syntax.parent[plain]], index - count[syntax.parent[plain]], index)
        rows.add("unpack", plain, self.write[plain], syntax.parent[plain], name=self.numbers(index))
        rest = starred[np.isin(starred, at)]
        after = syntax.ordinal[rest] - count[syntax.parent[rest]] + 1
        spans = self.texts.codes([
            f"{start}:{end or ''}" for start, end in zip(syntax.ordinal[rest].tolist(), after.tolist(), strict=True)
        ])  # fmt: skip
        rows.add("slice", rest, self.write[child("value")[rest]], syntax.parent[rest], name=spans)

    def _expressions(self) -> None:
        syntax, child, rows = self.syntax, self.child, self.rows
        kind, operand = syntax.kind, self.operand
        at = np.flatnonzero((kind == KIND["Attribute"]) & (syntax.ctx == _LOAD))
        rows.add("load", at, at, operand[child("value")[at]], name=self.names[at])
        at = np.flatnonzero((kind == KIND["Subscript"]) & (syntax.ctx == _LOAD))
        is_slice = kind[child("slice")[at]] == KIND["Slice"]
        name, other = self.subscripts(at[~is_slice])
        rows.add("item", at[~is_slice], at[~is_slice], operand[child("value")[at[~is_slice]]], name=name, other=other)
        sliced = at[is_slice]
        rows.add("slice", sliced, sliced, operand[child("value")[sliced]], name=self._spans(child("slice")[sliced]))

        parent = syntax.parent
        for holder, field_name in (("IfExp", "body"), ("IfExp", "orelse"), ("BoolOp", "values")):
            at = np.flatnonzero((kind[parent] == KIND[holder]) & (syntax.field == FIELD[field_name]))
            rows.add("copy", at, parent[at], operand[at])
        self._containers()
        add_operators(self)
        add_patterns(self)

    def _spans(self, slices: np.ndarray) -> np.ndarray:
        """`from:to` of slices with literal or no bounds and no step; NO_TEXT for others."""
        listed = list(self.texts)
        ends = [self.child(name)[slices] for name in ("lower", "upper", "step")]
        found = []
        for lower, upper, step in zip(*(e.tolist() for e in ends), strict=True):
            texts = ["" if bound < 0 else listed[self.keys[bound]] or "?" for bound in (lower, upper)]
            plain = step < 0 and all(not t or t.removeprefix("-").isdecimal() for t in texts)
            found.append(f"{texts[0]}:{texts[1]}" if plain else None)
        return self.texts.codes(found)

    def _containers(self) -> None:
        syntax, child, rows = self.syntax, self.child, self.rows
        kind, parent, operand = syntax.kind, syntax.parent, self.operand
        literal = is_kind("List", "Tuple", "Set")[kind] & (syntax.ctx != _STORE)
        for name, kinds in (("list", ("List", "ListComp")), ("tuple", ("Tuple",)), ("set", ("Set", "SetComp")),
                            ("dict", ("Dict", "DictComp")), ("generator", ("GeneratorExp",))):  # fmt: skip
            at = self.at(*kinds)
            at = at[syntax.ctx[at] != _STORE]
            rows.add("container", at, at, name=self.texts[name])
        at = np.flatnonzero(literal[parent] & (syntax.field == FIELD["elts"]))
        starred = at[kind[at] == KIND["Starred"]]
        rows.add("merge", starred, parent[starred], operand[starred])
        star_at = np.full(len(syntax), 1 << 30, np.int64)
        np.minimum.at(star_at, parent[starred], syntax.ordinal[starred].astype(np.int64))
        plain = at[kind[at] != KIND["Starred"]]
        listed = (syntax.ordinal[plain] < star_at[parent[plain]]) & (kind[parent[plain]] != KIND["Set"])
        rows.add("element", plain, parent[plain], operand[plain],
                 name=np.where(listed, self.numbers(syntax.ordinal[plain]), NO_TEXT))  # fmt: skip
        value = np.flatnonzero((kind[parent] == KIND["Dict"]) & (syntax.field == FIELD["values"]))
        key = np.flatnonzero((kind[parent] == KIND["Dict"]) & (syntax.field == FIELD["keys"]))
        place = parent << 24 | syntax.ordinal
        key = key[np.argsort(place[key])]  # a display inside another stands between its keys
        at = np.minimum(np.searchsorted(place[key], place[value]), max(len(key) - 1, 0))
        has_key = place[key[at]] == place[value] if len(key) else np.zeros(len(value), bool)
        spread, value, key = value[~has_key], value[has_key], key[at[has_key]] if len(key) else key
        rows.add("merge", spread, parent[spread], operand[spread])
        rows.add("element", value, parent[value], operand[value], name=self.keys[key],
                 other=np.where(self.keys[key] != NO_TEXT, -1, operand[key]))  # fmt: skip
        at = self.at("ListComp", "SetComp", "GeneratorExp")
        rows.add("element", at, at, operand[child("elt")[at]])
        at = self.at("DictComp")
        rows.add("element", at, at, operand[child("value")[at]])

    def _calls(self) -> None:
        syntax, rows = self.syntax, self.rows
        at = self.at("Call")
        function = self.child("func")[at]
        rows.add("call", at, at, self.operand[function])
        given = arguments(syntax)
        for number, how in enumerate(ARGUMENT_KINDS):
            of_kind = given.kind == number
            call, value = given.call[of_kind], given.node[of_kind]
            name = given.keyword[of_kind]
            op = {"positional": "argument"}.get(how, how)
            other = syntax.parent[value] if how == "keyword" else -1
            rows.add(op, value, call, self.operand[value], other=other, name=name, position=given.position[of_kind])
        count = np.bincount(given.call, minlength=len(syntax))
        bare = (syntax.kind[function] == KIND["Name"]) & (syntax.name[function] == self.texts["super"])
        at = at[bare & (count[at] == 0)]
        rows.add("super", at, at, self.codes.definition + self.around[at])

    def _imports(self) -> None:
        rows, imported, codes = self.rows, self.imported, self.codes
        node = imported.node
        bound = self.write[node] if len(node) else node
        home = codes.definition + self.module[self.syntax.file[node]] if len(node) else node
        is_from = np.array([kind == "from" for kind in imported.kind], bool)
        star = np.array([name is None for name in imported.bound], bool)
        names = np.array([name is not None for name in imported.asname], bool)
        module = self.texts.codes(imported.target_module)
        first = self.texts.codes([target.partition(".")[0] for target in imported.target])
        rows.add("star", node[star], home[star], name=module[star])
        at = is_from & ~star
        rows.add("import", node[at], codes.second + node[at], name=module[at])
        # The alias itself is a slot: it is what refers to the other module's binding.
        rows.add("load", node[at], node[at], codes.second + node[at], name=self.texts.codes(imported.name)[at])
        own = at & (bound != node)
        rows.add("copy", node[own], bound[own], node[own])
        at = ~is_from & (bound >= 0)
        rows.add("import", node[at], bound[at], name=np.where(names, module, first)[at])

    def _constants(self) -> None:
        """Constants as far as something uses their slots."""
        used = distinct(np.concatenate([c for part in self.rows.parts for c in (part[3], part[4])]))
        at = used[(used >= 0) & (used < len(self.syntax))]
        at = at[(self.syntax.kind[at] == KIND["Constant"])]
        listed = list(self.texts)
        types = at[self.quoted[at]]
        texts = self.texts.codes([(listed[code] or "").removeprefix("'") for code in self.keys[types].tolist()])
        self.rows.add("quoted", types, types, self.codes.definition + self.around[types], name=texts)
        at = at[~self.quoted[at]]
        fields = np.isin(self.syntax.name[self.syntax.parent[at] + 1], [self.texts["namedtuple"]]).tolist()
        words = [
            key if (key := listed[code]) and (lists or _names_something(key)) else "str"
            for code, lists in zip(self.keys[at].tolist(), fields, strict=True)
        ]
        self.rows.add("constant", at, at, name=self.texts.codes(words))
        at = self.at("JoinedStr")
        self.rows.add("constant", at, at, name=self.texts["str"])

    def _externals(self) -> None:
        """Names from outside, once for each file that uses them."""
        low, high = self.codes.external, self.codes.second
        found = [np.zeros((2, 0), np.int64)]
        for part in self.rows.parts:
            for column in (part[3], part[4]):
                used = (column >= low) & (column < high)
                found.append(np.stack([self.syntax.file[part[1][used]].astype(np.int64), column[used]]))
        file, external = np.unique(np.concatenate(found, axis=1), axis=1)
        listed = list(self.texts)
        order = np.array(sorted(range(len(external)), key=lambda i: listed[external[i] - low] or ""), np.int64)
        file, external = file[order], external[order]  # not as the file happens to mention them
        self.rows.add("external", self.module[file], external, name=external - low)


_SAY_MORE = ("define", "call", "keyword", "decorate", "import", "star", "container", "constant", "super", "item",
             "slice", "external")  # fmt: skip
# Slots of these are nothing to tell of: what they stand for has an id of its own, or no meaning outside.
_IS_PLAIN = ~is_kind(
    "Call", "Attribute", "Subscript", "Lambda", "For", "AsyncFor", "comprehension", "withitem", "Raise", "BinOp",
    "UnaryOp", "AugAssign", "Compare", "alias", "YieldFrom", "Name", "keyword", "FormattedValue", "Await",
) & ~IS_DEFINITION  # fmt: skip
_IS_MENTION = is_kind("Attribute", "keyword")
_UNPACKS = is_kind("Tuple", "List")


def _names_something(key: str) -> bool:
    """Whether a constant may be meant as a name or a key, so that it matters which one it is."""
    return not key.startswith("'") or re.fullmatch(r"'[\w.:/-]+", key) is not None

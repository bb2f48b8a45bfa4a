"""Rows for what operators, tests and formatted texts do with values.

An operator whose result somebody may use is a row `special`. What is only asked for an answer that holds no values of
interest (a comparison, the truth of what a branch tests, a text) is a row `asks`.
"""

from __future__ import annotations

import re

import numpy as np

from codeintel.extract.grammar import CONTEXTS, FIELD, KIND, is_kind
from codeintel.extract.value_slots import Slots

_DEL = CONTEXTS.index("Del")
BINARY = {
    "Add": "__add__", "Sub": "__sub__", "Mult": "__mul__", "MatMult": "__matmul__", "Div": "__truediv__",
    "Mod": "__mod__", "Pow": "__pow__", "LShift": "__lshift__", "RShift": "__rshift__", "BitOr": "__or__",
    "BitXor": "__xor__", "BitAnd": "__and__", "FloorDiv": "__floordiv__",
}  # fmt: skip
_UNARY = {"Invert": "__invert__", "UAdd": "__pos__", "USub": "__neg__"}
_COMPARED = {"Eq": "__eq__", "NotEq": "__ne__", "Lt": "__lt__", "LtE": "__le__", "Gt": "__gt__", "GtE": "__ge__",
             "In": "__contains__", "NotIn": "__contains__"}  # fmt: skip
# Of these the truth is asked here; constants and displays have no say in it, and what they are made of is asked itself.
_MAY_BE_ASKED = is_kind("Name", "Attribute", "Call", "Subscript")
_TESTS = ("If", "While", "IfExp", "Assert")
_CONVERSIONS = {ord("s"): "__str__", ord("r"): "__repr__", ord("a"): "__repr__"}
_PLACEHOLDER = "{}"


def add_operators(flows: Slots) -> None:
    """All of them."""
    _arithmetic(flows)
    _comparisons(flows)
    _truth(flows)
    _formatted(flows)
    _deleted(flows)


def _arithmetic(flows: Slots) -> None:
    syntax, child, rows, operand, codes = flows.syntax, flows.child, flows.rows, flows.operand, flows.codes
    operators = flows.regions.operators

    def named(at: np.ndarray, methods: dict[str, str], prefix: str = "") -> np.ndarray:
        texts = [methods.get(operators.get(n, "")) for n in at.tolist()]
        return flows.texts.codes([t and ((prefix and f"__{prefix}{t[2:]}") or t) for t in texts])

    at = flows.at("BinOp")
    left, right = operand[child("left")[at]], operand[child("right")[at]]
    rows.add("special", at, at, left, other=right, name=named(at, BINARY))
    unknown = (left < 0) & (right >= 0)  # `None | C`, or something that only the right operand can answer
    rows.add("reflected", at[unknown], at[unknown], right[unknown], name=named(at[unknown], BINARY))
    at = flows.at("UnaryOp")
    at = at[operand[child("operand")[at]] >= 0]
    names = named(at, _UNARY)
    rows.add("special", at[names > 0], at[names > 0], operand[child("operand")[at[names > 0]]], name=names[names > 0])

    # `x += y` reads its target, works on what it finds, and stores what that gives.
    at = flows.at("AugAssign")
    target = child("target")[at]
    value = operand[child("value")[at]]
    old = operand[target].copy()
    for kind, op in (("Attribute", "load"), ("Subscript", "item")):
        of_kind = syntax.kind[target] == KIND[kind]
        part = target[of_kind]
        old[of_kind] = codes.second + part
        if kind == "Attribute":
            rows.add(op, part, codes.second + part, operand[child("value")[part]], name=flows.names[part])
        else:
            key, other = flows.subscripts(part)
            rows.add(op, part, codes.second + part, operand[child("value")[part]], name=key, other=other)
    rows.add("special", at, codes.second + at, old, other=value, name=named(at, BINARY, "i"))
    rows.add("copy", at, flows.write[target], codes.second + at)
    rows.add("copy", at[old < 0], flows.write[target[old < 0]], value[old < 0])


def _comparisons(flows: Slots) -> None:
    syntax, child, operand = flows.syntax, flows.child, flows.operand
    operators = flows.regions.operators
    right = np.flatnonzero((syntax.field == FIELD["comparators"]) & (syntax.kind[syntax.parent] == KIND["Compare"]))
    compare, place = syntax.parent[right], syntax.ordinal[right]
    order = np.lexsort((place, compare))
    right, compare, place = right[order], compare[order], place[order]
    left = np.where(place == 0, child("left")[compare], np.r_[0, right[:-1]][: len(right)])
    texts = [operators.get(node, "").split(",") for node in compare.tolist()]
    names = [chain[at] if at < len(chain) else "" for chain, at in zip(texts, place.tolist(), strict=True)]
    is_in = np.array([name in ("In", "NotIn") for name in names], bool)
    codes = flows.texts.codes([_COMPARED.get(name) for name in names])
    asked, given = operand[np.where(is_in, right, left)], operand[np.where(is_in, left, right)]
    known = (codes > 0) & ((asked >= 0) | (given >= 0))
    flows.rows.add("asks", compare[known], flows.codes.second + compare[known],
                   np.where(asked >= 0, asked, given)[known],
                   other=np.where(asked >= 0, given, -1)[known], name=codes[known])  # fmt: skip


def _truth(flows: Slots) -> None:
    syntax, kind = flows.syntax, flows.syntax.kind
    parent, is_or = syntax.parent, syntax.kind == KIND["BoolOp"]
    tested = (syntax.field == FIELD["test"]) & is_kind(*_TESTS)[kind[parent]]
    tested |= (syntax.field == FIELD["ifs"]) | (syntax.field == FIELD["guard"])
    negated = [p.nodes[np.array([value == "Not" for value in p.values], bool)] for p in syntax.properties
               if p.key == "op" and len(p.nodes) and kind[p.nodes[0]] == KIND["UnaryOp"]]  # fmt: skip
    operand_of = flows.child("operand")
    for nodes in negated:
        tested[operand_of[nodes]] = True
    parts = np.flatnonzero(is_or[parent] & (syntax.field == FIELD["values"]))
    last = np.full(len(syntax), -1, np.int64)
    last[parent[parts]] = parts  # parts are in order, so that the last one stays
    tested[parts[last[parent[parts]] != parts]] = True
    # The last part decides if what came before has not, and only counts where the whole does.
    for part in parts[last[parent[parts]] == parts].tolist():
        tested[part] |= tested[parent[part]]
    at = np.flatnonzero(tested & _MAY_BE_ASKED[kind])
    flows.rows.add("asks", at, flows.codes.second + at, flows.operand[at], name=flows.texts["__bool__"])


def _formatted(flows: Slots) -> None:
    syntax, rows, operand = flows.syntax, flows.rows, flows.operand
    at = flows.at("FormattedValue")
    value = flows.child("value")[at]
    asked = at[_MAY_BE_ASKED[syntax.kind[value]]]
    conversion = syntax.values_of("conversion")
    names = [_CONVERSIONS.get(conversion.get(node, -1), "__format__") for node in asked.tolist()]
    rows.add("asks", asked, flows.codes.second + asked, operand[flows.child("value")[asked]],
             name=flows.texts.codes(names))  # fmt: skip
    # Texts with one place to fill, as names are put together: `f"visit_{kind}"`.
    single = at[np.bincount(syntax.parent[at], minlength=len(syntax))[syntax.parent[at]] == 1]
    plain = single[(syntax.size[single] == 1 + syntax.size[flows.child("value")[single]]) & (operand[
        flows.child("value")[single]] >= 0)]  # fmt: skip
    listed = list(flows.texts)
    whole, filled, templates = [], [], []
    for node, text in zip(plain.tolist(), syntax.parent[plain].tolist(), strict=True):
        if syntax.kind[text] != KIND["JoinedStr"]:
            continue
        parts, part = [], text + 1
        while part < text + syntax.size[text]:
            parts.append(_PLACEHOLDER if part == node else (listed[flows.keys[part]] or "").removeprefix("'"))
            part += int(syntax.size[part])
        template = "".join(parts)
        if re.fullmatch(r"[\w.]*\{\}\w*", template) and template != _PLACEHOLDER:
            whole.append(text)
            filled.append(int(operand[flows.child("value")[node]]))
            templates.append(template)
    rows.add("formatted", np.array(whole, np.int64), np.array(whole, np.int64), np.array(filled, np.int64),
             name=flows.texts.codes(templates))  # fmt: skip


def _deleted(flows: Slots) -> None:
    syntax, child, operand, rows = flows.syntax, flows.child, flows.operand, flows.rows
    at = np.flatnonzero((syntax.kind == KIND["Subscript"]) & (syntax.ctx == _DEL))
    rows.add("asks", at, flows.codes.second + at, operand[child("value")[at]],
             other=flows.subscripts(at)[1], name=flows.texts["__delitem__"])  # fmt: skip
    at = np.flatnonzero((syntax.kind == KIND["Attribute"]) & (syntax.ctx == _DEL))
    rows.add("delete", at, flows.codes.second + at, operand[child("value")[at]], name=flows.names[at])

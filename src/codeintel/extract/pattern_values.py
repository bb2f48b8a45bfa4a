"""Rows for `match`: what each pattern is matched against, what it lets through, and what it binds.

The slot of a pattern's node holds what it is matched against. What a class pattern lets through is in its second slot,
as is what any of several alternatives does. The slot of a case holds what cases before it have left of the subject.
"""

from __future__ import annotations

import numpy as np

from codeintel.extract.grammar import FIELD, KIND, KINDS
from codeintel.extract.narrowing import let_through
from codeintel.extract.syntax import NO_TEXT
from codeintel.extract.value_slots import Slots


def add_patterns(flows: Slots) -> None:
    """All of them."""
    cases = flows.at("match_case")
    if not len(cases):
        return
    attributes = flows.syntax.values_of("kwd_attrs")
    before: dict[int, tuple[int, int]] = {}  # by match, the case before and the class that surely ends there
    for case in cases.tolist():
        pattern = case + 1
        match = int(flows.syntax.parent[case])
        if match not in before:
            _row(flows, "copy", case, int(flows.operand[match + 1]))
        elif before[match][1] >= 0:
            _row(flows, "narrow", case, before[match][0], other=int(flows.operand[before[match][1]]),
                 name=flows.texts["not isinstance"])  # fmt: skip
        else:
            _row(flows, "copy", case, before[match][0])
        _row(flows, "copy", pattern, case)
        _pattern(flows, pattern, attributes)
        is_plain = (
            flows.syntax.kind[pattern] == KIND["MatchClass"]
            and flows.syntax.size[pattern] == 1 + (flows.syntax.size[pattern + 1])
        )
        guarded = flows.syntax.field[pattern + flows.syntax.size[pattern]] == FIELD["guard"]
        before[match] = (case, pattern + 1 if is_plain and not guarded else -1)


def _row(flows: Slots, op: str, target: int, source: int, *, other: int = -1, name: int = NO_TEXT, position: int = 0,
         node: int = -1) -> None:  # fmt: skip
    at = np.array([node if node >= 0 else target], np.int64)
    flows.rows.add(op, at, np.array([target]), source, other=other, name=name, position=position)


def _pattern(flows: Slots, node: int, attributes: dict[int, list[str]]) -> None:
    syntax, second = flows.syntax, flows.codes.second
    kind = KINDS[syntax.kind[node]]
    parts = [*flows.regions.children(node)]
    inner = [part for part in parts if syntax.field[part] in (FIELD["patterns"], FIELD["kwd_patterns"])]
    match kind:
        case "MatchAs":
            inner = parts
            for part in parts:
                _row(flows, "copy", part, node)
            if flows.write[node] >= 0:
                _row(flows, "copy", int(flows.write[node]), let_through(flows.regions, node, second), node=node)
        case "MatchClass":
            _row(flows, "narrow", node + second, node, other=int(flows.operand[node + 1]),
                 name=flows.texts["isinstance"], node=node)  # fmt: skip
            named = iter(attributes.get(node, ()))
            for part in inner:
                if syntax.field[part] == FIELD["patterns"]:
                    _row(flows, "matched", part, node + second, position=int(syntax.ordinal[part]))
                else:
                    _row(flows, "load", part, node + second, name=flows.texts[next(named)])
        case "MatchSequence":
            star = next((at for at, part in enumerate(inner) if syntax.kind[part] == KIND["MatchStar"]), len(inner))
            for at, part in enumerate(inner):
                if at == star:
                    span = f"{at}:{at - len(inner) + 1 or ''}"
                    _row(flows, "slice", int(flows.write[part]), node, name=flows.texts[span], node=part)
                else:
                    place = str(at if at < star else at - len(inner))
                    _row(flows, "unpack", part, node, name=flows.texts[place])
        case "MatchMapping":
            keys = [part for part in parts if syntax.field[part] == FIELD["keys"]]
            for key, part in zip(keys, inner, strict=False):
                literal = key + 1 if syntax.kind[key] == KIND["MatchValue"] else key
                text = int(flows.keys[literal])
                _row(flows, "item", part, node, name=text, other=-1 if text != NO_TEXT else int(flows.operand[key]))
            if flows.write[node] >= 0:
                _row(flows, "copy", int(flows.write[node]), node, node=node)
        case "MatchOr":
            for part in inner:
                _row(flows, "copy", part, node)
                _row(flows, "copy", node + second, let_through(flows.regions, part, second), node=node)
    for part in inner:
        _pattern(flows, part, attributes)

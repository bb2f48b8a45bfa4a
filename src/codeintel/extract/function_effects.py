"""What each function, class body and module does that others may see, without positions.

Together with `parameters` it is the interface that an analysis of the whole program needs. An edit that changes none of
it leaves every row as it was: calls are known by their number within their owner, all else by what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.bindings import HOW, Bindings
from codeintel.extract.calls import Calls
from codeintel.extract.data_flow import CERTAIN, DataFlow
from codeintel.extract.definitions import child_in, order_within, pure_names
from codeintel.extract.grammar import IS_OWNER, KIND, is_kind
from codeintel.extract.scopes import MODULE, Scopes
from codeintel.extract.syntax import NO_TEXT, Syntax, Texts

EFFECTS = ["call", "return", "write_attribute", "write_global", "write_nonlocal"]
CALL, RETURN, WRITE_ATTRIBUTE, WRITE_GLOBAL, WRITE_NONLOCAL = range(len(EFFECTS))
SOURCES = [None, "parameter", "attribute", "global", "call"]
UNKNOWN, PARAMETER, ATTRIBUTE, GLOBAL, RESULT = range(len(SOURCES))

_STORE = 2
_ASSIGNS = is_kind("Assign", "AnnAssign", "NamedExpr")


@dataclass(slots=True)
class FunctionEffects:
    """Columns over effects: the owner's node, what it does, to what name, and where the value comes from.

    `ordinal` numbers calls in the order of the source and all else by name and value. `effect` and `source` index
    EFFECTS and SOURCES; `value` is the name of the source as a code, or NO_TEXT; of a call the number of that call.
    """

    function: np.ndarray
    effect: np.ndarray
    ordinal: np.ndarray
    name: np.ndarray
    source: np.ndarray
    value: np.ndarray


def function_effects(
    syntax: Syntax, texts: Texts, scopes: Scopes, bindings: Bindings, made: Calls, flow: DataFlow
) -> FunctionEffects:
    """The effects of every owner of the chunk, by owner, effect and ordinal."""
    call_owner = syntax.owner[made.node]
    number = np.full(len(syntax), -1, np.int64)
    number[made.node] = order_within(call_owner)

    returns = np.flatnonzero(syntax.kind == KIND["Return"])
    returned = child_in(syntax, returns, "value")
    returns, returned = returns[returned >= 0], returned[returned >= 0]
    attributes = np.flatnonzero((syntax.kind == KIND["Attribute"]) & (syntax.ctx == _STORE))
    binder, effect, name = _outward(syntax, scopes, bindings)

    node = np.r_[returns, attributes, binder]
    value = np.r_[returned, _stored(syntax, np.r_[attributes, binder])]
    effect = np.r_[np.full(len(returns), RETURN), np.full(len(attributes), WRITE_ATTRIBUTE), effect]
    path = pure_names(syntax, texts, attributes)
    listed = list(texts)
    last = texts.codes([f"?.{listed[code]}" for code in syntax.name[attributes].tolist()])
    name = np.r_[np.full(len(returns), NO_TEXT), np.where(path != NO_TEXT, path, last), name]
    source, said = _sources(syntax, texts, scopes, bindings, flow, number, value)

    rank, by_rank = _alphabetical(texts, np.r_[name, said])
    keys = np.c_[syntax.owner[node], effect, rank[name], source, rank[said]]
    calls = np.c_[call_owner, np.full(len(call_owner), CALL), number[made.node], np.zeros((len(call_owner), 2), int)]
    rows = np.unique(np.concatenate([keys, calls]), axis=0)
    is_call = rows[:, 1] == CALL
    by_owner = np.lexsort((number[made.node], call_owner))
    names = by_rank[np.where(is_call, 0, rows[:, 2])]
    names[is_call] = made.name[by_owner]
    return FunctionEffects(
        rows[:, 0], rows[:, 1], order_within(rows[:, 0] * len(EFFECTS) + rows[:, 1]), names, rows[:, 3],
        by_rank[rows[:, 4]],
    )  # fmt: skip


def _outward(syntax: Syntax, scopes: Scopes, bindings: Bindings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(node, effect, name)` of what binds a name that another owner has."""
    scope = bindings.scope[bindings.binder_binding]
    home = scopes.code[scope] >> 1
    home = np.where(IS_OWNER[syntax.kind[home]], home, syntax.owner[home])
    declares = np.isin(bindings.binder_how, [HOW["annotation"], HOW["del"]])
    out = np.flatnonzero((home != syntax.owner[bindings.binder]) & (scopes.code[scope] >= 0) & ~declares)
    effect = np.where(scopes.type[scope[out]] == MODULE, WRITE_GLOBAL, WRITE_NONLOCAL)
    return bindings.binder[out], effect, bindings.name[bindings.binder_binding[out]]


def _stored(syntax: Syntax, targets: np.ndarray) -> np.ndarray:
    """The expression that an assignment stores in each target as it is; -1 for any other."""
    above = syntax.parent[targets]
    plain = _ASSIGNS[syntax.kind[above]]
    return np.where(plain, child_in(syntax, above, "value"), -1)


def _sources(
    syntax: Syntax, texts: Texts, scopes: Scopes, bindings: Bindings, flow: DataFlow, number: np.ndarray,
    value: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Where the value of each expression (-1 for none) comes from, and by what name."""
    source, said = np.zeros(len(value), np.int64), np.zeros(len(value), np.int64)
    given = np.zeros(len(syntax) + 1, bool)
    given[flow.use[(syntax.kind[flow.definition] == KIND["arg"]) & (flow.confidence == CERTAIN)]] = True
    bound = np.full(len(syntax) + 1, -1, np.int64)
    bound[bindings.reference] = bindings.target
    kind = np.where(value >= 0, syntax.kind[value], -1)
    is_global = (bound[value] >= 0) & (np.r_[scopes.type[bindings.scope], -1][bound[value]] == MODULE)
    for code, chosen in ((GLOBAL, is_global & (kind == KIND["Name"])), (PARAMETER, given[value])):
        source[chosen], said[chosen] = code, syntax.name[value[chosen]]
    attributes = np.flatnonzero(kind == KIND["Attribute"])
    said[attributes] = pure_names(syntax, texts, value[attributes])
    source[attributes[said[attributes] != NO_TEXT]] = ATTRIBUTE
    results = np.flatnonzero(kind == KIND["Call"])
    source[results] = RESULT
    said[results] = texts.codes([str(call) for call in number[value[results]].tolist()])
    return source, said


def _alphabetical(texts: Texts, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each of the codes among them, from 1, by text, and the code of each rank; no text has rank 0."""
    listed = list(texts)
    used = distinct(codes[codes != NO_TEXT]).tolist()
    by_rank = np.array([NO_TEXT, *sorted(used, key=lambda code: str(listed[code]))], np.int64)
    rank = np.zeros(len(listed), np.int64)
    rank[by_rank] = np.arange(len(by_rank))
    return rank, by_rank

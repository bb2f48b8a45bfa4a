"""Rows for what definitions are: members, parameters, decorators, what functions return and yield, bases of classes."""

from __future__ import annotations

import numpy as np

from codeintel.extract.definitions import PARAMETER_KINDS, generators, parameters
from codeintel.extract.grammar import FIELD, KIND, is_kind
from codeintel.extract.optional_results import optional_results
from codeintel.extract.scopes import CLASS, MODULE
from codeintel.extract.syntax import NO_TEXT
from codeintel.extract.value_slots import Slots

_IS_DEF = is_kind("FunctionDef", "AsyncFunctionDef", "ClassDef")


def add_definitions(flows: Slots) -> None:
    """All of them."""
    syntax, codes, rows = flows.syntax, flows.codes, flows.rows
    node = flows.definitions.node
    kind = syntax.kind[node]
    sort = np.where(kind == KIND["Module"], 0, np.where(kind == KIND["ClassDef"], 1, 2))
    sort = np.where(generators(syntax)[node], 3, np.where(kind == KIND["Lambda"], 4, sort))
    outside = np.where(syntax.parent[node] < 0, -1, codes.definition + flows.around[node])
    names = flows.texts.codes(flows.definitions.qualname)
    rows.add("define", node, codes.definition + node, outside, name=names, position=sort)
    homes = np.isin(flows.scopes.type[flows.bindings.scope], [MODULE, CLASS]) & (
        flows.scopes.code[flows.bindings.scope] >= 0
    )
    members = np.flatnonzero(homes & flows.scopes.is_listed[flows.bindings.scope])
    home = flows.scopes.code[flows.bindings.scope[members]] >> 1
    rows.add("member", home, codes.definition + home, codes.binding + members, name=flows.bindings.name[members])

    named = members[flows.bindings.name[members] == flows.texts["__name__"]]
    module = flows.definitions.at[flows.scopes.code[flows.bindings.scope[named]] >> 1].tolist()
    own = flows.texts.codes([f"'{flows.definitions.qualname[at]}" for at in module])
    rows.add("constant", node[module] if len(module) else named, codes.binding + named, name=own)

    # Decorators apply from the last one up: each is called with what the one below it gave.
    defs = node[_IS_DEF[kind]]
    decorator = np.flatnonzero(syntax.field == FIELD["decorator_list"])
    decorated = syntax.parent[decorator]
    is_last = np.r_[decorated[1:] != decorated[:-1], True] if len(decorated) else np.zeros(0, bool)
    # Siblings of one parent stand apart by their subtrees, never by other decorators of the same parent.
    order = np.lexsort((decorator, decorated))
    decorator, decorated = decorator[order], decorated[order]
    is_last = np.r_[decorated[1:] != decorated[:-1], True] if len(decorated) else is_last
    below = np.where(is_last, codes.definition + decorated, codes.second + np.r_[decorator[1:], 0][: len(decorator)])
    rows.add("decorate", decorator, codes.second + decorator, flows.operand[decorator], other=below)
    value = np.full(len(syntax), -1, np.int64)
    value[defs] = codes.definition + defs
    first = np.r_[True, decorated[1:] != decorated[:-1]] if len(decorated) else np.zeros(0, bool)
    value[decorated[first]] = codes.second + decorator[first]
    bound = defs[flows.write[defs] >= 0]
    rows.add("copy", bound, flows.write[bound], value[bound])
    lambdas = flows.at("Lambda")
    rows.add("copy", lambdas, lambdas, codes.definition + lambdas)

    given = parameters(syntax)
    for number, how in enumerate(PARAMETER_KINDS):
        of_kind = given.kind == number
        at, function = given.node[of_kind], given.function[of_kind]
        known = flows.write[at] >= 0
        at, function = at[known], function[known]
        rows.add(how, at, flows.write[at], codes.definition + function, other=flows.bound[at], name=syntax.name[at],
                 position=given.position[of_kind][known])  # fmt: skip
    has_default = (given.default >= 0) & (flows.write[given.node] >= 0)
    at, default = given.node[has_default], given.default[has_default]
    rows.add("copy", at, flows.write[at], flows.operand[default])
    annotated = (given.annotation >= 0) & (flows.write[given.node] >= 0)
    at, annotation = given.node[annotated], given.annotation[annotated]
    rows.add("annotated", at, flows.write[at], flows.operand[annotation],
             position=np.isin(given.kind[annotated], [2, 4]))  # fmt: skip
    returns = flows.child("returns")[defs]
    rows.add("returns", defs[returns >= 0], codes.definition + defs[returns >= 0],
             flows.operand[returns[returns >= 0]])  # fmt: skip
    rows.add("return", lambdas, codes.definition + lambdas, flows.operand[flows.child("body")[lambdas]])
    at = flows.at("Yield")
    at = at[flows.child("value")[at] >= 0]
    rows.add("yield", at, codes.definition + flows.around[at], flows.operand[flows.child("value")[at]])
    _returns(flows)
    at = flows.at("YieldFrom")
    rows.add("iterate", at, codes.second + at, flows.operand[flows.child("value")[at]])
    rows.add("yield", at, codes.definition + flows.around[at], codes.second + at)
    # What expressions that yield or wait give is asked for by few.
    used = ~is_kind("Expr")[syntax.kind[syntax.parent]]
    rows.add("delegated", at, at, flows.operand[flows.child("value")[at]], other=codes.definition + flows.around[at])
    at = flows.at("Yield")
    at = at[used[at]]
    rows.add("sent", at, at, codes.definition + flows.around[at])
    at = flows.at("Await")
    value = flows.operand[flows.child("value")[at]]
    rows.add("copy", at, at, value)
    rows.add("special", at, at, value, name=flows.texts["__await__"])

    at = np.flatnonzero((syntax.field == FIELD["bases"]) & (syntax.kind[syntax.parent] == KIND["ClassDef"]))
    rows.add("base", at, codes.definition + syntax.parent[at], flows.operand[at], position=syntax.ordinal[at])
    keyword = np.flatnonzero(
        (syntax.kind == KIND["keyword"]) & (syntax.kind[syntax.parent] == KIND["ClassDef"])
        & (syntax.name == flows.texts["metaclass"])
    )  # fmt: skip
    rows.add("metaclass", keyword, codes.definition + syntax.parent[keyword],
             flows.operand[flows.child("value")[keyword]])  # fmt: skip
    _classes(flows)


def _returns(flows: Slots) -> None:
    """What functions return, the branches of a conditional expression apart if they depend on a parameter."""
    depends = optional_results(flows.syntax, flows.texts, flows.regions)
    at = flows.at("Return")
    at = at[flows.child("value")[at] >= 0]
    value = flows.child("value")[at]
    told = np.array([*depends], np.int64)
    branches = told[flows.syntax.kind[told] != KIND["Return"]]
    split = np.isin(value, flows.syntax.parent[branches])
    value = np.r_[value[~split], flows.child("body")[value[split]], flows.child("orelse")[value[split]]]
    at = np.r_[at[~split], at[split], at[split]]
    parameter, how = np.full((2, len(flows.syntax)), -1, np.int64)
    parameter[told], how[told] = np.array([*depends.values()], np.int64).reshape(-1, 2).T
    stated = np.where(how[value] > 0, value, at)
    flows.rows.add("return", at, flows.codes.definition + flows.around[at], flows.operand[value],
                   other=flows.write[parameter[stated]], position=np.maximum(how[stated], 0))  # fmt: skip


def _classes(flows: Slots) -> None:
    """What the statements that define classes say beside their bases."""
    syntax, codes, rows = flows.syntax, flows.codes, flows.rows
    at = flows.at("ClassDef")
    rows.add("create", at, codes.second + at, codes.definition + at)
    keyword = np.flatnonzero((syntax.kind == KIND["keyword"]) & (syntax.kind[syntax.parent] == KIND["ClassDef"]))
    keyword = keyword[syntax.name[keyword] != flows.texts["metaclass"]]
    keyword = keyword[syntax.name[keyword] != NO_TEXT]
    rows.add("keyword", keyword, codes.second + syntax.parent[keyword], flows.operand[flows.child("value")[keyword]],
             other=keyword, name=syntax.name[keyword])  # fmt: skip
    # Annotated names in the bodies of classes that a decorator or a base may make a constructor of.
    dressed = np.zeros(len(syntax), bool)
    dressed[syntax.parent[np.isin(syntax.field, [FIELD["bases"], FIELD["decorator_list"]])]] = True
    at = flows.at("AnnAssign")
    at = at[(syntax.kind[syntax.parent[at]] == KIND["ClassDef"]) & dressed[syntax.parent[at]]]
    target, annotation = flows.child("target")[at], flows.child("annotation")[at]
    head = np.where(syntax.kind[annotation] == KIND["Subscript"], flows.child("value")[annotation], annotation)
    kept = (syntax.kind[target] == KIND["Name"]) & ~np.isin(
        syntax.name[head], [flows.texts["ClassVar"], flows.texts["KW_ONLY"]]
    )
    at, target = at[kept], target[kept]
    rows.add("field", at, codes.definition + syntax.parent[at], flows.bound[target],
             other=flows.operand[flows.child("value")[at]], name=syntax.name[target],
             position=syntax.ordinal[at])  # fmt: skip

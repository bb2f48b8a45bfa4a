"""What a function returns only if an optional parameter is given, or only if it is not.

    def registered(function=None, *, name=""):
        def register(function): ...
        if function is None:
            return register
        return register(function)

Whoever calls `registered(name="x")` gets `register`, and nothing that `register` returns. What a test says of a
parameter is looked at with its default in mind, of `*args` and `**kwargs` with none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from codeintel.extract.definitions import parameters
from codeintel.extract.grammar import CONTEXTS, FIELD, KIND, KINDS, is_kind
from codeintel.extract.narrowing import Regions, speaks_for
from codeintel.extract.syntax import Syntax, Texts

GIVEN, MISSING = 1, 2
"""It is returned only if the parameter is given; only if it is not, or what is given is as little as the default."""
_LOAD = CONTEXTS.index("Load")
_VARIADIC = (2, 4)  # `*args` and `**kwargs`
_TESTS = is_kind("If", "IfExp", "BoolOp", "UnaryOp", "Compare", "Call")


def optional_results(syntax: Syntax, texts: Texts, regions: Regions) -> Mapping[int, tuple[int, int]]:
    """By `return` statement, or branch of a conditional expression in one: a parameter's node, and how it has to be."""
    found: dict[int, tuple[int, int]] = {}
    returns = np.flatnonzero(syntax.kind == KIND["Return"])
    for read, parameter, test, default, tells_missing in _tests(syntax, texts, regions):
        for begin, end, known in speaks_for(regions, test):
            as_default = (known == "") == default
            low, high = np.searchsorted(returns, [begin, end])
            branch = syntax.parent[begin]
            is_branch = syntax.kind[branch] == KIND["IfExp"] and syntax.kind[syntax.parent[branch]] == KIND["Return"]
            for node in [*returns[low:high].tolist(), *[begin] * bool(is_branch)]:
                if regions.around[node] == regions.around[read] and (tells_missing or not as_default):
                    found.setdefault(node, (parameter, MISSING if as_default else GIVEN))
    return found


def _tests(syntax: Syntax, texts: Texts, regions: Regions) -> Iterator[tuple[int, int, int, bool, bool]]:
    """`(read, parameter, test, what it gives for the default, whether it is else true of what is given)`.

    Of parameters that have a constant as default or are variadic, and are given no other value.
    """
    given, bindings = parameters(syntax), regions.bindings
    is_constant = syntax.kind == KIND["Constant"]
    variadic = np.isin(given.kind, _VARIADIC)
    optional = ((given.default >= 0) & is_constant[given.default]) | variadic
    parameter = np.full(len(bindings.scope) + 1, -1, np.int64)
    binding = np.full(len(syntax), -1, np.int64)
    binding[bindings.binder] = bindings.binder_binding
    parameter[binding[given.node[optional]]] = np.flatnonzero(optional)
    writes = np.bincount(bindings.binder_binding[bindings.binder_binding >= 0], minlength=len(parameter))
    parameter[writes != 1] = -1
    reads = bindings.reference[parameter[bindings.target] >= 0]
    reads = reads[(syntax.ctx[reads] == _LOAD) & _TESTS[syntax.kind[syntax.parent[reads]]]]
    constants = _constants(syntax, np.r_[given.default[optional], reads + 1])
    for read in reads.tolist():
        at = int(parameter[regions.target[read]])
        node, is_variadic = int(given.node[at]), bool(variadic[at])
        default = () if is_variadic else constants[int(given.default[at])]
        parent, field = int(syntax.parent[read]), int(syntax.field[read])
        kind, called = KINDS[syntax.kind[parent]], parent + 1
        if kind == "Call" and field == FIELD["args"] and syntax.kind[called] == KIND["Name"]:
            name = syntax.name[called]
            if regions.target[called] >= 0 or syntax.ordinal[read] or (default is not None and not is_variadic):
                continue
            if name in (texts["callable"], texts["isinstance"]) and not is_variadic:
                yield read, node, parent, False, bool(name == texts["callable"])
            compare = int(syntax.parent[parent])
            if name == texts["len"] and is_variadic and syntax.kind[compare] == KIND["Compare"]:
                count = constants.get(regions.end(parent))
                if regions.operators[compare] == "Eq" and isinstance(count, int):
                    yield read, node, compare, not count, not count
        elif kind == "Compare":
            operator, other = regions.operators[parent], constants.get(read + 1, ())
            if operator in ("Is", "IsNot") and default is None and other is None and read == called:
                yield read, node, parent, operator == "Is", True
        elif field == FIELD["test"] or kind == "BoolOp" or regions.operators.get(parent) == "Not":
            yield read, node, read, bool(default), not default


def _constants(syntax: Syntax, nodes: np.ndarray) -> dict[int, object]:
    """The values of those nodes that are constants."""
    wanted = np.zeros(len(syntax) + 1, bool)
    wanted[nodes] = True
    wanted[:-1] &= syntax.kind == KIND["Constant"]
    return {
        int(values.nodes[at]): values.values[at]
        for values in syntax.properties if values.key == "value"
        for at in np.flatnonzero(wanted[values.nodes]).tolist()
    }  # fmt: skip

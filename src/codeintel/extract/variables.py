"""Where each variable is defined and used: what data flow follows.

A variable is a binding as one unit of code sees it. Definitions act at positions: an augmented assignment when it
stores, the rest of a mapping pattern when its case is taken, all else at its own node. `except … as` is in
`flow_blocks`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codeintel.extract.bindings import BUILTINS, HOW, Bindings
from codeintel.extract.control_flow import ControlFlow
from codeintel.extract.definitions import child_in
from codeintel.extract.flow_blocks import FlowBlocks
from codeintel.extract.grammar import KIND, is_kind
from codeintel.extract.reaching import DEFINE, MAY_DEFINE, UNDEFINE, spread
from codeintel.extract.scopes import CLASS, FUNCTION, MODULE, Scopes
from codeintel.extract.syntax import Syntax, Texts

_IS_DEFINED_ELSEWHERE = is_kind("ExceptHandler", "MatchMapping")
# Names that a module or class body has without binding them, and the cell that `super()` reads.
IMPLICIT = frozenset({"__name__", "__file__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__",
                      "__cached__", "__path__", "__annotations__", "__module__", "__qualname__",
                      "__class__"})  # fmt: skip


@dataclass(slots=True)
class Definers:
    """Columns over what defines: a node, its binding, its unit, the block and position where it acts, and how.

    `kind` is one of `reaching`. What unbinds has rows too, whose node is of no importance.
    """

    node: np.ndarray
    binding: np.ndarray
    unit: np.ndarray
    block: np.ndarray
    place: np.ndarray
    kind: np.ndarray


@dataclass(slots=True)
class Uses:
    """Columns over uses: a node, the binding it looks up, and its unit; -1 where there is none.

    A name in a class body that the body itself may bind looks in two places: `otherwise` is the binding it means if
    the class has none. `external` says that it may mean a builtin, or what the module has from the start.
    """

    node: np.ndarray
    binding: np.ndarray
    otherwise: np.ndarray
    unit: np.ndarray
    external: np.ndarray


class Units:
    """Which unit runs what: `of_binding` is the unit of the scope that owns it, `around` and `made` where each is made.

    `made` is the position of the node that makes a function, lambda or generator expression in the unit `around` it.
    """

    def __init__(self, syntax: Syntax, flow: ControlFlow, scopes: Scopes, bindings: Bindings) -> None:
        order = flow.order
        of_code = np.full(2 * len(syntax), -1, np.int64)
        placed = np.flatnonzero(order.position >= 0)
        of_code[2 * placed + 1] = order.unit[order.position[placed]]  # scopes of type parameters run where they stand
        in_place = flow.opener[len(order.code) :]
        of_code[2 * in_place] = flow.home[len(order.code) :]
        of_code[order.code] = np.arange(len(order.code))
        code = scopes.code[bindings.scope]
        self.of_binding = np.where(code >= 0, of_code[code], -1)
        self.made = order.position[order.code >> 1]
        self.around = np.where(self.made >= 0, order.unit[self.made], -1)

    def made_in(self, unit: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """The position in `outer` that makes `unit`, or what `unit` is in; -1 if it is not inside or has no unit."""
        at = np.where((unit >= 0) & (unit != outer), self.made[unit], -1)
        around = np.where(at >= 0, self.around[unit], -1)
        while len(climbs := np.flatnonzero((around >= 0) & (around != outer))):
            at[climbs] = self.made[around[climbs]]
            around[climbs] = np.where(at[climbs] >= 0, self.around[around[climbs]], -1)
        return np.where(around >= 0, at, -1)


def definers(
    syntax: Syntax, texts: Texts, flow: ControlFlow, blocks: FlowBlocks, scopes: Scopes, bindings: Bindings
) -> Definers:
    """Everything live that binds or unbinds."""
    position = flow.order.position
    binds = np.isin(bindings.binder_how, [HOW["annotation"], HOW["implicit"], HOW["declared"]], invert=True)
    binds &= ~_IS_DEFINED_ELSEWHERE[syntax.kind[bindings.binder]]
    node, binding, how = bindings.binder[binds], bindings.binder_binding[binds], bindings.binder_how[binds]
    kind = np.where(how == HOW["del"], UNDEFINE, DEFINE)
    point = position[np.where(how == HOW["augmented"], syntax.parent[node], node)]
    rests, stars = _rests(syntax, flow, bindings), _stars(syntax, texts, flow, scopes, bindings)
    parts = zip((node, binding, point, kind), rests, stars, _entered(flow, blocks, scopes, bindings), strict=True)
    node, binding, point, kind = (np.concatenate(columns) for columns in parts)
    rows = np.flatnonzero((point >= 0) & blocks.live[point] & (binding >= 0))
    row, block, kind = blocks.acting(point[rows], kind[rows])
    rows = rows[row]
    node, binding, point = node[rows], binding[rows], point[rows]
    bound_by = np.full(len(syntax), -1, np.int64)
    bound_by[bindings.binder] = bindings.binder_binding
    of_clause = bound_by[blocks.clause]
    clauses = np.flatnonzero(of_clause >= 0)
    clause = blocks.clause[clauses]
    return Definers(
        node=np.r_[node, clause],
        binding=np.r_[binding, of_clause[clauses]],
        unit=np.r_[flow.order.unit[blocks.place[point]], flow.order.unit[position[clause]]],
        block=np.r_[block, blocks.between[clauses]],
        # What a body binds last, it unbinds after.
        place=np.r_[point, np.where(blocks.binds[clauses], position[clause], flow.order.last[clause])],
        kind=np.r_[kind, np.where(blocks.binds[clauses], DEFINE, UNDEFINE)],
    )


def _entered(flow: ControlFlow, blocks: FlowBlocks, scopes: Scopes, bindings: Bindings) -> tuple[np.ndarray, ...]:
    """In loops, class bodies and comprehensions are entered again with nothing bound."""
    units = len(flow.order.code)
    in_place = flow.opener[units:]
    row = np.full(int(scopes.code.max(initial=0)) + 1, -1, np.int64)
    again = np.flatnonzero(blocks.loop[flow.order.position[in_place]] >= 0)
    again = again[2 * in_place[again] < len(row)]
    row[2 * in_place[again]] = again
    entered = np.where(scopes.code >= 0, row[scopes.code], -1)[bindings.scope]
    binding = np.flatnonzero(entered >= 0)
    row = entered[binding]
    point = len(flow.order.node) + 2 * (units + row)
    return in_place[row], binding, point, np.full(len(row), UNDEFINE)


def _rests(syntax: Syntax, flow: ControlFlow, bindings: Bindings) -> tuple[np.ndarray, ...]:
    """What `**rest` binds in mapping patterns, at the first point that only a match reaches."""
    rows = np.flatnonzero(syntax.kind[bindings.binder] == KIND["MatchMapping"])
    node = bindings.binder[rows]
    case, either = node.copy(), np.zeros(len(node), bool)
    while len(inside := np.flatnonzero(syntax.kind[case] != KIND["match_case"])):
        either[inside] |= syntax.kind[case[inside]] == KIND["MatchOr"]
        case[inside] = syntax.parent[case[inside]]
    guard = child_in(syntax, case, "guard")
    order = flow.order
    point = np.where(guard >= 0, order.first[guard], order.position[case])
    return node, bindings.binder_binding[rows], point, np.where(either, MAY_DEFINE, DEFINE)


def _stars(
    syntax: Syntax, texts: Texts, flow: ControlFlow, scopes: Scopes, bindings: Bindings
) -> tuple[np.ndarray, ...]:
    """`from m import *` may define every name of its module."""
    star = star_imports(syntax, texts)
    of_module = np.flatnonzero(scopes.type[bindings.scope] == MODULE) if len(star) else star
    file = scopes.file[bindings.scope[of_module]]
    order = np.argsort(file, kind="stable")
    of_module, file = of_module[order], file[order]
    row, at = spread(*(np.searchsorted(file, syntax.file[star], side) for side in ("left", "right")))
    node = star[row]
    return node, of_module[at], flow.order.position[node], np.full(len(node), MAY_DEFINE)


def star_imports(syntax: Syntax, texts: Texts) -> np.ndarray:
    """The `*` of each `from m import *`."""
    return np.flatnonzero((syntax.kind == KIND["alias"]) & (syntax.name == texts.get("*", -1)))


def uses(
    syntax: Syntax, texts: Texts, flow: ControlFlow, blocks: FlowBlocks, scopes: Scopes, bindings: Bindings
) -> Uses:
    """Every name that is read or deleted in live code or in an annotation that nothing evaluates, in preorder."""
    position = flow.order.position[bindings.reference]
    kept = (position < 0) | blocks.live[position]
    node, position, binding = bindings.reference[kept], position[kept], bindings.target[kept]
    # Arrays over bindings get one more value, which -1 finds.
    name = np.where(binding >= 0, np.r_[bindings.name, 0][binding], syntax.name[node])
    scope = scopes.of_code[syntax.scope[node]]
    in_class = np.flatnonzero(scopes.type[scope] == CLASS)
    keys = bindings.scope.astype(np.int64) << 32 | bindings.name
    order = np.argsort(keys)
    own = _row(keys, order, scope[in_class], name[in_class])
    modules = np.flatnonzero(scopes.type == MODULE)
    module = np.full(int(scopes.file.max(initial=0)) + 1, -1, np.int64)
    module[scopes.file[modules]] = modules
    outside = _row(keys, order, module[scopes.file[scope[in_class]]], name[in_class])
    otherwise = np.full(len(node), -1, np.int64)
    has_own = own >= 0
    binding[in_class[has_own]], otherwise[in_class[has_own]] = own[has_own], outside[has_own]
    owner = np.r_[scopes.type[bindings.scope], -1][np.where(otherwise >= 0, otherwise, binding)]
    public = np.array([text in BUILTINS or text in IMPLICIT for text in texts], bool)
    external = public[name] & (owner != FUNCTION)
    unit = np.where(position >= 0, flow.order.unit[position], -1)
    return Uses(node, binding, otherwise, unit, external)


def _row(keys: np.ndarray, order: np.ndarray, scope: np.ndarray, name: np.ndarray) -> np.ndarray:
    """The row of each `(scope, name)` among `keys`, which `order` sorts; -1 for none."""
    if not len(keys):
        return np.full(len(scope), -1, np.int64)
    wanted = scope.astype(np.int64) << 32 | name
    at = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    return np.where(keys[at] == wanted, at, -1)

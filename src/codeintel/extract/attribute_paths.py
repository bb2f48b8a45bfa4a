"""Attributes such as `self.x` as variables of the unit that stores them.

A *path* is a name with attributes behind it. It is followed in a unit that reads it and stores some attribute of its
last name. What other units store, called ones among them, is theirs and has no edge from here; reads through other
expressions (`f().x`) are not followed.

*Aliases.* Any two objects may be one, so a store to `a.x` may also define `b.x` and `b.c.x`: it reaches their reads,
and kills nothing. *Calls* kill nothing either: what was stored before may still be there.
*Kills.* A store to `a.x` kills what `a.x` was before only if `a` means one object for as long as the unit runs: it is
bound at one place, outside of loops, by the unit or by one around it. Paths of several attributes are never killed, as
a call or another path may have put another object in between. Binding `a` or `a.b` anew neither defines nor kills
`a.b.x`: the new object may be the old one.

So every store of the unit that may be what is read has its edge, provided that an attribute reads what was stored under
its name. An edge is certain if the store is one that kills, to this very path, the only one that reaches, and straight
before the read without a call or suspension between them; likely if it is to this path; else it may be one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codeintel.extract.bindings import Bindings
from codeintel.extract.control_flow import ControlFlow
from codeintel.extract.definitions import child_in
from codeintel.extract.flow_blocks import FlowBlocks
from codeintel.extract.grammar import FIELD, KIND, is_kind
from codeintel.extract.reaching import DEFINE, MAY_DEFINE, UNDEFINE, USE, spread
from codeintel.extract.scopes import CLASS, Scopes
from codeintel.extract.syntax import Syntax, Texts
from codeintel.extract.variables import Definers, Units

_LOAD, _DEL = 1, 3
_CALLS = is_kind("Call", "Await", "Yield", "YieldFrom")


@dataclass(slots=True)
class PathEvents:
    """Columns over what happens to paths: a node, the variable, the block and position, and the kind of `reaching`.

    `same` tells stores to this very path from others. `text` is each variable's, as a code, and `calls` counts the
    calls before each position.
    """

    node: np.ndarray
    variable: np.ndarray
    block: np.ndarray
    place: np.ndarray
    kind: np.ndarray
    same: np.ndarray
    text: np.ndarray
    calls: np.ndarray


def path_events(
    syntax: Syntax,
    texts: Texts,
    flow: ControlFlow,
    blocks: FlowBlocks,
    scopes: Scopes,
    bindings: Bindings,
    units: Units,
    defined: Definers,
) -> PathEvents:
    """All events of the paths that are followed in live code."""
    kind, parent, position, unit = syntax.kind, syntax.parent, flow.order.position, flow.order.unit
    node = np.flatnonzero(kind == KIND["Attribute"])
    node = node[(position[node] >= 0) & blocks.live[position[node]]]
    ctx, above = syntax.ctx[node], kind[parent[node]]
    augmented = (above == KIND["AugAssign"]) & (syntax.field[node] == FIELD["target"])
    declared = (above == KIND["AnnAssign"]) & (syntax.field[node] == FIELD["target"])
    declared[declared] = child_in(syntax, parent[node[declared]], "value") < 0
    stores, reads = (ctx != _LOAD) & ~declared, (ctx == _LOAD) | (ctx == _DEL) | augmented
    group = unit[position[node]] << 32 | syntax.name[node]
    followed = np.isin(group, group[stores]) & np.isin(group, group[reads])
    node, group, stores, reads, augmented = (part[followed] for part in (node, group, stores, reads, augmented))

    path, text, root = _paths(syntax, texts, bindings, node, unit[position[node]])
    steady = (root == node + 1) & _steady(syntax, blocks, scopes, bindings, units, defined, root)
    reads &= path >= 0
    read, variable = node[reads], path[reads]
    _, first = np.unique(variable, return_index=True)
    variables, groups = variable[first], group[reads][first]  # the paths that are read, once each
    by_group = np.argsort(groups, kind="stable")
    variables, groups = variables[by_group], groups[by_group]
    store = np.flatnonzero(stores)
    row, at = spread(*(np.searchsorted(groups, group[store], side) for side in ("left", "right")))
    store, stored = store[row], variables[at]
    same = path[store] == stored
    point = position[np.where(augmented[store], parent[node[store]], node[store])]
    deletes = syntax.ctx[node[store]] == _DEL
    effect = np.where(same & steady[store], np.where(deletes, UNDEFINE, DEFINE), MAY_DEFINE)
    kept = ~deletes | (effect == UNDEFINE)
    store, stored, same, point, effect = store[kept], stored[kept], same[kept], point[kept], effect[kept]
    row, block, effect = blocks.acting(point, effect)
    store, stored, same, point = store[row], stored[row], same[row], point[row]
    return PathEvents(
        node=np.r_[node[store], read],
        variable=np.r_[stored, variable],
        block=np.r_[block, blocks.of[position[read]]],
        place=np.r_[point, position[read]],
        kind=np.r_[effect, np.full(len(read), USE)],
        same=np.r_[same, np.zeros(len(read), bool)],
        text=text,
        calls=np.cumsum(_CALLS[kind[flow.order.node]]),
    )


def _paths(
    syntax: Syntax, texts: Texts, bindings: Bindings, nodes: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(path, text, root)`: the variable of each attribute and the name it starts from, -1 if it is no path."""
    bound = np.full(len(syntax), -1, np.int64)
    bound[bindings.reference] = bindings.target
    bound, kind, name, listed = bound.tolist(), syntax.kind.tolist(), syntax.name.tolist(), list(texts)
    known: dict[tuple[int, ...], int] = {}
    path, root, text = [], [], []
    attribute, plain = KIND["Attribute"], KIND["Name"]
    for node, runs_in in zip(nodes.tolist(), unit.tolist(), strict=True):
        begin = node
        while kind[begin] == attribute:
            begin += 1
        if kind[begin] != plain:
            path.append(-1)
            root.append(-1)
            continue
        parts = tuple(name[node : begin + 1])
        row = known.setdefault((runs_in, bound[begin], *parts), len(known))
        if row == len(text):
            text.append(texts[".".join(str(listed[part]) for part in reversed(parts))])
        path.append(row)
        root.append(begin)
    return np.array(path, np.int64), np.array(text, np.int64), np.array(root, np.int64)


def _steady(
    syntax: Syntax,
    blocks: FlowBlocks,
    scopes: Scopes,
    bindings: Bindings,
    units: Units,
    defined: Definers,
    root: np.ndarray,
) -> np.ndarray:
    """Whether each name `root` means one object for as long as its unit runs; -1 does not."""
    bound = np.full(len(syntax) + 1, -1, np.int64)
    bound[bindings.reference] = bindings.target
    once = np.bincount(defined.binding, minlength=len(bindings.name) + 1) == 1
    once[-1] = False
    lasting = (defined.kind == DEFINE) & (defined.unit == units.of_binding[defined.binding])
    once[defined.binding[~lasting | (blocks.loop[defined.place] >= 0)]] = False
    in_class = scopes.type[scopes.of_code[syntax.scope[root]]] == CLASS
    return once[bound[root]] & (root >= 0) & ~in_class

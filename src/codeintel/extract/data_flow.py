"""Data flow: which definition reaches which use.

*Inside a unit* it is decided by the flow of control (`reaching`): a definition reaches a use if some way from it to the
use passes no other definition of the variable. Every node that binds a name is a definition, but annotations without a
value; `del`, the end of an `except` clause, and entering a class body or comprehension anew unbind. A name that a class
body may not have bound yet is looked up in the module too. `from m import *` may define every name of its module, and
kills nothing. These edges are certain: the confidence is 1.

*Across units*, where a function, lambda or generator expression uses what another unit binds, nothing is known about
when it is called, so a definition may reach it, with a confidence of 0.5, unless that is impossible: code inside a unit
is only made when that unit comes to it, so of the definitions around it those count that reach the place where it is
made, or that may still come behind. Definitions by `global`, `nonlocal` and `:=` in other units count for every use of
the variable. Names in annotations that nothing evaluates are treated alike. What other files do to a module's names,
and `exec`, `globals()[…]` and `locals()`, are not seen.

*Undefined* is a use that nothing may have defined: certainly if no definition reaches it, possibly if some way does not
pass any. Whether a function is called before its globals are there is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codeintel.arrays import distinct
from codeintel.extract.attribute_paths import PathEvents, path_events
from codeintel.extract.bindings import Bindings
from codeintel.extract.control_flow import ControlFlow
from codeintel.extract.flow_blocks import FlowBlocks, flow_blocks
from codeintel.extract.grammar import is_kind
from codeintel.extract.reaching import DEFINE, MAY_DEFINE, UNDEFINE, USE, Events, reaching, spread
from codeintel.extract.scopes import Scopes
from codeintel.extract.syntax import Syntax, Texts
from codeintel.extract.variables import Definers, Units, Uses, definers, star_imports, uses

CERTAIN, LIKELY, POSSIBLE = 1.0, 0.75, 0.5
UNDEFINED = ["certainly", "possibly"]
# What may define, but surely does so if nothing else has: `import *`, and `**rest` in one of several patterns.
_IS_WEAK = is_kind("alias", "MatchMapping")


@dataclass(slots=True)
class DataFlow:
    """Edges from defining to using nodes with their confidence, by use, and the uses that may be undefined.

    `certainty` indexes UNDEFINED.
    """

    definition: np.ndarray
    use: np.ndarray
    name: np.ndarray
    confidence: np.ndarray
    undefined: np.ndarray
    certainty: np.ndarray


def data_flow(syntax: Syntax, texts: Texts, flow: ControlFlow, scopes: Scopes, bindings: Bindings) -> DataFlow:
    """The data flow of the chunk."""
    if not len(flow.order.node):
        none = np.zeros(0, np.int64)
        return DataFlow(none, none, none, none, none, none)
    blocks = flow_blocks(syntax, flow)
    units = Units(syntax, flow, scopes, bindings)
    defined = definers(syntax, texts, flow, blocks, scopes, bindings)
    used = uses(syntax, texts, flow, blocks, scopes, bindings)
    lookups = _lookups(flow, units, defined, used)
    variables = distinct(defined.binding << 32 | defined.unit)
    variable, known = _variables(variables, lookups)
    paths = path_events(syntax, texts, flow, blocks, scopes, bindings, units, defined)
    events = Events(
        variable=np.r_[
            np.searchsorted(variables, defined.binding << 32 | defined.unit), variable[known],
            paths.variable + len(variables),
        ],
        block=np.r_[defined.block, blocks.of[lookups.place[known]], paths.block],
        place=np.r_[defined.place, lookups.place[known], paths.place],
        kind=np.r_[defined.kind, np.full(len(known), USE), paths.kind],
    )  # fmt: skip
    use, definition = reaching(blocks.tree, blocks.source, blocks.target, events)
    named = use < len(defined.node) + len(known)
    row = known[use[named] - len(defined.node)]
    found = _Names(syntax, texts, blocks, units, defined, used, lookups, row, definition[named]).found()
    of_path = ~named & (definition >= 0)
    use, definition = (rows[of_path] - len(defined.node) - len(known) for rows in (use, definition))
    return _with_paths(found, paths, use, definition)


def _with_paths(found: DataFlow, paths: PathEvents, use: np.ndarray, definition: np.ndarray) -> DataFlow:
    stored, read = paths.place[definition], paths.place[use]
    sure = (paths.block[definition] == paths.block[use]) & (stored < read) & (paths.calls[stored] == paths.calls[read])
    sure &= (paths.kind[definition] == DEFINE) & (np.bincount(use, minlength=len(paths.node))[use] == 1)
    confidence = np.where(paths.same[definition], np.where(sure, CERTAIN, LIKELY), POSSIBLE)
    node = np.r_[found.definition, paths.node[definition]]
    target = np.r_[found.use, paths.node[use]]
    order = np.lexsort((node, target))
    return DataFlow(
        node[order], target[order], np.r_[found.name, paths.text[paths.variable[use]]][order],
        np.r_[found.confidence, confidence][order], found.undefined, found.certainty,
    )  # fmt: skip


@dataclass(slots=True)
class _Lookups:
    """Places where bindings are looked up: row of a use, -1 where code is made that will look; binding, unit, place.

    `second` are those that a class body goes on to. `made` is where the code that looks is made in the unit that owns
    the binding, -1 for that unit itself.
    """

    use: np.ndarray
    binding: np.ndarray
    unit: np.ndarray
    place: np.ndarray
    second: np.ndarray
    made: np.ndarray


def _lookups(flow: ControlFlow, units: Units, defined: Definers, used: Uses) -> _Lookups:
    first, second = np.flatnonzero(used.binding >= 0), np.flatnonzero(used.otherwise >= 0)
    use = np.r_[first, second]
    binding = np.r_[used.binding[first], used.otherwise[second]]
    unit = used.unit[use]
    home = units.of_binding[binding]
    made = units.made_in(unit, home)
    # Of a variable that is defined once, it is known already which definition is there.
    often = np.bincount(defined.binding, minlength=len(units.of_binding)) > 1
    asked = distinct((binding << 32 | made)[(made >= 0) & often[binding]])
    at, of = asked & 0xFFFFFFFF, asked >> 32
    none = np.full(len(asked), -1)
    return _Lookups(
        np.r_[use, none], np.r_[binding, of], np.r_[unit, units.of_binding[of]],
        np.r_[flow.order.position[used.node[use]], at],
        np.arange(len(use) + len(asked)) >= len(first), np.r_[made, none],
    )  # fmt: skip


def _variables(variables: np.ndarray, lookups: _Lookups) -> tuple[np.ndarray, np.ndarray]:
    """The variable of each lookup, and the rows of those whose unit defines it."""
    keys = lookups.binding << 32 | lookups.unit
    at = np.minimum(np.searchsorted(variables, keys), max(len(variables) - 1, 0))
    if not len(variables):
        return at, np.zeros(0, np.int64)
    return at, np.flatnonzero((variables[at] == keys) & (lookups.unit >= 0))


@dataclass(slots=True)
class _Names:
    """Puts together what reaches the uses of names; `row` and `definition` are what flow inside units has found."""

    syntax: Syntax
    texts: Texts
    blocks: FlowBlocks
    units: Units
    defined: Definers
    used: Uses
    lookups: _Lookups
    row: np.ndarray
    definition: np.ndarray

    def found(self) -> DataFlow:
        used, lookups, defined = self.used, self.lookups, self.defined
        nothing = np.ones(len(lookups.use), bool)
        inside = np.bincount(self.row, minlength=len(nothing)) > 0
        nothing[inside] = False
        nothing[self.row[self.definition < 0]] = True
        # A class body goes on looking only where it may have nothing.
        unbound = np.zeros(len(used.node), bool)
        first = ~lookups.second
        unbound[lookups.use[first & nothing]] = True
        asks = (lookups.use >= 0) & (first | unbound[lookups.use])
        own = (self.definition >= 0) & asks[self.row]
        lookup, definition = self._across(np.flatnonzero(asks))
        star_use, star = self._stars()
        use = np.r_[lookups.use[self.row[own]], lookups.use[lookup], star_use]
        weak = (_IS_WEAK[self.syntax.kind[defined.node]] & (defined.kind == MAY_DEFINE))[self.definition[own]]
        node = np.r_[defined.node[self.definition[own]], defined.node[definition], star]
        confidence = np.full(len(use), POSSIBLE)
        confidence[: len(weak)][~weak] = CERTAIN

        foreign = lookups.unit != self.units.of_binding[lookups.binding]
        has_definition = np.zeros(len(nothing), bool)
        has_definition[lookup] = True
        nothing[foreign] = ~has_definition[foreign]
        missing = unbound & (used.otherwise < 0)
        missing[used.binding < 0] = True
        missing[lookups.use[first & foreign]] = nothing[first & foreign]
        later = np.flatnonzero(lookups.second & asks)
        missing[lookups.use[later]] = nothing[later]
        missing &= ~used.external & (used.unit >= 0)
        missing[star_use] = False
        missing[use[: len(weak)][weak]] = False
        undefined = np.flatnonzero(missing)
        reached = np.zeros(len(used.node), bool)
        reached[use] = True

        target = used.node[use]
        _, kept = np.unique(target << 32 | node, return_index=True)
        target = target[kept]
        return DataFlow(
            node[kept], target, self.syntax.name[target], confidence[kept], used.node[undefined],
            reached[undefined].astype(np.int64),
        )  # fmt: skip

    def _across(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(lookup, definition)`: what other units, or other runs of its own, may have defined for the lookups."""
        lookups, defined, blocks = self.lookups, self.defined, self.blocks
        home = self.units.of_binding
        bound = np.flatnonzero(defined.kind != UNDEFINE)
        bound = bound[np.argsort(defined.binding[bound], kind="stable")]
        binding, unit = lookups.binding[rows], lookups.unit[rows]
        elsewhere = np.zeros(len(home), bool)
        elsewhere[defined.binding[defined.unit != home[defined.binding]]] = True
        away = (unit != home[binding]) | elsewhere[binding]
        rows, binding = rows[away], binding[away]
        row, at = spread(*(np.searchsorted(defined.binding[bound], binding, side) for side in ("left", "right")))
        row, definition = rows[row], bound[at]
        unit, home, made = lookups.unit[row], home[lookups.binding[row]], lookups.made[row]
        by_home = defined.unit[definition] == home
        place, loop = defined.place[definition], blocks.loop
        comes = (place >= made) | ((loop[place] >= 0) & (loop[place] == loop[made]))
        comes[by_home] |= self._reaches(lookups.binding[row], made, definition)[by_home]
        kept = np.where(
            by_home, (unit != home) & ((made < 0) | comes), (unit != home) | (defined.unit[definition] != unit)
        )
        return row[kept], definition[kept]

    def _reaches(self, binding: np.ndarray, made: np.ndarray, definition: np.ndarray) -> np.ndarray:
        """Whether the definition reaches the place where the code that looks is made."""
        lookups = self.lookups
        asked = lookups.use < 0
        single = ~np.isin(binding, lookups.binding[asked])
        places = distinct(lookups.binding[asked] << 32 | lookups.place[asked])
        mine = asked[self.row] & (self.definition >= 0)
        at = np.searchsorted(places, (lookups.binding << 32 | lookups.place)[self.row[mine]])
        known = distinct(at << 32 | self.definition[mine])
        wanted = np.searchsorted(places, binding << 32 | np.maximum(made, 0)) << 32 | definition
        return single | np.isin(wanted, known)

    def _stars(self) -> tuple[np.ndarray, np.ndarray]:
        """`(use, star)`: what is bound nowhere in the file may come from its `from m import *`."""
        star = star_imports(self.syntax, self.texts)
        free = np.flatnonzero(self.used.binding < 0)
        of_file, wanted = self.syntax.file[star], self.syntax.file[self.used.node[free]]
        row, at = spread(*(np.searchsorted(of_file, wanted, side) for side in ("left", "right")))
        return free[row], star[at]

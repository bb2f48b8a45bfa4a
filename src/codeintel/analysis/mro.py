"""The order in which Python looks classes up: C3 linearisation.

Barrett et al., "A monotonic superclass linearization for Dylan" (OOPSLA 1996), as CPython does it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Class = TypeVar("Class", bound=Hashable)


def linearised(bases: Mapping[Class, Sequence[Class]]) -> dict[Class, tuple[Class, ...]]:
    """The method resolution order of every class, itself first.

    Classes that are bases without being keys have no bases. Where C3 finds no order, or a class is its own ancestor,
    which Python refuses, the order is depth first, each class at its last place.
    """
    orders: dict[Class, tuple[Class, ...]] = {}
    for start in bases:
        waiting: list[tuple[Class, bool]] = [(start, False)]
        open_classes: set[Class] = set()
        while waiting:
            cls, parents_done = waiting.pop()
            if cls in orders:
                continue
            own = bases.get(cls, ())
            if not parents_done:
                open_classes.add(cls)
                waiting.append((cls, True))
                waiting += [(base, False) for base in own if base not in orders and base not in open_classes]
                continue
            open_classes.discard(cls)
            known = [base for base in own if base in orders]
            orders[cls] = (cls, *_merged([orders[base] for base in known], known))
    return orders


def _merged(orders: Sequence[tuple[Class, ...]], bases: Sequence[Class]) -> tuple[Class, ...]:
    if len(orders) < 2:
        return orders[0] if orders else ()
    lists = [[*reversed(order)] for order in (*orders, tuple(dict.fromkeys(bases)))]
    in_tails: dict[Class, int] = {}
    for each in lists:
        for cls in each[:-1]:
            in_tails[cls] = in_tails.get(cls, 0) + 1
    merged: list[Class] = []
    while lists:
        head = next((each[-1] for each in lists if not in_tails.get(each[-1])), None)
        if head is None:
            return _depth_first(orders)
        merged.append(head)
        for each in lists:
            if each[-1] == head:
                each.pop()
                if each:
                    in_tails[each[-1]] -= 1
        lists = [each for each in lists if each]
    return tuple(merged)


def _depth_first(orders: Sequence[tuple[Class, ...]]) -> tuple[Class, ...]:
    seen = dict.fromkeys(cls for order in reversed(orders) for cls in reversed(order))
    return tuple(reversed(seen))

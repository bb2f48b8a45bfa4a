"""Tasks, and hypothesis strategies of them, for the kernel's tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from codeintel.relspec.task import Kind, Task


def task(name: str, *inputs: str, kind: Kind = "view", **parts: str) -> Task:
    return Task.of_parts(
        name,
        kind,
        dict.fromkeys(inputs, "whole"),
        {table: frozenset({"id"}) for table in inputs},
        {"sql": name} | parts,
    )


def tasks_of(inputs: Mapping[str, Iterable[str]]) -> list[Task]:
    return [task(name, *sorted(sources)) for name, sources in inputs.items()]


@st.composite
def dags(draw: st.DrawFn, most: int = 12) -> dict[str, frozenset[str]]:
    """Inputs by task name; names are shuffled, so that their order says nothing about the graph's."""
    count = draw(st.integers(1, most))
    names = draw(st.permutations([f"t{i:02}" for i in range(count)]))
    return {
        name: frozenset(draw(st.sets(st.sampled_from(names[:position]), max_size=4)) if position else ())
        for position, name in enumerate(names)
    }


def weights_of(names: Iterable[str]) -> st.SearchStrategy[dict[str, float]]:
    return st.fixed_dictionaries({name: st.floats(0, 100).map(lambda x: round(x, 3)) for name in names})

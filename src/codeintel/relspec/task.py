"""The unit of planning.

A `Task` says what is computed, from which tables, reading which columns, and under which signature. Everything the
kernel needs is in it; nothing in it depends on data or on the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from codeintel.fingerprint import digest_bytes

Kind = Literal["source", "extractor", "view", "analysis", "output"]
Mode = Literal["same_bucket", "whole"]

KINDS: tuple[Kind, ...] = ("source", "extractor", "view", "analysis", "output")


@dataclass(frozen=True, slots=True)
class Task:
    """One node of the plan, which produces the one table of the same name.

    `inputs` maps each table read to how it is read: `same_bucket` (bucket b of the output needs bucket b of the input
    only) or `whole`. `columns` gives, for each input, exactly the columns that are read. `parts` are the named digests
    the signature is made of (`sql`, `code`, `schema`, `engine`, `settings`, `function f` where a view calls f, …), kept
    so that a changed signature can say which part changed. `lineage` maps each output column to the `(table, column)`
    pairs it can depend on.
    """

    name: str
    kind: Kind
    inputs: Mapping[str, Mode]
    columns: Mapping[str, frozenset[str]]
    signature: str
    parts: Mapping[str, str] = field(default_factory=dict)
    lineage: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def of_parts(
        cls,
        name: str,
        kind: Kind,
        inputs: Mapping[str, Mode],
        columns: Mapping[str, frozenset[str]],
        parts: Mapping[str, str],
        lineage: Mapping[str, frozenset[tuple[str, str]]] | None = None,
    ) -> Task:
        """A task whose signature is the digest of its name, kind, inputs, columns and parts."""
        read = [(table, mode, sorted(columns.get(table, ()))) for table, mode in sorted(inputs.items())]
        signature = digest_bytes(msgspec.json.encode(["task", name, kind, read, sorted(parts.items())]))
        return cls(name, kind, inputs, columns, signature, parts, lineage or {})


def function_part(function: str) -> str:
    """Name of the part that is the digest of a function, by whose name a view calls it."""
    return f"function {function}"


def published_table(output: Task) -> str:
    """The table that an output publishes; whatever else it reads, its contract refers to."""
    return next(table for table, mode in output.inputs.items() if mode == "same_bucket")

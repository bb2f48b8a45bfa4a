"""A workload as one value: where tables come from, what is derived from them, and what the public ones promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:  # planning a no-op must not pay for importing Arrow
    import pyarrow as pa

Severity = Literal["fail", "warn"]
Stability = Literal["stable", "experimental"]
Analysis = Callable[..., "pa.Table | Iterator[pa.Table]"]
"""A function whose parameters name its input tables and settings; see `analysis`."""
AnyAnalysis = TypeVar("AnyAnalysis", bound=Analysis)


@dataclass(frozen=True, slots=True)
class Table:
    """A declared table: its Arrow schema and its key.

    The key is also the canonical row order of whatever a view or an analysis derives; a fact table is in path order,
    and within a file in source order. A table with the columns `path` (string) and `bucket` (int32) is partitioned by
    bucket, any other is one partition.
    """

    schema: pa.Schema
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """An external read: a function, or the path of a Parquet file or Delta table.

    The function returns an Arrow table, or a sequence of rows as tuples of plain values in the order of the schema.
    Its parameters are filled from the build's parameters by name. Recomputed at every build.
    """

    table: Table
    read: Callable[..., pa.Table | Sequence[tuple[Any, ...]]] | Path  # Any: whatever the columns hold


UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Extractor:
    """A pure function from rows of one source (its first parameter, by name) to several fact tables.

    Called with some of the source's rows as an Arrow table, sorted by bucket and path, whole buckets at a time;
    further parameters are filled from the build's parameters by name. The rows it returns are in the same order of
    files. A row whose `error` column is set is not to be read. Under the name `UNREAD` it may give a table with the
    column `path`: files that were not what the source says. What is made of them holds for this build alone.
    """

    extract: Callable[..., Mapping[str, pa.Table]]
    tables: Mapping[str, Table]


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """A pure function from Arrow arrays of the types `inputs` to one array of the type `returns`, as long as they are.

    Views that read much run in other processes: those import the function by its module and name.
    """

    function: Callable[..., pa.Array]
    inputs: tuple[pa.DataType, ...]
    returns: pa.DataType


@dataclass(frozen=True, slots=True)
class Reference:
    """`columns` of a table must exist as `target_columns` of `target`."""

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]

    @property
    def rule(self) -> str:
        """The promise in words, which names it in messages and records."""
        return f"{self.columns[0]} is in {self.target}.{self.target_columns[0]}"


@dataclass(frozen=True, slots=True)
class Contract:
    """What a public table promises, and what the catalog says of it.

    `grain`: what a row stands for; `entity`: what kind of thing that is; `entity_keys`: columns that tell such things
    apart, the table's key unless it has none; `join_keys`: columns that lead to other tables. `meanings` gives each
    column's meaning, `units` what its numbers count, `allowed` the values that it may take besides null, `references`
    what must exist elsewhere. With the severity `warn` a broken rule is told and the table is published all the same,
    unless the build is strict. What the schema itself says (types, no nulls where there are to be none) no severity can
    waive: a table without it cannot be written.
    """

    table: Table
    grain: str
    meanings: Mapping[str, str]
    units: Mapping[str, str] = field(default_factory=dict)
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    severity: Severity = "fail"
    entity: str = ""
    join_keys: tuple[str, ...] = ()
    version: str = "v1"
    stability: Stability = "stable"
    entity_keys: tuple[str, ...] = ()

    @property
    def unique_rule(self) -> str:
        """The promise of the key in words; see `Reference.rule`."""
        return unique_rule(self.table.key)

    @property
    def rules(self) -> tuple[str, ...]:
        """All that is promised of rows, in words."""
        return (
            *((self.unique_rule,) if self.table.key else ()),
            *(null_rule(field.name) for field in self.table.schema if not field.nullable),
            *(allowed_rule(column) for column in sorted(self.allowed)),
            *(reference.rule for reference in self.references),
        )


def unique_rule(key: tuple[str, ...]) -> str:
    """See `Reference.rule`."""
    return f"{', '.join(key)} is unique"


def null_rule(column: str) -> str:
    """See `Reference.rule`."""
    return f"{column} is never null"


def allowed_rule(column: str) -> str:
    """See `Reference.rule`."""
    return f"{column} has one of its allowed values"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything a build derives and publishes; names are table names, but for those of functions.

    A contract makes its table public; `published` names further views whose contract is inferred. Views may call
    `functions` by name.
    """

    name: str
    sources: Mapping[str, Source]
    extractors: Mapping[str, Extractor] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    published: frozenset[str] = frozenset()
    functions: Mapping[str, ScalarFunction] = field(default_factory=dict)


def analysis(schema: pa.Schema, components: str | None = None) -> Callable[[AnyAnalysis], AnyAnalysis]:
    """Declare the output schema of an analysis: a function whose parameters name its input tables.

    A parameter that is annotated `pyarrow.RecordBatchReader` gets its table as batches, to be read once: by bucket,
    one bucket in memory at a time. Any other gets a whole table. What it returns is a table, or an iterator of tables
    (it may be a generator), each of which has all rows of some buckets, in ascending order from table to table: each
    is stored before the next is asked for. Without buckets they are stored as one table.

    `components` names an input with the columns `path` and `component`, one row a file. The output then has a `path`
    and a `bucket`, and its rows about the files of one component hang on what inputs with a `path` and a `bucket` have
    of these files, on what that table says of them, on other inputs, and on nothing else. In exchange the analysis is
    given the rows of those components alone of which something is not what it was in the run before, which may be none,
    and speaks of no other file; the rows of all others are kept.
    """

    def declared(function: AnyAnalysis) -> AnyAnalysis:
        function.output_schema = schema  # pyrefly: ignore[missing-attribute]  functions take attributes
        function.components = components  # pyrefly: ignore[missing-attribute]
        return function

    return declared

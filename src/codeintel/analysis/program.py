"""The rows of `value_flows` as arrays over numbered slots, and the definitions and modules they speak of."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codeintel.arrays import distinct

MODULE, CLASS, FUNCTION, GENERATOR, LAMBDA = range(5)
PARAMETERS = ("positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword")


_COLUMNS = ("target", "source", "other", "name", "position", "path")


class Rows:
    """The rows of one `op`: slots by number (-1 for none), names, positions and numbers of paths, as lists."""

    def __init__(self, columns: tuple[np.ndarray, ...], texts: np.ndarray) -> None:
        self._columns, self._texts = columns, texts

    def __len__(self) -> int:
        return len(self._columns[0])

    def where(self, kept: np.ndarray) -> Rows:
        return Rows(tuple(column[kept] for column in self._columns), self._texts)

    @property
    def targets(self) -> np.ndarray:
        return self._columns[0]

    @property
    def slots(self) -> tuple[np.ndarray, ...]:
        return self._columns[:3]

    def split(self, group_of_path: np.ndarray) -> Iterator[tuple[int, Rows]]:
        """The rows by the group that their path is in."""
        group = group_of_path[self._columns[5]]
        order = np.argsort(group, kind="stable")
        for at in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else ():
            yield int(group[at[0]]), self.where(at)

    def renumbered(self, number: np.ndarray) -> Rows:
        return Rows((*(number[column] for column in self.slots), *self._columns[3:]), self._texts)

    def column(self, name: str) -> np.ndarray:
        return self._columns[_COLUMNS.index(name)]

    def packed(self, *names: str) -> list[Sequence[Any]]:
        """Columns in little memory, to be looked into at single places."""
        return [self.name if name == "name" else array("i", self.column(name).tobytes()) for name in names]

    @property
    def target(self) -> list[int]:
        return self._columns[0].tolist()

    @property
    def source(self) -> list[int]:
        return self._columns[1].tolist()

    @property
    def other(self) -> list[int]:
        return self._columns[2].tolist()

    @property
    def name(self) -> list[str | None]:
        return self._texts[self._columns[3]].tolist()

    @property
    def position(self) -> list[int]:
        return self._columns[4].tolist()

    @property
    def path(self) -> list[int]:
        return self._columns[5].tolist()


@dataclass(slots=True)
class Definitions:
    """What a program defines, by slot, and what is in modules and classes by name; not to be changed."""

    name: dict[int, str] = field(default_factory=dict)
    sort: dict[int, int] = field(default_factory=dict)
    around: dict[int, int] = field(default_factory=dict)
    members: dict[tuple[int, str], int] = field(default_factory=dict)
    homes: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))  # of them, classes by name
    own_names: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    stars: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    stored: frozenset[str] = frozenset()  # names of attributes that anything is stored in
    special_names: frozenset[str] = frozenset()


_NONE = Rows(tuple(np.zeros(0, np.int64) for _ in range(6)), np.zeros(0, object))


class Program:
    """All rows by `op`, and of one op by path. Slots are numbered in the order of their ids: no order of files shows.

    One batch is held at a time. Of each there remain 28 bytes a row and 8 for each of its ids; in the end there are 24
    bytes a row, 8 a slot, and the texts. Every path has one bucket; its rows stay as they came.
    """

    slots: np.ndarray

    def __init__(self, flows: pa.RecordBatchReader) -> None:
        paths, ops, names, buckets = dict[str, int](), dict[str, int](), dict[str | None, int](), dict[int, int]()
        # Bytes, for they grow in place: what is put together of parts is there twice.
        ids, columns = bytearray(), [bytearray() for _ in range(7)]  # three slots, name, position, path, op
        for batch in flows:
            slots = pa.concat_arrays([batch[name] for name in ("target_id", "source_id", "other_id")])
            found = slots.dictionary_encode()
            numbers = pc.add(found.indices, pa.scalar(len(ids) // 8, pa.int32())).fill_null(-1).to_numpy()
            ids.extend(found.dictionary.to_numpy())
            path = _numbers(batch["path"], paths)
            own, first = np.unique(path, return_index=True)
            buckets.update(zip(own.tolist(), batch["bucket"].to_numpy()[first].tolist(), strict=True))
            read = (*np.split(numbers, 3), _numbers(batch["name"], names), batch["position"].to_numpy(), path,
                    _numbers(batch["op"], ops))  # fmt: skip
            for column, part in zip(columns, read, strict=True):
                column.extend(part)
            del batch, slots, found, read, part  # before the next is there
        self.paths = sorted(paths)
        self.bucket_of_path = [buckets[paths[path]] for path in self.paths]
        rank = np.zeros(len(paths), np.int32)
        rank[[paths[path] for path in self.paths]] = np.arange(len(paths))
        known = np.frombuffer(ids, np.int64)
        self.ids = distinct(known)
        self.count = len(self.ids)
        number = np.append(np.searchsorted(self.ids, known).astype(np.int32), np.int32(-1))
        del known, ids
        path, op = rank[np.frombuffer(columns.pop(5), np.int32)], np.frombuffer(columns.pop(), np.int32)
        order = np.lexsort((path, op))
        of_slots = [number[np.frombuffer(columns.pop(0), np.int32)[order]] for _ in range(3)]
        others = [np.frombuffer(columns.pop(0), np.int32)[order] for _ in range(2)]
        ordered = (*of_slots, *others, path[order])
        texts = np.array([*names, None], object)
        ends = np.cumsum(np.bincount(op, minlength=len(ops))).tolist()
        self.rows = {
            word: Rows(tuple(column[begin:end] for column in ordered), texts)
            for word, begin, end in zip(ops, [0, *ends], ends, strict=False)
        }
        pa.default_memory_pool().release_unused()  # by batches

    def __getitem__(self, op: str) -> Rows:
        return self.rows.get(op, _NONE)

    @cached_property
    def definitions(self) -> Definitions:
        found = Definitions()
        rows = self["define"]
        for slot, name, sort, source in zip(rows.target, rows.name, rows.position, rows.source, strict=True):
            found.name[slot], found.sort[slot], found.around[slot] = name or "", sort, source
        rows = self["member"]
        for home, binding, name in zip(rows.target, rows.source, rows.name, strict=True):
            found.members[home, name or ""] = binding
            found.own_names[home].append(name or "")
            if found.sort[home] == CLASS:
                found.homes[name or ""][home] = binding
        rows = self["star"]
        for home, name in zip(rows.target, rows.name, strict=True):
            found.stars[home].append(name or "")
        found.stored = frozenset(name or "" for name in self["store"].name)
        found.special_names = frozenset(name for _, name in found.members if name.startswith("__"))
        return found

    def parts(self, groups: Sequence[Sequence[int]]) -> Iterator[Program]:
        """The program in parts, one for each group of paths, with slots of their own: `slots` has the number of each.

        The largest comes first, so that the others find room in what it leaves. Of one group's slots only names from
        outside may be in rows of another. In the end nothing is left of this one but its ids and paths.
        """
        if len(groups) == 1:
            self.slots = np.arange(self.count)
            yield self
            return
        group = np.zeros(len(self.paths), np.int32)
        for number, paths in enumerate(groups):
            group[paths] = number
        split: list[dict[str, Rows]] = [{} for _ in groups]
        for op in sorted(self.rows):
            for number, rows in self.rows.pop(op).split(group):
                split[number][op] = rows
        split.sort(key=lambda part: sum(map(len, part.values())))
        number = np.full(self.count + 1, -1, np.int32)
        while split:
            part = copy(self)
            part.rows = split.pop()
            slots = distinct(np.concatenate([column for rows in part.rows.values() for column in rows.slots]))
            part.slots = slots[np.searchsorted(slots, 0) :]
            number[part.slots] = np.arange(len(part.slots))
            part.ids, part.count = self.ids[part.slots], len(part.slots)
            part.rows = {op: rows.renumbered(number) for op, rows in part.rows.items()}
            yield part

    def restricted(self, ops: Sequence[str], wanted: np.ndarray) -> Program:
        """The same program with only those rows of the given ops, none of definitions, whose target is wanted."""
        part = copy(self)
        part.definitions, part.path_of = self.definitions, self.path_of
        part.rows = self.rows | {op: self[op].where(wanted[self[op].targets]) for op in ops}
        return part

    @cached_property
    def path_of(self) -> np.ndarray:
        """By slot, the file of a row that it is the target of; -1 for none."""
        found = np.full(self.count, -1, np.int32)
        for op, rows in self.rows.items():
            if op not in _BY_SOURCE:
                found[rows.targets] = rows.path
        rows = self["set_item"]
        found[rows.source] = rows.path
        return found


def _numbers(column: pa.Array, known: dict[Any, int]) -> np.ndarray:
    """Values, nulls too, by their numbers in `known`, which grows."""
    encoded = column.dictionary_encode(null_encoding="encode")
    words = encoded.dictionary.to_pylist()
    return np.array([known.setdefault(word, len(known)) for word in words], np.int32)[encoded.indices.to_numpy()]


# The target of these may be a slot of another file, or none at all.
_BY_SOURCE = ("set_item", "store", "external")


class Modules:
    """Modules by name, and what an import of a name leads to."""

    def __init__(self, defined: Iterable[tuple[int, str, str]]) -> None:
        """Of modules by number, name and path."""
        self.path: dict[int, str] = {}
        self.name: dict[int, str] = {}
        self.named: dict[str, list[int]] = {}
        self._at: dict[str, int] = {}
        self.packages: set[str] = set()
        for module, name, path in defined:
            self.path[module], self.name[module] = path, name
            self.named.setdefault(name, []).append(module)
        for module, path in self.path.items():
            stem = path.removesuffix("i").removesuffix(".py").removesuffix("/__init__")
            if stem not in self._at or path.endswith(".py"):
                self._at[stem] = module
        for name in self.named:
            for end in range(len(name)):
                if name[end] == ".":
                    self.packages.add(name[:end])

    @classmethod
    def of(cls, program: Program) -> Modules:
        """Those of a program, by slot."""
        rows = program["define"]
        return cls(
            (slot, name, program.paths[path])
            for slot, name, sort, path in zip(rows.target, rows.name, rows.position, rows.path, strict=True)
            if sort == MODULE and name is not None
        )

    def find(self, name: str, importer: str) -> int | None:
        """The module of that name, of several the one nearest to the importing file; stubs stand behind sources.

        Then, as for a script, a module beside the importing file. A name that leads beyond the top level keeps its
        dots: it is looked for from the file's own directory.
        """
        named = self.named.get(name)
        if named is not None:
            if len(named) == 1:
                return named[0]
            return min(named, key=lambda slot: (self.path[slot].endswith("i"), -_shared(self.path[slot], importer),
                                                self.path[slot]))  # fmt: skip
        bare = name.lstrip(".")
        folder = importer.rpartition("/")[0]
        for _ in range(len(name) - len(bare) - 1):
            folder = folder.rpartition("/")[0]
        return self._at.get("/".join(part for part in (folder, *bare.split(".")) if part))

    def submodule(self, module: int, name: str) -> int | None:
        stem = self.path[module].removesuffix("i").removesuffix(".py")
        if stem.rpartition("/")[2] != "__init__":
            return None
        folder = stem.rpartition("/")[0]
        at = self._at.get(f"{folder}/{name}" if folder else name)
        return at if at is not None else self.find(f"{self.name[module]}.{name}", self.path[module])


def _shared(path: str, other: str) -> int:
    """How many leading directories two paths share."""
    pairs = zip(path.split("/")[:-1], other.split("/")[:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def exported(exports: pa.Table) -> Mapping[str, tuple[frozenset[str], bool]]:
    """By path the names in `__all__`, and whether those are all."""
    found: dict[str, tuple[set[str], bool]] = {}
    columns = (exports[c].to_pylist() for c in ("path", "name", "is_complete"))
    for path, name, complete in zip(*columns, strict=True):
        names, whole = found.setdefault(path, (set(), True))
        names.add(name)
        found[path] = (names, whole and complete)
    return {path: (frozenset(names), whole) for path, (names, whole) in found.items()}

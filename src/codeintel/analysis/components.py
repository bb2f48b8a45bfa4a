"""Which files of a program may have to do with one another: those of one package, and of all that it imports.

Nothing flows between files of different components, so each is resolved by itself: what is not connected neither
takes memory at the same time, nor changes what is guessed of the other, nor is resolved again when the other changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import rustworkx as rx

from codeintel.analysis.program import MODULE, Modules
from codeintel.relspec.pipeline import analysis

COMPONENTS = pa.schema(
    [pa.field("path", pa.string(), nullable=False), pa.field("component", pa.string(), nullable=False)]
)


@analysis(COMPONENTS)
def program_components(value_flows: pa.RecordBatchReader) -> pa.Table:
    """One row a file, by path: the weakly connected component that it is in, by the first path of that.

    Files are connected if they are in one top-level package or directory of modules, if one imports the other, or if
    one has the name of the other's module as a text, which it may import by.
    """
    found, defined, imported, texts = set[str](), [], [], []
    for batch in value_flows:
        rows, op = pa.table(batch.select(["path", "name", "position"])), batch["op"]
        found.update(rows["path"].unique().to_pylist())
        is_module = pc.and_(pc.equal(op, "define"), pc.equal(rows["position"], MODULE))
        defined.append(rows.filter(is_module).select(["path", "name"]))
        imported.append(_distinct(rows.filter(pc.is_in(op, pa.array(["import", "star"])))))
        texts.append(_distinct(rows.filter(pc.equal(op, "constant"))))
    paths = sorted(found)
    number = {path: at for at, path in enumerate(paths)}
    modules = Modules((number[path], name, path) for path, name in _rows(defined))
    is_name = pa.array([text for name in modules.named for text in (name, f"'{name}")], pa.string())
    named = _rows(rows.filter(pc.is_in(rows["name"], is_name)) for rows in texts)
    graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(len(paths)))
    graph.add_edges_from_no_data([
        *_links(modules, [(number[path], name) for path, name in _rows(imported)]),
        *((number[path], file) for path, name in named for file in modules.named.get(name.removeprefix("'"), ())),
    ])  # fmt: skip
    component = [""] * len(paths)
    for part in rx.connected_components(graph):
        name = paths[min(part)]
        for file in part:
            component[file] = name
    return pa.table([paths, component], schema=COMPONENTS)


def _distinct(rows: pa.Table) -> pa.Table:
    return rows.group_by(["path", "name"], use_threads=False).aggregate([])


def _rows(parts: Iterable[pa.Table]) -> list[tuple[str, str]]:
    """Paths and names, in order, but for those without a name."""
    found = (row for part in parts for row in zip(*(column.to_pylist() for column in part.columns), strict=True))
    return sorted(row for row in found if row[1] is not None)


def _links(modules: Modules, imported: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Pairs of files of which one imports the other, or that are in one package."""
    first: dict[str, int] = {}
    for file, path in modules.path.items():
        parts = path.removesuffix("i").removesuffix(".py").removesuffix("/__init__").split("/")
        top = "/".join(parts[: len(parts) - modules.name[file].count(".")])
        yield file, first.setdefault(top, file)
    spread: dict[str, int] = {}  # packages without a module of their own, with a file that imports from them
    for file, name in imported:
        found = modules.find(name, modules.path[file])
        if found is not None:
            yield file, found
        elif name in modules.packages:
            yield file, spread.setdefault(name, file)
    for file, name in modules.name.items():
        for end in range(len(name)):
            if name[end] == "." and name[:end] in spread:
                yield file, spread[name[:end]]

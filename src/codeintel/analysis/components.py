"""Which files of a program may have to do with one another: those of one package, and of all that it imports.

Nothing flows between files of different components, so each is resolved by itself: what is not connected neither
takes memory at the same time nor changes what is guessed of the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import rustworkx as rx

from codeintel.analysis.program import Modules, Program


def components(program: Program, modules: Modules) -> list[list[int]]:
    """Numbers of paths, ascending, by weakly connected component, in the order of their first paths.

    Files are connected if they are in one top-level package or directory of modules, if one imports the other, or if
    one has the name of the other's module as a text, which it may import by.
    """
    graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(len(program.paths)))
    graph.add_edges_from_no_data(list(_links(program, modules)))
    return sorted(sorted(each) for each in rx.connected_components(graph))


def _links(program: Program, modules: Modules) -> Iterator[tuple[int, int]]:
    number = {path: at for at, path in enumerate(program.paths)}
    file_of = {slot: number[path] for slot, path in modules.path.items()}
    first: dict[str, int] = {}
    for slot, file in file_of.items():
        parts = modules.path[slot].removesuffix("i").removesuffix(".py").removesuffix("/__init__").split("/")
        top = "/".join(parts[: len(parts) - modules.name[slot].count(".")])
        yield file, first.setdefault(top, file)
    spread: dict[str, int] = {}  # packages without a module of their own, with a file that imports from them
    for op in ("import", "star"):
        rows = program[op]
        for name, path in sorted({*zip(rows.name, rows.path, strict=True)}):
            found = modules.find(name or "", program.paths[path])
            if found is not None:
                yield path, file_of[found]
            elif name in modules.packages:
                yield path, spread.setdefault(name, path)
    for slot, file in file_of.items():
        name = modules.name[slot]
        for end in range(len(name)):
            if name[end] == "." and name[:end] in spread:
                yield file, spread[name[:end]]
    rows = program["constant"]
    for name, path in sorted({*zip(rows.name, rows.path, strict=True)}):
        for found in modules.named.get((name or "").removeprefix("'"), ()):
            yield path, file_of[found]

"""A plan drawn as SVG: boxes by generation, the reduced edges, the critical path; large plans folded into groups.

A layered layout: generations are columns, an edge that spans several passes through an empty place in each, and a few
barycentre sweeps order the places (Sugiyama, Tagawa and Toda 1981). No library, nothing loaded, every name escaped.

A plan of more than `UNFOLDED` tasks is folded: tasks of one generation and kind whose names begin with the same words
share a box. An edge between generations stays one between boxes and none can run backwards, so what is folded is a
graph without cycles too.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import rustworkx as rx

from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_rendering import seconds, shortened
from codeintel.relspec.rustworkx_graph import irredundant_edges

UNFOLDED, MOST = 120, 250  # boxes that can be read one by one; groups that can be, there being names in common
NAMED = 12  # tasks that the title of a group names
SWEEPS = 8
NAME, CHARACTER, PADDING = 30, 7.3, 14  # longest name shown; pixels a character of the 12 px monospace face takes
NOTE = 164  # pixels that the line below the name needs
BOX, GAP, LANE, CHANNEL, HEAD = 38, 14, 16, 64, 34  # pixels: box height, gaps, height of a passing edge, column gap

Place = int | tuple[int, int]  # a box, or (in a column it passes) an edge


@dataclass(frozen=True, slots=True)
class Mark:
    """How one task is shown: the class that colours it, the line below its name, its title, and its seconds."""

    look: str
    note: str
    title: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Box:
    """Tasks of one column that are drawn as one; `column` counts generations, or bands of them, from 0."""

    label: str
    tasks: tuple[str, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """The SVG element, and the tasks that each of its boxes stands for (`data-box` is the index)."""

    svg: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    left: Mapping[int, float]  # of a column
    width: Mapping[int, float]
    middle: Mapping[tuple[int, Place], float]  # vertical middle of a place in its column
    size: tuple[float, float]


def draw_plan(plan: ExecutionPlan, marks: Mapping[str, Mark]) -> Drawing:
    """The same bytes for the same plan and marks, which every task needs."""
    boxes = fold(plan)
    of = {name: index for index, box in enumerate(boxes) for name in box.tasks}
    path = [of[name] for name in plan.schedule.critical_path]
    steps = {step for step in pairwise(path) if step[0] != step[1]}
    edges = sorted({*_edges_between(boxes, [(of[a], of[b]) for a, b in plan.graph.reduced_edges()]), *steps})
    layout = _layout(boxes, edges)
    width, height = layout.size
    svg = (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'style="max-width:100%;min-width:{0.75 * width:.0f}px;height:auto" '
        f'aria-label="tasks by generation">{_heads(plan, boxes, layout)}{_lines(boxes, edges, steps, layout)}'
        f"{_boxes(boxes, marks, set(path), layout)}</svg>"
    )
    return Drawing(svg, boxes)


def fold(plan: ExecutionPlan, most: int = MOST) -> tuple[Box, ...]:
    """At most `most` boxes, by column: a task each if that is possible, else as little folded as needed."""
    generations = plan.schedule.generations
    bands = {n: n * most // len(generations) for n in range(len(generations))} if len(generations) > most else {}
    kinds = {name: task.kind for name, task in plan.tasks.items()}
    keys: tuple[Callable[[int, str], Hashable], ...] = (
        lambda _number, name: name,
        lambda _number, name: (kinds[name], _words(name)[:2]),
        lambda _number, name: (kinds[name], _words(name)[:1]),
        lambda _number, name: kinds[name],
        lambda _number, _name: None,
    )
    boxes: tuple[Box, ...] = ()
    for level, key in enumerate(keys):
        column_of = bands if level == len(keys) - 1 else {}
        groups: dict[tuple[int, Hashable], list[str]] = {}
        for number, names in enumerate(generations):
            for name in names:
                groups.setdefault((column_of.get(number, number), key(number, name)), []).append(name)
        boxes = tuple(Box(_label(names, kinds), tuple(names), column) for (column, _), names in groups.items())
        if len(boxes) <= (most if level else min(most, UNFOLDED)):
            break
    return boxes


def _words(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W\d_]+", name))


def _label(names: Sequence[str], kinds: Mapping[str, str]) -> str:
    if len(names) == 1:
        return names[0]
    shared = os.path.commonprefix(list(names)).rstrip("0123456789")  # noqa: RUF071 - names, character by character
    of_kind = {kinds[name] for name in names}
    return f"{shortened(shared, NAME - 10) + '*' if shared else min(of_kind)} ({len(names):,})"


def _edges_between(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Edges between different boxes, each once, without those that a longer path replaces."""
    graph = rx.PyDiGraph(multigraph=False)
    graph.add_nodes_from(range(len(boxes)))
    graph.add_edges_from_no_data(sorted({edge for edge in edges if edge[0] != edge[1]}))
    return sorted(irredundant_edges(graph))  # boxes come by column, so their order is a topological one


def _layout(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> _Layout:
    columns: list[list[Place]] = [[] for _ in range(max((box.column for box in boxes), default=-1) + 1)]
    for index, box in enumerate(boxes):
        columns[box.column].append(index)
    links: list[list[tuple[Place, Place]]] = [[] for _ in columns]  # between a column and the one to its left
    for edge in edges:
        first, last = (boxes[end].column for end in edge)
        stops: list[Place] = [edge[0], *[edge] * (last - first - 1), edge[1]]
        for offset in range(1, len(stops)):
            links[first + offset].append((stops[offset - 1], stops[offset]))
            if offset < len(stops) - 1:
                columns[first + offset].append(stops[offset])
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for number in range(1, len(columns)) if forward else reversed(range(len(columns) - 1)):
            pairs = links[number] if forward else [(b, a) for a, b in links[number + 1]]
            columns[number] = _by_barycentre(columns[number], columns[number - 1 if forward else number + 1], pairs)
    return _placed(boxes, columns)


def _by_barycentre(
    column: Sequence[Place], fixed: Sequence[Place], pairs: Sequence[tuple[Place, Place]]
) -> list[Place]:
    """`column` ordered by the mean position of what each place is linked to in `fixed`; others stay where they are."""
    position = {place: i / max(len(fixed) - 1, 1) for i, place in enumerate(fixed)}
    linked: dict[Place, list[float]] = {}
    for there, here in pairs:
        linked.setdefault(here, []).append(position[there])
    own = {place: i / max(len(column) - 1, 1) for i, place in enumerate(column)}
    return sorted(column, key=lambda p: (sum(linked[p]) / len(linked[p]) if p in linked else own[p], own[p]))


def _placed(boxes: Sequence[Box], columns: Sequence[Sequence[Place]]) -> _Layout:
    heights = [sum(LANE if isinstance(place, tuple) else BOX + GAP for place in column) for column in columns]
    tallest = max(heights, default=0)
    left, width, middle, x = {}, {}, {}, 12.0
    for number, column in enumerate(columns):
        longest = max((len(shortened(boxes[p].label, NAME)) for p in column if isinstance(p, int)), default=0)
        left[number], width[number] = x, max(longest * CHARACTER + PADDING, NOTE)
        x += width[number] + CHANNEL
        y = HEAD + (tallest - heights[number]) / 2
        for place in column:
            step = LANE if isinstance(place, tuple) else BOX + GAP
            middle[number, place] = y + step / 2
            y += step
    return _Layout(left, width, middle, (max(x - CHANNEL + 12, 320), tallest + HEAD + 12))


def _heads(plan: ExecutionPlan, boxes: Sequence[Box], layout: _Layout) -> str:
    generation = plan.schedule.generation_of()
    spans: dict[int, list[int]] = {}
    for box in boxes:
        spans.setdefault(box.column, []).extend((generation[box.tasks[0]], generation[box.tasks[-1]]))
    drawn = []
    for number, span in spans.items():
        first, last = min(span), max(span)
        text = f"generation {first}" if first == last else f"generations {first} to {last}"
        drawn.append(
            f'<text class="head" x="{layout.left[number] + layout.width[number] / 2:.1f}" y="18">{text}</text>'
        )
    return "".join(drawn)


def _lines(boxes: Sequence[Box], edges: Sequence[tuple[int, int]], steps: set[tuple[int, int]], layout: _Layout) -> str:
    drawn = []
    for edge in edges:
        first, last = (boxes[end].column for end in edge)
        x, y = layout.left[first] + layout.width[first], layout.middle[first, edge[0]]
        line = f"M{x:.1f} {y:.1f}"
        for number in range(first + 1, last + 1):
            place: Place = edge[1] if number == last else edge
            left, middle = layout.left[number], layout.middle[number, place]
            line += f"C{x + CHANNEL / 2:.1f} {y:.1f} {left - CHANNEL / 2:.1f} {middle:.1f} {left:.1f} {middle:.1f}"
            x, y = left, middle
            if number < last:
                x = left + layout.width[number]
                line += f"H{x:.1f}"
        kind = "edge critical" if edge in steps else "edge"
        drawn.append(f'<path class="{kind}" data-from="{edge[0]}" data-to="{edge[1]}" d="{line}"/>')
    return "".join(drawn)


def _boxes(boxes: Sequence[Box], marks: Mapping[str, Mark], critical: set[int], layout: _Layout) -> str:
    drawn = []
    for index, box in enumerate(boxes):
        mark = marks[box.tasks[0]] if len(box.tasks) == 1 else _group_mark([marks[name] for name in box.tasks], box)
        x, y, width = layout.left[box.column], layout.middle[box.column, index] - BOX / 2, layout.width[box.column]
        look = f"task {mark.look}{' critical' if index in critical else ''}{' group' if len(box.tasks) > 1 else ''}"
        drawn.append(
            f'<g class="{look}" data-box="{index}" tabindex="0">'
            f"<title>{escape(mark.title)}</title>"
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX}" rx="5"/>'
            f'<text x="{x + 7:.1f}" y="{y + 16:.1f}">{escape(shortened(box.label, NAME))}</text>'
            f'<text class="note" x="{x + 7:.1f}" y="{y + 30:.1f}">{escape(mark.note)}</text></g>'
        )
    return "".join(drawn)


def _group_mark(marks: Sequence[Mark], box: Box) -> Mark:
    """Of several tasks: coloured as the rarest of them, so that one that failed among thousands is seen."""
    looks = Counter(mark.look for mark in marks)
    rarest = min(looks, key=lambda look: (looks[look], look))
    told = ", ".join(f"{count:,} {look}" for look, count in sorted(looks.items()))
    names = "\n".join(box.tasks[:NAMED]) + (f"\n… {len(box.tasks) - NAMED:,} more" if len(box.tasks) > NAMED else "")
    return Mark(rarest, f"{told} · {seconds(sum(mark.seconds for mark in marks))}", names, 0.0)


DRAWING_STYLE = """
svg{display:block}svg text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:var(--ink)}
svg .note,svg .head{font-size:11px;fill:var(--quiet)}svg .head{text-anchor:middle}
rect{stroke:var(--line);stroke-width:1}.task{cursor:default;outline:none}.task.group rect{stroke-dasharray:4 2}
.task.critical rect{stroke:var(--hot);stroke-width:2.5;stroke-dasharray:none}.task:focus rect{stroke-width:3}
.edge{fill:none;stroke:var(--line);stroke-width:1.3}
.edge.critical{stroke:var(--hot);stroke-width:2.5}svg.focus .task,svg.focus .edge{opacity:.15}
svg.focus .on{opacity:1}svg.focus .edge.on{stroke:var(--ink)}
"""

# Pointing at a box, or focusing it, shows what it is computed from and what is computed from it.
DRAWING_SCRIPT = """
(()=>{const svg=document.querySelector("svg"),edges=[...svg.querySelectorAll(".edge")],tasks=[...svg.querySelectorAll(
".task")];const walk=(start,from,to)=>{const seen=new Set([start]);for(const at of seen)for(const e of edges)if(
e.dataset[from]===at)seen.add(e.dataset[to]);return seen};const show=id=>{const down=walk(id,"from","to"),
up=walk(id,"to","from");svg.classList.add("focus");for(const t of tasks)t.classList.toggle("on",up.has(t.dataset.box)||
down.has(t.dataset.box));for(const e of edges)e.classList.toggle("on",(down.has(e.dataset.from)&&down.has(
e.dataset.to))||(up.has(e.dataset.from)&&up.has(e.dataset.to)))};const hide=()=>svg.classList.remove("focus");
for(const t of tasks){t.onmouseenter=t.onfocus=()=>show(t.dataset.box);t.onmouseleave=t.onblur=hide}})();
"""

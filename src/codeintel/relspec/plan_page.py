"""A plan as one offline HTML page: the graph by generation, its critical path, every task's slack, and a table.

Plain SVG from a layered layout: generations are columns, an edge that spans several passes through an empty place in
each, and a few barycentre sweeps order the places. No library, nothing loaded, every name escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_rendering import Actions, seconds, shortened

SWEEPS = 8
NAME, CHARACTER, PADDING = 30, 7.3, 14  # longest name shown; pixels a character of the 12 px monospace face takes
NOTE = 164  # pixels that the line of weight and slack needs
BOX, GAP, LANE, CHANNEL, HEAD = 38, 14, 16, 84, 34  # pixels: box height, gaps, height of a passing edge, column gap

Place = int | tuple[str, str]  # a task's index, or (in a column it passes) an edge


@dataclass(frozen=True, slots=True)
class _Layout:
    left: Mapping[int, float]  # of a column
    width: Mapping[int, float]
    middle: Mapping[tuple[int, Place], float]  # vertical middle of a place in its column
    size: tuple[float, float]


def plan_page(plan: ExecutionPlan, title: str = "Execution plan", actions: Actions | None = None) -> str:
    """The page, complete: UTF-8, self-contained, the same bytes for the same plan and actions."""
    layout = _layout(plan)
    schedule = plan.schedule
    facts = (
        ("tasks", str(len(plan.tasks))),
        ("generations", str(len(schedule.generations))),
        ("critical path", seconds(schedule.critical_path_length)),
        ("work", seconds(sum(schedule.weights.values()))),
        ("isolates", str(len(schedule.isolates))),
        ("plan", plan.signature[:12]),
        ("reduced plan", plan.reduced_signature[:12]),
        ("weights", plan.weights_digest[:12]),
    )
    shown = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts)
    kinds = "".join(f'<span class="{kind}">{kind}</span>' for kind in sorted({t.kind for t in plan.tasks.values()}))
    path = " → ".join(escape(name) for name in schedule.critical_path)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><dl>{shown}</dl>"
        f'<p class="path"><b>Critical path</b> {path}</p><p class="legend">{kinds}<span class="critical">critical'
        " path</span></p>"
        f"<figure>{_drawing(plan, layout, actions or {})}</figure>{_table(plan, actions or {})}"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _layout(plan: ExecutionPlan) -> _Layout:
    generation = plan.schedule.generation_of()
    columns: list[list[Place]] = [[plan.graph.node_map[name] for name in names] for names in plan.schedule.generations]
    links: list[list[tuple[Place, Place]]] = [[] for _ in columns]  # between a column and the one to its left
    for edge in plan.graph.reduced_edges():
        first, last = generation[edge[0]], generation[edge[1]]
        stops: list[Place] = [plan.graph.node_map[edge[0]], *[edge] * (last - first - 1), plan.graph.node_map[edge[1]]]
        for offset in range(1, len(stops)):
            links[first + offset].append((stops[offset - 1], stops[offset]))
            if offset < len(stops) - 1:
                columns[first + offset].append(stops[offset])
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for number in range(1, len(columns)) if forward else reversed(range(len(columns) - 1)):
            pairs = links[number] if forward else [(b, a) for a, b in links[number + 1]]
            columns[number] = _by_barycentre(columns[number], columns[number - 1 if forward else number + 1], pairs)
    return _placed(plan, columns)


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


def _placed(plan: ExecutionPlan, columns: Sequence[Sequence[Place]]) -> _Layout:
    heights = [sum(LANE if isinstance(place, tuple) else BOX + GAP for place in column) for column in columns]
    tallest = max(heights, default=0)
    left, width, middle, x = {}, {}, {}, 12.0
    for number, column in enumerate(columns):
        longest = max((len(shortened(plan.graph.names[p], NAME)) for p in column if isinstance(p, int)), default=0)
        left[number], width[number] = x, max(longest * CHARACTER + PADDING, NOTE)
        x += width[number] + CHANNEL
        y = HEAD + (tallest - heights[number]) / 2
        for place in column:
            step = LANE if isinstance(place, tuple) else BOX + GAP
            middle[number, place] = y + step / 2
            y += step
    return _Layout(left, width, middle, (max(x - CHANNEL + 12, 320), tallest + HEAD + 12))


def _drawing(plan: ExecutionPlan, layout: _Layout, actions: Actions) -> str:
    width, height = layout.size
    heads = "".join(
        f'<text class="head" x="{left + layout.width[number] / 2:.1f}" y="18">generation {number}</text>'
        for number, left in layout.left.items()
    )
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'style="max-width:100%;min-width:{0.6 * width:.0f}px;height:auto" '
        f'aria-label="tasks by generation">{heads}{_edges(plan, layout)}{_boxes(plan, layout, actions)}</svg>'
    )


def _edges(plan: ExecutionPlan, layout: _Layout) -> str:
    generation, path = plan.schedule.generation_of(), plan.schedule.critical_path
    steps = set(pairwise(path))
    drawn = []
    for edge in plan.graph.reduced_edges():
        source, target = (plan.graph.node_map[name] for name in edge)
        first, last = generation[edge[0]], generation[edge[1]]
        x, y = layout.left[first] + layout.width[first], layout.middle[first, source]
        line = f"M{x:.1f} {y:.1f}"
        for number in range(first + 1, last + 1):
            place: Place = target if number == last else edge
            left, middle = layout.left[number], layout.middle[number, place]
            line += f"C{x + CHANNEL / 2:.1f} {y:.1f} {left - CHANNEL / 2:.1f} {middle:.1f} {left:.1f} {middle:.1f}"
            x, y = left, middle
            if number < last:
                x = left + layout.width[number]
                line += f"H{x:.1f}"
        kind = "edge critical" if edge in steps else "edge"
        drawn.append(f'<path class="{kind}" data-from="{source}" data-to="{target}" d="{line}"/>')
    return "".join(drawn)


def _boxes(plan: ExecutionPlan, layout: _Layout, actions: Actions) -> str:
    schedule, critical = plan.schedule, set(plan.schedule.critical_path)
    drawn = []
    for name, number in schedule.generation_of().items():
        index, task = plan.graph.node_map[name], plan.tasks[name]
        x, y = layout.left[number], layout.middle[number, index] - BOX / 2
        action, reason = actions.get(name, ("", ""))
        weight, slack = seconds(schedule.weights[name]), seconds(schedule.slack[name])
        notes = [
            f"{name} ({task.kind})",
            f"weight {weight}, criticality {seconds(schedule.criticality[name])}, slack {slack}",
            f"reads {', '.join(sorted(task.inputs)) or 'nothing in the plan'}",
            *([f"{action}: {reason}" if reason else action] if action else []),
        ]
        note = "critical" if name in critical else f"slack {slack}"
        drawn.append(
            f'<g class="task {task.kind}{" critical" if name in critical else ""}" data-task="{index}" tabindex="0">'
            f"<title>{escape(chr(10).join(notes))}</title>"
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{layout.width[number]:.1f}" height="{BOX}" rx="5"/>'
            f'<text x="{x + 7:.1f}" y="{y + 16:.1f}">{escape(shortened(name, NAME))}</text>'
            f'<text class="note" x="{x + 7:.1f}" y="{y + 30:.1f}">{weight} · {note}</text></g>'
        )
    return "".join(drawn)


def _table(plan: ExecutionPlan, actions: Actions) -> str:
    schedule, critical = plan.schedule, set(plan.schedule.critical_path)
    heads = ("generation", "task", "kind", "weight", "criticality", "slack", "reads", "action", "reason")
    rows = []
    for name, number in schedule.generation_of().items():
        action, reason = actions.get(name, ("", ""))
        cells = (
            str(number), name, plan.tasks[name].kind, seconds(schedule.weights[name]),
            seconds(schedule.criticality[name]), seconds(schedule.slack[name]),
            ", ".join(sorted(plan.tasks[name].inputs)), action, reason,
        )  # fmt: skip
        marked = ' class="critical"' if name in critical else ""
        rows.append(f"<tr{marked}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


_STYLE = """
:root{--ink:#1d2430;--quiet:#667085;--paper:#fff;--line:#c3cad6;--hot:#c0392b;--source:#e3f1e4;--extractor:#e4edfb;
--view:#f3f4f7;--analysis:#f6eafb;--output:#fdf1d8}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--quiet:#98a2b3;--paper:#15181e;--line:#475066;--hot:#ff7a6b;
--source:#21382a;--extractor:#1f3047;--view:#262b35;--analysis:#38264a;--output:#43361a}}
body{margin:20px;background:var(--paper);color:var(--ink);font:14px/1.5 system-ui,sans-serif}h1{font-size:20px;margin:0}
dl{display:flex;flex-wrap:wrap;gap:6px 26px;margin:10px 0}
dt{color:var(--quiet);font-size:12px}dd{margin:0;font-weight:600}
.path{margin:6px 0;font-size:13px}.legend span{display:inline-block;padding:1px 9px;margin-right:6px;border-radius:4px;
font-size:12px;border:1px solid var(--line)}.legend .critical{border:2px solid var(--hot)}
figure{margin:12px 0;overflow:auto;border:1px solid var(--line);border-radius:6px}svg{display:block}
svg text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:var(--ink)}
svg .note,svg .head{font-size:11px;fill:var(--quiet)}svg .head{text-anchor:middle}
rect{stroke:var(--line);stroke-width:1}.task{cursor:default;outline:none}.task.critical rect{stroke:var(--hot);
stroke-width:2.5}.task:focus rect{stroke-width:3}.edge{fill:none;stroke:var(--line);stroke-width:1.3}
.edge.critical{stroke:var(--hot);stroke-width:2.5}svg.focus .task,svg.focus .edge{opacity:.15}
svg.focus .on{opacity:1}svg.focus .edge.on{stroke:var(--ink)}
.source{fill:var(--source);background:var(--source)}.extractor{fill:var(--extractor);background:var(--extractor)}
.view{fill:var(--view);background:var(--view)}.analysis{fill:var(--analysis);background:var(--analysis)}
.output{fill:var(--output);background:var(--output)}
table{border-collapse:collapse;font-size:12.5px;width:100%}th,td{text-align:left;padding:3px 10px 3px 0;
border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--quiet);font-weight:500}
tr.critical td:nth-child(2){color:var(--hot);font-weight:600}
"""

# Pointing at a task, or focusing it, shows what it is computed from and what is computed from it.
_SCRIPT = """
(()=>{const svg=document.querySelector("svg"),edges=[...svg.querySelectorAll(".edge")],tasks=[...svg.querySelectorAll(
".task")];const walk=(start,from,to)=>{const seen=new Set([start]);for(const at of seen)for(const e of edges)if(
e.dataset[from]===at)seen.add(e.dataset[to]);return seen};const show=id=>{const down=walk(id,"from","to"),
up=walk(id,"to","from");svg.classList.add("focus");for(const t of tasks)t.classList.toggle("on",up.has(t.dataset.task)||
down.has(t.dataset.task));for(const e of edges)e.classList.toggle("on",(down.has(e.dataset.from)&&down.has(
e.dataset.to))||(up.has(e.dataset.from)&&up.has(e.dataset.to)))};const hide=()=>svg.classList.remove("focus");
for(const t of tasks){t.onmouseenter=t.onfocus=()=>show(t.dataset.task);t.onmouseleave=t.onblur=hide}})();
"""

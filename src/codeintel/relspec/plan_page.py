"""A plan as one offline HTML page: its drawing, its critical path, every task's slack, and a table.

Nothing loaded, every name escaped.
"""

from __future__ import annotations

from html import escape

from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_drawing import DRAWING_SCRIPT, DRAWING_STYLE, Mark, draw_plan
from codeintel.relspec.plan_rendering import Actions, seconds


def plan_page(plan: ExecutionPlan, title: str = "Execution plan", actions: Actions | None = None) -> str:
    """The page, complete: UTF-8, self-contained, the same bytes for the same plan and actions."""
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
        f"<style>{_STYLE}{DRAWING_STYLE}</style></head><body><h1>{escape(title)}</h1><dl>{shown}</dl>"
        f'<p class="path"><b>Critical path</b> {path}</p><p class="legend">{kinds}<span class="critical">critical'
        " path</span></p>"
        f"<figure>{draw_plan(plan, _marks(plan, actions or {})).svg}</figure>{_table(plan, actions or {})}"
        f"<script>{DRAWING_SCRIPT}</script></body></html>\n"
    )


def _marks(plan: ExecutionPlan, actions: Actions) -> dict[str, Mark]:
    schedule, critical = plan.schedule, set(plan.schedule.critical_path)
    marks = {}
    for name, task in plan.tasks.items():
        action, reason = actions.get(name, ("", ""))
        weight, slack = seconds(schedule.weights[name]), seconds(schedule.slack[name])
        notes = [
            f"{name} ({task.kind})",
            f"weight {weight}, criticality {seconds(schedule.criticality[name])}, slack {slack}",
            f"reads {', '.join(sorted(task.inputs)) or 'nothing in the plan'}",
            *([f"{action}: {reason}" if reason else action] if action else []),
        ]
        note = "critical" if name in critical else f"slack {slack}"
        marks[name] = Mark(task.kind, f"{weight} · {note}", "\n".join(notes), schedule.weights[name])
    return marks


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
figure{margin:12px 0;overflow:auto;border:1px solid var(--line);border-radius:6px}
.source{fill:var(--source);background:var(--source)}.extractor{fill:var(--extractor);background:var(--extractor)}
.view{fill:var(--view);background:var(--view)}.analysis{fill:var(--analysis);background:var(--analysis)}
.output{fill:var(--output);background:var(--output)}
table{border-collapse:collapse;font-size:12.5px;width:100%}th,td{text-align:left;padding:3px 10px 3px 0;
border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--quiet);font-weight:500}
tr.critical td:nth-child(2){color:var(--hot);font-weight:600}
"""

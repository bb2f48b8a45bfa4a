"""A plan as a document, as lines for a terminal, and as a Mermaid flowchart.

`actions` maps a task to what a build would do with it and why (`("run", "file a.py changed")`); the kernel does not
know, so its caller passes it in.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from codeintel.relspec.execution_plan import ExecutionPlan

Actions = Mapping[str, tuple[str, str]]


def plan_document(plan: ExecutionPlan, actions: Actions | None = None) -> dict[str, Any]:
    """What `plan --json` prints: plain values only, tasks in topological order, seconds for every weight."""
    schedule, generation = plan.schedule, plan.schedule.generation_of()
    tasks = []
    for name, task in plan.tasks.items():
        action, reason = (actions or {}).get(name, ("", ""))
        tasks.append({
            "name": name,
            "kind": task.kind,
            "inputs": dict(sorted(task.inputs.items())),
            "columns": {table: sorted(columns) for table, columns in sorted(task.columns.items())},
            "generation": generation[name],
            "criticality": schedule.criticality[name],
            "slack": schedule.slack[name],
            "weight": schedule.weights[name],
            "action": action,
            "reason": reason,
            "signature": task.signature,
        })  # fmt: skip
    return {
        "signature": plan.signature,
        "reduced_signature": plan.reduced_signature,
        "weights_digest": plan.weights_digest,
        "tasks": tasks,
        "edges": [list(edge) for edge in plan.graph.edges()],
        "reduced_edges": [list(edge) for edge in plan.graph.reduced_edges()],
        "node_map": dict(plan.graph.node_map),
        "generations": [list(names) for names in schedule.generations],
        "critical_path": list(schedule.critical_path),
        "critical_path_length": schedule.critical_path_length,
        "isolates": list(schedule.isolates),
    }


def plan_text(plan: ExecutionPlan, width: int = 100, actions: Actions | None = None) -> tuple[str, ...]:
    """Lines of at most `width` characters: a summary, then tasks by generation; `*` marks the critical path."""
    schedule, critical = plan.schedule, set(plan.schedule.critical_path)
    lines = [
        f"{len(plan.tasks)} tasks in {len(schedule.generations)} generations; plan {plan.signature[:12]}",
        f"critical path {seconds(schedule.critical_path_length)}: {' → '.join(schedule.critical_path)}",
    ]
    longest = min(max((len(name) for name in plan.tasks), default=0), max(12, width // 3))
    for number, names in enumerate(schedule.generations):
        lines.append(f"generation {number}")
        for name in names:
            action, reason = (actions or {}).get(name, ("", ""))
            why = f"{action}: {reason}" if reason else action
            told = why or "← " + ", ".join(sorted(plan.tasks[name].inputs)) if why or plan.tasks[name].inputs else ""
            lines.append(
                f"{'*' if name in critical else ' '} {shortened(name, longest):{longest}} {plan.tasks[name].kind:9} "
                f"{seconds(schedule.weights[name]):>8} slack {seconds(schedule.slack[name]):>8}  {told}".rstrip()
            )
    return tuple(shortened(" ".join(line.splitlines()), width) for line in lines)


def mermaid(plan: ExecutionPlan) -> str:
    """A Mermaid flowchart of the reduced graph, one subgraph a generation, the critical path in a class of its own."""
    index, path = plan.graph.node_map, plan.schedule.critical_path
    steps = set(pairwise(path))
    lines = ["flowchart LR"]
    for number, names in enumerate(plan.schedule.generations):
        lines.append(f'  subgraph g{number}["generation {number}"]')
        lines += [f'    t{index[name]}["{_mermaid_text(name)}"]' for name in names]
        lines.append("  end")
    lines += [
        f"  t{index[source]} {'==>' if (source, target) in steps else '-->'} t{index[target]}"
        for source, target in plan.graph.reduced_edges()
    ]
    if path:
        lines.append("  classDef critical stroke:#c0392b,stroke-width:3px")
        lines.append(f"  class {','.join(f't{index[name]}' for name in path)} critical")
    return "\n".join(lines) + "\n"


def seconds(value: float) -> str:
    """A duration in three digits: `120 ms`, `3.4 s`, `12.0 min`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters, the last one an ellipsis if something is missing."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _mermaid_text(text: str) -> str:
    # Mermaid reads entities without the ampersand; anything that is not plain could end the label.
    return "".join(c if c.isalnum() or c in " _.-" else f"#{ord(c)};" for c in text)

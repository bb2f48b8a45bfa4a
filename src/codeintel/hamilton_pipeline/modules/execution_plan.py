"""Artifacts of the plan as nodes: each addressable like any other, and the signature what outputs depend on.

`plan_diagnostics` has all of them; each of the others hands on its part, so that whatever is asked for is produced once
and by `relspec.plan_artifacts` alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from hamilton import node
from hamilton.function_modifiers.base import NodeCreator

from codeintel.hamilton_pipeline.modules.tasks import PLAN
from codeintel.relspec import plan_artifacts
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.plan_artifacts import PLAN_ARTIFACTS


class artifacts(NodeCreator):  # noqa: N801 - a decorator
    """The decorated function's node, bound to the driver's plan, and one node for each artifact that it gives."""

    def required_config(self) -> list[str]:
        return [PLAN]

    def validate(self, fn: Callable[..., Any]) -> None:
        """Any function from a plan to artifacts by name will do."""

    def generate_nodes(self, fn: Callable[..., Any], config: dict[str, Any]) -> list[node.Node]:
        whole = partial(fn, config[PLAN])
        nodes = [_node(fn, fn.__name__, "mapping", inspect.getdoc(fn) or "", whole, {})]
        for name, (kind, produce) in PLAN_ARTIFACTS.items():
            part = partial(_part, fn.__name__, name)
            nodes.append(_node(fn, name, kind, inspect.getdoc(produce) or "", part, {fn.__name__: dict[str, Any]}))
        return nodes


def _node(
    fn: Callable[..., Any], name: str, kind: str, doc: str, callabl: Callable[..., Any], inputs: dict[str, Any]
) -> node.Node:
    tags = {"layer": "plan", "artifact": name, "kind": kind}
    types = {"scalar": Any, "sequence": list[Any], "mapping": dict[str, Any]}
    return node.Node(
        name, types[kind], doc, callabl=callabl, input_types=inputs, tags=tags, originating_functions=(fn,)
    )


def _part(source: str, name: str, /, **given: dict[str, Any]) -> Any:
    return given[source][name]


@artifacts()
def plan_diagnostics(plan: ExecutionPlan) -> dict[str, Any]:
    """Every artifact of the plan, by name."""
    return plan_artifacts.plan_diagnostics(plan)

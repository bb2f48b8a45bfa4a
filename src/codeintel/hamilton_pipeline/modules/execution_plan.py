"""Artifacts of the plan as nodes: addressable like any other, and what outputs depend on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from hamilton import node
from hamilton.function_modifiers.base import NodeCreator

from codeintel.hamilton_pipeline.modules.tasks import PLAN
from codeintel.relspec.execution_plan import ExecutionPlan


class artifact(NodeCreator):  # noqa: N801 - a decorator
    """A node, named like the function, of what the function makes of the plan."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def required_config(self) -> list[str]:
        return [PLAN]

    def validate(self, fn: Callable[..., Any]) -> None:
        """Any function that takes a plan will do."""

    def generate_nodes(self, fn: Callable[..., Any], config: dict[str, Any]) -> list[node.Node]:
        tags = {"layer": "plan", "artifact": fn.__name__, "kind": self.kind}
        made = partial(fn, config[PLAN])
        returns = str
        doc = inspect.getdoc(fn) or ""
        return [
            node.Node(fn.__name__, returns, doc, callabl=made, input_types={}, tags=tags, originating_functions=(fn,))
        ]


@artifact("scalar")
def plan_signature(plan: ExecutionPlan) -> str:
    """Signature of the plan: of its tasks and edges, not of its weights."""
    return plan.signature

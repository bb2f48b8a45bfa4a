"""Profiles of what is reused, by name: how Hamilton's cache treats each sort of node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from codeintel.relspec.task import Task

Behavior = Literal["default", "recompute", "disable"]  # `ignore` would pickle values and drop causes


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """One profile. `default` looks up by key and stores; `recompute` runs and stores; `disable` does neither.

    Nothing above a planned task may be disabled: it would have no version, and nothing below it could be reused.
    """

    name: str
    planned: Behavior  # a task that reads other tasks
    loader: Behavior  # an external read
    saver: Behavior
    plan_node: Behavior  # an artifact of the plan
    plain: Behavior  # any other node
    unversioned_input: Literal["error"] = "error"  # an input, or an override, that carries no version
    live_handles: Literal["outside"] = "outside"  # stores, workers and sessions are bound to nodes, never their values
    log_to_file: bool = True

    def of(self, task: Task) -> Behavior:
        return self.loader if task.kind == "source" else self.planned


POLICIES: Mapping[str, CachePolicy] = {
    "strict_causal": CachePolicy("strict_causal", "default", "recompute", "disable", "recompute", "recompute"),
    "off": CachePolicy("off", "recompute", "recompute", "disable", "recompute", "recompute"),
}

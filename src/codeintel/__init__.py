"""codeintel: a code property graph of a Python repository as Delta tables, kept exactly right as the code changes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codeintel.api import BuildResult, build, build_pipeline, compile_plan, open, report, why  # noqa: A004
    from codeintel.datafusion_engine.inference import infer_tasks
    from codeintel.datafusion_engine.snapshot import Snapshot
    from codeintel.errors import CodeintelError
    from codeintel.many import build_many, open_many
    from codeintel.relspec.execution_plan import ExecutionPlan, compile_execution_plan
    from codeintel.relspec.pipeline import (
        Contract,
        Extractor,
        Pipeline,
        Reference,
        ScalarFunction,
        Source,
        Table,
        analysis,
    )
    from codeintel.relspec.task import Task
    from codeintel.settings import Settings

__all__ = [
    "BuildResult",
    "CodeintelError",
    "Contract",
    "ExecutionPlan",
    "Extractor",
    "Pipeline",
    "Reference",
    "ScalarFunction",
    "Settings",
    "Snapshot",
    "Source",
    "Table",
    "Task",
    "analysis",
    "build",
    "build_many",
    "build_pipeline",
    "compile_execution_plan",
    "compile_plan",
    "infer_tasks",
    "open",
    "open_many",
    "report",
    "why",
]

_HOMES = {
    "codeintel.api": ("BuildResult", "build", "build_pipeline", "compile_plan", "open", "report", "why"),
    "codeintel.datafusion_engine.inference": ("infer_tasks",),
    "codeintel.datafusion_engine.snapshot": ("Snapshot",),
    "codeintel.errors": ("CodeintelError",),
    "codeintel.many": ("build_many", "open_many"),
    "codeintel.relspec.execution_plan": ("ExecutionPlan", "compile_execution_plan"),
    "codeintel.relspec.pipeline": (
        "Contract",
        "Extractor",
        "Pipeline",
        "Reference",
        "ScalarFunction",
        "Source",
        "Table",
        "analysis",
    ),
    "codeintel.relspec.task": ("Task",),
    "codeintel.settings": ("Settings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:  # Any: whatever the public name stands for; imported on first use to start fast
    if name not in _HOME_OF:
        raise AttributeError(f"module 'codeintel' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)

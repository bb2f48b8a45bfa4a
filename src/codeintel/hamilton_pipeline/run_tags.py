"""What a run is told by: facts of its plan, its repository and the engines, as strings. Trackers take nothing else.

The DAG's name and the tags of its nodes stay the same from run to run (a tracker keeps the first it sees of them);
everything that varies is here.
"""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import PurePath

from codeintel.fingerprint import digest
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.task import published_table

ENGINES = {
    "hamilton": "apache-hamilton",
    "datafusion": "datafusion",
    "deltalake": "deltalake",
    "pyarrow": "pyarrow",
    "rustworkx": "rustworkx",
}
"""Tag of an engine's version, and the distribution that has it."""


def run_tags(plan: ExecutionPlan, *, dag_name: str, pipeline: str, repository: str = "") -> dict[str, str]:
    """Tags of a run of `plan`, in the order they are shown.

    `repository` is a path, of which a tag has the last part and another a digest: enough to tell repositories apart,
    and no path leaves the machine. Empty for a pipeline that reads none.
    """
    outputs = {name: task for name, task in plan.tasks.items() if task.kind == "output"}
    versions = {name.removeprefix(f"{published_table(task)}_") for name, task in outputs.items()}
    return {
        "dag_name": dag_name,
        "plan_signature": plan.signature,
        "reduced_plan_signature": plan.reduced_signature,
        "plan_task_count": str(len(plan.tasks)),
        "plan_generation_count": str(len(plan.schedule.generations)),
        "semantic_version": ",".join(sorted(versions)),
        "semantic_fingerprint": digest([(name, task.signature) for name, task in sorted(outputs.items())]),
        "repository": PurePath(repository).name,
        "repository_fingerprint": digest(repository) if repository else "",
        "pipeline": pipeline,
        "codeintel_version": metadata.version("codeintel"),
        "python_version": platform.python_version(),
        **{f"{name}_version": metadata.version(package) for name, package in ENGINES.items()},
    }

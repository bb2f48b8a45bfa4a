"""A finished run as OpenLineage events: one pair for the run, and one for every task that worked, as its children.

Jobs are `<pipeline>` and `<pipeline>.<task>` in the namespace `codeintel.<repository>`, tables datasets there. A
published table also goes by its place, as readers of Delta tables name it. A task that was reused has no events: what
it made, and from what, an earlier run has told. Identifiers follow from the run's, so that telling twice is telling
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    symlinks_dataset,
    tags_run,
)
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.uuid import generate_static_uuid

from codeintel.relspec.task import Task
from codeintel.reporting.finished_run import FinishedRun
from codeintel.store.runs import TaskRun

VERSION = metadata.version("codeintel")
PRODUCER = f"https://pypi.org/project/codeintel/{VERSION}"
REQUEST_SECONDS = 30.0
WORKED = {"ran": RunState.COMPLETE, "failed": RunState.FAIL, "interrupted": RunState.ABORT}
ENDED = {"ok": RunState.COMPLETE, "failed": RunState.FAIL, "interrupted": RunState.ABORT}


def lineage_events(run: FinishedRun, root: Path) -> Iterator[RunEvent]:
    """START of the run, then the pair of each task that worked as they began, then the run's end.

    `root` is the store's place.
    """
    telling = _Telling(run, root)
    manifest = run.manifest
    yield telling.of_run(RunState.START, run.started)
    worked = [(task, run.tasks[name]) for name, task in manifest.tasks.items() if task.outcome in WORKED]
    for done, task in sorted(worked, key=lambda each: (run.span(each[1].name), each[1].name)):
        began, ended = run.span(task.name)
        yield telling.of_task(task, done, RunState.START, began)
        yield telling.of_task(task, done, WORKED[done.outcome], ended)
    yield telling.of_run(ENDED[manifest.status], run.at(manifest.wall_s))


def send_events(run: FinishedRun, root: Path, place: str) -> str:
    """Send the run's events to a URL, or append them to a file; what was done, in a few words. Raises what they raise.

    The client's own environment variables and files still decide what else it does, such as the key it shows.
    """
    config: dict[str, Any] = {"facets": {"environment_variables": [], "source_code_location": {"disabled": True}}}
    transport = None
    if place.startswith(("http://", "https://")):
        url, _, endpoint = place.partition("/api/")
        http = {"type": "http", "url": url, "timeout": REQUEST_SECONDS, "retry": {"total": 0}}
        config["transport"] = http | ({"endpoint": f"api/{endpoint}"} if endpoint else {})
    else:
        transport = FileTransport(FileConfig(log_file_path=place, append=True))
    client, count = OpenLineageClient(config=config, transport=transport), 0
    for event in lineage_events(run, root):
        client.emit(event)
        count += 1
    return f"sent: {count} events"


class _Telling:
    def __init__(self, run: FinishedRun, root: Path) -> None:
        self.run, self.root, self.manifest = run, root, run.manifest
        self.repository = PurePath(run.manifest.repository).name
        self.namespace = f"codeintel.{self.repository}" if self.repository else "codeintel"
        self.schemas = {name: run.manifest.schema(name) for name in run.manifest.schemas}

    def of_run(self, state: RunState, at: datetime) -> RunEvent:
        manifest, facets = self.manifest, dict[str, Any]()
        facets["processing_engine"] = processing_engine_run.ProcessingEngineRunFacet(
            VERSION, "codeintel", metadata.version("openlineage-python"), producer=PRODUCER
        )
        tags = [tags_run.TagsRunFacetFields(key, value, "codeintel") for key, value in self.run.tags.items() if value]
        tags.append(tags_run.TagsRunFacetFields("run_id", manifest.run_id, "codeintel"))
        facets["tags"] = tags_run.TagsRunFacet(tags, producer=PRODUCER)
        if state is RunState.FAIL:
            said = "; ".join(f"{name}: {text}" for name, text in sorted(manifest.errors.items()))
            facets["errorMessage"] = self._error(said or "extraction errors or warnings, with --strict")
        done = state is not RunState.START
        outputs = [task for task in self.run.tasks.values() if self.run.published(task) in manifest.tables]
        return self._event(
            "", state, at, facets, "DAG",
            inputs=[InputDataset("file", manifest.repository)] if manifest.repository else [],
            outputs=[self._output(task) for task in outputs] if done else [],
        )  # fmt: skip

    def of_task(self, task: Task, done: TaskRun, state: RunState, at: datetime) -> RunEvent:
        facets: dict[str, Any] = {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(self._id("")),
                job=parent_run.Job(self.namespace, self._job("")),
                root=parent_run.Root(
                    parent_run.RootRun(self._id("")), parent_run.RootJob(self.namespace, self._job(""))
                ),
                producer=PRODUCER,
            )
        }
        ended = state is not RunState.START
        if ended:
            said = {
                "outcome": done.outcome, "reason": done.reason, "cause": self.run.causes.get(task.name, ""),
                "task_signature": task.signature, "data_version": self.run.data_versions.get(task.name, ""),
                "criticality_seconds": f"{self.run.criticality.get(task.name, 0.0):.6f}",
            }  # fmt: skip
            tags = [tags_run.TagsRunFacetFields(key, value, "codeintel") for key, value in said.items() if value]
            facets["tags"] = tags_run.TagsRunFacet(tags, producer=PRODUCER)
        if state is RunState.FAIL:
            facets["errorMessage"] = self._error(self.manifest.errors.get(task.name, done.reason))
        inputs = [self._input(self.run.tasks[name]) for name in sorted(task.inputs) if name in self.run.tasks]
        if task.kind == "source" and self.manifest.repository:
            inputs.append(InputDataset("file", self.manifest.repository))
        return self._event(
            task.name, state, at, facets, task.kind.upper(),
            inputs=inputs, outputs=[self._output(task)] if ended and state is RunState.COMPLETE else [],
        )  # fmt: skip

    def _event(
        self,
        task: str,
        state: RunState,
        at: datetime,
        facets: dict[str, Any],
        kind: str,
        *,
        inputs: list[InputDataset],
        outputs: list[OutputDataset],
    ) -> RunEvent:
        job_type = job_type_job.JobTypeJobFacet("BATCH", "CODEINTEL", kind, producer=PRODUCER)
        return RunEvent(
            eventTime=at.isoformat(timespec="milliseconds"), producer=PRODUCER, eventType=state,
            run=Run(self._id(task), facets), job=Job(self.namespace, self._job(task), {"jobType": job_type}),
            inputs=inputs, outputs=outputs,
        )  # fmt: skip

    def _id(self, task: str) -> str:
        return str(generate_static_uuid(self.run.started, f"{self.manifest.run_id} {task}".encode()))

    def _job(self, task: str) -> str:
        return f"{self.manifest.pipeline}.{task}" if task else self.manifest.pipeline

    def _error(self, text: str) -> error_message_run.ErrorMessageRunFacet:
        return error_message_run.ErrorMessageRunFacet(text, "python", producer=PRODUCER)

    def _input(self, task: Task) -> InputDataset:
        return InputDataset(self.namespace, task.name, facets=self._facets(task))

    def _output(self, task: Task) -> OutputDataset:
        facets, statistics = self._facets(task), {}
        if lineage := self._column_lineage(task):
            facets["columnLineage"] = lineage
        if (handle := self.manifest.handles.get(self.run.published(task) or task.name)) is not None:
            rows = handle.handle(task.name).rows
            statistics["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=rows, producer=PRODUCER
            )
        return OutputDataset(self.namespace, task.name, facets=facets, outputFacets=statistics)

    def _facets(self, task: Task) -> dict[str, Any]:
        facets: dict[str, Any] = {}
        table = self.run.published(task) or task.name
        if (schema := self.schemas.get(table)) is not None:
            meanings = self.run.meanings.get(table, {}) if task.kind == "output" else {}
            fields = [
                schema_dataset.SchemaDatasetFacetFields(
                    field.name, str(field.type), meanings.get(field.name), ordinal_position=number
                )
                for number, field in enumerate(schema, 1)
            ]
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)
        if version := self.run.data_versions.get(task.name):
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(version, producer=PRODUCER)
        if task.kind == "output" and (published := self.manifest.tables.get(table)) is not None:
            place = symlinks_dataset.Identifier("file", str(self.root / published.path), "TABLE")
            facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet([place], producer=PRODUCER)
        return facets

    def _column_lineage(self, task: Task) -> column_lineage_dataset.ColumnLineageDatasetFacet | None:
        """As the plan has it; an output hands on each column of the table that it publishes."""
        lineage, table = task.lineage, self.run.published(task)
        if table is not None and table in self.schemas:
            lineage = {name: frozenset({(table, name)}) for name in self.schemas[table].names}
        if not lineage:
            return None
        fields = {
            column: column_lineage_dataset.Fields(
                [column_lineage_dataset.InputField(self.namespace, name, field) for name, field in sorted(sources)]
            )
            for column, sources in sorted(lineage.items())
        }
        return column_lineage_dataset.ColumnLineageDatasetFacet(fields, producer=PRODUCER)

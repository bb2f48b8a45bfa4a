"""A finished run as OpenTelemetry spans: one trace, with the run as its root and every task as a child of it.

Where spans go, how they are sampled and what the resource is called is decided by the standard's own variables
(`OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, …). Nothing global is configured: a program
that calls this package keeps its own tracing.
"""

from __future__ import annotations

import os
from datetime import datetime
from importlib import metadata

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue

from codeintel.errors import RunError
from codeintel.reporting.finished_run import FinishedRun

BATCH = 512


def trace_spans(run: FinishedRun) -> list[ReadableSpan]:
    """The spans, the run's last. A task that was reused or skipped has one without length, at the run's beginning."""
    resource = Resource({"service.name": "codeintel", "service.version": metadata.version("codeintel")})
    provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    kept = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("codeintel", metadata.version("codeintel"))
    manifest = run.manifest
    about: dict[str, AttributeValue] = {
        "codeintel.run.id": manifest.run_id,
        "codeintel.run.status": manifest.status,
        "codeintel.pipeline": manifest.pipeline,
        "codeintel.plan.signature": manifest.plan_signature,
        "codeintel.plan.reduced_signature": manifest.reduced_plan_signature,
        "codeintel.cpu_seconds": manifest.cpu_s,
        "codeintel.peak_memory_mb": manifest.peak_rss_mb,
        **{f"codeintel.files.{name}": count for name, count in manifest.files.items()},
    }
    root = tracer.start_span(f"build {manifest.pipeline}", attributes=about, start_time=_nanoseconds(run.started))
    within = set_span_in_context(root)
    for name, done in manifest.tasks.items():
        began, ended = run.span(name)
        task: dict[str, AttributeValue] = {
            "codeintel.task.name": name,
            "codeintel.task.kind": run.tasks[name].kind if name in run.tasks else "",
            "codeintel.task.outcome": done.outcome,
            "codeintel.task.reason": done.reason,
            "codeintel.task.cause": run.causes.get(name, ""),
            "codeintel.task.criticality_seconds": run.criticality.get(name, 0.0),
            "codeintel.task.signature": done.signature,
            "codeintel.task.cpu_seconds": done.cpu_s,
            "codeintel.task.peak_memory_mb": done.peak_mb,
        }
        span = tracer.start_span(name, within, attributes=task, start_time=_nanoseconds(began))
        if done.outcome == "failed":
            span.set_status(Status(StatusCode.ERROR, manifest.errors.get(name, done.reason)))
        span.end(_nanoseconds(ended))
    if manifest.status == "failed":
        root.set_status(Status(StatusCode.ERROR, f"{len(manifest.errors)} tasks failed"))
    root.end(_nanoseconds(run.at(manifest.wall_s)))
    return list(kept.get_finished_spans())


def send_spans(run: FinishedRun) -> str:
    """Send the run's spans to every exporter that the environment names; what was done, in a few words.

    Raises RunError if one of them refuses, or is not installed.
    """
    spans = trace_spans(run)
    for name, exporter in _exporters().items():
        for start in range(0, len(spans), BATCH):
            if exporter.export(spans[start : start + BATCH]) is not SpanExportResult.SUCCESS:
                raise RunError(f"exporter {name!r} could not send them")
        exporter.shutdown()
    return f"sent: {len(spans)} spans"


def _exporters() -> dict[str, SpanExporter]:
    """By name, as the standard's variables and the installed packages' entry points have them."""
    environment = os.environ  # noqa: TID251 - the standard's own variables, most of which its SDK reads
    protocol = environment.get(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    )
    found: dict[str, SpanExporter] = {}
    for name in environment.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        wanted = {"otlp": f"otlp_proto_{protocol.split('/')[0]}"}.get(name.strip(), name.strip())
        if wanted == "none":
            continue
        entry = next(iter(metadata.entry_points(group="opentelemetry_traces_exporter", name=wanted)), None)
        if entry is None:
            raise RunError(f"no exporter {wanted!r} is installed")
        found[wanted] = entry.load()()
    return found


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000

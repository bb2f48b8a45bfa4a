"""The constraints of OpenLineage's published JSON schemas, version by version, without their prose.

Core 2-0-2 and the facets that runs are told in; source: https://openlineage.io/spec, Apache-2.0. An event is validated
against the core, and each facet in it against the schema that its own `_schemaURL` names; one that is not here is an
error.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import jsonschema
from referencing import Registry, Resource

SPEC = "https://openlineage.io/spec"
CORE = f"{SPEC}/2-0-2/OpenLineage.json"
TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer"}
URI: dict[str, Any] = {"type": "string", "format": "uri"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}


def mapping(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def items(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def facets(kind: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": ref(kind)}


def both(*parts: Any) -> dict[str, Any]:
    return {"allOf": list(parts)}


BASE_FACET = mapping("_producer _schemaURL", _producer=URI, _schemaURL=URI)
DELETABLE = mapping(_deleted={"type": "boolean"})
EVENT_TYPES = ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]
DATASET = mapping("namespace name", namespace=TEXT, name=TEXT, facets=facets("DatasetFacet"))
CORE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": CORE,
    "$defs": {
        "BaseEvent": mapping("eventTime producer schemaURL", eventTime=TIME, producer=URI, schemaURL=URI),
        "RunEvent": both(
            ref("BaseEvent"),
            mapping(
                "run job", eventType={"type": "string", "enum": EVENT_TYPES}, run=ref("Run"), job=ref("Job"),
                inputs=items(ref("InputDataset")), outputs=items(ref("OutputDataset")),
            ),
        ),
        "Run": mapping("runId", runId=UUID, facets=facets("RunFacet")),
        "Job": mapping("namespace name", namespace=TEXT, name=TEXT, facets=facets("JobFacet")),
        "Dataset": DATASET,
        "InputDataset": both(ref("Dataset"), mapping(inputFacets=facets("InputDatasetFacet"))),
        "OutputDataset": both(ref("Dataset"), mapping(outputFacets=facets("OutputDatasetFacet"))),
        "BaseFacet": BASE_FACET,
        "RunFacet": ref("BaseFacet"),
        "JobFacet": both(ref("BaseFacet"), DELETABLE),
        "DatasetFacet": both(ref("BaseFacet"), DELETABLE),
        "InputDatasetFacet": ref("BaseFacet"),
        "OutputDatasetFacet": ref("BaseFacet"),
    },
    "oneOf": [ref("RunEvent")],
}  # fmt: skip

JOB_NAME = mapping("namespace name", namespace=TEXT, name=TEXT)
RUN_ID = mapping("runId", runId=UUID)
SCHEMA_FIELD: dict[str, Any] = mapping(
    "name", name=TEXT, type=TEXT, description=TEXT, ordinal_position=WHOLE, fields=items(ref("SchemaField"))
)
TRANSFORMATION = mapping("type", type=TEXT, subtype=TEXT, description=TEXT, masking={"type": "boolean"})
INPUT_FIELD = mapping(
    "namespace name field", namespace=TEXT, name=TEXT, field=TEXT, transformations=items(TRANSFORMATION)
)
LINEAGE_FIELD = mapping(
    "inputFields", inputFields=items(INPUT_FIELD), transformationDescription=TEXT, transformationType=TEXT
)
FACETS: dict[str, tuple[str, dict[str, Any]]] = {
    "1-2-0/ColumnLineageDatasetFacet": ("DatasetFacet", mapping(
        "fields", fields={"type": "object", "additionalProperties": LINEAGE_FIELD}, dataset=items(INPUT_FIELD),
    )),
    "1-2-0/SchemaDatasetFacet": ("DatasetFacet", mapping(fields=items(ref("SchemaField")))),
    "1-0-1/DatasetVersionDatasetFacet": ("DatasetFacet", mapping("datasetVersion", datasetVersion=TEXT)),
    "1-0-1/SymlinksDatasetFacet": ("DatasetFacet", mapping(
        identifiers=items(mapping("namespace name type", namespace=TEXT, name=TEXT, type=TEXT)),
    )),
    "1-0-2/OutputStatisticsOutputDatasetFacet": ("OutputDatasetFacet", mapping(
        rowCount=WHOLE, size=WHOLE, fileCount=WHOLE,
    )),
    "2-0-4/JobTypeJobFacet": ("JobFacet", mapping(
        "processingType integration", processingType=TEXT, integration=TEXT, jobType=TEXT,
    )),
    "1-2-0/ParentRunFacet": ("RunFacet", mapping(
        "run job", run=RUN_ID, job=JOB_NAME, root=mapping("run job", run=RUN_ID, job=JOB_NAME),
    )),
    "1-1-1/ProcessingEngineRunFacet": ("RunFacet", mapping(
        "version", version=TEXT, name=TEXT, openlineageAdapterVersion=TEXT,
    )),
    "1-0-1/ErrorMessageRunFacet": ("RunFacet", mapping(
        "message programmingLanguage", message=TEXT, programmingLanguage=TEXT, stackTrace=TEXT,
    )),
    "1-0-0/TagsRunFacet": ("RunFacet", mapping(
        tags=items(mapping("key value", key=TEXT, value=TEXT, source=TEXT)),
    )),
}  # fmt: skip


def _published() -> dict[str, dict[str, Any]]:
    schemas = {CORE: CORE_SCHEMA}
    for name, (base, own) in FACETS.items():
        place, title = f"{SPEC}/facets/{name}.json", name.partition("/")[2]
        definitions = {title: both({"$ref": f"{CORE}#/$defs/{base}"}, own), "SchemaField": SCHEMA_FIELD}
        schemas[place] = {"$schema": CORE_SCHEMA["$schema"], "$id": place, "$defs": definitions}
    return schemas


SCHEMAS = _published()
REGISTRY: Registry[Any] = Registry().with_resources(
    (place, Resource.from_contents(schema)) for place, schema in SCHEMAS.items()
)
FORMATS = jsonschema.FormatChecker(formats=["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    return datetime.fromisoformat(str(value)).tzinfo is not None


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return bool(urlsplit(str(value)).scheme)


def validate(event: dict[str, Any]) -> list[str]:
    """Names of the facets in an event that keeps the specification. Raises jsonschema's ValidationError otherwise."""
    _check(event, event["schemaURL"])
    found = []
    for name, facet in _facets(event):
        _check(facet, facet["_schemaURL"])
        found.append(name)
    return found


def _check(value: Any, place: str) -> None:
    assert place.partition("#")[0] in SCHEMAS, f"no schema of {place} is known here"
    checker = jsonschema.Draft202012Validator({"$ref": place}, registry=REGISTRY, format_checker=FORMATS)
    checker.validate(value)


def _facets(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for holder in (event["run"], event["job"], *event.get("inputs", ()), *event.get("outputs", ())):
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from holder.get(kind, {}).items()

"""From a pipeline to its tasks: schemas, SQL and code in, no data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from codeintel.code_fingerprint import code_parts
from codeintel.datafusion_engine.inference import infer
from codeintel.datafusion_engine.plan_cache import PlanCache
from codeintel.datafusion_engine.sql_text import front_matter
from codeintel.errors import PlanError, nearest
from codeintel.fingerprint import digest
from codeintel.hamilton_pipeline.contract_job import ContractJob
from codeintel.hamilton_pipeline.partition_jobs import perform, streamed_inputs
from codeintel.hamilton_pipeline.semantic_registry import semantic_id
from codeintel.hamilton_pipeline.view_contracts import declared_contract, declared_table
from codeintel.relspec.pipeline import Analysis, Contract, Pipeline, Table
from codeintel.relspec.plan_artifacts import PLAN_ARTIFACTS
from codeintel.relspec.task import Mode, Task
from codeintel.store.delta import stored_type
from codeintel.store.partitions import is_bucketed, schema_digest

_PYARROW = digest("pyarrow", pa.__version__)
HANDLES = frozenset({"repository"})
"""Parameters that say where to look, not what is there: no part of any signature."""


@dataclass(frozen=True, slots=True)
class PlannedPipeline:
    """Tasks in no particular order, the declared or inferred table behind each, and every public table's contract.

    `weights` are the seconds of tasks that are known to take none: a fact table's is its extractor's work.
    """

    tasks: tuple[Task, ...]
    tables: Mapping[str, Table]
    contracts: Mapping[str, Contract]
    weights: Mapping[str, float]

    @property
    def runners(self) -> dict[str, Mapping[str, str]]:
        """What the part `runner` of tasks is the digest of."""
        return {_runner(function): _runner_parts(function) for function in (perform, ContractJob.run)}

    def output_of(self, table: str) -> str:
        return output_task(table, self.contracts[table])


def output_task(table: str, contract: Contract) -> str:
    """Name of the task that publishes `table`."""
    return f"{table}_{contract.version}"


def plan_pipeline(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    *,
    origins: Mapping[str, str] | None = None,
    cache: PlanCache | None = None,
    known: Mapping[str, Task] | None = None,
) -> PlannedPipeline:
    """Infer what every task of `pipeline` reads. Raises PlanError for whatever cannot be planned.

    `known` are the tasks of this same pipeline, planned before from the same code: they are not signed anew.
    """
    _check_names(pipeline)
    tables = {name: source.table for name, source in pipeline.sources.items()}
    for extractor in pipeline.extractors.values():
        tables |= extractor.tables
    analysed = {name: Table(_schema_of(name, analyse), ()) for name, analyse in pipeline.analyses.items()}
    tables |= analysed
    schemas = {n: t.schema for n, t in tables.items()}
    inferred = infer(pipeline.views, schemas, functions=pipeline.functions, origins=origins, cache=cache)
    for name, sql in pipeline.views.items():
        tables[name] = _view_table(name, sql, inferred.schemas[name], pipeline.contracts.get(name))
    for name in analysed.keys() & pipeline.contracts.keys():
        tables[name] = pipeline.contracts[name].table
    contracts = dict(pipeline.contracts)
    for name in sorted(pipeline.published - contracts.keys()):
        if name not in tables:
            raise PlanError(
                f"{name!r} is to be published, but nothing derives it; {nearest(name, tables)}", subject=name
            )
        contracts[name] = declared_contract(name, pipeline.views.get(name, ""), tables[name], pipeline.contracts)
    for name, sql in pipeline.views.items():
        if (meant := front_matter(sql).get("semantic_id")) is not None:
            _check_semantic_id(name, meant, contracts.get(name))
    for name, contract in contracts.items():
        if name not in tables:
            raise PlanError(f"a contract names {name!r}, which nothing derives; {nearest(name, tables)}", subject=name)
        _check_types(name, contract.table.schema)
        _check_names_in(name, contract, tables)
    if known is not None:
        tasks = [*known.values()]
    else:
        own = {name: _run_parts(name, tables, contracts) for name in (*tables, *pipeline.extractors)}
        tasks = [*_source_tasks(pipeline, parameters, own), *_extractor_tasks(pipeline, parameters, own)]
        tasks += [_analysis_task(name, f, tables, parameters, own[name]) for name, f in pipeline.analyses.items()]
        tasks += [
            Task.of_parts(t.name, t.kind, t.inputs, t.columns, {**t.parts, **own[t.name]}, t.lineage)
            for t in inferred.tasks
        ]
        tasks += [_output_task(name, contract) for name, contract in contracts.items()]
    weights = {table: 0.0 for extractor in pipeline.extractors.values() for table in extractor.tables}
    return PlannedPipeline(tuple(tasks), tables, contracts, weights)


def _check_names(pipeline: Pipeline) -> None:
    seen = dict.fromkeys(("plan_diagnostics", *PLAN_ARTIFACTS), "part of the plan")
    named = [(n, "source") for n in pipeline.sources] + [(n, "extractor") for n in pipeline.extractors]
    named += [(n, "fact table") for e in pipeline.extractors.values() for n in e.tables]
    named += [(n, "view") for n in pipeline.views] + [(n, "analysis") for n in pipeline.analyses]
    for name, what in named:
        if not name.isidentifier():
            raise PlanError(f"{what} {name!r} cannot name a table; use letters, digits and underscores", subject=name)
        if name in seen:
            raise PlanError(f"{what} {name!r} has the name of a {seen[name]}; rename one of them", subject=name)
        seen[name] = what


def _schema_of(name: str, analyse: Analysis) -> pa.Schema:
    schema = getattr(analyse, "output_schema", None)
    if not isinstance(schema, pa.Schema):
        raise PlanError(
            f"analysis {name!r} declares no output schema; decorate it with @codeintel.analysis(schema)", subject=name
        )
    return schema


def _view_table(name: str, sql: str, found: pa.Schema, contract: Contract | None) -> Table:
    """The table a view derives: its contract's, if that agrees with what its plan gives, else the inferred one."""
    if contract is None:
        return declared_table(name, sql, _stored(name, found))
    declared = contract.table.schema
    for column in declared.names:
        if column not in found.names:
            raise PlanError(
                f"view {name!r} lacks the column {column!r} of its contract; {nearest(column, found.names)}",
                subject=name,
            )
    for column in found.names:
        if column not in declared.names:
            raise PlanError(f"view {name!r} outputs {column!r}, which its contract does not list", subject=name)
        given, wanted = found.field(column).type, declared.field(column).type
        if given != wanted and not (_family(given) == _family(wanted)):
            raise PlanError(f"view {name!r} outputs {column!r} as {given}, its contract says {wanted}", subject=name)
    return contract.table


def _family(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "floating"
    return (
        "string"
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        else str(kind)
    )


def _check_semantic_id(view: str, meant: str, contract: Contract | None) -> None:
    """Raise PlanError for a view that says it is public and has no contract, or one of another name."""
    if contract is None:
        raise PlanError(f"view {view!r} is the public {meant} by its own words, and has no contract", subject=view)
    if (found := semantic_id(view, contract)) != meant:
        raise PlanError(f"view {view!r} is the public {meant} by its own words, by its contract {found}", subject=view)


def _check_names_in(table: str, contract: Contract, tables: Mapping[str, Table]) -> None:
    """Raise PlanError for a reference to what is not there, or a column that is not."""
    names = contract.table.schema.names
    keys = (*contract.table.key, *contract.entity_keys, *contract.join_keys)
    for column in (*keys, *contract.meanings, *contract.units, *contract.allowed):
        if column not in names:
            wrong = f"names the column {column!r}, which it has not; {nearest(column, names)}"
            raise PlanError(f"the contract of {table!r} {wrong}", subject=table)
    for reference in contract.references:
        if (target := tables.get(reference.target)) is None:
            wrong = f"refers to {reference.target!r}, which nothing derives; {nearest(reference.target, tables)}"
            raise PlanError(f"the contract of {table!r} {wrong}", subject=table)
        for (column,), known in ((reference.columns, contract.table), (reference.target_columns, target)):
            if column not in known.schema.names:
                wrong = f"refers to {reference.target} by the column {column!r}; {nearest(column, known.schema.names)}"
                raise PlanError(f"the contract of {table!r} {wrong}", subject=table)


def _check_types(table: str, schema: pa.Schema) -> None:
    """Raise PlanError for a declared type that Delta would not give back as it is."""
    for field in schema:
        kind = stored_type(field.type)
        if kind is None or (kind != field.type and not pa.types.is_nested(kind)):
            instead = f"would hold as {kind}; declare that" if kind else "cannot hold; declare another type"
            raise PlanError(
                f"{table!r} has {field.name!r} as {field.type}, which a Delta table {instead}", subject=table
            )


def _stored(view: str, schema: pa.Schema) -> pa.Schema:
    """What a table of the view's rows is declared to hold. Raises PlanError for a type that no table can.

    Nullability as an engine infers it is a statement about its plan, not a promise of the view's author.
    """
    fields = []
    for field in schema:
        if (kind := stored_type(field.type)) is None:
            raise PlanError(
                f"view {view!r} outputs {field.name!r} as {field.type}, which no Delta table can hold; cast it to "
                "another type, VARCHAR for example",
                subject=view,
            )
        fields.append(pa.field(field.name, pa.int32() if field.name == "bucket" and is_bucketed(schema) else kind))
    return pa.schema(fields)


def filled(name: str, function: Callable[..., object], parameters: Mapping[str, Any], taken: int = 0) -> dict[str, Any]:
    """The build parameters that `function` declares, past its first `taken`. Raises PlanError for an unknown one."""
    wanted = list(inspect.signature(function).parameters.values())[taken:]
    unknown = [p.name for p in wanted if p.name not in parameters and p.default is p.empty]
    if unknown:
        raise PlanError(
            f"{name!r} asks for {unknown[0]!r}, which is neither a table nor a setting; "
            f"{nearest(unknown[0], parameters)}",
            subject=name,
        )
    return {p.name: parameters[p.name] for p in wanted if p.name in parameters}


def _setting_parts(values: Mapping[str, Any]) -> dict[str, str]:
    return {f"setting {name}": digest(value) for name, value in values.items() if name not in HANDLES}


@cache
def _runner_parts(function: Callable[..., object]) -> Mapping[str, str]:
    """Parts of this package's own code that runs tasks. It reads no environment: only the command line may."""
    return {name: part for name, part in code_parts(function).items() if not name.startswith("environment")}


@cache
def _runner(function: Callable[..., object]) -> str:
    return digest(_runner_parts(function))


_Own = Mapping[str, Mapping[str, str]]  # parts by task, of what writes its rows


def _source_tasks(pipeline: Pipeline, parameters: Mapping[str, Any], own: _Own) -> list[Task]:
    tasks = []
    for name, source in pipeline.sources.items():
        parts = {"schema": schema_digest(source.table.schema)}
        if isinstance(source.read, Path):
            parts["path"] = digest(source.read)
        else:
            parts |= code_parts(source.read) | _setting_parts(filled(name, source.read, parameters))
        tasks.append(Task.of_parts(name, "source", {}, {}, {**parts, **own[name]}))
    return tasks


def _extractor_tasks(pipeline: Pipeline, parameters: Mapping[str, Any], own: _Own) -> list[Task]:
    tasks = []
    for name, extractor in pipeline.extractors.items():
        source = next(iter(inspect.signature(extractor.extract).parameters))
        if source not in pipeline.sources:
            raise PlanError(
                f"extractor {name!r} reads {source!r}, which is no source; {nearest(source, pipeline.sources)}",
                subject=name,
            )
        parts = code_parts(extractor.extract) | _setting_parts(filled(name, extractor.extract, parameters, taken=1))
        columns = {source: frozenset(pipeline.sources[source].table.schema.names)}
        tasks.append(Task.of_parts(name, "extractor", {source: "same_bucket"}, columns, {**parts, **own[name]}))
        tasks += [
            Task.of_parts(
                table,
                "extractor",
                {name: "same_bucket"},
                {name: frozenset()},
                {"schema": schema_digest(declared.schema), **own[table]},
            )
            for table, declared in extractor.tables.items()
        ]
    return tasks


def _analysis_task(
    name: str,
    analyse: Analysis,
    tables: Mapping[str, Table],
    parameters: Mapping[str, Any],
    own: Mapping[str, str],
) -> Task:
    wanted = list(inspect.signature(analyse).parameters.values())
    for parameter in wanted:
        if parameter.name not in tables and parameter.name not in parameters and parameter.default is parameter.empty:
            raise PlanError(
                f"analysis {name!r} reads {parameter.name!r}, which is no table; {nearest(parameter.name, tables)}",
                subject=name,
            )
    inputs: dict[str, Mode] = {p.name: "whole" for p in wanted if p.name in tables}
    streamed_inputs(name, analyse, inputs)  # what is wrong with its annotations is told before anything runs
    components: str | None = getattr(analyse, "components", None)
    if components is not None:
        _check_components(name, components, tables, inputs)
    settings = {p.name: parameters[p.name] for p in wanted if p.name in parameters and p.name not in tables}
    parts = {**code_parts(analyse), **_setting_parts(settings), **own}
    parts |= {"schema": schema_digest(tables[name].schema), "library pyarrow": _PYARROW}
    if components is not None:
        parts["components"] = digest(components)
    return Task.of_parts(name, "analysis", inputs, {t: _column_names(tables[t].schema) for t in inputs}, parts)


def _check_components(name: str, components: str, tables: Mapping[str, Table], inputs: Mapping[str, Mode]) -> None:
    """Raise PlanError for components that are no input or tell no files apart, and for an analysis without files."""
    if components not in inputs:
        wrong = f"has components by {components!r}, which it does not read; {nearest(components, inputs)}"
    elif missing := {"path", "component"} - set(tables[components].schema.names):
        wrong = f"has components by {components!r}, which lacks the column {min(missing)!r}"
    elif not is_bucketed(tables[name].schema):
        wrong = "has components, and rows that are of no file: it gives no 'path' or no 'bucket'"
    else:
        return
    raise PlanError(f"analysis {name!r} {wrong}", subject=name)


def _run_parts(name: str, tables: Mapping[str, Table], contracts: Mapping[str, Contract]) -> dict[str, str]:
    """Parts of what writes a task's rows: the code that runs jobs, the key, and what a contract says of each value."""
    parts = {"runner": _runner(perform)}
    if name in tables:
        parts["key"] = _key_digest(tables[name].key)
    if name in contracts:
        parts["contract"] = schema_digest(contracts[name].table.schema)
    return parts


@cache
def _key_digest(key: tuple[str, ...]) -> str:
    return digest(key)


@cache
def _column_names(schema: pa.Schema) -> frozenset[str]:
    return frozenset(schema.names)


def _contract_digest(contract: Contract) -> str:
    return digest(
        schema_digest(contract.table.schema),
        contract.table.key,
        contract.grain,
        contract.meanings,
        contract.units,
        contract.allowed,
        [(r.columns, r.target, r.target_columns) for r in contract.references],
        contract.severity,
        contract.version,
        (contract.entity, contract.entity_keys, contract.join_keys, contract.stability),
    )


def _output_task(table: str, contract: Contract) -> Task:
    inputs: dict[str, Mode] = {table: "same_bucket"}
    columns = {table: frozenset(contract.table.schema.names)}
    for reference in contract.references:
        if reference.target != table:
            inputs[reference.target] = "whole"
            columns[reference.target] = columns.get(reference.target, frozenset()) | set(reference.target_columns)
    parts = {
        "schema": schema_digest(contract.table.schema),
        "contract": _contract_digest(contract),
        "runner": _runner(ContractJob.run),
    }
    return Task.of_parts(output_task(table, contract), "output", inputs, columns, parts)

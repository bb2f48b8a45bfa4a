"""The semantic registry: what the driver's graph says about every public table, and the catalog that reads it back.

Tags are made from contracts, stand on the nodes of the outputs, and are read from there: a tag that is not on its node
is not in the registry. A public output that lacks one never gets a driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from codeintel.errors import PlanError
from codeintel.obs.diagnostics import read_artifact
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.pipeline import Contract
from codeintel.relspec.task import published_table
from codeintel.store.directory import Store
from codeintel.store.runs import Manifest, artifacts_of

if TYPE_CHECKING:  # reading the catalog must not pay for engines
    import pyarrow as pa
    from hamilton.node import Node

REGISTRY = "semantic_registry"
REQUIRED_TAGS = (
    "layer", "semantic_id", "kind", "entity", "grain", "entity_keys", "join_keys", "schema_ref", "version", "stability",
)  # fmt: skip


class Entry(NamedTuple):
    """One public table, as a row of the artifact `semantic_registry`.

    The first ones are the tags of its node. `columns` is a JSON list of name, type, nullable, unit and meaning;
    `upstream_columns` are `table.column` of everything that the table is made from directly.
    """

    table: str
    node_name: str
    layer: str
    semantic_id: str
    kind: str
    entity: str
    grain: str
    entity_keys: list[str]
    join_keys: list[str]
    schema_ref: str
    version: str
    stability: str
    severity: str
    rules: list[str]
    columns: str
    upstream_tables: list[str]
    upstream_columns: list[str]


def semantic_id(table: str, contract: Contract) -> str:
    """Name of a public table in the catalog."""
    return f"semantic.{table}_{contract.version}"


def semantic_tags(table: str, contract: Contract) -> dict[str, str | list[str]]:
    """Tags of the node that publishes `table`; what the contract leaves empty has none.

    They follow from the contract alone, never from a plan: a tracker keeps those of the first run that it sees.
    """
    tags: dict[str, str | list[str]] = {
        "layer": "semantic",
        "semantic_id": semantic_id(table, contract),
        "kind": "table",
        "entity": contract.entity,
        "grain": contract.grain,
        "entity_keys": [*(contract.table.key or contract.entity_keys)],
        "join_keys": [*contract.join_keys],
        "schema_ref": f"{table}/{contract.version}",
        "version": contract.version,
        "stability": contract.stability,
    }
    return {name: value for name, value in tags.items() if value}


def compile_registry(
    nodes: Iterable[Node], plan: ExecutionPlan, contracts: Mapping[str, Contract]
) -> tuple[Entry, ...]:
    """Entries of all public tables of `plan`, by table, from the nodes of a driver.

    Raises PlanError for a public output without a node, a contract or a required tag, naming both.
    """
    by_name = {node.name: node for node in nodes}
    entries = []
    for name, task in plan.tasks.items():
        if task.kind != "output":
            continue
        table = published_table(task)
        if name not in by_name:
            raise PlanError(f"the public table {table!r} has no node {name!r} in the driver", subject=name)
        if (contract := contracts.get(table)) is None:
            raise PlanError(f"the public output {name!r} has no contract; give {table!r} one", subject=name)
        tags: Mapping[str, Any] = by_name[name].tags  # texts, and lists of them
        for tag in REQUIRED_TAGS:
            if not tags.get(tag):
                wrong = f"the public output {name!r} lacks the tag {tag!r}; say it in the contract of {table!r}"
                raise PlanError(wrong, subject=name)
        made_by = plan.tasks[table]
        entries.append(
            Entry(
                table=table,
                node_name=name,
                **{tag: tags[tag] for tag in REQUIRED_TAGS},
                severity=contract.severity,
                rules=[*contract.rules],
                columns=msgspec.json.encode(_columns(contract)).decode(),
                upstream_tables=sorted(made_by.inputs),
                upstream_columns=sorted(f"{t}.{c}" for t, columns in made_by.columns.items() for c in columns),
            )
        )
    return tuple(sorted(entries))


def _columns(contract: Contract) -> list[dict[str, Any]]:  # Any: texts and truths
    return [
        {
            "name": field.name,
            "type": str(field.type),
            "nullable": field.nullable,
            "unit": contract.units.get(field.name, ""),
            "meaning": contract.meanings.get(field.name, ""),
        }
        for field in contract.table.schema
    ]


def catalog(store: Store, manifest: Manifest) -> list[dict[str, Any]]:  # Any: what Entry holds, rows and version
    """One mapping per public table of a run, by name: its entry, and what the run published of it.

    `rows` and `delta_version` are null for what the run did not publish.
    """
    found = []
    for row in read_artifact(artifacts_of(store, manifest.run_id), REGISTRY):
        entry = Entry(*row)._asdict()
        published = manifest.tables.get(entry["table"])
        found.append(
            entry
            | {
                "columns": msgspec.json.decode(entry["columns"]),
                "rows": published.rows if published else None,
                "delta_version": published.version if published else None,
            }
        )
    return found


def registry_faults(
    recorded: Sequence[Mapping[str, Any]],  # as `catalog` gives it
    manifest: Manifest,
    stored: Mapping[str, pa.Schema],
    now: Sequence[Entry],
) -> list[str]:
    """What is wrong with the catalog of a run, one line each.

    `stored` are the columns of the published tables as Delta has them; `now` is the registry that a driver gives today,
    empty if that cannot be told.
    """
    listed = {entry["table"] for entry in recorded}
    faults = [f"{table}: published, and not in the catalog" for table in manifest.tables.keys() - listed]
    today = {entry.table: entry._asdict() for entry in now}
    for entry in recorded:
        table = entry["table"]
        faults += [f"{table}: the tag {tag!r} is missing" for tag in REQUIRED_TAGS if not entry[tag]]
        if table in stored:
            promised = {c["name"]: _column_text(c["type"], c["nullable"]) for c in entry["columns"]}
            found = {field.name: _column_text(str(field.type), field.nullable) for field in stored[table]}
            faults += [
                f"{table}.{name} is {found.get(name, 'missing')}, in the catalog {promised.get(name, 'missing')}"
                for name in sorted(promised.keys() | found.keys())
                if promised.get(name) != found.get(name)
            ]
        if now and table not in today:
            faults.append(f"{table}: no longer published; build again")
        for name, value in today.get(table, {}).items():
            said = msgspec.json.encode(entry[name]).decode() if name == "columns" else entry[name]
            if said != value:
                faults.append(f"{table}: {name} has changed since the run; build again")
    return sorted(faults)


def _column_text(kind: str, nullable: bool) -> str:
    return f"{kind}{'' if nullable else ' not null'}"

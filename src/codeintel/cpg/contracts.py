"""What the public tables promise. Offsets are bytes into the file as it is on disk; lines count from 1."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from codeintel.cpg.kinds import LABELS
from codeintel.relspec.pipeline import Contract, Reference, Table

_PATH = "path of the file below the repository root, with `/`; `<external>` for nodes of no file"
_BUCKET = "partition: xxh64(path) modulo the store's bucket count"

EDGE_KINDS = frozenset(
    {
        "AST", "CONTAINS", "ARGUMENT", "RECEIVER", "BINDS", "REF", "IMPORTS", "CFG", "DOMINATE", "POST_DOMINATE", "CDG",
        "REACHING_DEF", "CALL", "INHERITS_FROM", "EVAL_TYPE",
    }
)  # fmt: skip


def _table(key: tuple[str, ...], /, **columns: tuple[pa.DataType, bool]) -> Table:
    return Table(pa.schema([pa.field(n, t, nullable=nullable) for n, (t, nullable) in columns.items()]), key)


_STR, _INT, _ID, _REAL, _BOOL = pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.bool_()

CONTRACTS = {
    "cpg_nodes": Contract(
        table=_table(
            ("node_id",),
            node_id=(_ID, False),
            kind=(_STR, False),
            label=(_STR, False),
            path=(_STR, False),
            owner_id=(_ID, True),
            name=(_STR, True),
            qualname=(_STR, True),
            bstart=(_INT, True),
            bend=(_INT, True),
            ctx=(_STR, True),
            line=(_INT, True),
            col=(_INT, True),
            end_line=(_INT, True),
            end_col=(_INT, True),
            bucket=(_INT, False),
        ),
        grain="one row per node of the graph",
        meanings={
            "node_id": "edit-stable identity of the node",
            "kind": "Python's own name: an `ast` class, `Binding`, `Field` (an attribute of instances), `External`, "
            "`Unparsed` for what cannot be parsed, `Entry` or `Exit` of code",
            "label": "node type of the Code Property Graph specification",
            "path": _PATH,
            "owner_id": "module, class or function around it, for a binding its scope; null for modules and externals",
            "name": "identifier, or operator as `<operator>.name`; null where the node has none",
            "qualname": "dotted name, module first, of definitions, modules, bindings and externals",
            "bstart": "first byte of the node in its file; null where it has no text",
            "bend": "byte after the last one",
            "ctx": "`Load`, `Store` or `Del` of an expression that has a context",
            "line": "first line, from 1",
            "col": "column on the first line, in UTF-8 bytes from 0",
            "end_line": "last line, from 1",
            "end_col": "column after the last character, in UTF-8 bytes from 0",
            "bucket": _BUCKET,
        },
        units={
            "node_id": "id",
            "owner_id": "id",
            "bstart": "bytes",
            "bend": "bytes",
            "line": "lines",
            "col": "bytes",
            "end_line": "lines",
            "end_col": "bytes",
            "bucket": "buckets",
        },
        allowed={
            "kind": frozenset(LABELS),
            "label": frozenset(LABELS.values()),
            "ctx": frozenset({"Load", "Store", "Del"}),
        },
        references=(Reference(("owner_id",), "cpg_nodes", ("node_id",)),),
        entity="node",
        join_keys=("node_id", "path"),
    ),
    "cpg_edges": Contract(
        table=_table(
            ("src", "dst", "kind", "label", "ordinal", "origin"),
            src=(_ID, False),
            dst=(_ID, False),
            kind=(_STR, False),
            label=(_STR, False),
            ordinal=(_INT, False),
            origin=(_STR, False),
            confidence=(_REAL, False),
            path=(_STR, False),
            bucket=(_INT, False),
        ),
        grain="one row per edge; several may join the same two nodes",
        meanings={
            "src": "node the edge leaves",
            "dst": "node it enters",
            "kind": "edge type of the CPG specification, or `BINDS`: from what binds a name to its binding",
            "label": "AST field, argument name, how a name is bound or resolved, branch, variable; empty for none",
            "ordinal": "place among edges of the same source, kind and label, from 0",
            "origin": "the table that says so; of `CALL` how the callee was found, see `docs/resolution.md`",
            "confidence": "share of certainty, 0 to 1",
            "path": "path of the source node's file",
            "bucket": _BUCKET,
        },
        units={"src": "id", "dst": "id", "ordinal": "edges", "confidence": "share", "bucket": "buckets"},
        allowed={"kind": EDGE_KINDS},
        references=(
            Reference(("src",), "cpg_nodes", ("node_id",)),
            Reference(("dst",), "cpg_nodes", ("node_id",)),
        ),
        entity="edge",
        join_keys=("src", "dst", "path"),
    ),
    "cpg_props": Contract(
        table=_table(
            ("entity_id", "key"),
            entity_id=(_ID, False),
            entity=(_STR, False),
            key=(_STR, False),
            value=(_STR, True),
            value_type=(_STR, False),
            path=(_STR, False),
            bucket=(_INT, False),
        ),
        grain="one row per property of a node",
        meanings={
            "entity_id": "the node that has the property",
            "entity": "`node`",
            "key": "name of the property: an `ast` field, or a fact such as `docstring`",
            "value": "its value as text; null for None",
            "value_type": "type of the value in Python",
            "path": _PATH,
            "bucket": _BUCKET,
        },
        units={"entity_id": "id", "bucket": "buckets"},
        allowed={"entity": frozenset({"node"})},
        references=(Reference(("entity_id",), "cpg_nodes", ("node_id",)),),
        entity="property",
        join_keys=("entity_id", "path"),
    ),
    "files": Contract(
        table=_table(
            ("path",),
            path=(_STR, False),
            module=(_STR, False),
            digest=(_STR, True),
            bytes=(_ID, False),
            lines=(_INT, True),
            encoding=(_STR, True),
            status=(_STR, False),
            bucket=(_INT, False),
        ),
        grain="one row per file of the repository",
        meanings={
            "path": _PATH,
            "module": "dotted module name",
            "digest": "BLAKE3 of the bytes that were listed, 20 bytes in hexadecimal; null if they could not be read. "
            "No others are parsed",
            "bytes": "size in bytes",
            "lines": "number of lines; null if the file was not read",
            "encoding": "encoding by byte order mark or PEP 263; null if it could not be told",
            "status": "`ok`; `recovered` if it does not parse and what does is in the graph; `partial` if it parses "
            "and its scopes are missing; `failed` if nothing but this row is known",
            "bucket": _BUCKET,
        },
        units={"bytes": "bytes", "lines": "lines", "bucket": "buckets"},
        allowed={"status": frozenset({"ok", "recovered", "partial", "failed"})},
        entity="file",
        join_keys=("path", "module"),
    ),
    "extract_errors": Contract(
        table=_table(
            ("path", "stage", "ordinal"),
            path=(_STR, False),
            stage=(_STR, False),
            ordinal=(_INT, False),
            error=(_STR, False),
            message=(_STR, False),
            line=(_INT, True),
            col=(_INT, True),
            recovered=(_BOOL, False),
            bucket=(_INT, False),
        ),
        grain="one row per fault of a file",
        meanings={
            "path": _PATH,
            "stage": "`scan`, `read`, `decode`, `parse`, `recovery` (a part that is left out or read as something "
            "else) or `scopes`",
            "ordinal": "place among the faults of the file and stage, from 0",
            "error": "class of the fault",
            "message": "what is wrong",
            "line": "line, from 1, if known",
            "col": "column, from 0, if known",
            "recovered": "whether parts of the file are in the graph all the same",
            "bucket": _BUCKET,
        },
        units={"ordinal": "faults", "line": "lines", "col": "characters", "bucket": "buckets"},
        references=(Reference(("path",), "files", ("path",)),),
        entity="error",
        join_keys=("path",),
    ),
    "unresolved_calls": Contract(
        table=_table(
            ("node_id",),
            node_id=(_ID, False),
            reason=(_STR, False),
            path=(_STR, False),
            bucket=(_INT, False),
        ),
        grain="one row per call not all of whose callees are known",
        meanings={
            "node_id": "the call",
            "reason": "why they are not; see `docs/resolution.md`",
            "path": _PATH,
            "bucket": _BUCKET,
        },
        units={"node_id": "id", "bucket": "buckets"},
        references=(Reference(("node_id",), "cpg_nodes", ("node_id",)),),
        entity="call",
        join_keys=("node_id", "path"),
    ),
}


def contracts_markdown() -> str:
    """The page that documents every public table, as Markdown."""
    return "\n".join([_PAGE, *(line for name in CONTRACTS for line in _table_lines(name, CONTRACTS[name]))])


def contract_faults() -> list[str]:
    """Columns that nobody can use: without a meaning, or numbers without a unit."""
    faults = []
    for name, contract in CONTRACTS.items():
        for column in contract.table.schema:
            is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
            if not contract.meanings.get(column.name, "").strip():
                faults.append(f"{name}.{column.name} has no meaning")
            if is_number and not contract.units.get(column.name, "").strip():
                faults.append(f"{name}.{column.name} is a number without a unit")
    return faults


def _table_lines(name: str, contract: Contract) -> Iterator[str]:
    yield f"\n## `{name}`\n"
    key = ", ".join(f"`{column}`" for column in contract.table.key)
    grain = contract.grain[0].upper() + contract.grain[1:]
    yield f"{grain}. Key: {key}. Version {contract.version}, {contract.stability}."
    for reference in contract.references:
        yield f"`{reference.columns[0]}` is a `{reference.target_columns[0]}` of `{reference.target}`."
    yield "\n| column | type | null | unit | meaning |\n|---|---|---|---|---|"
    for field in contract.table.schema:
        null = "yes" if field.nullable else ""
        unit = contract.units.get(field.name, "")
        yield f"| `{field.name}` | {field.type} | {null} | {unit} | {contract.meanings[field.name]} |"
    for column, allowed in sorted(contract.allowed.items()):
        yield f"\nValues of `{column}`: {', '.join(f'`{value}`' for value in sorted(allowed))}."


_PAGE = """\
# Public tables

<!-- Generated from `codeintel.cpg.contracts`; `make docs` writes it anew. -->

What each table promises, checked before a run is published: a broken promise publishes nothing. All are Delta tables,
partitioned by `bucket`, below `.codeintel/tables`."""

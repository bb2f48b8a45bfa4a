"""The fact tables of one chunk of files, built column by column from what the other modules found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from codeintel.arrays import distinct
from codeintel.extract.bindings import HOWS, RESOLUTIONS, Bindings, Resolver
from codeintel.extract.calls import ARGUMENT_KINDS, Arguments, Calls, arguments, calls
from codeintel.extract.control_flow import ControlFlow, control_flow
from codeintel.extract.data_flow import UNDEFINED, DataFlow, data_flow
from codeintel.extract.definitions import (
    PARAMETER_KINDS,
    Definitions,
    Hanging,
    child_in,
    class_bases,
    decorators,
    define,
    docstrings,
    flow_ids,
    generators,
    parameters,
)
from codeintel.extract.dominance import DOMINANCE_KINDS, dominance
from codeintel.extract.function_effects import EFFECTS, SOURCES, FunctionEffects, function_effects
from codeintel.extract.grammar import CONTEXTS, FIELDS, IS_OWNER, KIND, KINDS
from codeintel.extract.ids import all_hashed, external_id, fields
from codeintel.extract.imports import imports
from codeintel.extract.pattern_flow import LABELS
from codeintel.extract.properties import VALUE_TYPES, property_columns
from codeintel.extract.reading import SourceFile
from codeintel.extract.scopes import (
    CELL,
    DEF_ANNOT,
    DEF_BOUND,
    DEF_IMPORT,
    DEF_LOCAL,
    DEF_NONLOCAL,
    DEF_PARAM,
    FREE,
    FUNCTION,
    GLOBAL_EXPLICIT,
    GLOBAL_IMPLICIT,
    LOCAL,
    USE,
    Scopes,
    alphabetical,
    match_scopes,
    scope_ids,
)
from codeintel.extract.syntax import Syntax, Texts
from codeintel.extract.tables import TABLES
from codeintel.extract.value_flow import ValueFlow, value_flow


@dataclass(slots=True)
class Chunk:
    """Files that were read, the syntax of those that parsed, and what `__all__` lists by number of the file."""

    files: list[SourceFile]
    syntax: Syntax
    texts: Texts
    exports: dict[int, tuple[list[str], bool]]


class _Columns:
    """Makes Arrow columns of codes and indices."""

    def __init__(self, chunk: Chunk, node_id: np.ndarray) -> None:
        self.paths = pa.array([file.path for file in chunk.files], pa.string())
        self.buckets = np.array([file.bucket for file in chunk.files], np.int32)
        self.texts = chunk.texts
        self.node_id = node_id
        self.listed = pa.array([], pa.string())

    def text(self, codes: np.ndarray) -> pa.Array:
        if len(self.listed) != len(self.texts):
            self.listed = pa.array(list(self.texts), pa.string())
        return self.listed.take(pa.array(codes.astype(np.int32)))

    def node(self, nodes: np.ndarray) -> pa.Array:
        """Ids of nodes, null for -1."""
        missing = nodes < 0
        return pa.array(self.node_id[nodes], mask=missing) if missing.any() else pa.array(self.node_id[nodes])

    def table(self, table: str, files: np.ndarray, **columns: Any) -> pa.Table:
        schema = TABLES[table].schema
        files = np.asarray(files)
        columns["path"] = self.paths.take(pa.array(files))
        columns["bucket"] = self.buckets[files]
        arrays = []
        for column in schema:
            values = columns[column.name]
            if not isinstance(values, pa.Array):
                values = pa.array(values, column.type)
            elif values.type != column.type:
                values = values.cast(column.type)
            arrays.append(values)
        return pa.table(arrays, schema=schema)


def _word(words: Sequence[str | None], codes: np.ndarray) -> pa.Array:
    return pa.array(words, pa.string()).take(pa.array(codes))


def _nullable(values: np.ndarray, missing: np.ndarray) -> pa.Array:
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)


def chunk_tables(chunk: Chunk, namespace: str) -> dict[str, pa.Table]:
    """Every fact table of the chunk."""
    files, syntax, texts = chunk.files, chunk.syntax, chunk.texts
    _recode(files, syntax)
    definitions = define(files, syntax, texts, namespace)
    columns = _Columns(chunk, definitions.node_id)
    imported = imports(files, syntax, texts)
    scopes = match_scopes(files, syntax, texts)
    resolver = Resolver(syntax, scopes, texts, texts.codes(imported.bound), alphabetical(texts))
    bindings = resolver.bindings
    flow = control_flow(syntax, texts)
    reached = data_flow(syntax, texts, flow, scopes, bindings)
    given = arguments(syntax)
    made = calls(syntax, texts, given)
    recovered = np.array([file.is_recovered for file in files], bool)
    scopes_and_names = _scope_tables(scopes, bindings, syntax, definitions, columns)
    binding_ids = scopes_and_names["bindings"]["binding_id"].to_numpy()
    found = value_flow(syntax, texts, definitions, scopes, resolver, imported, reached, binding_ids)
    tables = {
        **_file_tables(files, columns, chunk.exports),
        "ast_nodes": _ast_nodes(syntax, definitions, columns),
        "ast_props": _ast_props(syntax, columns),
        **scopes_and_names,
        **_value_tables(found, syntax, columns),
        **_definition_tables(syntax, texts, definitions, columns),
        **_flow_tables(flow, syntax, definitions, columns, recovered),
        **_data_flow_tables(reached, syntax, columns, recovered),
        **_call_tables(given, made, syntax, columns),
        "function_effects": _effects(function_effects(syntax, texts, scopes, bindings, made, reached), syntax, columns),
    }
    node = imported.node
    tables["imports"] = columns.table(
        "imports", syntax.file[node], node_id=columns.node(node), statement_id=columns.node(syntax.parent[node]),
        kind=imported.kind, module=imported.module, level=imported.level, name=imported.name, asname=imported.asname,
        bound_name=imported.bound, target=imported.target, target_module=imported.target_module,
        external_id=_external_ids(imported.target), external_module_id=_external_ids(imported.target_module),
    )  # fmt: skip
    return tables


def _external_ids(names: list[str]) -> np.ndarray:
    known = {name: external_id(name) for name in set(names)}
    return np.array([known[name] for name in names], np.int64)


def _recode(files: list[SourceFile], syntax: Syntax) -> None:
    """Offsets of files that are not UTF-8 become offsets into their own bytes."""
    for number, file in enumerate(files):
        if file.remap is not None:
            begin, end = np.searchsorted(syntax.file, [number, number + 1])
            for offsets in (syntax.bstart[begin:end], syntax.bend[begin:end]):
                placed = offsets >= 0
                offsets[placed] = file.remap[offsets[placed]]


def _file_tables(
    files: list[SourceFile], columns: _Columns, exports: dict[int, tuple[list[str], bool]]
) -> dict[str, pa.Table]:
    faults = [(number, fault) for number, file in enumerate(files) for fault in file.faults]
    before: Counter[tuple[int, str]] = Counter()
    ordinals = []
    for number, fault in faults:
        ordinals.append(before[number, fault.stage])
        before[number, fault.stage] += 1
    listed = [
        (number, at, name, complete)
        for number, (names, complete) in sorted(exports.items())
        for at, name in enumerate(names)
    ]
    exporters, positions, names, complete = zip(*listed, strict=True) if listed else ((), (), (), ())
    return {
        "parsed_files": columns.table(
            "parsed_files", np.arange(len(files)), lines=[file.lines for file in files],
            encoding=[file.encoding for file in files], status=[file.status for file in files],
        ),
        "file_errors": columns.table(
            "file_errors", np.array([number for number, _ in faults], np.int32), stage=[f.stage for _, f in faults],
            ordinal=ordinals, error=[f.error for _, f in faults],
            message=[_printable(f.message) for _, f in faults], line=[f.line for _, f in faults],
            col=[f.col for _, f in faults], recovered=[files[number].status != "failed" for number, _ in faults],
        ),
        "exports": columns.table(
            "exports", np.array(exporters, np.int32), position=list(positions), name=[_printable(n) for n in names],
            is_complete=list(complete),
        ),
    }  # fmt: skip


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _ast_nodes(syntax: Syntax, definitions: Definitions, columns: _Columns) -> pa.Table:
    missing = syntax.bstart < 0
    return columns.table(
        "ast_nodes", syntax.file,
        node_id=definitions.node_id, parent_id=columns.node(syntax.parent), owner_id=columns.node(syntax.owner),
        kind=_word(KINDS, syntax.kind), field=_word(FIELDS, syntax.field), ordinal=syntax.ordinal,
        name=columns.text(syntax.name),
        qualname=pa.array(definitions.qualname, pa.string()).take(pa.array(definitions.at, mask=definitions.at < 0)),
        bstart=_nullable(syntax.bstart.astype(np.int32), missing),
        bend=_nullable(syntax.bend.astype(np.int32), missing), ctx=_word(CONTEXTS, syntax.ctx),
        line=_nullable(syntax.line, missing), col=_nullable(syntax.col, missing),
        end_line=_nullable(syntax.end_line, missing), end_col=_nullable(syntax.end_col, missing),
    )  # fmt: skip


def _ast_props(syntax: Syntax, columns: _Columns) -> pa.Table:
    node, keys, key, value, value_type = property_columns(syntax)
    return columns.table(
        "ast_props", syntax.file[node], node_id=columns.node(node), key=_word(keys, key), value=value,
        value_type=_word(VALUE_TYPES, value_type),
    )  # fmt: skip


def _scope_tables(
    scopes: Scopes, bindings: Bindings, syntax: Syntax, definitions: Definitions, columns: _Columns
) -> dict[str, pa.Table]:
    ids, prefixes = scope_ids(scopes, syntax, definitions)
    names = list(columns.texts)
    binding_names = [names[code] for code in bindings.name.tolist()]
    binding_scopes = bindings.scope.tolist()
    in_scope, named = [_BINDING + prefix for prefix in prefixes], {name: fields(name) for name in set(binding_names)}
    binding_ids = all_hashed(
        in_scope[scope] + named[name] for scope, name in zip(binding_scopes, binding_names, strict=True)
    )
    inside = _qualnames(scopes, definitions)
    file, listed = scopes.file, np.flatnonzero(scopes.is_listed)
    in_table = np.where(scopes.is_listed, np.arange(len(file)), scopes.parent)
    where, flags = scopes.symbol_type, scopes.symbol_flags
    # `symtable` takes any table called `top` for the module; agreeing with it means making the same mistake.
    top = np.array([name == "top" for name in scopes.name], bool)[scopes.symbol_scope] & ((flags & DEF_BOUND) != 0)
    reached = bindings.target
    external = bindings.external
    codes, inverse = np.unique(external, return_inverse=True)
    externals = np.array([external_id(name) if (name := names[code]) else 0 for code in codes.tolist()], np.int64)
    reference_file = syntax.file[bindings.reference]
    target = np.where(external != 0, externals[inverse], binding_ids[reached] if len(binding_ids) else 0)
    pairs = distinct(reference_file[external != 0].astype(np.int64) << 32 | external[external != 0])
    return {
        "scopes": columns.table(
            "scopes", file[listed], scope_id=ids[listed],
            parent_scope_id=_nullable(ids[scopes.parent[listed]], scopes.parent[listed] < 0),
            kind=[scopes.kind[i] for i in listed.tolist()], name=[scopes.name[i] for i in listed.tolist()],
            line=scopes.line[listed], is_nested=scopes.nested[listed], is_optimized=scopes.type[listed] == FUNCTION,
            has_children=scopes.has_children[listed],
        ),
        "symbols": columns.table(
            "symbols", file[scopes.symbol_scope], scope_id=ids[scopes.symbol_scope],
            name=columns.text(scopes.symbol_name), binding_id=_ids(binding_ids, bindings.of_symbol),
            is_referenced=(flags & USE) != 0, is_parameter=(flags & DEF_PARAM) != 0,
            is_global=(where == GLOBAL_IMPLICIT) | (where == GLOBAL_EXPLICIT) | top,
            is_declared_global=where == GLOBAL_EXPLICIT, is_local=(where == LOCAL) | (where == CELL) | top,
            is_free=where == FREE, is_nonlocal=(flags & DEF_NONLOCAL) != 0, is_imported=(flags & DEF_IMPORT) != 0,
            is_assigned=(flags & DEF_LOCAL) != 0, is_annotated=(flags & DEF_ANNOT) != 0,
            is_namespace=scopes.symbol_namespace,
        ),
        "bindings": columns.table(
            "bindings", file[bindings.scope], binding_id=binding_ids, scope_id=ids[in_table[bindings.scope]],
            name=binding_names,
            qualname=[f"{inside[scope]}.{name}" for scope, name in zip(binding_scopes, binding_names, strict=True)],
            kind=_word(HOWS, bindings.kind),
        ),
        "binders": columns.table(
            "binders", syntax.file[bindings.binder], node_id=columns.node(bindings.binder),
            binding_id=_ids(binding_ids, bindings.binder_binding), how=_word(HOWS, bindings.binder_how),
        ),
        "references": columns.table(
            "references", reference_file, node_id=columns.node(bindings.reference),
            name=columns.text(syntax.name[bindings.reference]),
            target_id=_nullable(target, (reached < 0) & (external == 0)),
            resolution=_word(RESOLUTIONS, bindings.resolution),
        ),
        "external_names": _external_names(pairs, names, columns),
    }  # fmt: skip


_BINDING = fields("binding")


def _ids(ids: np.ndarray, rows: np.ndarray) -> pa.Array:
    """Ids by row, null for -1."""
    return _nullable(ids[rows] if len(ids) else np.zeros(len(rows), np.int64), rows < 0)


def _external_names(pairs: np.ndarray, names: list[str | None], columns: _Columns) -> pa.Table:
    listed = sorted((pair >> 32, str(names[pair & 0xFFFFFFFF])) for pair in pairs.tolist())
    paths = [name for _, name in listed]
    return columns.table(
        "external_names", np.array([file for file, _ in listed], np.int32), external_id=_external_ids(paths), name=paths
    )


def _qualnames(scopes: Scopes, definitions: Definitions) -> list[str]:
    """The qualified name of the definition whose scope each scope is or lies in."""
    found: list[str] = []
    at = np.where(scopes.code >= 0, definitions.at[np.maximum(scopes.code, 0) >> 1], -1)
    for row, parent in zip(at.tolist(), scopes.parent.tolist(), strict=True):
        found.append(definitions.qualname[row] if row >= 0 else found[parent])
    return found


def _definition_tables(
    syntax: Syntax, texts: Texts, definitions: Definitions, columns: _Columns
) -> dict[str, pa.Table]:
    node = definitions.node
    given = parameters(syntax)
    bases, decorated = class_bases(syntax, texts), decorators(syntax, texts)
    names = [
        qualname.rpartition(".")[2] if inner else qualname
        for qualname, inner in zip(definitions.qualname, definitions.inner, strict=True)
    ]
    return {
        "definitions": columns.table(
            "definitions", syntax.file[node], node_id=columns.node(node), kind=_word(KINDS, syntax.kind[node]),
            name=names, qualname=definitions.qualname, owner_id=columns.node(syntax.owner[node]),
            duplicate=definitions.duplicate, is_async=syntax.kind[node] == KIND["AsyncFunctionDef"],
            is_generator=generators(syntax)[node],
            docstring=[text and _printable(text) for text in docstrings(syntax, definitions)],
            returns_id=columns.node(child_in(syntax, node, "returns")),
        ),
        "parameters": columns.table(
            "parameters", syntax.file[given.node], node_id=columns.node(given.node),
            function_id=columns.node(given.function), position=given.position,
            name=columns.text(syntax.name[given.node]), kind=_word(PARAMETER_KINDS, given.kind),
            default_id=columns.node(given.default), annotation_id=columns.node(given.annotation),
        ),
        "decorators": _hanging("decorators", "target_id", decorated, syntax, columns),
        "class_bases": _hanging("class_bases", "class_id", bases, syntax, columns),
    }  # fmt: skip


def _hanging(name: str, target: str, rows: Hanging, syntax: Syntax, columns: _Columns) -> pa.Table:
    return columns.table(
        name, syntax.file[rows.node], node_id=columns.node(rows.node), position=rows.position,
        name=columns.text(rows.name), keyword=columns.text(rows.keyword), **{target: columns.node(rows.target)},
    )  # fmt: skip


def _value_tables(found: ValueFlow, syntax: Syntax, columns: _Columns) -> dict[str, pa.Table]:
    callees = [text or "" for text in columns.text(found.settled_callee).to_pylist()]
    return {
        "value_flows": columns.table(
            "value_flows", found.file, op=_word(found.op, found.op_code), target_id=found.target,
            source_id=_nullable(found.source, found.source == 0), other_id=_nullable(found.other, found.other == 0),
            name=columns.text(found.name), position=found.position.astype(np.int32),
        ),
        "value_slots": columns.table(
            "value_slots", syntax.file[found.slot_node], slot_id=found.slot_id, node_id=columns.node(found.slot_node),
            caller_id=found.slot_caller,
        ),
        "builtin_calls": columns.table(
            "builtin_calls", syntax.file[found.settled], node_id=columns.node(found.settled),
            caller_id=columns.node(found.settled_caller), callee_id=_external_ids(callees),
            callee=callees,
        ),
    }  # fmt: skip


def _call_tables(given: Arguments, made: Calls, syntax: Syntax, columns: _Columns) -> dict[str, pa.Table]:
    return {
        "calls": columns.table(
            "calls", syntax.file[made.node], node_id=columns.node(made.node), func_id=columns.node(made.func),
            receiver_id=columns.node(made.receiver), name=columns.text(made.name),
            owner_id=columns.node(syntax.owner[made.node]), n_arguments=made.n_arguments.astype(np.int32),
        ),
        "arguments": columns.table(
            "arguments", syntax.file[given.node], call_id=columns.node(given.call), node_id=columns.node(given.node),
            position=given.position, keyword=columns.text(given.keyword), kind=_word(ARGUMENT_KINDS, given.kind),
        ),
    }  # fmt: skip


def _flow_tables(
    flow: ControlFlow, syntax: Syntax, definitions: Definitions, columns: _Columns, recovered: np.ndarray
) -> dict[str, pa.Table]:
    """Nothing is called dead in a file that does not parse: what was left out may lead there."""
    ends = flow_ids(flow.opener, syntax, definitions)
    opener, is_exit = np.repeat(flow.opener, 2), np.tile([0, 1], len(flow.opener))
    listed = np.argsort(2 * opener + is_exit, kind="stable")
    ids = np.r_[definitions.node_id[flow.order.node], ends]
    file = np.r_[syntax.file[flow.order.node], syntax.file[opener]]
    found = dominance(flow)
    onward = np.flatnonzero(flow.follows)
    sources, targets = np.r_[onward, flow.source], np.r_[onward + 1, flow.target]
    labels = np.r_[flow.follow_label[onward], flow.label]
    implicit = np.r_[np.zeros(len(onward), bool), flow.is_implicit]
    is_straight = np.zeros(len(flow.order.node), bool)
    is_straight[found.straight] = True
    is_straight = np.r_[is_straight[onward], np.zeros(len(flow.source), bool)]
    rows = np.argsort(file[sources].astype(np.int64) << 32 | sources, kind="stable")
    dead = flow.order.node[~flow.reachable[: len(flow.order.node)]]
    dead = dead[~recovered[syntax.file[dead]]]
    below = np.argsort(file[found.source].astype(np.int64) << 32 | found.source, kind="stable")
    return {
        "flow_nodes": columns.table(
            "flow_nodes", file[len(flow.order.node) :][listed], node_id=ends[listed],
            kind=_word(["Entry", "Exit"], is_exit[listed]), unit_id=columns.node(opener[listed]),
            owner_id=columns.node(np.where(IS_OWNER[syntax.kind[opener]], opener, syntax.owner[opener])[listed]),
        ),
        "cfg_edges": columns.table(
            "cfg_edges", file[sources[rows]], src=ids[sources[rows]], dst=ids[targets[rows]],
            label=_word(LABELS, labels[rows]), is_implicit=implicit[rows], is_straight=is_straight[rows],
        ),
        "unreachable_nodes": columns.table("unreachable_nodes", syntax.file[dead], node_id=columns.node(dead)),
        "dominance_edges": columns.table(
            "dominance_edges", file[found.source[below]], src=ids[found.source[below]], dst=ids[found.target[below]],
            kind=_word(DOMINANCE_KINDS, found.kind[below]), label=_word(LABELS, found.label[below]),
        ),
    }  # fmt: skip


def _data_flow_tables(found: DataFlow, syntax: Syntax, columns: _Columns, recovered: np.ndarray) -> dict[str, pa.Table]:
    """No use is certainly undefined in a file that does not parse: what was left out may define it."""
    certainty = np.maximum(found.certainty, recovered[syntax.file[found.undefined]] * UNDEFINED.index("possibly"))
    return {
        "reaching_definitions": columns.table(
            "reaching_definitions", syntax.file[found.use], src=columns.node(found.definition),
            dst=columns.node(found.use), name=columns.text(found.name), confidence=found.confidence,
        ),
        "undefined_uses": columns.table(
            "undefined_uses", syntax.file[found.undefined], node_id=columns.node(found.undefined),
            name=columns.text(syntax.name[found.undefined]), certainty=_word(UNDEFINED, certainty),
        ),
    }  # fmt: skip


def _effects(found: FunctionEffects, syntax: Syntax, columns: _Columns) -> pa.Table:
    return columns.table(
        "function_effects", syntax.file[found.function], owner_id=columns.node(found.function),
        effect=_word(EFFECTS, found.effect), ordinal=found.ordinal, name=columns.text(found.name),
        source=_word(SOURCES, found.source), value=columns.text(found.value),
    )  # fmt: skip

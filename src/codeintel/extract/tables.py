"""The fact tables: what an extractor reads off one file.

Every table carries the `path` of its file and that path's `bucket`. Rows come in the order of the files, and within a
file in the order of the source. Ids are xxh64 hashes plus ordinals as signed 64-bit integers; lines count from 1,
columns from 0 in UTF-8 bytes as CPython gives them, and byte offsets count from 0 in the file's own bytes (BOM
included, CRLF as they are), the end exclusive.
"""

from __future__ import annotations

import pyarrow as pa

from codeintel.relspec.pipeline import Table

STRING, INT64, INT32, BOOL, FLOAT = pa.string(), pa.int64(), pa.int32(), pa.bool_(), pa.float32()

_TYPES = {"s": STRING, "l": INT64, "i": INT32, "b": BOOL, "f": FLOAT}


def _table(key: tuple[str, ...], /, **columns: str) -> Table:
    """A table of `path`, the given columns, and `bucket`; the letter is a type's, with `?` if it may be null."""
    fields = [("path", "s"), *columns.items(), ("bucket", "i")]
    return Table(pa.schema([pa.field(name, _TYPES[kind[0]], kind.endswith("?")) for name, kind in fields]), key)


# s string, l int64, i int32, b bool, f float32; ? may be null
TABLES: dict[str, Table] = {
    # One row per file of the scan. `lines` as an editor counts them, null if the file was not read; `encoding` by BOM
    # and PEP 263 in `tokenize`'s spelling; `status`: ok, recovered (parsed but for what was left out), partial (parsed,
    # but the compiler found no scopes), failed.
    "parsed_files": _table(("path",), lines="i?", encoding="s?", status="s"),
    # One row per node of `ast.walk` but contexts and operators. `owner_id`: the module, class or function around the
    # node (for a def the one around it, for a module itself). `field` and `ordinal`: the place in the parent, `ordinal`
    # an index into a list field, else 0. Spans of nodes that have none of their own cover their children.
    "ast_nodes": _table(
        ("node_id",),
        node_id="l",
        parent_id="l?",
        owner_id="l",
        kind="s",
        field="s?",
        ordinal="i",
        name="s?",
        qualname="s?",
        bstart="i?",
        bend="i?",
        ctx="s?",
        line="i?",
        col="i?",
        end_line="i?",
        end_col="i?",
    ),
    # Values of constants and other fields that are not nodes. `value_type` names the Python type, or `str_escaped` for
    # a string with lone surrogates, written with backslashes.
    "ast_props": _table(("node_id", "key"), node_id="l", key="s", value="s", value_type="s"),
    # One row per table of `symtable`, with its own name and line; `scope_id` is the id of the node that opens it, or an
    # id of its own for scopes of type parameters and annotations.
    "scopes": _table(
        ("scope_id",),
        scope_id="l",
        parent_scope_id="l?",
        kind="s",
        name="s",
        line="i",
        is_nested="b",
        is_optimized="b",
        has_children="b",
    ),
    # One row per symbol of a scope as `symtable` reports it, names mangled; `binding_id`: what it leads to in the file.
    "symbols": _table(
        ("scope_id", "name"),
        scope_id="l",
        name="s",
        binding_id="l?",
        is_referenced="b",
        is_parameter="b",
        is_global="b",
        is_declared_global="b",
        is_local="b",
        is_free="b",
        is_nonlocal="b",
        is_imported="b",
        is_assigned="b",
        is_annotated="b",
        is_namespace="b",
    ),
    # One row per name that a scope owns and something binds, mangled; `kind`: how it is bound first in the source.
    # Variables of a comprehension that the compiler inlines (from 3.12 on) are bindings of their own, with the scope
    # around it as `scope_id`.
    "bindings": _table(("binding_id",), binding_id="l", scope_id="l", name="s", qualname="s", kind="s"),
    # One row per node that binds a name, and per binding it binds. `how` has the words of `bindings.kind`, and
    # `augmented` (`x += 1`), `annotation` (`x: int`, no value) and `del`.
    "binders": _table(("node_id", "binding_id"), node_id="l", binding_id="l", how="s"),
    # One row per Name that is read or deleted, and per target of an augmented assignment, the name as written.
    # `target_id`: a binding, or the external id of a builtin. `resolution` by where the binding lives: local (the
    # function-like scope itself), closure (one around it), global, class, builtin, unresolved.
    "references": _table(("node_id",), node_id="l", name="s", target_id="l?", resolution="s"),
    # One row per file and import path outside the file that a reference leads to.
    "external_names": _table(("path", "external_id"), external_id="l", name="s"),
    # One row per module, class, function and lambda. `owner_id`: the owner around it (of a module: itself);
    # `duplicate`: how many of the same qualname stand before it in the file; `docstring` as written.
    "definitions": _table(
        ("node_id",),
        node_id="l",
        kind="s",
        name="s",
        qualname="s",
        owner_id="l",
        duplicate="i",
        is_async="b",
        is_generator="b",
        docstring="s?",
        returns_id="l?",
    ),
    # One row per parameter. `position` in the order of the source; `kind` in the words of `inspect.Parameter`.
    "parameters": _table(
        ("node_id",),
        node_id="l",
        function_id="l",
        position="i",
        name="s",
        kind="s",
        default_id="l?",
        annotation_id="l?",
    ),
    # One row per decorator. `name`: dotted text of what is applied, or called to be applied.
    "decorators": _table(("node_id",), node_id="l", target_id="l", position="i", name="s?"),
    # One row per base or class keyword. `name`: dotted text, of what is subscripted for `Generic[T]`.
    "class_bases": _table(("node_id",), node_id="l", class_id="l", position="i", keyword="s?", name="s?"),
    # One row per call. `name`: dotted text of the callee, or its last attribute.
    "calls": _table(("node_id",), node_id="l", func_id="l", receiver_id="l?", name="s?", owner_id="l", n_arguments="i"),
    # One row per argument of a call; `node_id` is its value or the Starred node; `position` in source order.
    "arguments": _table(("node_id",), call_id="l", node_id="l", position="i", keyword="s?", kind="s"),
    # One row per alias. `module` and `level` as written; `target` and `target_module` absolute, with the leading dots
    # kept where they lead beyond the top level.
    "imports": _table(
        ("node_id",),
        node_id="l",
        statement_id="l",
        kind="s",
        module="s?",
        level="i",
        name="s",
        asname="s?",
        bound_name="s?",
        target="s",
        target_module="s",
        external_id="l",
        external_module_id="l",
    ),
    # One row per name in `__all__`; `is_complete`: whether that is statically all of it.
    "exports": _table(("path", "position"), position="i", name="s", is_complete="b"),
    # How values flow between slots, without positions; see `codeintel.extract.value_flow`.
    "value_flows": _table((), op="s", target_id="l", source_id="l?", other_id="l?", name="s?", position="i"),
    # One row per slot of `value_flows` that stands for a node: `caller_id` is the definition that evaluates it, by
    # the id it has there (of a lambda its slot).
    "value_slots": _table(("slot_id",), slot_id="l", node_id="l", caller_id="l"),
    # One row per call of a builtin of which no other file needs to know; `callee` is its import path.
    "builtin_calls": _table(("node_id",), node_id="l", caller_id="l", callee_id="l", callee="s"),
    # One row per way in or out (`kind`: Entry, Exit) of what runs on its own or in place: modules, class bodies,
    # functions, lambdas, comprehensions. `unit_id`: the node of it; `owner_id`: that node if it is an owner, else the
    # one around it.
    "flow_nodes": _table(("node_id",), node_id="l", kind="s", unit_id="l", owner_id="l"),
    # One row per step of control flow, see `control_flow`. `label`: empty, true, false, exception, loop, break,
    # continue, return, yield. `is_implicit`: an exception that nothing in the unit names or catches.
    # `is_straight`: the only way out of `src`, implicit exceptions aside, and into `dst`: each is the other's immediate
    # dominator and post-dominator, and `dominance_edges` does not say so again.
    "cfg_edges": _table(("src", "dst", "label"), src="l", dst="l", label="s", is_implicit="b", is_straight="b"),
    # One row per node that no live code reaches.
    "unreachable_nodes": _table(("node_id",), node_id="l"),
    # One row per node and immediate dominator (`kind` DOMINATE) or post-dominator (POST_DOMINATE), from it to the node,
    # but for the straight ones of `cfg_edges`; and per branch a node hangs on (CDG), from what decides, with the
    # branch's `label`. See `dominance`.
    "dominance_edges": _table(("src", "dst", "kind", "label"), src="l", dst="l", kind="s", label="s"),
    # One row per definition and use it reaches, see `data_flow`: `src` the node that binds, `dst` the one that reads,
    # `name` as the use has it. `confidence` is 1 where flow inside the unit says so, less where other code has a say.
    "reaching_definitions": _table(("src", "dst"), src="l", dst="l", name="s", confidence="f"),
    # One row per use that may come before any definition; `certainty`: certainly, possibly.
    "undefined_uses": _table(("node_id",), node_id="l", name="s", certainty="s"),
    # One row per thing that an owner does and others may see (`effect`): call, return, write_attribute, write_global,
    # write_nonlocal; no positions. `ordinal`: of calls their number within the owner in the order of the source, else
    # the place among the same effects by name. `name`: what is called or written, dotted; `?.x` if the object has no
    # name. `source` and `value` say what is returned or stored where it is a parameter, attribute, global, or the
    # result of a call (then its number).
    "function_effects": _table(
        ("owner_id", "effect", "ordinal"),
        owner_id="l",
        effect="s",
        ordinal="i",
        name="s?",
        source="s?",
        value="s?",
    ),
    # One row per fault of a file; `stage`: scan, read, decode, parse, recovery (what was left out, or read as something
    # else), scopes. `recovered`: whether the file has a tree all the same.
    "file_errors": _table(
        ("path", "stage", "ordinal"),
        stage="s",
        ordinal="i",
        error="s",
        message="s",
        line="i?",
        col="i?",
        recovered="b",
    ),
}

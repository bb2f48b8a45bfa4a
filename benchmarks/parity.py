"""Do the facts agree with CPython? For every `.py` file of the given folders, against `ast` and `symtable`.

    python benchmarks/parity.py FOLDER … [--json FILE]

Counted per corpus: files, rows of `ast_nodes` against `ast.walk` less contexts and operators (kinds and positions
compared as multisets per file), AST edges against rows less one, whole scope trees with every symbol flag against
`symtable`, byte spans against `ast.get_source_segment`, repeated ids, and rows whose ids lead nowhere.
"""

from __future__ import annotations

import argparse
import ast
import json
import symtable
import sys
import warnings
from collections import Counter, defaultdict
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from codeintel.extract.python_facts import python_facts
from codeintel.extract.tables import TABLES
from codeintel.fingerprint import digest_bytes

NOT_ROWS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
POSITION = attrgetter("lineno", "col_offset", "end_lineno", "end_col_offset")
FLAGS = [
    "is_referenced", "is_parameter", "is_global", "is_declared_global", "is_local", "is_free", "is_nonlocal",
    "is_imported", "is_assigned", "is_annotated", "is_namespace",
]  # fmt: skip
NODE_TABLES = ("ast_nodes", "definitions", "calls", "arguments", "references", "parameters", "imports")
# column → table whose key it must be found in
LINKS = {
    ("ast_nodes", "parent_id"): "ast_nodes", ("ast_nodes", "owner_id"): "ast_nodes",
    ("ast_props", "node_id"): "ast_nodes",
    ("symbols", "scope_id"): "scopes", ("symbols", "binding_id"): "bindings", ("bindings", "scope_id"): "scopes",
    ("binders", "binding_id"): "bindings", ("binders", "node_id"): "ast_nodes", ("calls", "func_id"): "ast_nodes",
    ("calls", "receiver_id"): "ast_nodes", ("arguments", "call_id"): "calls", ("arguments", "node_id"): "ast_nodes",
    ("parameters", "function_id"): "definitions", ("parameters", "default_id"): "ast_nodes",
    ("decorators", "target_id"): "definitions", ("class_bases", "class_id"): "definitions",
    ("scopes", "parent_scope_id"): "scopes", ("imports", "statement_id"): "ast_nodes",
}  # fmt: skip


def scan(root: Path, buckets: int = 64) -> pa.Table:
    """A plain stand-in for the repository scan: every `.py` file below `root`."""
    rows = []
    for file in sorted(root.rglob("*.py")):
        if file.is_file() and "site-packages" not in file.parts:
            path, raw = file.relative_to(root).as_posix(), file.read_bytes()
            module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            bucket = xxhash.xxh64_intdigest(path.encode()) % buckets
            rows.append((bucket, path, module, digest_bytes(raw), len(raw), None))
    names = ("bucket", "path", "module", "digest", "bytes", "error")
    types = (pa.int32(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.string())
    columns = list(zip(*sorted(rows), strict=True)) or [()] * len(names)
    return pa.table({name: pa.array(column, kind) for name, kind, column in zip(names, types, columns, strict=True)})


def by_path(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        found[row["path"]].append(row)
    return found


def compiler_scopes(table: symtable.SymbolTable) -> tuple[Any, ...]:
    symbols = sorted((s.get_name(), *(bool(getattr(s, flag)()) for flag in FLAGS)) for s in table.get_symbols())
    children = sorted(compiler_scopes(child) for child in table.get_children())
    facts = (table.is_nested(), table.is_optimized(), table.has_children())
    return (table.get_name(), table.get_lineno(), *facts, tuple(symbols), tuple(children))


def our_scopes(scopes: list[dict[str, Any]], symbols: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    flags: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for symbol in symbols:
        flags[symbol["scope_id"]].append((symbol["name"], *(symbol[flag] for flag in FLAGS)))
    below: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
    for scope in scopes:
        below[scope["parent_scope_id"]].append(scope)

    def tree(scope: dict[str, Any]) -> tuple[Any, ...]:
        facts = (scope["is_nested"], scope["is_optimized"], scope["has_children"])
        children = sorted(tree(child) for child in below[scope["scope_id"]])
        return (scope["name"], scope["line"], *facts, tuple(sorted(flags[scope["scope_id"]])), tuple(children))

    return [tree(scope) for scope in below[None]]


def compare(root: Path) -> dict[str, Any]:
    """Counts of everything compared and of everything that differs, for one corpus."""
    files = scan(root)
    facts = python_facts(files, root, "", 1 << 30)
    for name, table in facts.items():
        table.validate(full=True)
        assert table.schema.equals(TABLES[name].schema), name
    nodes, scopes, symbols = (by_path(facts[name]) for name in ("ast_nodes", "scopes", "symbols"))
    encodings = dict(zip(*(facts["parsed_files"][c].to_pylist() for c in ("path", "encoding")), strict=True))
    statuses = dict(zip(*(facts["parsed_files"][c].to_pylist() for c in ("path", "status")), strict=True))
    count: Counter[str] = Counter({"files": files.num_rows, "unparsable": 0})
    for key in ("differ_nodes", "differ_edges", "differ_scopes", "differ_spans", "differ_status"):
        count[key] = 0
    differing: list[str] = []
    for path in files["path"].to_pylist():
        before = sum(value for key, value in count.items() if key.startswith("differ"))
        raw = (root / path).read_bytes()
        try:
            tree = ast.parse(raw)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            count["differ_status"] += statuses[path] not in ("recovered", "failed")
            count["unparsable"] += 1
            continue
        compare_nodes(tree, raw, encodings[path], nodes[path], count)
        try:
            expected = [compiler_scopes(symtable.symtable(raw, path, "exec"))]
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            expected = []
            count["differ_status"] += statuses[path] != "partial"
        count["scopes"] += len(scopes[path])
        count["symbols"] += len(symbols[path])
        count["differ_scopes"] += our_scopes(scopes[path], symbols[path]) != expected
        if sum(value for key, value in count.items() if key.startswith("differ")) != before:
            differing.append(path)
    return {"corpus": root.name, **count, **integrity(facts), "differing": differing[:20]}


def compare_nodes(tree: ast.Module, raw: bytes, encoding: str, rows: list[dict[str, Any]], count: Counter[str]) -> None:
    expected = [node for node in ast.walk(tree) if not isinstance(node, NOT_ROWS)]
    placed = Counter((type(node).__name__, *POSITION(node)) for node in expected if hasattr(node, "end_col_offset"))
    ours = Counter((r["kind"], r["line"], r["col"], r["end_line"], r["end_col"]) for r in rows)
    count["nodes"] += len(rows)
    count["edges"] += len(rows) - 1
    count["differ_nodes"] += abs(len(expected) - len(rows)) + sum((placed - ours).values())
    count["differ_edges"] += abs(sum(r["parent_id"] is not None for r in rows) - (len(expected) - 1))
    lines = [line.encode() for line in raw.decode(encoding).removeprefix("\ufeff").splitlines(keepends=True)] or [b""]
    if b"\x0c" in raw or b"\r" in raw or b"\x0b" in raw:
        return  # str.splitlines counts lines that the compiler does not
    for row in rows:
        place = (row["kind"], row["line"], row["col"], row["end_line"], row["end_col"])
        if place in placed and row["end_line"] <= len(lines):
            segment = _segment(lines, *place[1:])
            count["spans"] += 1
            count["differ_spans"] += raw[row["bstart"] : row["bend"]].decode(encoding, "replace").encode() != segment


def _segment(lines: list[bytes], line: int, col: int, end_line: int, end_col: int) -> bytes:
    """What `ast.get_source_segment` cuts out, without splitting the source again for every node."""
    if line == end_line:
        return lines[line - 1][col:end_col]
    return b"".join([lines[line - 1][col:], *lines[line : end_line - 1], lines[end_line - 1][:end_col]])


def integrity(facts: dict[str, pa.Table]) -> dict[str, int]:
    repeated = sum(
        table.num_rows - table.group_by(list(TABLES[name].key)).aggregate([]).num_rows for name, table in facts.items()
    )
    dangling = 0
    for (name, column), target in LINKS.items():
        values = facts[name][column].drop_null()
        known = facts[target][TABLES[target].key[0]]
        dangling += len(values) - pc.sum(pc.is_in(values, value_set=known)).as_py() if len(values) else 0
    return {"differ_keys": repeated, "differ_links": dangling}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(5000)
    results = [compare(folder) for folder in arguments.folders]
    keys = [key for key in results[0] if key not in ("corpus", "differing")]
    print(f"{'':16}", *(f"{result['corpus']:>20}" for result in results))
    for key in keys:
        print(f"{key:16}", *(f"{result.get(key, 0):>20,}" for result in results))
    for result in results:
        for path in result["differing"]:
            print("differs:", result["corpus"], path)
    if arguments.json:
        arguments.json.write_text(json.dumps({"python": sys.version.split()[0], "corpora": results}, indent=2) + "\n")
    return int(any(value for result in results for key, value in result.items() if key.startswith("differ") and value))


if __name__ == "__main__":
    sys.exit(main())

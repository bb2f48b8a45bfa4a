"""Data flow judged by execution: what a use reads was bound by a definition that has an edge to it.

    python benchmarks/def_use_trace.py

Runs `def_use_snippets.py` and `flow_snippets.py` twice. Once every instruction is traced: each load of a name is
matched with the `Name` at its exact place, and the store of that variable which was executed last with what binds
there; the pair must be an edge. Then attributes are rewritten to report the object that they are read from or stored
to: if the last store to an object's attribute was made in the same activation of the same unit as the read, and the
read is a dotted path, the pair must be an edge. A name read before anything has bound it must be marked undefined.

Needs CPython 3.11, whose instructions the table below names.
"""

from __future__ import annotations

import ast
import dis
import sys
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pyarrow as pa

from codeintel.extract.python_facts import python_facts
from codeintel.extract.repo_scan import REPO_FILES
from codeintel.fingerprint import digest_bytes

SNIPPETS = [Path(__file__).with_name(name) for name in ("def_use_snippets.py", "flow_snippets.py")]
IN_PLACE = ("<listcomp>", "<setcomp>", "<dictcomp>")

Place = tuple[int, int, int, int]


class Facts:
    """Nodes by place, the edges between them, and which binding each name means."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        row = {"path": path.name, "module": "m", "digest": digest_bytes(raw), "bytes": len(raw), "bucket": 0}
        scan = pa.Table.from_pylist([{name: row.get(name) for name in REPO_FILES.schema.names}], REPO_FILES.schema)
        rows = {name: table.to_pylist() for name, table in python_facts(scan, path.parent, "", 1 << 26).items()}
        self.node = {row["node_id"]: row for row in rows["ast_nodes"]}
        self.places = {node: (r["line"], r["end_line"], r["col"], r["end_col"]) for node, r in self.node.items()}
        self.edges = {(row["src"], row["dst"]) for row in rows["reaching_definitions"]}
        self.undefined = {row["node_id"] for row in rows["undefined_uses"]}
        self.uses = {self.places[row["node_id"]]: row["node_id"] for row in rows["references"]}
        names = {row["binding_id"]: row["name"] for row in rows["bindings"]}
        self.binders: dict[str, list[int]] = defaultdict(list)
        self.arguments: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        self.binding: dict[int, int] = {row["node_id"]: row["target_id"] for row in rows["references"]}
        for row in rows["binders"]:
            self.binders[names[row["binding_id"]]].append(row["node_id"])
            self.binding[row["node_id"]] = row["binding_id"]
        begins = {row["function_id"]: self.node[row["function_id"]]["line"] for row in rows["parameters"]}
        for row in rows["decorators"]:
            target = row["target_id"]
            begins[target] = min(begins.get(target, 1 << 30), self.node[row["node_id"]]["line"])
        for row in rows["parameters"]:
            function = self.node[row["function_id"]]
            key = function["name"] or "<lambda>", begins[row["function_id"]]
            self.arguments[key][row["name"]] = row["node_id"]
        self.attributes = {
            (*self.places[node], row["name"]): node for node, row in self.node.items() if row["kind"] == "Attribute"
        }

    def bound_at(self, name: str, place: Place) -> int:
        """What binds the name where an instruction stores it: what has its very place, or the least that overlaps.

        Captures of a pattern are stored at the place of one of them.
        """
        line, end_line, col, end_col = place
        found = []
        for node in self.binders[name]:
            begin, end = self.places[node][::2], self.places[node][1::2]
            overlaps = begin <= (end_line, end_col) and (line, col) <= end
            if overlaps or line == begin[0]:
                found.append((self.places[node] != place, not overlaps, end[0] - begin[0], end[1] - begin[1], node))
        return min(found)[-1]


class Tracer:
    """Follows names, instruction by instruction."""

    def __init__(self, facts: Facts, path: Path) -> None:
        self.facts, self.path = facts, str(path)
        self.code: dict[CodeType, dict[int, tuple[dis.Instruction, Place | None]]] = {}
        self.last: dict[tuple[Any, str], int] = {}
        self.entered: set[FrameType] = set()  # kept, so that no other frame gets the identity of one
        self.checked = 0
        self.missed: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> Tracer | None:
        if frame.f_code.co_filename != self.path:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call":
            self._enter(frame)
        elif event == "opcode":
            self._step(frame)
        return self

    def _enter(self, frame: FrameType) -> None:
        code = frame.f_code
        if code not in self.code:
            places = [(p[0], p[1], p[2], p[3]) if None not in p else None for p in code.co_positions()]
            self.code[code] = {i.offset: (i, places[i.offset // 2]) for i in dis.get_instructions(code)}  # type: ignore[misc]
        if frame in self.entered:
            return  # a generator goes on
        self.entered.add(frame)
        arguments = self.facts.arguments.get((code.co_name, code.co_firstlineno), {})
        for name, node in arguments.items():
            self.last[self._key(frame, name), name] = node

    def _key(self, frame: FrameType, name: str) -> object:
        """Whose variable it is: of this frame, of the one function that has the cell, or of the module."""
        code = frame.f_code
        if name in code.co_cellvars or name in code.co_freevars:
            return "cell"
        return "module" if code.co_name == "<module>" else id(frame)

    def _step(self, frame: FrameType) -> None:
        instruction, place = self.code[frame.f_code][frame.f_lasti]
        operation, _, sort = instruction.opname.partition("_")
        name = instruction.argval
        if operation not in ("LOAD", "STORE", "DELETE") or place is None:
            return
        if sort not in ("FAST", "NAME", "GLOBAL", "DEREF", "CLASSDEREF"):
            return
        key = (self._key(frame, name) if sort != "GLOBAL" else "module", name)
        if operation == "STORE" and name in self.facts.binders:
            self.last[key] = self.facts.bound_at(name, place)
        elif operation == "LOAD" or place in self.facts.uses:
            if sort == "NAME" and key not in self.last:
                key = ("module", name)
            self._check(place, self.last.get(key), name)
        if operation == "DELETE":
            self.last.pop(key, None)

    def _check(self, place: Place, definition: int | None, name: str) -> None:
        use = self.facts.uses.get(place)
        if use is None:
            return
        if definition is None:
            if name in self.facts.binders and name not in dir(__builtins__) and use not in self.facts.undefined:
                self.missed.add(f"{place}: {name} is read unbound and not marked")
            return
        self.checked += 1
        if (definition, use) not in self.facts.edges:
            self.missed.add(f"{place}: {name} was bound at {self.facts.places[definition]}")


class Attributes(ast.NodeTransformer):
    """Rewrites `a.x` such that the object goes through a hook: `_hook(number, a).x`."""

    def __init__(self) -> None:
        self.found: list[tuple[str, ast.Attribute, bool]] = []

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AugAssign:
        node.value = self.visit(node.value)
        if isinstance(node.target, ast.Attribute):
            node.target = self._hooked(node.target, augmented=True)
        else:
            node.target = self.visit(node.target)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        return self._hooked(node, augmented=False)

    def _hooked(self, node: ast.Attribute, *, augmented: bool) -> ast.Attribute:
        sort = "both" if augmented else type(node.ctx).__name__
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            base = base.value
        self.found.append((sort, node, isinstance(base, ast.Name)))
        call = ast.Call(ast.Name("_hook", ast.Load()), [ast.Constant(len(self.found) - 1), self.visit(node.value)], [])
        return ast.copy_location(ast.Attribute(call, node.attr, node.ctx), node)


def attributes_judged(facts: Facts, path: Path) -> tuple[int, set[str]]:
    """How many reads of attributes were checked, and those whose store has no edge."""
    rewriter = Attributes()
    tree = ast.fix_missing_locations(rewriter.visit(ast.parse(path.read_text("utf-8"))))
    nodes = [
        facts.attributes[node.lineno, node.end_lineno, node.col_offset, node.end_col_offset, node.attr]
        for _, node, _ in rewriter.found
    ]
    last: dict[tuple[int, str], tuple[FrameType, int]] = {}
    alive: list[object] = []
    checked, missed = 0, set()

    def hook(number: int, value: object) -> object:
        nonlocal checked
        sort, node, is_path = rewriter.found[number]
        frame: FrameType = sys._getframe(1)  # noqa: SLF001 (whose store it is)
        while frame.f_code.co_name in IN_PLACE and frame.f_back:
            frame = frame.f_back
        alive.append(value)
        key = id(value), node.attr
        if sort != "Store" and is_path and key in last and last[key][0] is frame:
            checked += 1
            if (last[key][1], nodes[number]) not in facts.edges:
                missed.add(f"{node.lineno}: {ast.unparse(node)} was stored at {facts.places[last[key][1]]}")
        if sort in ("Store", "both"):
            last[key] = frame, nodes[number]
        return value

    exec(compile(tree, str(path), "exec"), {"_hook": hook, "__name__": "snippets"})
    return checked, missed


def main() -> None:
    failed = False
    for path in SNIPPETS:
        facts = Facts(path)
        tracer = Tracer(facts, path)
        code = compile(path.read_text("utf-8"), str(path), "exec")
        sys.settrace(tracer)
        try:
            exec(code, {"__name__": "snippets"})
        finally:
            sys.settrace(None)
        checked, missed = attributes_judged(facts, path)
        print(f"{path.name}: {tracer.checked:,} reads of names, {len(tracer.missed)} whose definition has no edge")
        print(f"{path.name}: {checked:,} reads of attributes, {len(missed)} whose store has no edge")
        for line in sorted(tracer.missed | missed):
            print(" ", line)
        failed |= bool(tracer.missed or missed)
    sys.exit(failed)


if __name__ == "__main__":
    main()

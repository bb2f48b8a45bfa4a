"""Control flow judged by execution: what tests of the standard library do under tracing must be ways through the graph.

    python benchmarks/flow_trace.py [--tests test_textwrap,...] [--jobs 2] [--timeout 150] [--json FILE]

Each test module runs in a process of its own, which traces every instruction of every frame whose source is the
standard library, its tests, or `flow_snippets.py`. Instructions are matched with nodes by their exact span and the
kind of the operation. A *step* is a pair of matched instructions executed one after the other in one frame; it is
covered if the graph leads from a node of the one to a node of the other through nodes that no matched instruction
stands for. Where an exception came in between, the way has to leave along an `exception` edge, of the node itself or
of the run it is in, as `control_flow` defines it. Entries, exits and resumptions are steps too. An executed node
marked unreachable is a fault.

Needs CPython 3.11, whose instructions the table below names.
"""

from __future__ import annotations

import argparse
import ast
import dis
import inspect
import json
import os
import runpy
import subprocess
import sys
import sysconfig
import threading
import unittest
import warnings
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from codeintel.extract.ast_rows import Walk
from codeintel.extract.control_flow import control_flow
from codeintel.extract.grammar import FIELD, KINDS
from codeintel.extract.pattern_flow import EXCEPTION
from codeintel.extract.syntax import Texts

SNIPPETS = Path(__file__).with_name("flow_snippets.py")
TESTS = (
    "test_textwrap,test_shlex,test_configparser,test_contextlib,test_contextlib_async,test_functools,test_heapq,"
    "test_bisect,test_string,test_fractions,test_coroutines,test_patma,test_except_star,test_with,test_exceptions,"
    "test_grammar,test_unpack,test_named_expressions,test_listcomps,test_asyncgen,test_argparse,test_csv,"
    "test_calendar,test_dataclasses,test_enum,test_graphlib,test_difflib,test_copy,test_pprint,test_reprlib,"
    "test_shelve,test_sched,test_ast,test_optparse,test_getopt,test_html,test_htmlparser,test_ipaddress,test_base64,"
    "test_quopri,test_random,test_collections,test_raise,test_scope,test_augassign,"
    "test_dictcomps,test_setcomps,test_genexps,test_unpack_ex,test_generator_stop,test_yield_from,test_pep380,"
    "test_finalization,test_queue"
)

# What an operation's span has to belong to.
KINDS_OF = {
    **dict.fromkeys(("LOAD_NAME", "LOAD_FAST", "LOAD_GLOBAL", "LOAD_DEREF", "LOAD_CLASSDEREF", "DELETE_NAME",
                     "DELETE_FAST", "DELETE_GLOBAL", "DELETE_DEREF", "STORE_NAME", "STORE_FAST", "STORE_GLOBAL",
                     "STORE_DEREF"), ("Name",)),
    **dict.fromkeys(("CALL", "CALL_FUNCTION_EX"), ("Call", "With", "AsyncWith")),
    "WITH_EXCEPT_START": ("With", "AsyncWith"),
    "BINARY_OP": ("BinOp", "AugAssign"),
    **dict.fromkeys(("COMPARE_OP", "IS_OP", "CONTAINS_OP"), ("Compare",)),
    **dict.fromkeys(("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR"), ("Attribute",)),
    **dict.fromkeys(("BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR"), ("Subscript",)),
    **dict.fromkeys(("UNARY_NOT", "UNARY_NEGATIVE", "UNARY_INVERT", "UNARY_POSITIVE"), ("UnaryOp",)),
    "FOR_ITER": ("For",),
    "RETURN_VALUE": ("Return",),
    "RAISE_VARARGS": ("Raise", "Assert"),
    "YIELD_VALUE": ("Yield",),
    "CHECK_EXC_MATCH": ("ExceptHandler",),
    "CHECK_EG_MATCH": ("ExceptHandler",),
    "MATCH_SEQUENCE": ("MatchSequence",),
    "MATCH_MAPPING": ("MatchMapping",),
    "MATCH_CLASS": ("MatchClass",),
}  # fmt: skip
START, END = -1, -2  # beside offsets of instructions


def operations(code: CodeType) -> dict[int, dis.Instruction]:
    """Instructions by offset; where one has a prefix, tracing reports the offset of that."""
    found, prefixes = {}, []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "EXTENDED_ARG":
            prefixes.append(instruction.offset)
        else:
            found |= dict.fromkeys((*prefixes, instruction.offset), instruction)
            prefixes = []
    return found


class Tracer:
    """Collects, per code object, the pairs of matched instructions that follow one another, and how."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = roots
        self.steps: dict[CodeType, set[tuple[int, int, bool]]] = {}
        self.offsets: dict[CodeType, tuple[frozenset[int], ...]] = {}
        self.disturbed: set[CodeType] = set()
        self.suspended: dict[FrameType, Any] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(self.roots) or "flow_trace" in code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.suspended.pop(frame, None) or self._local(code)

    def _local(self, code: CodeType) -> Any:
        if code not in self.offsets:
            found = operations(code)
            self.offsets[code] = tuple(
                frozenset(offset for offset, operation in found.items() if operation.opname in names)
                for names in (KINDS_OF, ("YIELD_VALUE",), ("FOR_ITER", "SEND"), ("END_ASYNC_FOR",))
            )
        matched, yields, asks, ends = self.offsets[code]
        steps = self.steps.setdefault(code, set())
        before, raised, latest, soft = START, False, START, False

        def local(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before, raised, latest, soft
            if event == "opcode":
                latest = frame.f_lasti
                if latest in ends and soft:
                    raised = soft = False  # how an `async for` ends
                if latest in matched:
                    steps.add((before, latest, raised))
                    before, raised = latest, False
            elif event == "exception":
                if frame.f_lasti in asks and issubclass(argument[0], StopIteration):
                    return local  # what a loop or an await ends with
                soft = not raised and issubclass(argument[0], StopAsyncIteration)
                raised, latest = True, START
            elif event == "return":
                if latest in yields and not raised:
                    self.suspended[frame] = local
                else:
                    steps.add((before, END, raised))
            return local

        return local


def traced(test: str) -> Tracer:
    stdlib = sysconfig.get_path("stdlib")
    tracer = Tracer((stdlib + os.sep, str(SNIPPETS)))
    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w", encoding="utf-8") as sink:
        sys.stdout = sink
        threading.settrace(tracer)
        settrace = sys.settrace
        settrace(tracer)

        def switched(function: Any) -> None:
            """What runs while something turns tracing off or on is seen in part only."""
            frame = inspect.currentframe()
            while frame is not None:
                tracer.disturbed.add(frame.f_code)
                frame = frame.f_back
            tracer.disturbed |= {suspended.f_code for suspended in tracer.suspended}
            settrace(function)

        sys.settrace = switched
        try:
            if test == SNIPPETS.stem:
                runpy.run_path(str(SNIPPETS))
            else:
                suite = unittest.defaultTestLoader.loadTestsFromName(f"test.{test}")
                unittest.TextTestRunner(sink).run(suite)
        finally:
            settrace(None)
            threading.settrace(None)
            sys.stdout = sys.__stdout__
    return tracer


class Judge:
    """The flow of one file, asked whether steps are ways through it."""

    def __init__(self, path: str) -> None:
        raw = Path(path).read_bytes()
        starts = np.r_[0, np.flatnonzero(np.frombuffer(raw, np.uint8) == 10) + 1, len(raw)]
        texts = Texts()
        self.syntax = syntax = Walk([ast.parse(raw)], [starts], texts).columns
        self.flow = flow = control_flow(syntax, texts)
        self.kinds = [KINDS[code] for code in syntax.kind.tolist()]
        self.names = list(texts)
        self.count = len(flow.order.node)
        self.nodes = flow.order.node.tolist()
        self.position = flow.order.position.tolist()
        spans = zip(
            syntax.line.tolist(), syntax.end_line.tolist(), syntax.col.tolist(), syntax.end_col.tolist(), strict=True
        )
        self.by_span: dict[tuple[int | None, ...], list[int]] = defaultdict(list)
        self.span = list(spans)
        for node, span in enumerate(self.span):
            self.by_span[span].append(node)
        self.children: dict[int, list[int]] = defaultdict(list)
        for node, parent in enumerate(syntax.parent.tolist()):
            self.children[parent].append(node)
        self.plain: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.thrown: dict[int, list[int]] = defaultdict(list)
        for point, label in enumerate(flow.follow_label.tolist()):
            if flow.follows[point]:
                self.plain[point].append((point + 1, label))
        for source, target, label in zip(flow.source.tolist(), flow.target.tolist(), flow.label.tolist(), strict=True):
            if label == EXCEPTION:
                self.thrown[source].append(target)
            else:
                self.plain[source].append((target, label))
        self.decorates = (syntax.field == FIELD["decorator_list"]).tolist()
        self.rows = {node: row for row, node in enumerate(flow.opener.tolist())}

    def opener(self, code: CodeType) -> int | None:
        """The node whose code this is."""
        name, line = code.co_name, code.co_firstlineno
        kind = {"<module>": "Module", "<lambda>": "Lambda", "<listcomp>": "ListComp", "<setcomp>": "SetComp",
                "<dictcomp>": "DictComp", "<genexpr>": "GeneratorExp"}.get(name)  # fmt: skip
        places = [p for p in code.co_positions() if None not in p and p[2:] != (0, 0)]
        found = []
        for node in self.rows:
            if kind is not None:
                fits = self.kinds[node] == kind and (kind == "Module" or self.span[node][0] == line)
            else:
                decorators = [self.span[c][0] for c in self.children[node] if self.decorates[c]]
                fits = self.kinds[node] in ("FunctionDef", "AsyncFunctionDef", "ClassDef") and line in (
                    self.span[node][0], min([*decorators, self.span[node][0]])
                ) and self.names[self.syntax.name[node]] == name  # fmt: skip
            low, high = (self.span[node][0], self.span[node][2]), (self.span[node][1], self.span[node][3])
            if fits and (kind == "Module" or all(low <= (p[0], p[2]) and (p[1], p[3]) <= high for p in places
                                                 if kind is not None)):  # fmt: skip
                found.append(node)
        return max(found) if found else None

    def points(self, code: CodeType, opener: int) -> dict[int, frozenset[int]]:
        """The points that each matched instruction stands for, by offset."""
        result = {}
        heads = [n for n in self.children[opener] if self.kinds[n] == "comprehension"]
        asks = sorted({i.offset for i in operations(code).values() if i.opname == "FOR_ITER"})
        for offset, instruction in operations(code).items():
            wanted = KINDS_OF.get(instruction.opname)
            place = instruction.positions
            if instruction.opname == "FOR_ITER" and len(heads) == len(asks):
                result[offset] = frozenset([self.position[heads[asks.index(instruction.offset)]]])
                continue
            if wanted is None or place is None or place.lineno is None:
                continue
            found = set()
            span = (place.lineno, place.end_lineno, place.col_offset, place.end_col_offset)
            for node in self.by_span.get(span, []):
                found |= {self.position[n] for n in self._acting(instruction.opname, node, wanted)}
            found.discard(-1)
            if found:
                result[offset] = frozenset(found)
        return result

    def _acting(self, operation: str, node: int, wanted: tuple[str, ...]) -> list[int]:
        kind = self.kinds[node]
        if kind not in wanted:
            return []
        if operation == "CALL" and self.decorates[node]:  # evaluating it, or applying what it gave
            return [node, int(self.syntax.parent[node])]
        if kind == "Compare" and len(self.children[node]) > 2:
            return []
        parent = int(self.syntax.parent[node])
        statement = int(self.syntax.parent[parent])
        if (self.kinds[parent] == "Tuple" and self.syntax.ctx[parent] == 2
                and self.kinds[statement] in ("Assign", "For", "AsyncFor", "comprehension")):  # fmt: skip
            value = self.children[statement][-1 if self.kinds[statement] == "Assign" else 1]
            if self.kinds[statement] == "comprehension" and len(self.children[value]) == 1:
                value = self.children[value][0]  # `for a, b in [(c, d)]` is compiled like an assignment
            if self.kinds[value] == "Tuple":
                return []  # `a, b = b, a`: the compiler stores from the right to save itself a swap
        stored = operation.startswith("STORE")
        if stored and self.kinds[parent] == "AugAssign" and self.children[parent][0] == node:
            return [parent]
        if kind == "Name" and stored != (self.syntax.ctx[node] == 2):
            return []
        return [node]

    def thrown_from(self, point: int) -> list[int]:
        """Where an exception at the point goes: along the edge of the run the point is in."""
        at, first = point, True
        while at >= 0:
            if self.thrown.get(at):
                ends = self.thrown[at]
                return ends if first or self._is_run(at, point) else [t for t in ends if t >= self.count]
            if at == 0 or at >= self.count or not self.flow.follows[at - 1]:
                return []
            at, first = at - 1, False
        return []

    def _is_run(self, begin: int, end: int) -> bool:
        """Whether nothing between takes effect that what catches an exception could see."""
        return not any(
            self.kinds[self.nodes[p]] in ("Call", "Await", "Yield", "YieldFrom", "alias")
            or self.syntax.ctx[self.nodes[p]] > 1
            for p in range(begin, end)
        )

    def leads(
        self, sources: frozenset[int], targets: frozenset[int], matched: frozenset[int], raised: bool
    ) -> set[int] | None:
        """The labels on a way from one of the points to another through unmatched ones, None if there is none."""
        waiting = [(s, raised, 0) for s in sources]
        seen = {(s, raised) for s in sources}
        came: dict[tuple[int, bool], tuple[tuple[int, bool], int]] = {}
        while waiting:
            point, pending, _ = waiting.pop()
            steps = [(t, label, pending) for t, label in self.plain.get(point, ())]
            if raised:
                steps += [(t, 3, False) for t in self.thrown_from(point)]
            elif point >= self.count or self.kinds[self.nodes[point]] not in EXPRESSIONS:
                steps += [(t, 3, False) for t in self.thrown.get(point, ())]
            for target, label, still in steps:
                state = (target, still)
                if target in targets and not still:
                    labels, at = {label}, (point, pending)
                    while at in came:
                        at, passed = came[at]
                        labels.add(passed)
                    return labels
                if state not in seen and target not in matched:
                    seen.add(state)
                    came.setdefault(state, ((point, pending), label))
                    waiting.append((target, still, label))
        return None


EXPRESSIONS = frozenset(
    [
        "Name",
        "Attribute",
        "Subscript",
        "Call",
        "BinOp",
        "UnaryOp",
        "Compare",
        "Await",
        "Yield",
        "YieldFrom",
        "Starred",
        "FormattedValue",
        "Set",
        "Dict",
        "alias",
    ]
)


def judged(tracer: Tracer) -> dict[str, Any]:
    """How many steps of each kind there were, and those that are no ways."""
    counts: Counter[str] = Counter()
    missing: list[str] = []
    by_file: dict[str, list[CodeType]] = defaultdict(list)
    for code in tracer.steps.keys() - tracer.disturbed:
        by_file[code.co_filename].append(code)
    for path, codes in sorted(by_file.items()):
        if not Path(path).is_file():
            continue
        judge = Judge(path)
        for code in codes:
            opener = judge.opener(code)
            if opener is None:
                counts["units not matched"] += 1
                continue
            counts["units"] += 1
            row = judge.rows[opener]
            points = judge.points(code, opener)
            points[START], points[END] = frozenset([judge.count + 2 * row]), frozenset([judge.count + 2 * row + 1])
            matched = frozenset().union(*points.values())
            for step in _joined(tracer.steps[code], points):
                begin, end, raised = step
                if points[begin] & points[end]:
                    continue
                labels = judge.leads(points[begin], points[end], matched, raised)
                lines = [judge.span[judge.nodes[min(points[o])]][0] if o >= 0 else o for o in (begin, end)]
                counts["steps"] += 1
                counts["line steps"] += lines[0] != lines[1]
                counts["exception steps"] += raised
                counts["branch steps"] += bool(labels and labels & {1, 2})
                if labels is None:
                    counts["missing"] += 1
                    missing.append(f"{path}:{code.co_qualname}: {_shown(judge, points, begin)} -> "
                                   f"{_shown(judge, points, end)}{' raised' if raised else ''}")  # fmt: skip
                if end >= 0 and not any(judge.flow.reachable[p] for p in points[end]):
                    counts["executed but unreachable"] += 1
                    missing.append(f"{path}:{code.co_qualname}: unreachable {_shown(judge, points, end)}")
    units = sorted({f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}" for code in tracer.steps})
    return {"counts": counts, "missing": missing, "units": units}


def _joined(steps: set[tuple[int, int, bool]], points: dict[int, frozenset[int]]) -> list[tuple[int, int, bool]]:
    """The steps between instructions that have points: those that have none are passed by."""
    onward: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for begin, end, raised in steps:
        onward[begin].append((end, raised))
    found = set()
    for begin in onward:
        if begin not in points:
            continue
        waiting, seen = [(begin, False)], set()
        while waiting:
            at, thrown = waiting.pop()
            for end, raised in onward[at]:
                state = (end, thrown or raised)
                if end in points:
                    found.add((begin, *state))
                elif state not in seen:
                    seen.add(state)
                    waiting.append(state)
    return sorted(found)


def _shown(judge: Judge, points: dict[int, frozenset[int]], offset: int) -> str:
    if offset < 0:
        return "entry" if offset == START else "exit"
    node = judge.nodes[min(points[offset])]
    return f"{judge.span[node][0]}:{judge.span[node][2]} {judge.kinds[node]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tests", default=f"{SNIPPETS.stem},{TESTS}")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=150)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker")
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(judged(traced(given.worker))))
        return

    def run(test: str) -> tuple[str, dict[str, Any]]:
        command = [sys.executable, __file__, "--worker", test]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=given.timeout)
            return test, json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError) as problem:
            return test, {"counts": {"did not finish": 1}, "missing": [], "why": str(problem)[:200]}

    total: Counter[str] = Counter()
    missing: dict[str, None] = {}
    units: set[str] = set()
    with ThreadPoolExecutor(given.jobs) as pool:
        for test, result in pool.map(run, given.tests.split(",")):
            total.update(result["counts"])
            missing |= dict.fromkeys(result["missing"])
            units.update(result.get("units", ()))
            print(f"{test:28}", json.dumps(result["counts"]), flush=True)
    for line in missing:
        print("MISSING", line)
    total["distinct units"] = len(units)
    print(json.dumps(total))
    if given.json:
        given.json.write_text(json.dumps({"total": total, "missing": list(missing)}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Control flow judged by the compiler: the jumps in the bytecode of the standard library against the graph's branches.

    python benchmarks/flow_bytecode.py [FOLDER] [--files 'json/*.py'] [--jobs 2] [--json FILE]

Each file is compiled, never run. Instructions stand for nodes as in `flow_trace.py`. A *step* leads from one
instruction that stands for a node to the next, over jumps and over instructions that stand for none. Every step has to
be a way through the graph that passes no other node with an instruction, and every such way has to be a step. Ways
along `exception` edges and steps along exception tables are no jumps and are left out. What only one of the two has
goes to the class of difference that explains it, see `docs/control_flow.md`; what none explains is listed, and fails
the run.

Needs CPython 3.11, whose instructions `flow_trace.py` names.
"""

from __future__ import annotations

import argparse
import dis
import json
import sys
import sysconfig
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from flow_trace import END, START, Judge

from codeintel.extract.pattern_flow import EXCEPTION, FALSE, TRUE

STDLIB = Path(sysconfig.get_path("stdlib"))
ENDS = frozenset(["RETURN_VALUE", "RAISE_VARARGS", "RERAISE"])
GOES = frozenset(["JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"])


def code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


class Jumps:
    """Where each instruction of one code object goes next; `handled` are those that exceptions lead to."""

    def __init__(self, code: CodeType) -> None:
        instructions = list(dis.get_instructions(code))
        self.next: dict[int, list[int]] = {}
        self.names = {i.offset: i.opname for i in instructions}
        for at, after in pairwise([*instructions, instructions[-1]]):
            onward = [] if at.opname in ENDS | GOES else [after.offset]
            if at.opcode in dis.hasjrel or at.opcode in dis.hasjabs:
                onward.append(at.argval)
            self.next[at.offset] = [END] if at.opname == "RETURN_VALUE" else onward
        table = dis._parse_exception_table(code)  # noqa: SLF001 (as `dis` itself shows it) # pyrefly: ignore[missing-attribute]
        self.handled = sorted({entry.target for entry in table})
        for entry in table:  # an `async for` ends by an exception, which is how it jumps out
            if self.names[entry.target] == "END_ASYNC_FOR":
                for at in range(entry.start, entry.end, 2):
                    if self.names.get(at) == "SEND":
                        self.next[at] = [*self.next[at], entry.target]

    def steps(self, matched: frozenset[int]) -> dict[int, set[int]]:
        """By START and each matched instruction that can be reached, the next matched ones or END."""
        found: dict[int, set[int]] = {START: self._onward([0], matched)}
        waiting = [*found[START], *(m for h in self.handled for m in self._onward([h], matched))]
        while waiting:
            at = waiting.pop()
            if at != END and at not in found:
                found[at] = self._onward(self.next[at], matched)
                waiting += found[at]
        return found

    def _onward(self, starts: list[int], matched: frozenset[int]) -> set[int]:
        waiting, seen, found = list(starts), set(), set()
        while waiting:
            at = waiting.pop()
            if at == END or at in matched:
                found.add(at)
            elif at not in seen:
                seen.add(at)
                waiting += self.next[at]
        return found


class Ways:
    """The ways of one file's graph, with what is known on them of the value that the next branch tests."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.truths: dict[int, bool] = {}
        for values in (p for p in judge.syntax.properties if p.key == "value"):
            self.truths |= {n: bool(v) for n, v in zip(values.nodes.tolist(), values.values, strict=True)}
        if "__debug__" in judge.names:
            named = np.flatnonzero(judge.syntax.name == judge.names.index("__debug__")).tolist()
            self.truths |= dict.fromkeys((n for n in named if judge.kinds[n] == "Name"), True)
        children, kinds = judge.children, judge.kinds
        self.once = {  # `for a in [b]` of a comprehension is compiled like an assignment
            judge.position[node]
            for node, kind in enumerate(kinds)
            if kind == "comprehension"
            for display in [children[node][1]]
            if kinds[display] in ("List", "Tuple")
            and [kinds[child] != "Starred" for child in children[display]] == [True]
        }

    def onward(self, start: int, matched: frozenset[int]) -> dict[int, str]:
        """The next matched points, each with the class of the ways there; empty for one that all have to agree on.

        A way that takes a branch against what is known of its value is none that can be run.
        """
        found: dict[int, str] = {}
        waiting: list[tuple[int, bool | None, str, str]] = [(start, None, "", "")]
        seen = set(waiting)
        while waiting:
            point, known, source, reason = waiting.pop(0)
            for target, label in self.judge.plain.get(point, ()):
                if label == EXCEPTION:
                    continue
                state = self._step(point, target, label, known, source, reason)
                if target in matched:
                    if not state[3] or found.get(target, "?") != "":
                        found[target] = state[3]
                elif state not in seen:
                    seen.add(state)
                    waiting.append(state)
        return found

    def _step(
        self, point: int, target: int, label: int, known: bool | None, source: str, reason: str
    ) -> tuple[int, bool | None, str, str]:
        if label in (TRUE, FALSE) and known is not None and known != (label == TRUE):
            reason = reason or source
        if point in self.once:
            reason = reason or "one item"
        if label in (TRUE, FALSE):
            known, source = label == TRUE, "jump threading"
        return (target, *self._value(target, known, source), reason)

    def _value(self, point: int, known: bool | None, source: str) -> tuple[bool | None, str]:
        """What is known of the value at a point, coming with what was known before it."""
        if point >= self.judge.count:
            return None, ""
        node = self.judge.nodes[point]
        kind = self.judge.kinds[node]
        if node in self.truths:
            return self.truths[node], "constant folding"
        if kind in ("BoolOp", "Compare", "IfExp", "If", "While"):
            return known, source
        if kind == "UnaryOp" and self.judge.names[self.judge.syntax.name[node]] == "<operator>.logicalNot":
            return (None if known is None else not known), source
        return None, ""


def compared(path: str) -> dict[str, Any]:
    """The steps and ways of one file by class, and those without one."""
    counts: Counter[str] = Counter()
    left: list[str] = []
    warnings.simplefilter("ignore")
    try:
        compiled = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return {"counts": {"files that do not compile": 1}, "left": []}
    judge = Judge(path)
    ways = Ways(judge)
    counts["files"] += 1
    for code in code_objects(compiled):
        opener = judge.opener(code)
        if opener is None:
            left.append(f"{path} {code.co_qualname}: no unit")
            continue
        counts["units"] += 1
        entry = judge.count + 2 * judge.rows[opener]
        points = {at: p for at, p in judge.points(code, opener).items() if p}
        points[START], points[END] = frozenset([entry]), frozenset([entry + 1])
        matched = frozenset().union(*points.values())
        steps = Jumps(code).steps(frozenset(points))
        onward = {p: ways.onward(p, matched) for at in steps for p in points[at]}
        allowed: dict[int, set[int]] = defaultdict(set)
        for at, nexts in steps.items():
            for target in nexts:
                counts["steps"] += 1
                for p in points[at]:
                    allowed[p] |= points[target]
                ends = points[target] & {q for p in points[at] for q in onward[p]}
                if not ends and not points[at] & points[target]:
                    step = f"{shown(judge, points[at])} -> {shown(judge, points[target])}"
                    left.append(f"{path} {code.co_qualname}: missing {step}")
        for p, found in onward.items():
            for q, reason in found.items():
                counts["ways"] += 1
                if q in allowed[p]:
                    continue
                if reason:
                    counts[f"extra: {reason}"] += 1
                else:
                    left.append(f"{path} {code.co_qualname}: extra {shown(judge, [p])} -> {shown(judge, [q])}")
    return {"counts": dict(counts), "left": left}


def shown(judge: Judge, points: Iterable[int]) -> str:
    point = min(points)
    if point >= judge.count:
        return "exit" if (point - judge.count) % 2 else "entry"
    node = judge.nodes[point]
    return f"{judge.span[node][0]}:{judge.span[node][2]} {judge.kinds[node]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=STDLIB, help="the standard library if not given")
    parser.add_argument("--files", default="**/*.py", help="below the folder (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    files = sorted(str(p) for p in given.folder.glob(given.files) if "site-packages" not in p.parts)
    total: Counter[str] = Counter()
    left: list[str] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for result in pool.map(compared, files, chunksize=8):
            total.update(result["counts"])
            left += result["left"]
    total["unexplained"] = len(left)
    for line in left:
        print("UNEXPLAINED", line)
    for name, count in sorted(total.items()):
        print(f"{name:40}{count:>12,}")
    if given.json:
        given.json.write_text(json.dumps({"total": total, "unexplained": left}, indent=2) + "\n")
    sys.exit(bool(left))


if __name__ == "__main__":
    main()

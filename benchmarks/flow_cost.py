"""The largest functions of the corpora, and what control flow and dominance cost of each, alone and against size.

    python benchmarks/flow_cost.py [--corpora stdlib,django] [--largest 10] [--json FILE]

A function's cost is the least CPU time of three to find its flow as the only one of a file, parsing left out; `edges`
are those of control flow, `rows` those of dominance. The last part repeats one function's body: what a node costs must
not grow with it.
"""

from __future__ import annotations

import argparse
import ast
import json
import textwrap
import warnings
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from corpora import corpus

from codeintel.extract.ast_rows import Walk
from codeintel.extract.control_flow import control_flow
from codeintel.extract.dominance import dominance
from codeintel.extract.syntax import Texts

BODY = """
    for a in b:
        try:
            if c(a) and d or e:
                continue
            with f(a) as g:
                h = [i for i in g if i.j]
        except (K, L) as m:
            n(m)
        else:
            while h.pop():
                if o:
                    break
        finally:
            p(a)
"""
REPEATED = (10, 100, 1_000, 10_000)


def cost(source: str) -> dict[str, Any]:
    raw = source.encode()
    starts = np.r_[0, np.flatnonzero(np.frombuffer(raw, np.uint8) == 10) + 1, len(raw)]
    texts = Texts()
    syntax = Walk([ast.parse(raw)], [starts], texts).columns
    spent = []
    for _ in range(3):
        begun = process_time()
        flow = control_flow(syntax, texts)
        found = dominance(flow)
        spent.append(process_time() - begun)
    return {
        "lines": source.count("\n"),
        "nodes": len(syntax),
        "edges": int(flow.follows.sum()) + len(flow.source),
        "rows": 2 * len(found.straight) + len(found.source),
        "ms": round(1e3 * min(spent), 1),
        "us_per_node": round(1e6 * min(spent) / len(syntax), 2),
    }


def functions(root: Path) -> list[tuple[int, str, str]]:
    """Nodes, place and source of every function that no other one holds."""
    found = []
    for path in sorted(root.rglob("*.py")):
        try:
            text = path.read_text("utf-8")
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = text.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno]
                place = f"{path.relative_to(root)}:{node.lineno} {node.name}"
                found.append((sum(1 for _ in ast.walk(node)), place, textwrap.dedent("".join(lines))))
            else:
                waiting += ast.iter_child_nodes(node)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpora", default="stdlib,django")
    parser.add_argument("--largest", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name in given.corpora.split(","):
        for _, place, source in sorted(functions(corpus(name)), reverse=True)[: given.largest]:
            rows.append({"what": f"{name} {place}", **cost(source)})
    rows += [{"what": f"body repeated {count:,} times", **cost("def f():" + BODY * count)} for count in REPEATED]
    print("  ".join(f"{column:>11}" for column in list(rows[0])[1:]), " what")
    for row in rows:
        print("  ".join(f"{row[column]:>11,}" for column in list(row)[1:]), f" {row['what']}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

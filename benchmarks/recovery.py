"""How much of a broken file is in the graph?

    python benchmarks/recovery.py [--files N] [--seed S] [--json FILE]

First every file of the running Python's standard library, its tests and their deliberately broken files included, and
of Django: those that parse must be `ok` (or `partial`, if the compiler refuses their scopes), all others have an error
row with CPython's own line and message. Then N files of the standard library and of Django, chosen at random among
those that parse and define something, are broken in one place: cut short at a random byte, one token removed, one token
of the same file inserted before another, one bracket removed. Counted is, against the whole file, the share of
definitions (classes and functions) that are still there with the same qualified name and the same id: of a file that
was cut those whose `def` or `class` begins before the cut, of any other all. `nodes` is the same for nodes that end
before the broken place; for comparison `tree-sitter` says how many of the definitions its own tree has. Times are CPU
seconds, for extracting the broken files and for extracting the whole ones. Exits with 1 if a file has no row, or less
than 90 % is kept of files that were cut.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import sysconfig
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import tree_sitter_python
from corpora import corpus
from parity import scan
from tree_sitter import Language, Node, Parser

from codeintel.extract.python_facts import python_facts

PROMISED = 0.9
KINDS = ("ClassDef", "FunctionDef", "AsyncFunctionDef")
Definition = tuple[str, int]  # qualified name in the module, and how many of that name stand before it
Token = tuple[int, int]  # from, to in bytes
Broken = tuple[bytes, int, int]  # the file, and where in the whole one the broken part begins, and what is kept ends


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500, help="how many files to break in each way (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    library, django = Path(sysconfig.get_path("stdlib")), corpus("django")
    wholes = [whole_corpus(library), whole_corpus(django)]
    for found in wholes:
        print(*(f"{key} {value:,}" for key, value in found.items() if isinstance(value, int)), sep=", ")
        for path, why in found["failed_files"].items():
            print(f"   nothing recovered: {path}: {why}")
    candidates = [path for root in (corpus("stdlib"), django) for path in sorted(root.rglob("*.py"))]
    results = [
        broken_files(name, way, candidates, arguments.files, random.Random(arguments.seed))
        for name, way in (("cut", cut), ("token removed", removed), ("token inserted", inserted),
                          ("bracket removed", bracket_removed))
    ]  # fmt: skip
    heads = ("files", "broken", "kept", "overall", "same id", "nodes", "tree-sitter", "CPU", "whole")
    print(f"\n{'':16}", *(f"{head:>12}" for head in heads), sep="")
    for r in results:
        shares = (r[key] for key in ("mean_kept", "overall_kept", "same_id", "nodes_kept", "tree_sitter_mean"))
        print(
            f"{r['way']:16}{r['files']:12,}{r['broken']:12,}", *(f"{share:12.2%}" for share in shares),
            *(f"{r[key]:12.2f}" for key in ("cpu_s", "whole_cpu_s")), sep="",
        )  # fmt: skip
    if arguments.json:
        told = {"python": sys.version.split()[0], "seed": arguments.seed, "corpora": wholes, "broken": results}
        arguments.json.write_text(json.dumps(told, indent=2) + "\n")
    wrong = sum(found["without_row"] + found["wrong"] for found in wholes)
    return int(bool(wrong) or results[0]["mean_kept"] < PROMISED)


def whole_corpus(root: Path) -> dict[str, Any]:
    """What has become of every file of a corpus. `wrong`: files whose rows do not say what CPython says."""
    files = scan(root)
    facts = {name: table.to_pylist() for name, table in python_facts(files, root, "", 1 << 30).items()
             if name in ("parsed_files", "file_errors")}  # fmt: skip
    statuses = {row["path"]: row["status"] for row in facts["parsed_files"]}
    errors = {row["path"]: row for row in reversed(facts["file_errors"]) if row["ordinal"] == 0
              and row["stage"] not in ("recovery", "scopes")}  # fmt: skip
    wrong = 0
    for path in files["path"].to_pylist():
        try:
            compile((root / path).read_bytes(), path, "exec", 0x400, dont_inherit=True)
        except SyntaxError as problem:
            said = errors.get(path, {})
            is_ours = said.get("stage") == "decode" or (said.get("line"), said.get("message")) == (
                problem.lineno,
                problem.msg,
            )
            wrong += not is_ours or statuses[path] not in ("recovered", "failed")
        except (ValueError, MemoryError, RecursionError):
            wrong += path not in errors
        else:
            wrong += statuses[path] not in ("ok", "partial")
    return {
        "corpus": root.name, "files": files.num_rows, "without_row": files.num_rows - len(statuses), "wrong": wrong,
        **{status: list(statuses.values()).count(status) for status in ("ok", "partial", "recovered", "failed")},
        "error_rows": len(facts["file_errors"]),
        "failed_files": {path: f"{row['stage']}: {row['message']}" for path, row in sorted(errors.items())
                         if statuses[path] == "failed"},
    }  # fmt: skip


def broken_files(
    name: str,
    way: Callable[[bytes, list[Token], random.Random], Broken | None],
    candidates: list[Path],
    number: int,
    chance: random.Random,
) -> dict[str, Any]:
    """Break `number` of the candidates one way, and count what is still there of each."""
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "whole", Path(folder) / "broken"
        breaks: dict[str, Broken] = {}
        while len(breaks) < number:
            path = chance.choice(candidates)
            raw = path.read_bytes()
            if not (tokens := tokens_of(raw)) or not (done := way(raw, tokens, chance)) or not done[2]:
                continue
            at = f"f{len(breaks)}.py"
            breaks[at] = done
            for root, content in ((before, raw), (after, done[0])):
                root.mkdir(exist_ok=True)
                (root / at).write_bytes(content)
        start = process_time()
        whole = facts_by_file(before)
        middle = process_time()
        broken = facts_by_file(after)
        end = process_time()
        trees = {at: tree_sitter_definitions(content) for at, (content, _, _) in breaks.items()}
    shares, theirs, count = [], [], Counter[str]()
    for at, (_, where, until) in breaks.items():
        expected = {key: row["node_id"] for key, (row, start) in whole[at]["definitions"].items() if start < until}
        if not expected:
            continue
        found = broken[at]["definitions"]
        kept = expected.keys() & found.keys()
        nodes = {row["node_id"] for row in whole[at]["nodes"] if (row["bend"] or where) < where}
        count["wanted"] += len(expected)
        count["kept"] += len(kept)
        count["same"] += sum(found[key][0]["node_id"] == expected[key] for key in kept)
        count["nodes"] += len(nodes)
        count["nodes_kept"] += len(nodes & {row["node_id"] for row in broken[at]["nodes"]})
        count["broken"] += broken[at]["status"] in ("recovered", "failed")
        shares.append(len(kept) / len(expected))
        theirs.append(len(expected.keys() & trees[at]) / len(expected))
    return {
        "way": name, "files": len(shares), "broken": count["broken"], "definitions": count["wanted"],
        "mean_kept": sum(shares) / len(shares), "overall_kept": count["kept"] / count["wanted"],
        "same_id": count["same"] / count["kept"], "nodes_kept": count["nodes_kept"] / count["nodes"],
        "tree_sitter_mean": sum(theirs) / len(theirs), "cpu_s": end - middle, "whole_cpu_s": middle - start,
    }  # fmt: skip


def facts_by_file(root: Path) -> dict[str, dict[str, Any]]:
    facts = {name: table.to_pylist() for name, table in python_facts(scan(root), root, "", 1 << 30).items()
             if name in ("parsed_files", "definitions", "ast_nodes")}  # fmt: skip
    found: dict[str, dict[str, Any]] = {
        row["path"]: {"status": row["status"], "definitions": {}, "nodes": []} for row in facts["parsed_files"]
    }
    starts = {}
    for row in facts["ast_nodes"]:
        found[row["path"]]["nodes"].append(row)
        if row["kind"] in KINDS:
            starts[row["node_id"]] = row["bstart"]
    for row in facts["definitions"]:
        if row["kind"] in KINDS:
            key = (row["qualname"].partition(".")[2], row["duplicate"])
            found[row["path"]]["definitions"][key] = row, starts[row["node_id"]]
    return found


def tokens_of(raw: bytes) -> list[Token]:
    """Names, operators, strings and numbers of a file that parses as UTF-8; none of any other."""
    try:
        compile(raw, "", "exec", 0x400, dont_inherit=True)
        lines = raw.decode().splitlines(keepends=True)
        if "\r" in raw.decode() or "\f" in raw.decode():
            return []
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line.encode()))

        def offset(place: tuple[int, int]) -> int:
            return starts[place[0] - 1] + len(lines[place[0] - 1][: place[1]].encode())

        return [
            (offset(token.start), offset(token.end))
            for token in tokenize.tokenize(io.BytesIO(raw).readline)
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.STRING, tokenize.NUMBER)
        ]
    except (SyntaxError, ValueError, MemoryError, RecursionError, tokenize.TokenError):
        return []


def cut(raw: bytes, _tokens: list[Token], chance: random.Random) -> Broken | None:
    at = chance.randrange(len(raw))
    return raw[:at], at, at


def removed(raw: bytes, tokens: list[Token], chance: random.Random) -> Broken | None:
    start, end = chance.choice(tokens)
    return raw[:start] + raw[end:], start, len(raw)


def inserted(raw: bytes, tokens: list[Token], chance: random.Random) -> Broken | None:
    (start, _), other = chance.choice(tokens), chance.choice(tokens)
    return raw[:start] + raw[slice(*other)] + b" " + raw[start:], start, len(raw)


def bracket_removed(raw: bytes, tokens: list[Token], chance: random.Random) -> Broken | None:
    brackets = [token for token in tokens if raw[slice(*token)] in b"()[]{}"]
    return removed(raw, brackets, chance) if brackets else None


def tree_sitter_definitions(raw: bytes) -> set[Definition]:
    found: Counter[str] = Counter()

    def walk(node: Node, inside: str) -> Iterator[Definition]:
        for child in node.children:
            name = child.child_by_field_name("name")
            if child.type in ("function_definition", "class_definition") and name is not None:
                qualname = f"{inside}{raw[name.start_byte : name.end_byte].decode('utf-8', 'replace')}"
                yield qualname, found[qualname]
                found[qualname] += 1
                yield from walk(child, f"{qualname}.")
            else:
                yield from walk(child, inside)

    return set(walk(Parser(Language(tree_sitter_python.language())).parse(raw).root_node, ""))


if __name__ == "__main__":
    sys.exit(main())

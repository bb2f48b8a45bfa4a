"""What a single statement that Python refused may have meant, by tree-sitter's tolerant grammar.

That grammar knows syntax of later Pythons and of Python 2, which is rewritten to what means the same, or nearly so, to
the running one; and it says which parts of a statement fit nowhere and which brackets are missing. All of it is only a
proposal: the caller asks the compiler.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import tree_sitter_python
from tree_sitter import Language, Node, Parser, Query, QueryCursor

from codeintel.extract.source_edits import Edit, line_ends

_KINDS = """[
    (print_statement) (exec_statement) (raise_statement) (except_clause) (type_alias_statement) (type_parameter)
    (string) (integer) "<>"
] @found"""
_PY2 = "Python 2"


@cache
def _parser() -> tuple[Parser, Query]:
    language = Language(tree_sitter_python.language())
    return Parser(language), Query(language, _KINDS)


def repairs(statement: bytes, begin: int, end: int) -> Iterator[list[Edit]]:
    """Lists of edits of `statement`, between `begin` and `end`, to be tried in turn."""
    parser, query = _parser()
    root = parser.parse(statement).root_node
    found = QueryCursor(query).captures(root).get("found", [])
    rewritten = [
        edit
        for node in sorted(found, key=lambda node: node.start_byte)
        if begin <= node.start_byte < end
        for edit in _rewritten(node, statement)
    ]
    if rewritten:
        yield rewritten
    removed = [edit for node in _faults(root) if (edit := _without(node, statement, begin, end))]
    if removed and sum(edit.end - edit.start for edit in removed) * 2 < end - begin:
        kept = [e for e in rewritten if not any(r.start <= e.start and e.end <= r.end for r in removed)]
        yield sorted([*kept, *removed], key=lambda edit: (edit.start, edit.end))


def _faults(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            yield node
        elif node.has_error:
            waiting += reversed(node.children)


def _without(node: Node, statement: bytes, begin: int, end: int) -> Edit | None:
    if node.is_missing:
        at = min(max(node.start_byte, begin), end)
        known = not node.is_named and "\n" not in node.type
        return Edit(at, at, node.type.encode(), f"`{node.type}` is missing") if known else None
    start, stop = max(node.start_byte, begin), min(node.end_byte, end)
    if start >= stop:
        return None
    newlines = line_ends(statement, start, stop)
    return Edit(start, stop, (b" " if start > begin else b"") + newlines, "unexpected here", left_out=True)


def _rewritten(node: Node, statement: bytes) -> Iterator[Edit]:
    start, end, parts = node.start_byte, node.end_byte, node.children
    match node.type:
        case "print_statement" if len(parts) > 1:
            yield Edit(parts[0].end_byte, parts[1].start_byte, b"(", f"print statement of {_PY2}")
            yield Edit(end, end, b")")
        case "exec_statement" if len(parts) > 1:
            yield Edit(parts[0].end_byte, parts[1].start_byte, b"(", f"exec statement of {_PY2}")
            for part in parts:
                if part.type == "in":
                    yield Edit(part.start_byte, part.end_byte, b",")
            yield Edit(end, end, b")")
        case "raise_statement":
            for part in parts:
                if part.type == "expression_list":
                    yield Edit(part.start_byte, part.start_byte, b"(", f"raise statement of {_PY2}")
                    yield Edit(part.end_byte, part.end_byte, b")")
        case "except_clause":
            colon = next((i for i, part in enumerate(parts) if part.type == ":"), 0)
            commas = [i for i in range(colon) if parts[i].type == ","]
            if not commas or parts[1].type == "*":
                return
            last = parts[colon - 1]
            # `except A, e:` of Python 2 and `except A, B:` from 3.14 on only differ by custom.
            if len(commas) == 1 and last.type == "identifier" and statement[last.start_byte : last.end_byte].islower():
                first = parts[commas[0] - 1]
                yield Edit(first.end_byte, last.start_byte, b" as ", f"except clause of {_PY2}")
            else:
                yield Edit(parts[1].start_byte, parts[1].start_byte, b"(", "exceptions without parentheses")
                yield Edit(last.end_byte, last.end_byte, b")")
        case "type_alias_statement" if len(parts) > 1:
            yield Edit(start, parts[1].start_byte, b"", "type alias, read as an assignment")
        case "type_parameter" if node.parent is not None and _declares(node):
            if not line_ends(statement, start, end):  # a line break here would end the statement
                yield Edit(start, end, b"", "type parameters", left_out=True)
        case "string":
            yield from _string(node, statement)
        case "integer":
            digits = statement[start:end]
            if re.fullmatch(rb"0[0-7]+[lL]?", digits):
                yield Edit(start + 1, start + 1, b"o", f"octal number of {_PY2}")
            if digits[-1:] in b"lL":
                yield Edit(end - 1, end, b"", f"long number of {_PY2}")
        case "<>":
            yield Edit(start, end, b"!=", f"comparison of {_PY2}")
        case _:
            pass


def _declares(node: Node) -> bool:
    """Whether type parameters are declared here, and not given as arguments."""
    around = node.parent
    if around is not None and around.type in ("function_definition", "class_definition"):
        return True
    while around is not None and around.type in ("generic_type", "type"):
        if around.parent is not None and around.parent.type == "type_alias_statement":
            return around.parent.child_by_field_name("left") == around
        around = around.parent
    return False


def _string(node: Node, statement: bytes) -> Iterator[Edit]:
    opening, closing = node.children[0], node.children[-1]
    if opening.type != "string_start" or closing.type != "string_end":
        return
    written = statement[opening.start_byte : opening.end_byte]
    prefix, quote = written.rstrip(b"'\""), written[len(written.rstrip(b"'\"")) :]
    lowered = prefix.lower()
    if lowered == b"ur":
        yield Edit(opening.start_byte, opening.start_byte + 1, b"", f"string of {_PY2}")
    if b"t" in lowered:
        at = opening.start_byte + lowered.index(b"t")
        yield Edit(at, at + 1, b"f", "template string, read as a formatted one")
    inside = [part for part in node.children if part.type == "interpolation"]
    body = statement[opening.end_byte : closing.start_byte]
    held = b"".join(statement[part.start_byte : part.end_byte] for part in inside)
    if len(quote) == 1 and (quote in held or b"\n" in held):
        for longer in (b'"""', b"'''"):
            if longer not in body and not body.endswith(longer[:1]):
                yield Edit(opening.end_byte - 1, opening.end_byte, longer, "quotes inside a formatted string")
                yield Edit(closing.start_byte, closing.end_byte, longer)
                return

"""Node kinds: Python's own names, the label that the CPG specification gives them, and their operator name if any.

Labels and operator names are those of the Code Property Graph specification 1.1; where it has no operator for a Python
construct, the name follows its pattern. Grammar: the `ast` module's abstract grammar, 3.11 to 3.14.
"""

from __future__ import annotations

_OPERATORS = {
    "Assign": "assignment",
    "AnnAssign": "assignment",
    "AugAssign": None,
    "NamedExpr": "assignment",
    "BinOp": None,
    "UnaryOp": None,
    "BoolOp": None,
    "Compare": None,
    "IfExp": "conditional",
    "Subscript": "indexAccess",
    "Slice": "slice",
    "List": "listLiteral",
    "Tuple": "tupleLiteral",
    "Dict": "dictLiteral",
    "Set": "setLiteral",
    "JoinedStr": "formatString",
    "FormattedValue": "formattedValue",
    "TemplateStr": "templateString",
    "Interpolation": "formattedValue",
    "Await": "await",
    "Yield": "yield",
    "YieldFrom": "yieldFrom",
    "Starred": "starredUnpack",
    "Delete": "delete",
}

_LABELS = {
    "NAMESPACE_BLOCK": ("Module",),
    "METHOD": ("FunctionDef", "AsyncFunctionDef", "Lambda"),
    "TYPE_DECL": ("ClassDef", "TypeAlias"),
    "METHOD_PARAMETER_IN": ("arg",),
    "TYPE_PARAMETER": ("TypeVar", "ParamSpec", "TypeVarTuple"),
    "CALL": ("Call", *_OPERATORS),
    "IDENTIFIER": ("Name",),
    "FIELD_IDENTIFIER": ("Attribute",),
    "LITERAL": ("Constant",),
    "RETURN": ("Return",),
    "CONTROL_STRUCTURE": (
        "If",
        "For",
        "AsyncFor",
        "While",
        "Try",
        "TryStar",
        "ExceptHandler",
        "With",
        "AsyncWith",
        "Match",
        "Break",
        "Continue",
        "Raise",
        "Assert",
    ),
    "JUMP_TARGET": ("match_case",),
    "METHOD_RETURN": ("Exit",),
    "BLOCK": ("Entry", "ListComp", "SetComp", "DictComp", "GeneratorExp"),
    "IMPORT": ("Import", "ImportFrom", "alias"),
    "LOCAL": ("Binding",),
    "MEMBER": ("Field",),
    "DEPENDENCY": ("External",),
    "UNKNOWN": (
        "Expr",
        "Pass",
        "Global",
        "Nonlocal",
        "arguments",
        "keyword",
        "withitem",
        "comprehension",
        "MatchValue",
        "MatchSingleton",
        "MatchSequence",
        "MatchMapping",
        "MatchClass",
        "MatchStar",
        "MatchAs",
        "MatchOr",
        "TypeIgnore",
        "Unparsed",
    ),
}

# What the specification lets a METHOD contain.
_CONTAINED = {
    "BLOCK",
    "CALL",
    "CONTROL_STRUCTURE",
    "FIELD_IDENTIFIER",
    "IDENTIFIER",
    "JUMP_TARGET",
    "LITERAL",
    "METHOD",
    "RETURN",
    "TYPE_DECL",
    "UNKNOWN",
}

LABELS: dict[str, str] = {kind: label for label, kinds in _LABELS.items() for kind in kinds}


def node_kinds() -> list[tuple[str, str, str | None, bool]]:
    """Kind, label, operator and whether a METHOD contains it, sorted by kind."""
    return [
        (kind, label, f"<operator>.{operator}" if (operator := _OPERATORS.get(kind)) else None, label in _CONTAINED)
        for kind, label in sorted(LABELS.items())
    ]

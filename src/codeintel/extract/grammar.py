"""The running Python's abstract grammar as tables, read off the ASDL signature in each AST class's docstring.

Nothing here is written per Python version: a class that a newer version adds appears with its own fields in the order
of its signature. What is written by hand is only what the signature cannot say: the order in the source where it
differs, the scope that a field is evaluated in, and the operators' names in the CPG specification.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Unparsed(ast.stmt):
    """Unparsed"""  # noqa: D400 (its signature)

    # A statement, or an expression, that could not be read and was left out; see `recovery`.


# Children of these sums have no place of their own: they are columns of their parent, never rows.
COLUMNS_OF_PARENT = ("expr_context", "boolop", "operator", "unaryop", "cmpop")


class Shape(IntEnum):
    """How many nodes a field holds."""

    ONE = 0
    OPTIONAL = 1
    LIST = 2


class Evaluated(IntEnum):
    """The scope in which a child is evaluated, seen from its parent."""

    HERE = 0  # where the parent itself is
    INSIDE = 1  # in the scope that the parent opens
    WITH_TYPE_PARAMETERS = 2  # in the parent's type-parameter scope if it has one, else where the parent is
    AROUND = 3  # where the parent's own parent is: defaults of a function's parameters
    OUTERMOST_ITERABLE = 4  # the first `for` of a comprehension around it, any other inside
    SECOND_INSIDE = 5  # in a second scope of the parent: a type variable's default beside its bound


@dataclass(frozen=True, slots=True)
class Child:
    """One field that holds AST nodes, in the order of the source."""

    name: str
    field: int  # index into FIELDS
    shape: Shape
    evaluated: Evaluated
    holes: bool  # the list may hold None: `{**d}`, keyword-only parameters without default


SOURCE_ORDER = {
    "FunctionDef": ("decorator_list", "type_params", "args", "returns", "body"),
    "AsyncFunctionDef": ("decorator_list", "type_params", "args", "returns", "body"),
    "ClassDef": ("decorator_list", "type_params", "bases", "keywords", "body"),
    "IfExp": ("body", "test", "orelse"),
}
# Fields of these interleave in the source, so their children are put in order by their positions.
INTERLEAVED = ("Dict", "Call", "ClassDef", "arguments", "MatchMapping")

_FUNCTION = {
    "args": Evaluated.WITH_TYPE_PARAMETERS,
    "returns": Evaluated.WITH_TYPE_PARAMETERS,
    "type_params": Evaluated.WITH_TYPE_PARAMETERS,
    "body": Evaluated.INSIDE,
}
_COMPREHENSION = {
    "elt": Evaluated.INSIDE,
    "key": Evaluated.INSIDE,
    "value": Evaluated.INSIDE,
    "generators": Evaluated.INSIDE,
}
EVALUATED = {
    "Module": {"body": Evaluated.INSIDE},
    "FunctionDef": _FUNCTION,
    "AsyncFunctionDef": _FUNCTION,
    "Lambda": {"body": Evaluated.INSIDE},
    "ClassDef": {
        "bases": Evaluated.WITH_TYPE_PARAMETERS,
        "keywords": Evaluated.WITH_TYPE_PARAMETERS,
        "type_params": Evaluated.WITH_TYPE_PARAMETERS,
        "body": Evaluated.INSIDE,
    },
    "arguments": {"defaults": Evaluated.AROUND, "kw_defaults": Evaluated.AROUND},
    "ListComp": _COMPREHENSION,
    "SetComp": _COMPREHENSION,
    "DictComp": _COMPREHENSION,
    "GeneratorExp": _COMPREHENSION,
    "comprehension": {"iter": Evaluated.OUTERMOST_ITERABLE},
    "TypeAlias": {"type_params": Evaluated.WITH_TYPE_PARAMETERS, "value": Evaluated.INSIDE},
    "TypeVar": {"bound": Evaluated.INSIDE, "default_value": Evaluated.SECOND_INSIDE},
    "ParamSpec": {"default_value": Evaluated.SECOND_INSIDE},
    "TypeVarTuple": {"default_value": Evaluated.SECOND_INSIDE},
}

# The field whose text is the node's name.
NAME_FIELDS = {
    "Name": "id",
    "Attribute": "attr",
    "FunctionDef": "name",
    "AsyncFunctionDef": "name",
    "ClassDef": "name",
    "arg": "arg",
    "alias": "name",
    "keyword": "arg",
    "ExceptHandler": "name",
    "MatchAs": "name",
    "MatchStar": "name",
    "TypeVar": "name",
    "ParamSpec": "name",
    "TypeVarTuple": "name",
}

OPERATORS = {
    "Add": "addition", "Sub": "subtraction", "Mult": "multiplication", "MatMult": "matrixMultiplication",
    "Div": "division", "Mod": "modulo", "Pow": "exponentiation", "LShift": "shiftLeft",
    "RShift": "arithmeticShiftRight", "BitOr": "or", "BitXor": "xor", "BitAnd": "and", "FloorDiv": "floorDiv",
    "Invert": "not", "Not": "logicalNot", "UAdd": "plus", "USub": "minus", "And": "logicalAnd", "Or": "logicalOr",
    "Eq": "equals", "NotEq": "notEquals", "Lt": "lessThan", "LtE": "lessEqualsThan", "Gt": "greaterThan",
    "GtE": "greaterEqualsThan", "Is": "is", "IsNot": "isNot", "In": "in", "NotIn": "notIn",
}  # fmt: skip
AUGMENTED = {
    "Add": "assignmentPlus", "Sub": "assignmentMinus", "Mult": "assignmentMultiplication",
    "MatMult": "assignmentMatrixMultiplication", "Div": "assignmentDivision", "Mod": "assignmentModulo",
    "Pow": "assignmentExponentiation", "LShift": "assignmentShiftLeft", "RShift": "assignmentArithmeticShiftRight",
    "BitOr": "assignmentOr", "BitXor": "assignmentXor", "BitAnd": "assignmentAnd", "FloorDiv": "assignmentFloorDiv",
}  # fmt: skip


def _classes() -> list[type[ast.AST]]:
    """Every concrete class that gives rows, by name, so that codes do not depend on any order of definition.

    A concrete class's docstring is its own signature; sums and deprecated classes have other docstrings.
    """
    barred = tuple(getattr(ast, name) for name in COLUMNS_OF_PARENT)
    found = [value for value in vars(ast).values() if isinstance(value, type) and issubclass(value, ast.AST)]
    found.append(Unparsed)
    return sorted(
        {cls for cls in found if (cls.__doc__ or "").partition("(")[0] == cls.__name__ and not issubclass(cls, barred)},
        key=lambda cls: cls.__name__,
    )


CLASSES = _classes()
KINDS = [cls.__name__ for cls in CLASSES]
KIND = {name: code for code, name in enumerate(KINDS)}
CODE_OF_CLASS = {cls: KIND[cls.__name__] for cls in CLASSES}
CONTEXTS = [None, "Load", "Store", "Del"]
CODE_OF_CONTEXT = {ast.Load: 1, ast.Store: 2, ast.Del: 3}


def _signature(cls: type[ast.AST]) -> list[tuple[str, str, str]]:
    """`(type, marker, field)` for each field of the class's ASDL signature; the marker is ``, `?` or `*`."""
    inside = re.search(r"\((.*)\)", cls.__doc__ or "", re.DOTALL)
    return re.findall(r"(\w+)([?*]?) (\w+)", inside[1]) if inside else []


def _holds_rows(asdl_type: str) -> bool:
    cls = getattr(ast, asdl_type, None)
    return isinstance(cls, type) and issubclass(cls, ast.AST) and asdl_type not in COLUMNS_OF_PARENT


FIELDS: list[str | None] = [
    None,
    *sorted({field for cls in CLASSES for kind, _, field in _signature(cls) if _holds_rows(kind)}),
]
FIELD = {name: code for code, name in enumerate(FIELDS)}
_SHAPES = {"": Shape.ONE, "?": Shape.OPTIONAL, "*": Shape.LIST}
_HOLES = {("Dict", "keys"), ("arguments", "kw_defaults")}


def _children(cls: type[ast.AST]) -> tuple[Child, ...]:
    name, evaluated = cls.__name__, EVALUATED.get(cls.__name__, {})
    declared = {field: marker for kind, marker, field in _signature(cls) if _holds_rows(kind)}
    ordered = [field for field in SOURCE_ORDER.get(name, ()) if field in declared]
    ordered += [field for field in declared if field not in ordered]
    return tuple(
        Child(
            field,
            FIELD[field],
            _SHAPES[declared[field]],
            evaluated.get(field, Evaluated.HERE),
            (name, field) in _HOLES,
        )
        for field in ordered
    )


# Where each field and attribute stands among the values of a node that the parser made: it sets them in this order.
SLOTS = [{name: slot for slot, name in enumerate((*cls._fields, *cls._attributes))} for cls in CLASSES]
CHILDREN = [_children(cls) for cls in CLASSES]
HAS_POSITION = np.array(["end_col_offset" in cls._attributes for cls in CLASSES])
IS_INTERLEAVED = np.array([name in INTERLEAVED for name in KINDS])


def is_kind(*names: str) -> np.ndarray:
    """A lookup over kind codes: true for the named kinds. Names this Python does not have are ignored."""
    return np.array([name in names for name in KINDS])


OWNERS = ("Module", "ClassDef", "FunctionDef", "AsyncFunctionDef")
IS_OWNER = is_kind(*OWNERS)
IS_DEFINITION = is_kind(*OWNERS, "Lambda")

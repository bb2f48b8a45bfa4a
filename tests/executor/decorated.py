"""Nodes that Hamilton's decorators multiply: each helper says whose it is."""

from __future__ import annotations

from hamilton.data_quality.base import DataValidator, ValidationResult
from hamilton.function_modifiers import check_output_custom, tag


class Positive(DataValidator):
    def __init__(self) -> None:
        super().__init__(importance="fail")

    def applies_to(self, datatype: type) -> bool:
        return datatype is int

    def description(self) -> str:
        return "is positive"

    @classmethod
    def name(cls) -> str:
        return "positive"

    def validate(self, dataset: int) -> ValidationResult:
        return ValidationResult(passes=dataset > 0, message=f"got {dataset}")


def number(start: int) -> int:
    return start


@tag(task="checked", target_=...)
@check_output_custom(Positive())
def checked(number: int) -> int:
    return number - 10


@tag(layer="plan", artifact="plan_diagnostics", kind="scalar")
def plan_note() -> str:
    return "a note"


@tag(layer="semantic")
def published(checked: int, plan_note: str) -> str:
    return f"{checked} with {plan_note}"

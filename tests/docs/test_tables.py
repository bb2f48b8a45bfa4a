"""The page of public tables is generated, and no column is without a meaning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeintel.cpg.contracts import CONTRACTS, contract_faults, contracts_markdown

ROOT = Path(__file__).parents[2]


def test_the_page_of_tables_is_the_one_in_the_code() -> None:
    assert (ROOT / "docs/tables.md").read_text("utf-8") == contracts_markdown() + "\n"


def test_every_column_has_a_meaning_and_every_number_a_unit() -> None:
    assert contract_faults() == []
    for name, contract in CONTRACTS.items():
        assert [*contract.meanings] == contract.table.schema.names, name
        assert contract.allowed.keys() | contract.units.keys() <= set(contract.table.schema.names), name


@pytest.mark.parametrize(("part", "fault"), [("meanings", "has no meaning"), ("units", "is a number without a unit")])
def test_a_column_that_nobody_can_use_is_a_fault(monkeypatch: pytest.MonkeyPatch, part: str, fault: str) -> None:
    changed: dict[str, Any] = {part: {**getattr(CONTRACTS["files"], part), "lines": " "}}
    lines = replace(CONTRACTS["files"], **changed)
    monkeypatch.setitem(CONTRACTS, "files", lines)
    assert contract_faults() == [f"files.lines {fault}"]

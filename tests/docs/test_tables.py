"""The page of public tables is generated, and no column is without a meaning."""

from __future__ import annotations

from pathlib import Path

from codeintel.cpg.contracts import CONTRACTS, contracts_markdown

ROOT = Path(__file__).parents[2]


def test_the_page_of_tables_is_the_one_in_the_code() -> None:
    assert (ROOT / "docs/tables.md").read_text("utf-8") == contracts_markdown() + "\n"


def test_every_column_has_a_meaning_and_every_meaning_a_column() -> None:
    for name, contract in CONTRACTS.items():
        assert [*contract.meanings] == contract.table.schema.names, name
        assert all(meaning.strip() for meaning in contract.meanings.values()), name
        assert contract.allowed.keys() <= set(contract.table.schema.names), name

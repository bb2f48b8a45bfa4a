"""What a run found out about contracts: one row per public table and rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from codeintel.errors import ContractError, DamagedObjectError, breach
from codeintel.hamilton_pipeline.contract_job import Finding, findings_of
from codeintel.hamilton_pipeline.prediction import Prediction
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.relspec.pipeline import Contract
from codeintel.relspec.task import Mode, published_table
from codeintel.store.directory import Store
from codeintel.store.handles import UNPARTITIONED, TableHandle
from codeintel.store.results import Results, result_key

CONTRACT_RESULTS = "contract_results"


class ContractRow(NamedTuple):
    """One rule of one table: `kept`, or `broken` by `count` rows, of which up to five are shown."""

    table: str
    rule: str
    severity: str
    outcome: str
    count: int
    rows: list[str]


def contract_rows(
    plan: ExecutionPlan,
    contracts: Mapping[str, Contract],
    findings: Mapping[str, tuple[Finding, ...]],
    failed: Iterable[BaseException],
) -> list[ContractRow]:
    """Rows by table, in the order of its rules. `findings` are by output that was checked, now or before.

    A table that could not even be written has the rule that was broken first, out of `failed`, and no other.
    """
    checked = {published_table(plan.tasks[name]): broken for name, broken in findings.items()}
    rows = [row for table, broken in checked.items() for row in _rows(table, contracts[table], broken)]
    rows += [
        ContractRow(error.table, error.rule, "fail", "broken", error.count, [*error.rows])
        for error in failed
        if isinstance(error, ContractError) and error.table not in checked
    ]
    return sorted(rows, key=lambda row: row.table)


def warnings_of(rows: Iterable[ContractRow]) -> dict[str, str]:
    """By table with broken rules that only warn what they are."""
    told: dict[str, list[str]] = {}
    for row in rows:
        if row.outcome == "broken" and row.severity == "warn":
            told.setdefault(row.table, []).append(breach(row.rule, row.count, row.rows))
    return {table: "\n".join(lines) for table, lines in told.items()}


def recall_findings(
    store: Store, plan: ExecutionPlan, predicted: Prediction, results: Results
) -> dict[str, tuple[Finding, ...]]:
    """Findings by output that is to be reused. One whose findings are lost is taken out of what is reused."""
    found: dict[str, tuple[Finding, ...]] = {}
    for name, task in plan.tasks.items():
        if task.kind != "output" or name not in predicted.values:
            continue
        read = {table: value for table in task.inputs if isinstance(value := predicted.values[table], TableHandle)}
        whole: dict[str, Mode] = dict.fromkeys(read, "whole")
        checked = results.found(result_key(task.signature, UNPARTITIONED, read, whole))
        try:
            if checked is not None:
                found[name] = findings_of(store.objects, checked)
                continue
        except DamagedObjectError:
            pass
        predicted.forget(name)
    return found


def _rows(table: str, contract: Contract, broken: Iterable[Finding]) -> Iterator[ContractRow]:
    found = {finding.rule: finding for finding in broken}
    for rule in contract.rules:
        finding = found.get(rule)
        outcome, count, shown = ("broken", finding.count, [*finding.rows]) if finding else ("kept", 0, [])
        yield ContractRow(table, rule, contract.severity, outcome, count, shown)

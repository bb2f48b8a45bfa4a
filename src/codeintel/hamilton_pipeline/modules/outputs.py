"""Public tables: each a node with its semantic tags, and beside it the node of the validator of its contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hamilton import node
from hamilton.data_quality.base import DataValidator, ValidationResult
from hamilton.function_modifiers.validation import (
    DATA_VALIDATOR_ORIGINAL_OUTPUT_TAG,
    IS_DATA_VALIDATOR_TAG,
    BaseDataValidationDecorator,
)

from codeintel.errors import ContractError, RunError, breach
from codeintel.hamilton_pipeline.contract_job import ContractJob, Finding, findings_of
from codeintel.hamilton_pipeline.modules.tasks import Bench, planned
from codeintel.hamilton_pipeline.prediction import PLAN_SIGNATURE
from codeintel.hamilton_pipeline.semantic_registry import semantic_tags
from codeintel.hamilton_pipeline.workers import WorkerDiedError
from codeintel.relspec.pipeline import Contract, Reference
from codeintel.relspec.task import Task, published_table
from codeintel.store.handles import UNPARTITIONED, TableHandle
from codeintel.store.partitions import is_bucketed
from codeintel.store.results import Result

VALIDATOR = "contract"


class ContractValidator(DataValidator):
    """Hamilton's validator of one public table: what it validates are handles, of the table and of what it refers to.

    Its diagnostics are the findings. What was validated before is looked up, not read again.
    """

    def __init__(self, bench: Bench, task: Task, contract: Contract) -> None:
        super().__init__(importance=contract.severity)
        self._bench, self._task, self._contract = bench, task, contract

    def applies_to(self, datatype: type) -> bool:
        return issubclass(datatype, Mapping)

    def description(self) -> str:
        return "; ".join(self._contract.rules)

    @classmethod
    def name(cls) -> str:
        return VALIDATOR

    def validate(self, dataset: Mapping[str, TableHandle]) -> ValidationResult:
        bench, task = self._bench, self._task
        stale, known = bench.known(task, dataset, None)
        verified = self._verified(dataset, stale[UNPARTITIONED]) if stale else known[UNPARTITIONED]
        findings = bench.findings[task.name] = findings_of(bench.store.objects, verified)
        told = "; ".join(breach(finding.rule, finding.count) for finding in findings)
        return ValidationResult(not findings, told or "every rule holds", {"findings": findings})

    def _verified(self, handles: Mapping[str, TableHandle], key: str) -> Result:
        bench, task, contract = self._bench, self._task, self._contract
        contracts = bench.planned.contracts
        job = ContractJob(
            bench.store.objects,
            published_table(task),
            contract,
            handles,
            {table: bench.planned.tables[table].schema for table in handles},
            bench.earlier(task, UNPARTITIONED),
            frozenset(r for r in contract.references if _is_unique(contracts.get(r.target), r)),
        )
        heavy = job.verified is None and bench.is_heavy(task, handles)
        ((_, done),) = bench.workers.run(task.name, [job], heavy=heavy)
        if isinstance(done, WorkerDiedError):
            raise RunError(f"the contract of {job.name!r} could not be checked: {done.reason}", task=task.name)
        verified = Result({table: dict(parts) for table, parts in done.partitions.items()})
        bench.keep(task, {UNPARTITIONED: (key, verified)})
        return verified


def _is_unique(target: Contract | None, reference: Reference) -> bool:
    """Whether the target's own contract says that the column takes no value in two buckets."""
    if target is None or not is_bucketed(target.table.schema):
        return False
    return target.table.key[:1] == reference.target_columns and "path" not in target.table.key


class contracted(BaseDataValidationDecorator):  # noqa: N801 - a decorator
    """Gives each output its tags and the node of its validator, for which it waits.

    Hamilton's own decorators split off a third node, which holds the value before it was validated; here that is what
    the output reads, and so the output's key in the cache is that of its task.
    """

    def get_validators(self, node_to_validate: node.Node) -> list[DataValidator]:
        bench, task = _bound(node_to_validate)
        return [ContractValidator(bench, task, bench.planned.contracts[published_table(task)])]

    def transform_node(self, node_: node.Node, config: dict[str, Any], fn: Callable[..., Any]) -> list[node.Node]:  # noqa: ARG002 - Hamilton's signature
        (validator,) = self.get_validators(node_)
        bench, task = _bound(node_)
        table = published_table(task)
        tags: dict[str, Any] = {"layer": "semantic", "task": task.name, "kind": "validator"}
        validation = node.Node(
            f"{node_.name}_{validator.name()}",
            ValidationResult,
            validator.description(),
            callabl=partial(_validate, validator),
            input_types={name: kind for name, kind in node_.input_types.items() if name != PLAN_SIGNATURE},
            tags=tags | {IS_DATA_VALIDATOR_TAG: "true", DATA_VALIDATOR_ORIGINAL_OUTPUT_TAG: node_.name},
            originating_functions=(fn,),
        )
        tags = {"task": task.name} | semantic_tags(table, bench.planned.contracts[table])
        inputs = {**node_.input_types, validation.name: (ValidationResult, node.DependencyType.REQUIRED)}
        return [validation, node_.copy_with(tags=tags, input_types=inputs)]


def _bound(node_: node.Node) -> tuple[Bench, Task]:
    """What `planned` has bound to the node of an output."""
    callable_: Any = node_.callable
    _, bench, task = callable_.args
    return bench, task


def _validate(validator: DataValidator, /, **handles: TableHandle) -> ValidationResult:
    return validator.validate(handles)


@contracted(...)
@planned("output")
def output(bench: Bench, task: Task, inputs: Mapping[str, Any]) -> TableHandle:
    """The handle of a public table that keeps its contract, or one that only warns.

    Raises ContractError for the first rule that is broken otherwise, and counts the others.
    """
    table = published_table(task)
    contract = bench.planned.contracts[table]
    validation: ValidationResult = inputs[f"{task.name}_{VALIDATOR}"]
    if not validation.passes and contract.severity == "fail":
        raise _contract_error(table, validation.diagnostics["findings"])
    return inputs[table]


def _contract_error(table: str, findings: tuple[Finding, ...]) -> ContractError:
    """The first finding as an error, with the others in its last line."""
    first, *others = findings
    hints = [first.hint, *(f"also, {breach(finding.rule, finding.count)}" for finding in others)]
    return ContractError(table, first.rule, first.count, first.rows, "\n".join(filter(None, hints)))

"""Hamilton's own hooks, telling the tracker what runs; and the driver's graph as it is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hamilton.graph import FunctionGraph
from hamilton.lifecycle import NodeExecutionHook

from codeintel.fingerprint import digest
from codeintel.hamilton_pipeline.telemetry import Tracking
from codeintel.store.handles import UNPARTITIONED, TableHandle


class TrackingHook(NodeExecutionHook):
    """Tells of every node that begins and ends. Of its value and its error's text only if values may leave."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self.began: dict[str, datetime] = {}

    def run_before_node_execution(self, *, node_name: str, **_about: Any) -> None:
        self.began[node_name] = now = datetime.now(UTC)
        self.tracking.tell(kind="before", node=node_name, at=now)

    def run_after_node_execution(
        self,
        *,
        node_name: str,
        result: Any,  # whatever the node returned
        error: Exception | None,
        **_about: Any,
    ) -> None:
        self.tracking.tell(
            kind="after", node=node_name, began=self.began[node_name], at=datetime.now(UTC),
            value=told(result), error="" if error is None else str(error) or repr(error),
            error_type="" if error is None else type(error).__name__,
        )  # fmt: skip


def told(value: Any) -> Any:
    """What is said of a node's value: of a table, its rows by bucket, never a row."""
    match value:
        case TableHandle():
            parts = sorted(value.partitions.items())
            buckets = {f"bucket {number}": part.rows for number, part in parts if number != UNPARTITIONED}
            return {"table": value.table, "rows": value.rows, **buckets}
        case dict() if all(isinstance(each, TableHandle) for each in value.values()):
            return {name: each.rows for name, each in value.items()}
        case _:
            return value


def graph_described(graph: FunctionGraph) -> bytes:
    """Names, types, tags, documentation and edges of a driver's graph as JSON, with a digest of all that.

    No code and no configuration: those hold what the driver works with.
    """
    nodes = [
        {
            "name": node.name,
            "type": str(node.type),
            "documentation": node.documentation or "",
            "tags": node.tags,
            "external": node.user_defined,
            "inputs": [] if node.user_defined else sorted(each.name for each in node.dependencies),
        }
        for _, node in sorted(graph.nodes.items())
    ]
    return msgspec.json.encode({"digest": digest(nodes), "nodes": nodes})

"""Joins a Ray cluster, `argv[1]`, with a node that sees an empty folder at `argv[2]`, until it is ended."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from ray._private.node import Node
from ray._private.parameter import RayParams

if __name__ == "__main__":
    address, folder = sys.argv[1:]
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    settings: dict[str, Any] = {  # Any: not what their annotations say
        "gcs_address": address, "redis_address": address, "num_cpus": 1, "num_gpus": 0,
        "object_store_memory": 80_000_000, "include_log_monitor": False, "min_worker_port": 0, "max_worker_port": 0,
        "dashboard_agent_listen_port": None,
    }  # fmt: skip
    Node(RayParams(**settings), head=False)
    time.sleep(600)

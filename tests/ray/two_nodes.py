"""A Ray cluster of two nodes on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ray import cluster_utils

from codeintel.hamilton_pipeline.ray_workers import on_loopback


@dataclass(frozen=True)
class Cluster:
    """`address` for drivers, and of each node its id and its raylet. Drivers live on the first."""

    address: str
    raylets: dict[str, subprocess.Popen[bytes]]

    @property
    def second(self) -> str:
        return [*self.raylets][1]

    def kill_second(self) -> None:
        """`kill -9` for the second raylet. Its workers look whether it is there, and one not waited for still is."""
        self.raylets[self.second].kill()
        self.raylets[self.second].wait()


@contextmanager
def blind_node(unseen: Path) -> Iterator[str]:
    """The address of a cluster whose only CPU is on a node that does not see what is in a folder."""
    with _folder() as folder, on_loopback():
        utility: Any = cluster_utils.Cluster()  # Any: Ray leaves its attributes without types
        utility.add_node(
            num_cpus=0, object_store_memory=80_000_000, include_log_monitor=False, include_dashboard=False,
            no_monitor=True, temp_dir=folder,
        )  # fmt: skip
        command = ["unshare", "-m", sys.executable, "-m", "tests.ray.blind_node", utility.address, str(unseen)]
        node = subprocess.Popen(command, cwd=Path(__file__).parents[2], start_new_session=True)
        try:
            while sum(each["Alive"] for each in utility.global_state.node_table()) < 2:
                assert node.poll() is None, "the node did not start"
                time.sleep(0.1)
            yield utility.address
        finally:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()
            utility.shutdown()


@contextmanager
def two_nodes(cpus: int = 1) -> Iterator[Cluster]:
    """Two raylets with so many CPUs each, started here and stopped with the block."""
    common = {"num_cpus": cpus, "object_store_memory": 80_000_000, "include_log_monitor": False}
    with _folder() as folder, on_loopback():
        utility: Any = cluster_utils.Cluster()  # Any: Ray leaves its attributes without types
        try:
            utility.add_node(**common, include_dashboard=False, no_monitor=True, temp_dir=folder)
            utility.add_node(**common)
            nodes = [utility.head_node, *utility.worker_nodes]
            raylets = {node.node_id: node.all_processes["raylet"][0].process for node in nodes}
            yield Cluster(utility.address, raylets)
        finally:
            utility.shutdown()


@contextmanager
def _folder() -> Iterator[str]:
    """Where a cluster keeps its files; in `ray`, which has to be there, Ray notes the address of the last one."""
    folder = Path(tempfile.mkdtemp(prefix="nodes-", dir="/tmp"))  # paths of sockets must be short
    (folder / "ray").mkdir()
    try:
        with mock.patch.dict("os.environ", RAY_TMPDIR=str(folder)):
            yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

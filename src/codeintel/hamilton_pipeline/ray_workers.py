"""Heavy jobs as Ray tasks: on a cluster of this machine that lives as long as the build, or on one that is there.

What crosses the wire is a packed job (paths, digests, handles) one way and what it wrote the other way. Ray neither
retries nor schedules by anything of its own: the executor that drives the process pool drives this too, and sees a
task of Ray's exactly as it sees a job of the pool's.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from threading import Event, Lock, Thread
from time import perf_counter, process_time
from typing import Any

import ray
from ray import exceptions
from ray._private import ray_constants
from ray._private import worker as ray_driver
from ray.job_config import JobConfig

from codeintel.errors import RunError, UsageError
from codeintel.fingerprint import digest_bytes
from codeintel.hamilton_pipeline.partition_jobs import Done, Job, packed, perform, perform_packed, prepare_worker
from codeintel.hamilton_pipeline.workers import Usage, WorkerDiedError, account
from codeintel.store.directory import Store

PATIENCE = 5.0
"""Seconds without an answer after which the cluster is asked whether it still has a CPU."""
_OBJECT_STORE_BYTES = 80_000_000  # about the least that Ray allows: no table goes through it


@dataclass(frozen=True, slots=True)
class Place:
    """What every node must see as the driver does: the store, with who holds its lock, and other paths by name.

    `package` is the digest of this package's code: jobs name its functions.
    """

    store: str
    owner: bytes
    paths: tuple[tuple[str, str], ...]
    package: str
    pandas: bool

    def fault(self, node: str) -> str:
        """What is wrong with the node that this process runs on; empty if nothing is."""
        try:
            owner = (Path(self.store) / "owner.json").read_bytes()
        except OSError:
            owner = b""
        if owner != self.owner:
            return f"node {node} does not see the store {self.store}; choose a --store on a path that every node sees"
        for name, path in self.paths:
            if not Path(path).exists():
                return f"node {node} does not see the {name} {path}; it has to lie on a path that every node sees"
        if package_digest() != self.package:
            return f"node {node} has another version of codeintel; install the driver's on every node"
        return ""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a Ray task hands back. `cpu_s` is that of its process since it began, of `boot` the machine's run."""

    done: Done | None
    error: BaseException | None
    worker: str
    boot: str
    cpu_s: float


@cache
def package_digest() -> str:
    """Digest of this package's modules, where they are installed."""
    root = Path(__file__).parent.parent
    return digest_bytes(*(path.read_bytes() for path in sorted(root.rglob("*.py"))))


@cache
def _boot() -> str:
    """Which run of which machine this is: the processes of one share a clock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux
        return os.uname().nodename


_prepare = cache(prepare_worker)


@cache
def _fault(place: bytes, node: str) -> str:
    """Make this process a worker of a run; what is wrong with its node."""
    sent: Place = pickle.loads(place)  # noqa: S301 - from the driver that this process works for
    _prepare(sent.pandas)
    return sent.fault(node)


def perform_sent(place: bytes, task: str, job: bytes) -> bytes:
    """Run a job in a process of Ray's. What it raises is part of the answer."""
    node = str(ray.get_runtime_context().get_node_id())
    done: Done | None = None
    error: BaseException | None = None
    try:
        fault = _fault(place, node[:8])
        done, error = (None, UsageError(fault)) if fault else (perform_packed(task, job), None)
    except Exception as raised:  # noqa: BLE001 - whatever a job raises is its answer
        error = raised
    except BaseException as panic:  # noqa: BLE001 - engines panic with those
        error = RunError(f"{task}: {type(panic).__name__}: {panic}", task=task)
    answer = _Answer(done, error, f"{node}/{os.getpid()}", _boot(), process_time())
    try:
        return pickle.dumps(answer)
    except (AttributeError, TypeError, pickle.PicklingError):
        return pickle.dumps(replace(answer, error=RunError(f"{type(error).__name__}: {error}", task=task)))


class RayCluster:
    """The driver's connection to Ray, made on first use.

    Without an address a cluster of this machine is started, on loopback, with one node of so many CPUs, and stopped by
    `close`. A cluster that somebody else started is left as it was.
    """

    def __init__(self, address: str, cpus: int, memory: int | None) -> None:
        """`memory` is megabytes that jobs on a cluster started here may ask for; by default what the machine has."""
        self.address, self.cpus, self.memory = address, cpus, memory
        self.largest = 0.0
        """Bytes that a job may ask for: no node has more."""
        self.cpu_by_worker: dict[str, float] = {}
        """CPU seconds of each process when it last answered; they work for no other driver."""
        self._lock, self._ended = Lock(), Event()
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def connect(self) -> None:
        """Connect, unless that is done. Raises UsageError if there is nothing to connect to, or no CPU in it."""
        with self._lock:
            if self._thread is None:
                begun = Event()
                # The processes that Ray starts end with the thread that started them.
                self._thread = Thread(target=self._live, args=[begun], name="ray", daemon=True)
                self._thread.start()
                begun.wait()
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Disconnect, and end what was started here."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._ended.set()
            thread.join()
            self._ended = Event()

    @property
    def is_closed(self) -> bool:
        return self._thread is None or self._ended.is_set()

    def cpus_now(self) -> float:
        """CPUs of all nodes that are alive."""
        return float(ray.cluster_resources().get("CPU", 0))

    def _live(self, begun: Event) -> None:
        ours, folder, ended = False, "", self._ended
        try:
            try:
                if not _is_up():
                    folder = "" if self.address else _short_folder()
                    _init(self.address, self.cpus, self.memory, folder)
                    ours = True
                self.largest = _largest_memory()
                if self.cpus_now() < 1:
                    self._error = UsageError(f"the Ray cluster at {self.address} has no CPU for any job")
            except Exception as error:  # noqa: BLE001 - Ray raises half a dozen kinds
                where = f"no Ray cluster at {self.address}" if self.address else "Ray cannot be started"
                self._error = UsageError(f"{where}: {str(error).strip().splitlines()[0]}")
            begun.set()
            ended.wait()
        finally:
            if ours:
                ray.shutdown()
                ray_driver._worker_logs_enabled = True  # noqa: SLF001 - as in `_init`
            if folder:
                shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class RayWorkers:
    """Heavy jobs go to a cluster, each asking for a CPU and the memory that one of its task took before."""

    cluster: RayCluster
    place: Place
    needs: Mapping[str, float] = field(default_factory=dict)  # megabytes that a process of the task took, learnt
    usage: dict[str, Usage] = field(default_factory=dict)
    uncounted_cpu_s: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def run(self, task: str, jobs: Sequence[Job], *, heavy: bool) -> Iterator[tuple[Job, Done | WorkerDiedError]]:
        if not heavy:
            for job in jobs:
                yield job, account(self.usage, task, perform(job), self._lock)
            return
        self.cluster.connect()

        memory = int(min(self.needs.get(task, 0.0) * 1e6, self.cluster.largest))
        asked: dict[str, Any] = {"memory": memory} if memory else {}  # Any: Ray's options
        remote = ray.remote(max_retries=0, num_cpus=1, **asked)(perform_sent)
        place = pickle.dumps(self.place)
        waiting = {remote.remote(place, task, packed(task, job)): job for job in jobs}
        try:
            while waiting:
                for ref in self._answered(waiting):
                    yield (job := waiting.pop(ref)), self._told(task, job, ref)
        finally:
            for ref in waiting:
                with suppress(Exception):  # of a cluster that is gone
                    ray.cancel(ref, force=True)

    def _answered(self, waiting: Mapping[Any, Job]) -> Sequence[Any]:  # Any: Ray's references
        """Those that have an answer: at least one. Raises RunError when nothing is left to give one."""
        while True:
            ready, others = ray.wait([*waiting], timeout=PATIENCE)
            if ready:
                return [*ready, *(ray.wait(others, num_returns=len(others), timeout=0)[0] if others else ())]
            if self.cluster.is_closed or self.cluster.cpus_now() < 1:
                raise RunError("the Ray cluster has no CPU left")

    def _told(self, task: str, job: Job, ref: Any) -> Done | WorkerDiedError:
        """What became of a job. Raises what it raised."""
        try:
            answer: _Answer = pickle.loads(ray.get(ref))  # noqa: S301 - from a process that this driver gave the job
        except exceptions.OutOfMemoryError:
            return WorkerDiedError(job, "the worker process died (its node ran out of memory)")
        except exceptions.NodeDiedError:
            return WorkerDiedError(job, "the worker process died (with its node)")
        except (exceptions.WorkerCrashedError, exceptions.ObjectLostError):
            return WorkerDiedError(job, "the worker process died")
        except exceptions.RayError as error:
            raise RunError(f"Ray could not run {task!r}: {_first_line(error)}", task=task) from None
        with self._lock:
            before = self.cluster.cpu_by_worker.get(answer.worker, 0.0)
            self.cluster.cpu_by_worker[answer.worker] = max(before, answer.cpu_s)
            self.uncounted_cpu_s += max(0.0, answer.cpu_s - before)
        if answer.error is not None:
            raise answer.error
        assert answer.done is not None, "a job answers with what it did or with an error"
        done = answer.done
        if answer.boot != _boot():  # another machine's clock
            now = perf_counter()
            done = replace(done, started=now - (done.ended - done.started), ended=now)
        return account(self.usage, task, replace(done, worker=answer.worker), self._lock)

    def close(self, *, at_once: bool) -> None:  # noqa: ARG002 - Ray knows one way
        self.cluster.close()


def place_of(store: Store, parameters: Mapping[str, Any], *, pandas: bool) -> Place:
    """What the nodes of a run must see, whose lock the driver holds."""
    paths = ((name, str(value)) for name, value in parameters.items() if isinstance(value, Path) and value.exists())
    return Place(str(store.root), (store.root / "owner.json").read_bytes(), tuple(paths), package_digest(), pandas)


@contextmanager
def ray_cluster(address: str, cpus: int, memory: int | None) -> Iterator[RayCluster]:
    """A connection for the length of the block; see `RayCluster`."""
    cluster = RayCluster(address, cpus, memory)
    try:
        yield cluster
    finally:
        cluster.close()


def _is_up() -> bool:
    """Whether this process is connected to a cluster by its own doing."""
    return bool(ray.is_initialized())


def _init(address: str, cpus: int, memory: int | None, folder: str) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Of a process that dies Ray would print what it knows on stdout; what it means for the build is told by the build.
    ray_driver._worker_logs_enabled = False  # noqa: SLF001 - there is no public way
    # A driver's workers look for modules in its working directory first. Here that is a repository, whose modules are
    # read and never imported; so they get the path that the driver has itself.
    path = [entry for entry in reversed(sys.path) if entry]
    job = JobConfig(_client_job=True, _py_driver_sys_path=path)
    told: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "job_config": job}
    if address:
        _knock(address)
        ray.init(address, **told)
        return
    with on_loopback():
        ray.init(
            "local", num_cpus=cpus, num_gpus=0, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=folder, _memory=None if memory is None else memory * 1_000_000, **told,
        )  # fmt: skip


def _knock(address: str) -> None:
    """Raise OSError if nobody answers at `address`: Ray would wait for minutes. What is no host and port is Ray's."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


@contextmanager
def on_loopback() -> Iterator[None]:
    """What is started in the block listens on loopback alone, as on systems other than Linux, and reports to nobody."""
    own = {"RAY_USAGE_STATS_ENABLED": "0", ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}
    environ = os.environ  # noqa: TID251 - Ray hears of it in no other way
    before, was = {name: environ.get(name) for name in own}, ray_constants.ENABLE_RAY_CLUSTER
    environ.update(own)
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was
        for name, value in before.items():
            environ.pop(name)
            if value is not None:
                environ[name] = value


def _short_folder() -> str:
    """A new folder for Ray's sockets, whose paths may have 107 bytes."""
    folder = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="codeintel-ray-", dir=folder if len(folder) < 20 else "/tmp")  # noqa: S108 - see above


def _largest_memory() -> float:

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max((float(have.get("memory", 0)) for have in nodes if have.get("CPU", 0) >= 1), default=0.0)


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__

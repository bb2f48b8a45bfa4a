"""What a build tells a Hamilton UI, and how it never waits for one: messages go to a process of their own.

The build's side only enqueues; a thread writes to the pipe, another reads what comes back. At the end the build waits
at most `telemetry_flush` seconds for the server's confirmation, and goes on. What became of it is for the run's
artifacts; the tracker puts them right if it succeeds within some seconds more.

Messages: first what to connect to (`capture`, `api_url`, …), then `run` (id, tags, graph), `before` and `after` for
each node, `end` with the run's status. See `tracker_process` for the other side.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from codeintel.errors import UsageError
from codeintel.hamilton_pipeline.run_tags import run_tags
from codeintel.hamilton_pipeline.tracker_process import captures_values
from codeintel.relspec.execution_plan import ExecutionPlan
from codeintel.settings import Settings
from codeintel.store.directory import Store, write_atomically

GRAPH = "tracked_graph.json"
OPEN_RUNS = "tracked_runs"
OF_VALUES = ("value", "error")
"""Parts of a message that do not even reach the tracker unless it has said that values may leave."""


def check_tracking() -> None:
    """Raises UsageError, saying how to get what is missing, if nothing can be tracked."""
    if find_spec("hamilton_sdk") is None:
        raise UsageError("--track needs the Hamilton SDK; install it with: pip install 'codeintel[track]'")


class Tracking:
    """One build as its tracker hears of it. Nothing here waits but `end`, which waits a bounded time."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Start the tracker. What it needs to load, it loads while the build goes on."""
        self.store, self.flush, self.dag_name = store, settings.telemetry_flush, settings.hamilton_dag_name
        self.begun = False
        self.applied: dict[str, str] = {}  # what of values may leave, as the tracker says
        self._outcome = ""
        self._answered, self._over = threading.Event(), threading.Event()
        self._messages: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        api_url, open_runs = settings.hamilton_api_url.rstrip("/"), store.cache / OPEN_RUNS
        open_runs.mkdir(exist_ok=True)
        self.tell(
            kind="connect", capture=settings.capture, api_url=api_url,
            ui_url=settings.hamilton_ui_url.rstrip("/") or api_url, project=settings.hamilton_project,
            user=settings.hamilton_user, dag_name=settings.hamilton_dag_name,
            open_runs=str(open_runs.absolute()),
        )  # fmt: skip
        try:
            # -P: nothing in a working directory stands in for a module. A session of its own, so that Ctrl-C is the
            # build's alone.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "codeintel.hamilton_pipeline.tracker_process"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            self._fail(f"no tracker could be started: {error}")
            return
        for work in (self._write, self._read):
            threading.Thread(target=work, name="tracking", daemon=True).start()

    def tell(self, **message: Any) -> None:  # Any: whatever JSON can hold
        if not self._over.is_set():
            self._messages.put(message)

    def begin(
        self, run_id: str, started: datetime, plan: ExecutionPlan, pipeline: str, repository: str, graph: bytes
    ) -> None:
        """The run of a plan whose whole graph is as `graph_described` has it."""
        self.begun = True
        tags = run_tags(plan, dag_name=self.dag_name, pipeline=pipeline, repository=repository)
        final = [name for name, task in plan.tasks.items() if task.kind == "output"]
        self.tell(kind="run", run_id=run_id, at=started, tags=tags, graph=msgspec.Raw(graph), final=final)

    def end(self, status: str, artifacts: Path) -> str:
        """What became of it: `sent`, or `failed: ` and why. `artifacts` is the run's folder of them."""
        self.tell(kind="end", status=status, at=datetime.now(UTC), artifacts=str(artifacts.absolute()))
        self._messages.put(None)
        if self._over.wait(self.flush):
            return self._outcome
        return f"failed: not confirmed {self.flush} s after the run's end; the tracker goes on for some seconds"

    def abandon(self) -> None:
        """The build ends without a run to speak of; one that has begun is closed as failed."""
        self._messages.put(None)

    def metadata(self, outcome: str) -> dict[str, str]:
        """Rows of the artifact `run_metadata`: what became of tracking, and what applied."""
        return {"tracking": outcome, **self.applied}

    def kept_graph(self, plan_signature: str) -> bytes | None:
        """The graph of a plan as an earlier build of this version told it."""
        try:
            kept = msgspec.json.decode((self.store.cache / GRAPH).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        return msgspec.json.encode(kept["graph"]) if kept["plan_signature"] == plan_signature else None

    def keep_graph(self, plan_signature: str, graph: bytes) -> None:
        kept = {"plan_signature": plan_signature, "graph": msgspec.Raw(graph)}
        with suppress(OSError):  # then it is described again
            write_atomically(self.store.cache / GRAPH, msgspec.json.encode(kept))

    def _fail(self, reason: str) -> None:
        self._outcome = f"failed: {reason}"
        self._over.set()

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None, "the process was started with one"
        with suppress(OSError), pipe:  # the tracker may have given up, and has said why
            while (message := self._messages.get()) is not None:
                if not captures_values(self.applied):
                    message = {name: part for name, part in message.items() if name not in OF_VALUES}
                pipe.write(_encoded(message) + b"\n")
                self._answered.wait()  # with what may be told

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None, "the process was started with one"
        with pipe:
            for line in pipe:
                said: dict[str, Any] = msgspec.json.decode(line)
                self.applied = said.get("capture", self.applied)
                self._answered.set()
                if "sent" in said:
                    self._outcome = "sent"
                    self._over.set()
                elif "failed" in said:
                    self._fail(said["failed"])
        self._answered.set()
        if not self._over.is_set():
            self._fail("the tracker ended without a word")
        self._process.wait()


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(message, enc_hook=str)
    except (TypeError, ValueError, OverflowError):  # a value that JSON cannot hold
        return msgspec.json.encode({**message, "value": str(message.get("value"))}, enc_hook=str)

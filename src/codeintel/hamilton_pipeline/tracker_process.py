"""The process that talks to a Hamilton UI while a build runs: the SDK's own tracker, fed by the build over a pipe.

Standard input has one JSON message a line, of the kinds in `telemetry`; standard output answers: `capture` once the
limits are known, `sent` or `failed` as the last line. A server that hangs, dies or lies holds this process alone, which
ends some seconds after the build whatever happens. If the build dies, its pipe ends, and the run is closed as failed.

A run that the server knows and whose end it has not confirmed leaves a file in `open_runs`; the next tracked build
closes it.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit
from urllib.request import getproxies

from codeintel.obs.diagnostics import RUN_METADATA, add_metadata, read_artifact

if TYPE_CHECKING:
    from hamilton.graph import FunctionGraph

CAPTURE = {
    "HAMILTON_CAPTURE_DATA_STATISTICS": "0",
    "HAMILTON_MAX_LIST_LENGTH_CAPTURE": "20",
    "HAMILTON_MAX_DICT_LENGTH_CAPTURE": "50",
}
"""What the SDK may keep of values unless the user's environment says otherwise: nothing, and if allowed, so much."""
REQUEST_SECONDS = 30.0
LINGER_SECONDS = 10.0
"""How long a request may take, and this process may outlive the build to tell the server that the run is over."""
BATCH, EVERY = 100, 0.5
"""Node updates that go in one request at most, and seconds between such requests."""
WITHHELD = "what it said stays on the machine that ran it; codeintel why shows it there"

Message = Mapping[str, Any]  # JSON; see `telemetry` for the kinds


def govern(environment: Any, capture: str) -> dict[str, str]:
    """Set what the environment leaves open; `capture` "off" takes values away whatever it says. Before the SDK loads.

    Returns what applies.
    """
    for name, value in {**CAPTURE, "HAMILTON_AUTOLOAD_EXTENSIONS": "0"}.items():
        environment.setdefault(name, value)
    if capture == "off":
        environment["HAMILTON_CAPTURE_DATA_STATISTICS"] = "0"
    return {"capture": capture, **{name: environment[name] for name in CAPTURE}}


def captures_values(applied: Mapping[str, str]) -> bool:
    """Whether values may leave, as the SDK reads it: only the word `true` means yes."""
    return applied.get("HAMILTON_CAPTURE_DATA_STATISTICS", "").lower() == "true"


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever libraries print is nobody's
    os.chdir(Path(sys.executable).anchor)  # the SDK would describe the repository it finds itself in
    messages = _heard(sys.stdin)
    answer = functools.partial(_answer, replies)
    try:
        about = next(messages)
        applied = govern(os.environ, about["capture"])  # noqa: TID251 - this process has its own
        answer(capture=applied)
        run = _tracked(about, messages, with_values=captures_values(applied))
        answer(sent=run.address)
        _correct(run.artifacts)
    except StopIteration:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it was, the build only wants to hear of it
        answer(failed=_reason(error))
    os._exit(0)  # the SDK keeps threads that would wait for a server


def _heard(lines: Iterable[str]) -> Iterator[Message]:
    """The messages; once the build has said its last, or is no more, this process has `LINGER_SECONDS` left.

    Read apart from the talking, so that a slow server cannot keep that from being noticed.
    """
    heard: SimpleQueue[Message | None] = SimpleQueue()

    def listen() -> None:
        for line in lines:
            heard.put(json.loads(line))
        heard.put(None)
        time.sleep(LINGER_SECONDS)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while (message := heard.get()) is not None:
        yield message


def _correct(artifacts: str) -> None:
    """Where the build could not wait for the server, its record has to be put right."""
    time.sleep(0.2)  # a build that is about to write its own record has done so
    folder = Path(artifacts)
    if artifacts and dict(read_artifact(folder, RUN_METADATA)).get("tracking", "").startswith("failed"):
        add_metadata(folder, {"tracking": "sent after the build had ended"})


def _answer(replies: TextIO, **words: Any) -> None:
    try:
        replies.write(json.dumps(words) + "\n")
        replies.flush()
    except OSError:  # the build has gone
        pass


def _reason(error: BaseException) -> str:
    cause = error
    while (deeper := cause.__cause__ or cause.__context__) is not None and isinstance(error, OSError):
        cause = deeper  # of a refused connection, the innermost error is the one that says so
    text = str(cause).strip().split("\n")[0][:200]
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def _tracked(about: Message, messages: Iterable[Message], *, with_values: bool) -> _Run:
    """The run, once the server has confirmed its end."""
    _reachable(about["api_url"])
    import requests  # noqa: PLC0415 - a server that is not there costs no import
    from hamilton_sdk import adapters  # noqa: PLC0415 - after `govern`

    times: dict[str, str] = {}
    requests.Session.request = _request(requests.Session.request, times)  # type: ignore[method-assign,assignment]
    project = project_id(about["api_url"], about["project"], about["user"])
    client = functools.partial(_client_class(), Path(about["open_runs"]))
    tracker = adapters.HamiltonTracker(
        project, about["user"], about["dag_name"], client_factory=client, api_key=_api_key(),
        hamilton_api_url=about["api_url"], hamilton_ui_url=about["ui_url"],
    )  # fmt: skip
    _close_open_runs(Path(about["open_runs"]), about["api_url"], tracker.client)
    run = _Run(tracker, times, with_values=with_values)
    for message in messages:
        if message["kind"] == "end":
            break
        run.take(message)
    if not run.run_id:
        raise RuntimeError("the build ended before it ran anything")
    run.end(message if message["kind"] == "end" else {"status": "failed"})
    return run


def _request(plain: Callable[..., Any], times: Mapping[str, str]) -> Callable[..., Any]:
    """The SDK's requests, which otherwise wait for ever, and take the moment they are made for the run's own times."""

    def request(session: Any, method: str, url: str, **about: Any) -> Any:
        if isinstance(body := about.get("json"), dict):
            about["json"] = body | {name: times[name] for name in body.keys() & times.keys()}
        return plain(session, method, url, **{"timeout": REQUEST_SECONDS, **about})

    return request


def _reachable(url: str) -> None:
    """Raise at once what loading the SDK first would only delay. A proxy is for `requests` to ask."""
    place = urlsplit(url)
    if not getproxies():
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), timeout=REQUEST_SECONDS).close()


def _api_key() -> Any:  # Any: text or None, which the SDK takes and does not say
    """What the user's environment has for a server that asks for a key; never a setting, which would be shown."""
    return os.environ.get("HAMILTON_API_KEY")  # noqa: TID251 - as in `main`


def project_id(api_url: str, project: str, user: str) -> int:
    """The id of a project by its name, made if there is none; a number is an id already."""
    import requests  # noqa: PLC0415 - see `_tracked`

    if project.isdecimal():
        return int(project)

    def asked(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # Any: JSON
        shown = {"x-api-user": user, "x-api-key": _api_key()}
        answered = requests.request(
            method, f"{api_url}/api/v1/{path}", json=body, headers=shown, timeout=REQUEST_SECONDS
        )
        answered.raise_for_status()
        return answered.json()

    known = {each["name"]: each["id"] for each in asked("GET", "projects?limit=1000")}
    if project in known:
        return known[project]
    # Without its maker among the writers, the server makes a project that nobody can find.
    visibility = {
        "user_ids_visible": [], "user_ids_writable": [user], "team_ids_visible": [], "team_ids_writable": [],
    }  # fmt: skip
    made = {"name": project, "description": "Builds of codeintel", "tags": {}, "visibility": visibility}
    return asked("POST", "projects", {**made, "attributes": [], "documentation": []})["id"]


def _client_class() -> Any:  # Any: the SDK has no type information
    from hamilton_sdk.api.clients import BasicSynchronousHamiltonClient  # noqa: PLC0415 - see `_tracked`

    class Client(BasicSynchronousHamiltonClient):
        """The SDK's client, sending when it is told to, and remembering which run is open.

        The SDK's own thread would die of the first error and lose what comes after. Here a failed request is not tried
        again before the end, when all that is left goes in one.
        """

        def __init__(self, open_runs: Path, *about: Any, **more: Any) -> None:
            super().__init__(*about, **more)
            self.open_runs = open_runs
            self.code_hash = ""
            self.times: dict[str, str] = {}  # of the node at hand, as the build measured them
            self.waiting: list[dict[str, Any]] = []
            self.sent_at, self.broken = datetime.now(UTC), False

        def register_dag_template_if_not_exists(self, *_: Any, **about: Any) -> int:
            return super().register_dag_template_if_not_exists(**about | {"code_hash": self.code_hash})

        def create_and_start_dag_run(self, *_: Any, **about: Any) -> int:
            number = super().create_and_start_dag_run(**about)
            self.keep(number, "FAILURE")  # what it is if nobody says more
            return number

        def update_tasks(self, dag_run_id: int, *_: Any, **about: Any) -> None:
            updates = [{**update, **self.times} for update in about["task_updates"]]
            self.waiting.append({**about, "dag_run_id": dag_run_id, "task_updates": updates})
            late = (datetime.now(UTC) - self.sent_at).total_seconds() >= EVERY
            if not self.broken and (len(self.waiting) >= BATCH or late):
                try:
                    self.send()
                except Exception:  # noqa: BLE001 - tried once more at the end
                    self.broken = True

        def send(self) -> None:
            while self.waiting:
                self.flush(self.waiting[:BATCH])
                del self.waiting[:BATCH]
            self.sent_at = datetime.now(UTC)

        def log_dag_run_end(self, dag_run_id: int, status: str) -> None:
            self.keep(dag_run_id, status)
            self.send()
            super().log_dag_run_end(dag_run_id=dag_run_id, status=status)
            self.forget(dag_run_id)

        def keep(self, number: int, status: str) -> None:
            left = json.dumps({"api_url": self.base_url, "number": number, "status": status})
            with suppress(OSError):  # somebody has removed the store
                (self.open_runs / f"{number}.json").write_text(left, "utf-8")

        def forget(self, number: int) -> None:
            (self.open_runs / f"{number}.json").unlink(missing_ok=True)

    return Client


def _close_open_runs(folder: Path, api_url: str, client: Any) -> None:
    """End what earlier builds could not: their server was down, or they were killed."""
    for file in sorted(folder.glob("*.json")):
        try:
            left = json.loads(file.read_text("utf-8"))
            if left["api_url"].startswith(api_url):
                client.log_dag_run_end(dag_run_id=left["number"], status=left["status"])
        except Exception:  # noqa: BLE001 - a run that the server has forgotten too
            file.unlink(missing_ok=True)


class _Run:
    """The build's messages as calls of the tracker's own hooks."""

    def __init__(self, tracker: Any, times: dict[str, str], *, with_values: bool) -> None:
        self.tracker, self.times, self.with_values = tracker, times, with_values
        self.run_id = self.artifacts = self.address = ""
        self.graph: FunctionGraph | None = None

    def take(self, message: Message) -> None:
        match message["kind"]:
            case "run":
                self.start(message)
            case "before":
                self.tracker.client.times = {"start_time": message["at"]}
                self.tracker.pre_node_execute(self.run_id, self.node(message), {})
            case "after":
                self.after(message)

    def node(self, message: Message) -> Any:
        assert self.graph is not None, "a run begins before its nodes"
        return self.graph.nodes[message["node"]]

    def start(self, message: Message) -> None:
        self.run_id, self.graph = message["run_id"], graph_of(message["graph"])
        tags: dict[str, str] = message["tags"]
        # A template keeps the tags of its first run, so it gets none. What the UI shows of it is its version.
        self.tracker.client.code_hash = message["graph"]["digest"]
        self.tracker.base_tags = {}
        self.tracker.post_graph_construct(self.graph, [], {})
        self.tracker.base_tags = tags
        self.times["run_start_time"] = message["at"]
        self.tracker.pre_graph_execute(self.run_id, self.graph, message["final"], {}, {})

    def after(self, message: Message) -> None:
        client = self.tracker.client
        client.times = {"start_time": message["began"], "end_time": message["at"]}
        error = None
        if message["error_type"]:
            error = RuntimeError(message["error"] if self.with_values else f"{message['error_type']}; {WITHHELD}")
        value = clamped(message["value"]) if self.with_values else None
        about: dict[str, Any] = {"kwargs": {}, "success": error is None, "error": error, "result": value}
        self.tracker.post_node_execute(self.run_id, self.node(message), **about)

    def end(self, message: Message) -> None:
        if "at" in message:
            self.times["run_end_time"] = message["at"]
        self.tracker.post_graph_execute(self.run_id, self.graph, message["status"] == "ok", None, {})
        self.artifacts = message.get("artifacts", "")
        project, number = self.tracker.project_id, self.tracker.dw_run_ids[self.run_id]
        self.address = f"{self.tracker.hamilton_ui_url}/dashboard/project/{project}/runs/{number}"


def clamped(value: Any, depth: int = 0) -> Any:
    """A JSON value whose inner lists and mappings keep the SDK's limits too; it looks at the outermost alone."""
    from hamilton_sdk.tracking import constants  # noqa: PLC0415 - see `_tracked`

    match value:
        case list():
            kept = value if depth == 0 else value[: constants.MAX_LIST_LENGTH_CAPTURE]
            return [clamped(each, depth + 1) for each in kept]
        case dict():
            pairs = list(value.items()) if depth == 0 else list(value.items())[: constants.MAX_DICT_LENGTH_CAPTURE]
            return {name: clamped(each, depth + 1) for name, each in pairs}
        case _:
            return value


class _Type:
    """A type that is known by what it is called; the modules that hold it are not loaded here."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def graph_of(described: Message) -> FunctionGraph:
    """A Hamilton graph with the names, types, tags and edges of the build's own; its nodes cannot be run."""
    from hamilton.graph import FunctionGraph  # noqa: PLC0415 - see `_tracked`
    from hamilton.node import Node, NodeType  # noqa: PLC0415 - see `_tracked`

    nodes: dict[str, Node] = {}
    for each in described["nodes"]:
        kind: Any = _Type(each["type"])
        nodes[each["name"]] = Node(
            each["name"], kind, each["documentation"], callabl=lambda: None,
            node_source=NodeType.EXTERNAL if each["external"] else NodeType.STANDARD,
            input_types=dict.fromkeys(each["inputs"], Any), tags=each["tags"],
        )  # fmt: skip
    for each in described["nodes"]:
        for name in each["inputs"]:
            nodes[each["name"]].dependencies.append(nodes[name])
            nodes[name].depended_on_by.append(nodes[each["name"]])
    return FunctionGraph(nodes, {})


if __name__ == "__main__":
    main()

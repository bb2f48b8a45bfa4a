"""A headless Chromium, driven over a pipe by the DevTools protocol: no server, no port, no client library."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SILENCE = 30.0  # seconds
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe", "about:blank",
)  # fmt: skip


def chromium() -> str | None:
    """Path of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page at a time. `problems` are its console errors, warnings and exceptions, `requests` what it asked for."""

    def __init__(self, program: str, width: int = 1500, height: int = 1000) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # Out of the way of the two descriptors that the browser speaks on, whichever these are.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in (their_in, their_out)]
        flags = [*FLAGS[:-1], f"--user-data-dir={self._profile}", f"--window-size={width},{height}", FLAGS[-1]]
        self._process = os.posix_spawn(
            program, [program, *flags], os.environ,  # noqa: TID251 - a browser has one
            file_actions=[
                (os.POSIX_SPAWN_DUP2, ends[0], 3), (os.POSIX_SPAWN_DUP2, ends[1], 4),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )  # fmt: skip
        for end in (their_in, their_out, *ends):
            os.close(end)
        self._number, self._buffer, self._session = 0, b"", ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._out)  # without its pipe the browser ends
        os.waitpid(self._process, 0)
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, page: Path, fragment: str = "", *, dark: bool = False) -> None:
        """Show a report and wait until it is drawn."""
        # A tab of its own: one that has shown a file does not always answer when it is sent elsewhere.
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self._call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self.problems.clear()
        self.requests.clear()
        self._call("Page.navigate", url=page.absolute().as_uri() + fragment)
        self.until("document.documentElement?.dataset.drawn === 'yes'")
        self.until("[...document.querySelectorAll('.chart')].every(c => c.childElementCount)")
        sleep(0.3)  # the charts' first frame

    def until(self, condition: str, most: float = 60.0) -> None:
        end = monotonic() + most
        while not self.evaluate(condition):
            if monotonic() > end:
                raise TimeoutError(f"{condition} did not come true; {self.problems}")
            sleep(0.05)

    def evaluate(self, expression: str) -> Any:  # Any: JSON
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise ValueError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of an element as a reader sees it."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector: str) -> None:
        where = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{where}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")

    def screenshot(self, file: Path, first: str = "", last: str = "") -> None:
        """What is seen now; with selectors, the page from the top of one element to the bottom of another."""
        clip: dict[str, Any] = {}  # Any: JSON
        if first:
            edge = "document.querySelector({}).getBoundingClientRect().{} + scrollY"
            top = max(self.evaluate(edge.format(json.dumps(first), "top")) - 14, 0)
            height = self.evaluate(edge.format(json.dumps(last or first), "bottom")) - top + 14
            width = self.evaluate("innerWidth")
            clip = {"clip": {"x": 0, "y": top, "width": width, "height": height, "scale": 1}}
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=bool(first), **clip)
        file.write_bytes(base64.b64decode(found["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:  # Any: JSON
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise ValueError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._heard(answer.get("method", ""), answer.get("params", {}))
        raise EOFError(f"the browser ended before it answered {method}")

    def _messages(self) -> Iterator[dict[str, Any]]:  # Any: JSON
        while True:
            while b"\0" in self._buffer:
                message, _, self._buffer = self._buffer.partition(b"\0")
                yield json.loads(message)
            if not select.select([self._in], [], [], SILENCE)[0]:
                raise TimeoutError(f"the browser has been silent for {SILENCE} s; {self.problems}")
            if not (more := os.read(self._in, 1 << 20)):
                return
            self._buffer += more

    def _heard(self, method: str, params: dict[str, Any]) -> None:  # Any: JSON
        match method:
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(params["exceptionDetails"])[:1000])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.problems.append(json.dumps(params["args"])[:1000])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.problems.append(params["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.problems.append(f"dialog: {params['message']}")
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])


@contextmanager
def browser(width: int = 1500, height: int = 1000) -> Iterator[Browser]:
    program = chromium()
    assert program is not None
    with Browser(program, width, height) as shown:
        yield shown

"""A server on loopback that answers as a Hamilton UI does, records all it is sent, and fails in the way it is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ANSWERS: dict[tuple[str, str], Any] = {
    ("GET", "projects"): [],
    ("POST", "projects"): {"id": 7},
    ("POST", "dag_templates"): {"id": 3},
    ("POST", "dag_runs"): {"id": 11},
}


@dataclass
class Server:
    """`latency` in seconds, `status` of every answer; `until` names the request before which the server dies."""

    latency: float = 0.0
    status: int = 200
    until: str = ""
    url: str = ""
    seen: list[tuple[str, str, Any, str]] = field(default_factory=list)  # method, path, body, body as text

    def bodies(self, method: str, path: str) -> list[Any]:
        return [body for how, where, body, _ in self.seen if (how, where) == (method, path)]

    @property
    def text(self) -> str:
        """Everything that came, with the paths it was sent to."""
        return "\n".join(f"{path} {text}" for _, path, _, text in self.seen)


@contextmanager
def served(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            text = self.rfile.read(length).decode("utf-8", "replace")
            place = urlsplit(self.path)
            path = place.path.removeprefix("/api/v1/").strip("/")
            if server.until and path.startswith(server.until):
                httpd.socket.close()
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = json.loads(text) if text and self.headers.get("content-type") == "application/json" else None
            server.seen.append((self.command, path, body, f"{self.headers} {place.query} {text}"))
            time.sleep(server.latency)
            content = json.dumps(ANSWERS.get((self.command, path))).encode()
            self.send_response(server.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names that the base class looks for

        def log_message(self, *_: object, **_more: object) -> None:
            """Nobody reads along."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object, **_more: object) -> None:
            """A client that went away, or a server that was told to die."""

    httpd = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=_serve, args=(httpd,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()


def _serve(httpd: ThreadingHTTPServer) -> None:
    with suppress(OSError, ValueError):  # it was told to die
        httpd.serve_forever(poll_interval=0.05)

"""The Hamilton UI on this machine alone, as it is not set up by itself: loopback, no debug mode, a secret of its own.

Its own command binds every interface with DEBUG on and a secret that everybody knows. Here Django is configured before
it starts, listens on 127.0.0.1, and its pages may load nothing from anywhere else: as shipped they ask three other
sites for fonts and analytics.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codeintel.errors import UsageError
from codeintel.hamilton_pipeline.tracker_process import project_id

HOST = "127.0.0.1"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)
"""What a page may load: this server, and what stands in the page."""

Headers = list[tuple[str, str]]


def serve(data: Path, port: int, project: str, user: str, started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; `started` gets the address. Data are kept below `data`.

    A port of 0 is any that is free. Raises UsageError if the UI is not installed, the port is taken, or `data` cannot
    be written.
    """
    package = find_spec("hamilton_ui")
    if package is None or find_spec("hamilton_sdk") is None:
        raise UsageError("the Hamilton UI is not installed; install it with: pip install 'codeintel[ui]'")
    try:
        (data / "blobs").mkdir(parents=True, exist_ok=True)
        secret = _secret(data / "secret_key")
    except OSError as error:
        raise UsageError(f"{data} cannot be written: {error.strerror or error}") from None
    assert package.submodule_search_locations is not None, "it is a package"
    sys.path.insert(0, next(iter(package.submodule_search_locations)))  # its packages are all top-level ones
    application = _application(data, secret)
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: PLC0415 - an extra

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any, **_more: Any) -> None:
            """Nobody reads along."""

    try:
        server = ThreadedWSGIServer((HOST, port), Quiet)
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror or error}; choose another --port") from None
    server.set_app(application)
    threading.Thread(target=server.serve_forever, name="ui", daemon=True).start()
    address = f"http://{HOST}:{server.server_port}"
    try:
        number = project_id(address, project, user)
        _show_everybody(number)
        started(f"{address}/dashboard/project/{number}/runs")
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.shutdown()
        server.server_close()


def _show_everybody(number: int) -> None:
    """Whatever name people give the pages, they see the project: on this machine all of them are one person."""
    public = import_module("trackingserver_auth.models").Team.objects.get(name="Public")
    members = import_module("trackingserver_projects.models").ProjectTeamMembership.objects
    members.get_or_create(project_id=number, team=public, defaults={"role": "write"})


def _secret(file: Path) -> str:
    """The key that signs this installation's sessions: made once, and nobody else's to read."""
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_urlsafe(48))
    return file.read_text()


def _application(data: Path, secret: str) -> Any:  # Any: a WSGI application of an untyped package
    environment = os.environ  # noqa: TID251 - where Django and the UI look
    environment["HAMILTON_BASE_DIR"] = str(data)
    environment["DJANGO_SETTINGS_MODULE"] = "server.settings_mini"
    settings = import_module("server.settings_mini")
    file = {"class": "logging.FileHandler", "filename": str(data / "ui.log"), "delay": True}
    loud = {"handlers": ["file"], "level": "WARNING", "propagate": False}
    logs = {"version": 1, "disable_existing_loggers": False, "handlers": {"file": file}}
    vars(settings).update(
        DEBUG=False, SECRET_KEY=secret, ALLOWED_HOSTS=[HOST, "localhost"],
        LOGGING={**logs, "root": loud, "loggers": {"django": loud}},
    )  # fmt: skip
    import django  # noqa: PLC0415 - an extra
    from django.core.management import call_command  # noqa: PLC0415 - an extra
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - an extra

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    inner = get_wsgi_application()

    def application(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        def begin(status: str, headers: Headers, *rest: Any) -> Any:
            return start(status, [*headers, ("Content-Security-Policy", POLICY)], *rest)

        return inner(request, begin)

    return application

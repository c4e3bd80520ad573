"""The folder where processes write what they measure, and ports that show it."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import structlog

from core.errors import SetupError
from core.settings import Settings, give_children, was_given

# The library that measures reads this as it is imported, so it must be there before.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

_log = structlog.get_logger(__name__)

Page = tuple[int, str, bytes]
"""Status, content type, body."""
Pages = dict[str, Callable[[], Page]]


def variables(settings: Settings) -> dict[str, str]:
    """What the environment must have before anything that measures is imported."""
    return {FOLDER_VARIABLE: str(_folder(settings))}


def emptied(settings: Settings) -> dict[str, str]:
    """Empty the folder and name it, as `variables` does.

    It has the port's name: whoever may serve there owns it, so see first that nobody else does.
    """
    folder = _folder(settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return variables(settings)


@contextmanager
def measured(settings: Settings) -> Iterator[None]:
    """The folder for the workers started in the block, and the port, if one is set."""
    folder = _folder(settings)
    if not was_given(variables(settings)):
        give_children(emptied(settings))
    with _port(settings.host, settings.metrics_port, {"/metrics": lambda: _metrics(folder)}):
        yield


@contextmanager
def exposed(settings: Settings, folder: str | None, alive: Callable[[], bool]) -> Iterator[None]:
    """What a worker measures and whether it is `alive`, on a port of its own, if one is set.

    `folder` is the one that it shares with the API, if it does.
    """
    pages: Pages = {
        "/metrics": lambda: _metrics(None if folder is None else Path(folder)),
        "/health/live": lambda: _live(alive),
    }
    with _port(settings.host, settings.worker_metrics_port, pages):
        yield


def _folder(settings: Settings) -> Path:
    return settings.home.absolute() / "run" / f"metrics-{settings.port}"


def _metrics(folder: Path | None) -> Page:
    from core.exposition import CONTENT_TYPE, exposition  # noqa: PLC0415 - after the folder

    return 200, CONTENT_TYPE, exposition(folder)


def _live(alive: Callable[[], bool]) -> Page:
    is_alive = alive()
    body = b'{"status":"ok"}' if is_alive else b'{"status":"stuck"}'
    return 200 if is_alive else 503, "application/json", body


@contextmanager
def _port(host: str, port: int | None, pages: Pages) -> Iterator[None]:
    if port is None:
        yield
        return
    try:
        server = _Server((host, port), _handler(pages))
    except OSError as error:
        raise SetupError(
            f"Port {port} of {host} cannot be had for /metrics: {error.strerror}."
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """One whose faults are lines of the log."""

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - its
        """Whoever asked has gone, or a page failed."""
        _log.warning("A page of the metrics port was not sent.", exc_info=True)


def _handler(pages: Pages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET of these pages and nothing else."""

        def do_GET(self) -> None:
            if self.path not in pages:
                self.send_error(404)
                return
            status, content_type, body = pages[self.path]()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            """Nobody's but ours to know."""
            return "upnext"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: a scrape is no news."""

    return Handler

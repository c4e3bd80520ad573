"""The folder where the workers of an API write what they measure, and a port that shows it."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from core.settings import Settings, give_children, was_given

# The library that measures reads this as it is imported, so it must be there before.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


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
    with _port(settings, folder):
        yield


def _folder(settings: Settings) -> Path:
    return settings.home.absolute() / "run" / f"metrics-{settings.port}"


@contextmanager
def _port(settings: Settings, folder: Path) -> Iterator[None]:
    if settings.metrics_port is None:
        yield
        return
    server = ThreadingHTTPServer((settings.host, settings.metrics_port), _handler(folder))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET /metrics and nothing else."""

        def do_GET(self) -> None:
            from core.metrics import CONTENT_TYPE, exposition  # noqa: PLC0415 - after the folder

            if self.path != "/metrics":
                self.send_error(404)
                return
            body = exposition(folder)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: a scrape is no news."""

    return Handler

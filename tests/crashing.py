"""The real serving process with one route more, whose handler fails in every way at once."""

import sys
import threading
import warnings
from typing import Any

from litestar import get

from core.settings import load
from upnext import serve


@get("/crash/{what:str}", include_in_schema=False)
async def crash(what: str) -> None:
    """A handler that nobody foresaw."""
    warnings.warn("a warning in a request", stacklevel=1)
    thread = threading.Thread(target=sys.intern, args=(1,))
    thread.start()
    thread.join()
    raise RuntimeError(f"it cannot be done with password={what}")


def application() -> Any:
    """The application of a worker process."""
    app = serve.application()
    app.register(crash)
    return app


def run() -> None:
    """Serve it."""
    serve.run(load(), "tests.crashing:application")

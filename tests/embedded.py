"""One embedded server, from its start to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from storage.embedded.server import EmbeddedServer

Server = TypeVar("Server", bound=EmbeddedServer)


@contextmanager
def started(server: Server) -> Iterator[Server]:
    """It answers when the block begins, and is stopped however that ends."""
    server.launch()
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()

"""Ports that a test keeps to itself; `storage.embedded.server.free_port` finds free ones."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def taken_port() -> Iterator[int]:
    """A port of the loopback interface that we listen on until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]

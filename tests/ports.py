"""Ports of the loopback interface that a test keeps to itself."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from random import SystemRandom

FIRST, SIZE, WORKERS = 12_000, 1_250, 16
"""Each process of `-n 16` has ports of its own, below those that Linux gives to connections."""


def free_port() -> int:
    """One that nobody listens on, and no other test takes before it is listened on.

    Some are taken seconds later, when what is to listen there has all that it needs; one that the
    kernel chose, it may have given to somebody else by then.
    """
    for port in islice(_ports, SIZE):
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("All ports of the tests are taken.")


@contextmanager
def taken_port() -> Iterator[int]:
    """One that we listen on until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def _own() -> Iterator[int]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")  # noqa: TID251 - no setting of ours
    first = FIRST + SIZE * (int(worker.removeprefix("gw")) % WORKERS)
    begin = SystemRandom().randrange(SIZE)  # another one than a process that we are a child of
    return cycle([first + (begin + at) % SIZE for at in range(SIZE)])


_ports = _own()

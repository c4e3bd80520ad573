"""Ports of the loopback interface that a test keeps to itself."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from random import SystemRandom

FIRST, SIZE, WORKERS = 12_000, 4_000, 5
"""Each process of `-n` has ports of its own, below those that the kernel gives to connections."""


def free_port() -> int:
    """One that nobody listens on, and nobody else takes before it is listened on.

    Some are taken seconds later, when what is to listen there has all that it needs; the kernel
    may have given one of its own to somebody else by then.
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

"""Waiting for something that another process does, with a deadline."""

import time
from collections.abc import Callable
from threading import Event


def eventually(check: Callable[[], object], *, seconds: float = 10, every: float = 0.05) -> None:
    """Return when `check()` is true; fail when it is not within `seconds`."""
    pause = Event()
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        pause.wait(every)

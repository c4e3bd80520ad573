"""Waiting for something that another process does, with a deadline."""

import time
from collections.abc import Callable
from threading import Event


def eventually(check: Callable[[], object], *, seconds: float = 30, every: float = 0.05) -> None:
    """Return when `check()` is true; fail when one that began after `seconds` is not.

    One that began before says nothing of then, however long it took.
    """
    pause = Event()
    deadline = time.monotonic() + seconds
    late = False
    while not check():
        assert not late, f"not true within {seconds} s"
        pause.wait(every)
        late = time.monotonic() >= deadline

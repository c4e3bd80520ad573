"""How `up` hears that it should stop."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether a stop was asked for.

    The signal raises where the program is, but never under an event loop: inside a callback of a
    driver that can get lost, or take the interpreter down. Whatever waits for long calls `check`.
    """

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` when a stop was asked for."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def stopped_once() -> Iterator[Stop]:
    """The first Ctrl-C, SIGTERM or hang-up raises `KeyboardInterrupt`; later ones do nothing.

    So a second, impatient Ctrl-C cannot break an orderly stop in its middle, which is bounded
    anyway. A hang-up that `nohup` has made void stays void.
    """
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        if not stop.asked:
            stop.asked = True
            if not _looping():
                raise KeyboardInterrupt

    heard = [each for each in STOP_SIGNALS if not _void_hang_up(each)]
    before = {each: signal.signal(each, ask) for each in heard}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _looping() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _void_hang_up(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN

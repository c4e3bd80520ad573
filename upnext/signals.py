"""How `up` hears that it should stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopped_once() -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or hang-up raises `KeyboardInterrupt`; later ones do nothing.

    So a second, impatient Ctrl-C cannot break an orderly stop in its middle, which is bounded
    anyway. A hang-up that `nohup` has made void stays void.
    """

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    heard = [each for each in STOP_SIGNALS if not _void_hang_up(each)]
    before = {each: signal.signal(each, stop) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _void_hang_up(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN

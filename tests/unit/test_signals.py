import os
import signal
from contextlib import suppress

import pytest

from upnext.signals import stopped_once

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_that_got_lost_is_heard_at_the_next_check(number: signal.Signals) -> None:
    with stopped_once() as stop:
        stop.check()
        with suppress(KeyboardInterrupt):  # as a driver's callback would
            os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_a_second_signal_does_not_break_an_orderly_stop() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopped_once():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_hang_up_that_nohup_made_void_stays_void() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_once() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)

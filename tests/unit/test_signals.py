import asyncio
import os
import signal
from contextlib import suppress

import pytest

from upnext.signals import stopped_once

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_that_got_lost_is_heard_at_the_next_check(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)  # one may be void where this runs
    with stopped_once() as stop:
        stop.check()
        with suppress(KeyboardInterrupt):  # as a driver's callback would
            os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    signal.signal(number, before)


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


def test_under_an_event_loop_it_waits_until_it_is_asked_for() -> None:
    async def told() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        return "what the driver was at is done"

    with stopped_once() as stop:
        assert asyncio.run(told()) == "what the driver was at is done"
        with pytest.raises(KeyboardInterrupt):
            stop.check()

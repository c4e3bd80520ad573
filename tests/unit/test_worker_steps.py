"""A step of the worker goes on after whatever failed."""

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from core.errors import Conflict
from upnext.worker import repeat

pytestmark = pytest.mark.unit


async def test_a_step_that_fails_is_logged_and_tried_again() -> None:
    faults = [ValueError("a fault of ours"), Conflict("not worth repeating")]
    waiting, done = list(faults), asyncio.Event()

    async def step() -> None:
        if waiting:
            raise waiting.pop(0)
        done.set()

    with capture_logs() as logs:
        task = asyncio.create_task(repeat("sweep", step, 0.001))
        async with asyncio.timeout(10):
            await done.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [line["exc_info"] for line in logs] == faults
    assert [line["again_in"] for line in logs] == [0.002, 0.004]

"""Puts made-up events on the bus: all at once, or at a steady rate."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from itertools import count

from nats.aio.client import Client

from bench.made_up_events import SUBJECT, Traffic, watches
from core.clock import utc_now
from core.errors import SetupError
from core.settings import Settings
from storage import bus
from storage.bus.nats_link import Link

BURST = 1000
STORED_SECONDS = 60
TICK_SECONDS = 0.02
NOW = timedelta(0)


def link_of(settings: Settings) -> Link:
    """A connection to the bus that sends faster than `Bus`: it waits for no acknowledgement."""
    return Link(settings.bus_url or "", settings.bus_timeout_seconds)


async def publish(settings: Settings, payloads: Sequence[bytes]) -> None:
    """Put events on the bus as fast as it takes them, and see that it has them all.

    Raises:
        SetupError: some did not arrive.
    """
    async with AsyncExitStack() as open_:
        source, link = bus.events_of(settings), link_of(settings)
        open_.push_async_callback(source.close)
        open_.push_async_callback(link.close)
        client = await open_.enter_async_context(link.connected())
        wanted = await source.waiting() + len(payloads)
        for start in range(0, len(payloads), BURST):
            for payload in payloads[start : start + BURST]:
                await client.publish(SUBJECT, payload)
            await client.flush()
        deadline = time.monotonic() + STORED_SECONDS
        while await source.waiting() < wanted:
            if time.monotonic() > deadline:
                raise SetupError("The bus did not keep all events: is its disk full?")
            await asyncio.sleep(0.1)


@asynccontextmanager
async def sending(
    settings: Settings, traffic: Traffic, per_second: int
) -> AsyncIterator[Callable[[], int]]:
    """Send events of now at a steady rate until the block ends; a function says how many by now."""
    link, sent = link_of(settings), 0

    async def send(client: Client) -> None:
        nonlocal sent
        name, began = str(time.time_ns()), time.monotonic()
        for tick in count():
            due = int((time.monotonic() - began) * per_second) - sent
            for payload in watches(
                traffic, due, utc_now(), name=f"{name}-{tick}", seed=tick, spread=NOW
            ):
                await client.publish(SUBJECT, payload)
            sent += due
            await asyncio.sleep(TICK_SECONDS)

    async with link.connected() as client:
        task = asyncio.create_task(send(client))
        try:
            yield lambda: sent
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    await link.close()

"""What a message costs us on its way in: `python -m bench.bus`.

Fills a server of its own, NATS, and takes the messages in batches as a worker does, once without
and once with a `Nats-Msg-Id`, whose headers have to be read. The first line is the driver's own
`fetch` and `ack`.
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import nats
from nats.aio.client import Client
from rich.console import Console
from rich.table import Table

from core.settings import load
from storage import bus
from storage.bus.contract import CONSUMER, EVENTS, EVENTS_STREAM
from storage.embedded.stack import EmbeddedStack

MESSAGES = 10_000
BATCHES = (1_000, 2_000, 5_000, 10_000)
PAYLOAD = (
    b'{"specversion":"1.0","id":"0123456789abcdef0123","source":"/player","type":"VideoWatched",'
    b'"time":"2026-01-01T12:00:00Z","datacontenttype":"application/json","data":{"user_id":"u12345"'
    b',"video_id":"v12345","watched_seconds":120.5,"video_seconds":300}}'
)


class Stopwatch:
    """Processor and wall clock, of this process, since its making."""

    def __init__(self) -> None:
        self._processor, self._clock = time.process_time(), time.perf_counter()

    def cells(self, count: int) -> list[str]:
        """Microseconds of processor a message; messages a second."""
        processor = (time.process_time() - self._processor) / count
        second = count / (time.perf_counter() - self._clock)
        return [f"{processor * 1e6:.1f}", f"{second:,.0f}"]


async def fill(client: Client, *, headers: bool) -> None:
    """Put the messages there, and see that the server has them."""
    for number in range(MESSAGES):
        named = {"Nats-Msg-Id": uuid4().hex} if headers else None
        await client.publish(EVENTS[0], PAYLOAD, headers=named)
        if number % 1_000 == 0:
            await client.flush()
    await client.jetstream().stream_info(EVENTS_STREAM)


async def with_the_driver(client: Client) -> list[str]:
    """The driver's own batches."""
    reader = await client.jetstream().pull_subscribe_bind(CONSUMER, EVENTS_STREAM)
    watch, left = Stopwatch(), MESSAGES
    while left:
        for message in await reader.fetch(min(left, BATCHES[0])):
            await message.ack()
            left -= 1
    await client.flush()
    return watch.cells(MESSAGES)


async def with_ours(source: bus.Events, batch: int) -> list[str]:
    """Batches as a worker takes them."""
    watch, left = Stopwatch(), MESSAGES
    while left:
        messages = await source.fetch(min(left, batch))
        await source.acknowledge(messages)
        left -= len(messages)
    return watch.cells(MESSAGES)


async def measure(url: str) -> Table:
    """All lines of the table."""
    table = Table("way", "batch", "headers", "microseconds a message", "messages a second")
    settings = load({"bus_url": url})
    await bus.setup(settings)
    client, source = await nats.connect(url), bus.events_of(settings)
    await fill(client, headers=False)
    table.add_row("the driver's fetch", f"{BATCHES[0]:,}", "no", *await with_the_driver(client))
    for headers in (False, True):
        for batch in BATCHES:
            await fill(client, headers=headers)
            cells = await with_ours(source, batch)
            table.add_row("ours", f"{batch:,}", "yes" if headers else "no", *cells)
    await source.close()
    await client.close()
    return table


def main() -> None:
    """Measure and print."""
    with TemporaryDirectory() as home, EmbeddedStack(Path(home), ["bus"]) as stack:
        Console().print(asyncio.run(measure(stack.servers["bus"].url)))


if __name__ == "__main__":
    main()

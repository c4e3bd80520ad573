"""NATS with JetStream: the consumer's side.

All workers share one durable pull consumer. A batch is asked for with one request and collected by
a callback: the driver's own `fetch` makes a task for each message, which costs five times as much.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, cast

import msgspec
from nats.aio.client import Client

from core.access import PLAIN, Access
from core.errors import Unavailable
from core.messages import Message
from storage.bus.calls import receiving, settling
from storage.bus.contract import Timing
from storage.bus.nats_inbox import Inbox, consumer_of
from storage.bus.nats_link import Link

_ACK: Final = b"+ACK"
_AGAIN: Final = b"-NAK"
_WORKING: Final = b"+WPI"


class NatsEvents:
    """`EventSource` over the durable consumer."""

    def __init__(self, url: str, timing: Timing, how: Access = PLAIN) -> None:
        self._timing = timing
        self._link = Link(url, timing.answer, how, lost=self._lost)
        # A measure that fails must not cost us what has arrived.
        self._watching = Link(url, timing.answer, how)
        self._inbox: Inbox | None = None
        self._again = timing.again
        self._fetching = asyncio.Lock()
        self._held: dict[str, float] = {}
        self._keeping: asyncio.Task[None] | None = None

    async def fetch(self, most: int) -> Sequence[Message]:
        """What waits, at most `most`; `Timing.first` is given for the first; empty when none."""
        with receiving():
            return await self._fetch(most)

    async def _fetch(self, most: int) -> list[Message]:
        async with self._fetching, self._link.connected() as client:
            inbox = await self._inbox_of(client)
            if not inbox.arrived:
                await inbox.ask(most)
            if not inbox.arrived:
                await inbox.ask(1, seconds=self._timing.first)
                if inbox.arrived and most > 1:
                    await inbox.ask(most - 1)
            messages = inbox.take(most)
        self._hold(messages)
        return messages

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """These are done; the server has read it when this returns, and soon counts it."""
        with settling("nats", len(messages)):
            await self._tell(messages, _ACK)

    async def put_back(self, messages: Sequence[Message], seconds: float) -> None:
        """Deliver these again, to whomever, after so many seconds."""
        delay = msgspec.json.encode({"delay": int(seconds * 1e9)})
        await self._tell(messages, _AGAIN + b" " + delay if seconds > 0 else _AGAIN)

    async def waiting(self) -> int:
        """Messages that nobody has been given yet, and those that are in work."""
        async with self._watching.connected() as client:
            info = await consumer_of(client, self._timing.answer)
            return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def close(self) -> None:
        """End the connection; what is still held is handed to others at once where possible."""
        if self._inbox is not None:  # of a fetch that was cancelled
            self._hold(self._inbox.take(len(self._inbox.arrived)))
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
            self._keeping = None
        if self._held:
            with suppress(Unavailable):  # else it is delivered again some seconds later
                await self._say(self._held, _AGAIN)
        self._held.clear()
        await self._link.close()
        await self._watching.close()

    async def _inbox_of(self, client: Client) -> Inbox:
        """The inbox of this connection: with a lost one, its inbox and what lay there are gone."""
        if self._inbox is None or self._inbox.client is not client:
            consumer = await consumer_of(client, self._timing.answer)
            self._again = consumer.config.ack_wait or self._timing.again
            self._inbox = Inbox(client, self._timing.answer)
            await self._inbox.open()
        return self._inbox

    def _lost(self) -> None:
        if self._inbox is not None:
            self._inbox.end()

    def _hold(self, messages: Sequence[Message]) -> None:
        now = time.monotonic()
        self._held.update((cast("str", message.handle), now) for message in messages)
        if messages and self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())

    async def _tell(self, messages: Sequence[Message], word: bytes) -> None:
        handles = [cast("str", message.handle) for message in messages]
        try:
            await self._say(handles, word)
        finally:  # they are not ours any more: where it was not heard, they come again
            for handle in handles:
                self._held.pop(handle, None)

    async def _say(self, handles: Iterable[str], word: bytes) -> None:
        """Answer deliveries; the round trip at the end says that the server has read it."""
        async with self._link.connected() as client:
            for handle in handles:
                await client.publish(handle, word)
            await client.flush(timeout=self._timing.answer)  # type: ignore[arg-type]

    async def _keep(self) -> None:
        """Say of all that is held that it is in work, before the bus takes us for dead."""
        while True:
            await asyncio.sleep(self._again / 3)
            now = time.monotonic()
            for handle, since in list(self._held.items()):
                if now - since > self._timing.held:
                    del self._held[handle]
            old = [handle for handle, since in self._held.items() if now - since > self._again / 4]
            if old:
                with suppress(Unavailable):  # whoever fetches or acknowledges next hears of it
                    await self._say(old, _WORKING)

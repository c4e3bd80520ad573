"""A bus in this process's memory, shared by any number of consumers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from core.clock import Clock, utc_now
from core.errors import Unavailable
from core.messages import Message
from storage.bus.contract import EVENTS, STREAMS, Timing, too_large

NO_WAITING = Timing(answer=0, first=0)
LARGEST = 2**20
"""Bytes of a message, as a NATS server has it by default."""


@dataclass(slots=True, eq=False)
class Kept:
    """A message, and when it may be delivered (by `MemoryBus.seconds`)."""

    number: int
    subject: str
    payload: bytes
    received_at: datetime
    due: float = 0.0
    deliveries: int = 0
    done: bool = False


@dataclass
class MemoryBus:
    """`Bus` that keeps what it is given.

    `seconds` measures the pauses, `clock` dates the messages. While `away` is set, nothing answers.
    """

    timing: Timing = NO_WAITING
    clock: Clock = utc_now
    seconds: Callable[[], float] = time.monotonic
    away: bool = False
    ready: bool = False
    kept: list[Kept] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def events(self) -> "MemoryEvents":
        """Another consumer."""
        return MemoryEvents(self)

    async def publish(
        self, subject: str, message_id: str, payload: bytes, key: str | None = None
    ) -> None:
        """Keep it, unless a message of this id came before."""
        del key
        self.check()
        if len(payload) > LARGEST:
            raise too_large(payload)
        if message_id not in self.ids:
            self.ids.add(message_id)
            self.kept.append(Kept(len(self.ids), subject, payload, self.clock()))
            self.news.set()

    async def setup(self) -> dict[str, list[str]]:
        """From now on it takes messages."""
        await self.ping()
        self.ready = True
        return {"streams": sorted(STREAMS)}

    async def forget(self, subject: str, matches: Callable[[bytes], bool]) -> int:
        """Delete what matches."""
        self.check()
        found = [kept for kept in self.kept if kept.subject == subject and matches(kept.payload)]
        self.kept = [kept for kept in self.kept if kept not in found]
        return len(found)

    async def ping(self) -> None:
        """Answers unless `away`."""
        if self.away:
            raise Unavailable("bus")

    async def version(self) -> str:
        """Its name."""
        await self.ping()
        return "memory"

    async def close(self) -> None:
        """Nothing to end."""

    def check(self) -> None:
        """Raise `Unavailable` while `away`, and before `setup`."""
        if self.away:
            raise Unavailable("bus")
        if not self.ready:
            raise Unavailable("bus", "the bus has no streams: run `upnext bus setup`")

    def open(self) -> list[Kept]:
        """Events that are not acknowledged, the oldest first."""
        return [kept for kept in self.kept if kept.subject in EVENTS and not kept.done]


class MemoryEvents:
    """`EventSource` over a `MemoryBus`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._held: set[Kept] = set()

    async def fetch(self, most: int) -> Sequence[Message]:
        """What is due, at most `most`; after `Timing.first` without any, nothing."""
        self._bus.check()
        if not self._due():
            self._bus.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._bus.timing.first):
                    await self._bus.news.wait()
        return [self._deliver(kept) for kept in self._due()[:most]]

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """These are done."""
        self._bus.check()
        for kept in _of(messages):
            kept.done = True
            self._held.discard(kept)

    async def put_back(self, messages: Sequence[Message], seconds: float) -> None:
        """Deliver these again, to whomever, after so many seconds."""
        self._bus.check()
        for kept in _of(messages):
            kept.due = self._bus.seconds() + seconds
            self._held.discard(kept)

    async def waiting(self) -> int:
        """How many are not acknowledged."""
        self._bus.check()
        return len(self._bus.open())

    async def close(self) -> None:
        """Hand what is held to others at once."""
        for kept in self._held:
            kept.due = 0.0
        self._held.clear()

    def _due(self) -> list[Kept]:
        now = self._bus.seconds()
        return [kept for kept in self._bus.open() if kept.due <= now]

    def _deliver(self, kept: Kept) -> Message:
        kept.deliveries += 1
        kept.due = self._bus.seconds() + self._bus.timing.held
        self._held.add(kept)
        return Message(
            subject=kept.subject,
            payload=kept.payload,
            position=f"memory:{kept.number}",
            received_at=kept.received_at,
            deliveries=kept.deliveries,
            handle=kept,
        )


def _of(messages: Sequence[Message]) -> list[Kept]:
    return [cast("Kept", message.handle) for message in messages]

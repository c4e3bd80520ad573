"""Consumers as workers have them, each a process of its own, until nothing is left to take."""

import asyncio
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from multiprocessing.synchronize import Barrier
from uuid import UUID

import msgspec

from bench.made_up_events import SUBJECT
from bench.server_cpu import server_cpu, spent
from core.clock import utc_now
from core.messages import Message
from core.settings import Settings
from ingest.consumer import Consumer
from ingest.dropping import Dropping
from ingest.handling import Handler, Outcome
from ingest.weights import PLAIN
from storage import bus
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.owed_drops import PostgresOwedDrops
from storage.redis.client import connect as connect_redis
from storage.redis.users import RedisUserCache

NO_KEY = UUID(int=0)
_together: list[Barrier] = []


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What consumers took, and how much of it was new; seconds from the first to the last of them.

    `cpu` has the CPU seconds of the consumers (`consumers`) and of each server's program.
    """

    events: int
    accepted: int
    seconds: float
    cpu: Mapping[str, float]


class _Part(msgspec.Struct, kw_only=True):
    """One consumer's; times are monotonic, so that they compare between processes."""

    events: int = 0
    accepted: int = 0
    began: float = 0.0
    ended: float = 0.0
    cpu: float = 0.0


def take(
    settings: Settings, batch: int, consumers: int, given: Sequence[Sequence[bytes]] = ()
) -> Taken:
    """Have so many processes take what is on the bus, or each what it is given."""
    context, before = multiprocessing.get_context("spawn"), server_cpu()
    parts = [(settings, batch, part) for part in given or [()] * consumers]
    with context.Pool(consumers, _start_with, (context.Barrier(consumers),)) as workers:
        done = workers.starmap(_take_part, parts, chunksize=1)
    return Taken(
        events=sum(one.events for one in done),
        accepted=sum(one.accepted for one in done),
        seconds=max(one.ended for one in done) - min(one.began for one in done),
        cpu={**spent(before, server_cpu()), "consumers": sum(one.cpu for one in done)},
    )


class Given:
    """`EventSource` of payloads that are there already."""

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = payloads
        self._next = 0

    async def fetch(self, most: int) -> Sequence[Message]:
        """The next ones."""
        first, now = self._next, utc_now()
        self._next += most
        return [
            Message(subject=SUBJECT, payload=payload, position=str(place), received_at=now)
            for place, payload in enumerate(self._payloads[first : self._next], first)
        ]

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """Nothing to do: they will not come again."""

    async def put_back(self, messages: Sequence[Message], seconds: float) -> None:
        """They are given up; whoever put them back raises."""

    async def waiting(self) -> int:
        """How many were not fetched yet."""
        return max(len(self._payloads) - self._next, 0)

    async def close(self) -> None:
        """Nothing is open."""


class _Counting:
    """A handler that remembers what it did."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.part = _Part()

    async def handle(self, messages: Sequence[Message]) -> Outcome:
        outcome = await self._handler.handle(messages)
        self.part.events += len(messages)
        self.part.accepted += outcome.accepted
        return outcome


def _start_with(others: Barrier) -> None:
    _together.append(others)


def _take_part(settings: Settings, batch: int, payloads: Sequence[bytes]) -> _Part:
    return asyncio.run(_take(settings, batch, payloads))


async def _take(settings: Settings, batch: int, payloads: Sequence[bytes]) -> _Part:
    """All that comes without a pause; connections are open before the clock starts."""
    source = Given(payloads) if payloads else bus.events_of(settings)
    redis = connect_redis(settings.redis_url or "", settings.redis_timeout_seconds)
    async with pool(settings) as engine, aclosing(redis):
        store = PostgresInteractions(engine)
        drops = Dropping(RedisUserCache(redis), PostgresOwedDrops(engine))
        letters = PostgresDeadLetters(engine)
        counting = _Counting(Handler(store, letters, drops, weights=lambda: PLAIN))
        consumer, part = Consumer(source, counting, batch), counting.part
        await store.find(NO_KEY)
        await redis.ping()
        await source.waiting()
        for others in _together:
            others.wait()
        began, cpu, before = time.monotonic(), time.process_time(), -1
        while part.events != before:
            part.ended, part.cpu = time.monotonic(), time.process_time() - cpu
            before = part.events
            await consumer.step()
        part.began = began
        await source.close()
    return part

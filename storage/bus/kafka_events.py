"""Kafka: the consumer's side.

All workers are one group, which shares the partitions. What is put back waits here, not at the
broker: its partition is committed up to it and no further, and what comes after it goes on.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from core.access import PLAIN, Access
from core.clock import utc_now
from core.errors import Unavailable
from core.messages import Message
from storage.bus.calls import carried, receiving, settling
from storage.bus.contract import CONSUMER, EVENTS, Timing
from storage.bus.kafka_lag import Lag
from storage.bus.kafka_link import Registry, linked, options_of, started, stopped
from storage.bus.kafka_work import InWork, Partition

MOST_IN_WORK: Final = 50_000
"""Messages that one worker may hold: while they wait to be done, no more are fetched."""

JOIN_SECONDS: Final = 30.0
"""How long joining the group may take: the others must give up partitions first."""

SESSION_SECONDS: Final = 6.0
"""After which the group shares out the partitions of a member that died; the least that brokers
allow by default."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KafkaEvents(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped in the driver
    """`EventSource` over a consumer group."""

    def __init__(self, url: str, timing: Timing, how: Access = PLAIN) -> None:
        options_of(url, how)  # refused now, not when first used
        self._options = partial(options_of, url, how)
        self._timing = timing
        self._registry = Registry(self._options, timing.answer)
        self._consumer: AIOKafkaConsumer | None = None
        self._work = InWork()
        self._fetching = asyncio.Lock()
        self._lag = Lag(url, how, timing.answer)

    async def fetch(self, most: int) -> Sequence[Message]:
        """What waits, at most `most`; `Timing.first` is given for the first; empty when none."""
        with receiving():
            return await self._fetch(most)

    async def _fetch(self, most: int) -> list[Message]:
        async with self._fetching, linked(self._leave):
            consumer = self._consumer or await self._join()
            messages = self._work.due(most)
            room = max(1, min(most - len(messages), MOST_IN_WORK - self._work.size))
            if len(messages) < most:
                messages += await self._poll(consumer, room, wait=not messages)
            if not messages:
                await self._registry.consumed()  # or a lost broker looks like peace
                messages = self._work.due(most)
            return messages

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """These are done. What the group has given to another meanwhile comes again there."""
        with settling("kafka", len(messages)):
            await self._acknowledge(messages)

    async def _acknowledge(self, messages: Sequence[Message]) -> None:
        async with linked(self._leave):
            if self._consumer is None:
                raise Unavailable("bus", "the connection was lost: these messages come again")
            offsets = self._work.finish(messages)
            if offsets:
                await self._commit(self._consumer, offsets)

    async def put_back(self, messages: Sequence[Message], seconds: float) -> None:
        """Deliver these again after so many seconds, here or to whoever has the partition then."""
        self._work.put_back(messages, seconds)

    async def waiting(self) -> int:
        """Messages behind the group's commits, in work or not."""
        return await self._lag.waiting()

    async def close(self) -> None:
        """Leave the group; what was not acknowledged comes again to the others."""
        await self._leave()
        await self._lag.close()

    def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """The group is sharing out anew: most often what we have stays ours."""

    def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """What is in work stays so where the partition is still ours."""
        self._work.keep_only(set(assigned))

    async def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._work.clear()
        await self._registry.close()
        if consumer is not None:
            await stopped(consumer)

    async def _join(self) -> AIOKafkaConsumer:
        await self._registry.consumed()
        consumer = AIOKafkaConsumer(
            **self._options(),
            group_id=CONSUMER,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            heartbeat_interval_ms=int(SESSION_SECONDS * 1000 / 6),
            request_timeout_ms=int(JOIN_SECONDS * 500),
        )
        consumer.subscribe(EVENTS, listener=self)
        await started(consumer, JOIN_SECONDS)
        self._consumer = consumer
        return consumer

    async def _poll(self, consumer: AIOKafkaConsumer, room: int, *, wait: bool) -> list[Message]:
        seconds = max(0.0, min(self._timing.first, self._work.pause())) if wait else 0.0
        try:
            async with asyncio.timeout(seconds + self._timing.answer):
                found = await consumer.getmany(timeout_ms=int(seconds * 1000), max_records=room)
        except TimeoutError:  # the group is sharing out anew; whether anybody answers is seen next
            return []
        messages = (self._read(record) for records in found.values() for record in records)
        return [message for message in messages if message is not None]

    def _read(self, record: ConsumerRecord) -> Message | None:
        place = self._work.begin((record.topic, record.partition), record.offset)
        if place is None:
            return None
        return Message(
            subject=record.topic,
            payload=record.value or b"",
            position=f"{record.topic}/{record.partition}/{record.offset}",
            received_at=_time_of(record),
            handle=place,
            trace=carried(record.headers),
        )

    async def _commit(self, consumer: AIOKafkaConsumer, offsets: dict[Partition, int]) -> None:
        try:
            async with asyncio.timeout(self._timing.answer):
                await consumer.commit({TopicPartition(*each): to for each, to in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            return  # the partition is another's by now, who gets these again: they are repeats


def _time_of(record: ConsumerRecord) -> datetime:
    """The record's time, which may be its sender's; now, where it has none or an absurd one."""
    try:
        return (
            _EPOCH + timedelta(milliseconds=record.timestamp)
            if record.timestamp >= 0
            else utc_now()
        )
    except OverflowError:
        return utc_now()

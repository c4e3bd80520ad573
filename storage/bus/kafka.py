"""Kafka: publishing, and making the topics."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
    UnknownError,
    UnsupportedVersionError,
    for_code,
)

from core.access import PLAIN, Access
from core.errors import Unavailable
from core.events import SUBJECTS
from storage.bus.calls import publishing
from storage.bus.contract import CONNECT_SECONDS, EVENTS, KEPT_SECONDS, Timing, too_large
from storage.bus.kafka_link import Registry, linked, options_of, started, stopped

PARTITIONS: Final = 12
"""Of a topic that we make: as many workers can share the events."""

COPIES: Final = 3
"""Of each message, where there are as many brokers."""

TOPICS: Final = (*EVENTS, *SUBJECTS.values())

_NO_IDEMPOTENCE = (ClusterAuthorizationFailedError, UnknownError, UnsupportedVersionError)
_CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")


class KafkaBus:
    """`Bus` over Kafka.

    A message is acknowledged by all replicas in sync. After a failure the producer is thrown away
    with all it has, so that nothing is sent behind the caller's back.
    """

    def __init__(self, url: str, timing: Timing, how: Access = PLAIN) -> None:
        options_of(url, how)  # refused now, not when first used
        self._options = partial(options_of, url, how)
        self._seconds = timing.answer
        self._registry = Registry(self._options, self._seconds)
        self._producer: AIOKafkaProducer | None = None
        self._topics: frozenset[str] = frozenset()
        self._connecting = asyncio.Lock()

    async def publish(
        self, subject: str, message_id: str, payload: bytes, key: str | None = None
    ) -> None:
        """Publish to the topic and wait until the replicas have it."""
        with publishing("kafka", subject, message_id):
            await self._publish(subject, payload, key or message_id)

    async def _publish(self, subject: str, payload: bytes, key: str) -> None:
        async with linked(self.close):
            if subject not in self._topics:
                self._topics = frozenset(await self._registry.partitions())
            if subject not in self._topics:
                raise Unavailable("bus", f"the bus has no topic {subject}: run `upnext bus setup`")
            producer = await self._started()
            try:
                async with asyncio.timeout(2 * self._seconds):
                    await producer.send_and_wait(
                        subject,
                        payload,
                        key=key.encode(),
                        headers=[_CONTENT_TYPE],
                    )
            except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
                raise too_large(payload) from error

    async def setup(self) -> dict[str, list[str]]:
        """Create the topics that are missing; every broker's own retention rules the others."""
        async with linked(self.close):
            there = await self._registry.partitions()
            missing = [topic for topic in TOPICS if topic not in there]
            if missing:
                await self._create(missing)
        return {"topics": sorted(TOPICS)}

    async def forget(self, subject: str, matches: Callable[[bytes], bool]) -> None:
        """Kafka cannot delete single messages: they go with the topic's retention."""
        del subject, matches

    async def ping(self) -> None:
        """Ask for the topics."""
        async with linked(self.close):
            await self._registry.partitions()

    async def version(self) -> str:
        """How many brokers answer: the protocol does not tell their version."""
        async with linked(self.close):
            return f"Kafka with {await self._registry.brokers()} broker(s)"

    async def close(self) -> None:
        """End the connections; what was acknowledged is safe."""
        producer, self._producer = self._producer, None
        self._topics = frozenset()
        await self._registry.close()
        if producer is not None:
            await stopped(producer)

    async def _started(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                try:
                    self._producer = await self._make(idempotent=True)
                except _NO_IDEMPOTENCE:
                    # Some brokers give out no producer ids, or not to everyone. Without one, what
                    # the driver sends again after a lost answer may be there twice.
                    self._producer = await self._make(idempotent=False)
            return self._producer

    async def _make(self, *, idempotent: bool) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._options(),
            acks="all",
            enable_idempotence=idempotent,
            request_timeout_ms=int(self._seconds * 1000),
        )
        await started(producer, CONNECT_SECONDS)
        return producer

    async def _create(self, missing: list[str]) -> None:
        copies = min(COPIES, await self._registry.brokers())
        admin = await self._registry.admin()
        configs = {"retention.ms": str(int(KEPT_SECONDS * 1000))}
        topics = [NewTopic(name, PARTITIONS, copies, topic_configs=configs) for name in missing]
        async with asyncio.timeout(2 * self._seconds):
            answer: Any = await admin.create_topics(topics)
        for name, code, *message in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                reason = message[0] if message and message[0] else error.description
                raise Unavailable("bus", f"the bus did not make the topic {name}: {reason}")

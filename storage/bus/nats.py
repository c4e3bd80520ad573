"""NATS with JetStream: publishing, and making what is needed there."""

from collections.abc import Callable
from typing import Final

import nats.errors
import nats.js.errors
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from core.access import PLAIN, Access
from core.errors import Unavailable
from storage.bus.calls import publishing
from storage.bus.contract import (
    CONSUMER,
    EVENTS,
    EVENTS_STREAM,
    KEPT_SECONDS,
    REPEATS_SECONDS,
    STREAMS,
    Timing,
    too_large,
)
from storage.bus.nats_forget import forget
from storage.bus.nats_link import Link

MOST_IN_WORK: Final = 100_000
"""Messages that all workers together may hold: ten of them with the largest batches."""


class NatsBus:
    """`Bus` over JetStream."""

    def __init__(self, url: str, timing: Timing, how: Access = PLAIN) -> None:
        self._timing = timing
        self._link = Link(url, timing.answer, how)

    async def publish(
        self, subject: str, message_id: str, payload: bytes, key: str | None = None
    ) -> None:
        """Publish and wait for JetStream's acknowledgement; a stream needs no key for its order."""
        del key
        with publishing("nats", subject, message_id):
            await self._publish(subject, message_id, payload)

    async def _publish(self, subject: str, message_id: str, payload: bytes) -> None:
        async with self._link.connected() as client:
            try:
                await client.jetstream(timeout=self._timing.answer).publish(
                    subject, payload, headers={"Nats-Msg-Id": message_id}
                )
            except nats.js.errors.NoStreamResponseError as error:
                raise Unavailable(
                    "bus", f"the bus has no stream for {subject}: run `upnext bus setup`"
                ) from error
            except nats.errors.MaxPayloadError as error:
                raise too_large(payload) from error

    async def setup(self) -> dict[str, list[str]]:
        """Create the streams ANALYTICS and RECS and the durable consumer where they are missing."""
        async with self._link.connected() as client:
            manager = client.jsm(timeout=self._timing.answer)
            for name, subject in STREAMS.items():
                try:
                    await manager.stream_info(name)
                except nats.js.errors.NotFoundError:
                    await manager.add_stream(_stream(name, subject))
            try:
                await manager.consumer_info(EVENTS_STREAM, CONSUMER)
            except nats.js.errors.NotFoundError:
                await manager.add_consumer(EVENTS_STREAM, _consumer(self._timing))
        return {"streams": sorted(STREAMS), "consumers": [CONSUMER]}

    async def forget(self, subject: str, matches: Callable[[bytes], bool]) -> int:
        """Read all of the subject and delete, overwriting them, the messages that match."""
        async with self._link.connected() as client:
            stream = client.jetstream(timeout=self._timing.answer)
            return await forget(stream, subject, matches, self._timing.answer)

    async def ping(self) -> None:
        """A round trip to the server."""
        async with self._link.connected() as client:
            await client.flush(timeout=self._timing.answer)  # type: ignore[arg-type]

    async def version(self) -> str:
        """The server's, when JetStream answers."""
        async with self._link.connected() as client:
            await client.jetstream(timeout=self._timing.answer).account_info()
            found = client.connected_server_version
            return f"NATS {found.major}.{found.minor}.{found.patch} with JetStream"

    async def close(self) -> None:
        """End the connection; what was acknowledged is safe."""
        await self._link.close()


def _stream(name: str, subject: str) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=[subject],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=KEPT_SECONDS,
        duplicate_window=REPEATS_SECONDS,
    )


def _consumer(timing: Timing) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=CONSUMER,
        filter_subjects=list(EVENTS),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=timing.again,
        max_ack_pending=MOST_IN_WORK,
    )

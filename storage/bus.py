"""The message bus: NATS with JetStream behind a small Protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from core.errors import SetupError, Unavailable

STREAMS: Final = {"ANALYTICS": "analytics.>", "RECS": "recs.>"}
"""Streams and the subjects they keep: what comes in, and what we publish."""

KEPT_SECONDS: Final = 7 * 86_400.0
REPEATS_SECONDS: Final = 120.0
"""How long the bus remembers message ids, so that a repeated one is dropped."""

_WAIT_SECONDS = 2.0


class Bus(Protocol):
    """What we need of a message bus. Every method raises `Unavailable` when it does not answer."""

    async def publish(self, subject: str, message_id: str, payload: bytes) -> None:
        """Publish and wait until the bus has it.

        The same `message_id` within two minutes is dropped by the bus, so after `Unavailable`,
        which leaves open whether it arrived, publish it again.
        """
        ...

    async def setup(self) -> None:
        """Create the streams that are not there; those that are stay as they are."""
        ...

    async def ping(self) -> None:
        """Ask for a sign of life."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


def connect(url: str) -> Bus:
    """The bus of that URL; connects when first used.

    Raises:
        SetupError: the URL is not one of a bus that we speak.
    """
    if not url.startswith(("nats://", "tls://")):
        raise SetupError("UPNEXT_BUS_URL cannot be used: it starts with nats:// or tls://.")
    return NatsBus(url)


async def setup(url: str) -> None:
    """Create the streams of the bus at `url` that are not there. Raises as `Bus.setup`."""
    bus = connect(url)
    try:
        await bus.setup()
    finally:
        await bus.close()


class NatsBus:
    """`Bus` over JetStream.

    A lost connection is given up and the next call makes another: nothing is buffered meanwhile,
    so the answer to a publish is always about the bus and never about our memory.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def publish(self, subject: str, message_id: str, payload: bytes) -> None:
        """Publish and wait for JetStream's acknowledgement."""
        async with self._connected() as client:
            try:
                await client.jetstream(timeout=_WAIT_SECONDS).publish(
                    subject, payload, headers={"Nats-Msg-Id": message_id}
                )
            except nats.js.errors.NoStreamResponseError as error:
                raise Unavailable(
                    "bus", f"the bus has no stream for {subject}: run `upnext bus setup`"
                ) from error

    async def setup(self) -> None:
        """Create the streams ANALYTICS and RECS, on disk, where they are missing."""
        async with self._connected() as client:
            manager = client.jsm(timeout=_WAIT_SECONDS)
            for name, subject in STREAMS.items():
                try:
                    await manager.stream_info(name)
                except nats.js.errors.NotFoundError:
                    await manager.add_stream(_stream(name, subject))

    async def ping(self) -> None:
        """A round trip to the server."""
        async with self._connected() as client:
            await client.flush(timeout=_WAIT_SECONDS)  # type: ignore[arg-type]

    async def close(self) -> None:
        """End the connection; what was acknowledged is safe."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        try:
            yield await self._connect()
        except (nats.errors.Error, OSError) as error:
            await self.close()
            raise Unavailable("bus") from error

    async def _connect(self) -> Client:
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                await self.close()
                self._client = Client()
                async with asyncio.timeout(_WAIT_SECONDS):
                    await self._client.connect(
                        self._url,
                        name="upnext",
                        allow_reconnect=False,
                        # These two also rule the first connection, which would take two minutes.
                        max_reconnect_attempts=1,
                        reconnect_time_wait=0.05,  # type: ignore[arg-type]
                        error_cb=_quiet,
                    )
            return self._client


def _stream(name: str, subject: str) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=[subject],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=KEPT_SECONDS,
        duplicate_window=REPEATS_SECONDS,
    )


async def _quiet(_: Exception) -> None:
    """Every failure reaches the caller as an exception; the driver would log it once more."""

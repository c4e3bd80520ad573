"""One connection to NATS, made when needed and given up when lost."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from core.errors import Unavailable
from storage.bus.contract import CALL_SECONDS


def _nothing() -> None:
    """Nobody waits for the news that a connection is lost."""


class _Client(Client):
    """Goes on reading after a message whose headers are none.

    The driver's own stops, with the connection open: one such message in a stream would cut every
    consumer off, and again at each delivery.
    """

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            parsed: dict[str, str] | None = await super()._process_headers(headers)
        except (IndexError, ValueError):
            return None
        return parsed


class Link:
    """A connection that is never silently replaced.

    A lost one is given up and the next call makes another: nothing is buffered meanwhile, so the
    answer to a call is always about the bus and never about our memory. `lost` is called when it
    ends, whoever ended it.
    """

    def __init__(self, url: str, lost: Callable[[], None] = _nothing) -> None:
        self._url = url
        self._lost = lost
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """The connection, for one call. An error of the driver ends it.

        Raises:
            Unavailable: the bus is away, or gave no answer in time.
        """
        try:
            yield await self._connect()
        except (nats.errors.Error, OSError) as error:
            await self.close()
            raise Unavailable("bus", _said(error)) from error

    async def close(self) -> None:
        """End the connection; what was acknowledged is safe."""
        client, self._client = self._client, None
        if client is not None:
            # One whose handshake failed would be waited for without end: it is closed already. And
            # what was not sent yet may be all that fails.
            with suppress(OSError):
                async with asyncio.timeout(CALL_SECONDS):
                    await client.close()

    async def _connect(self) -> Client:
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                await self.close()
                self._client = _Client()
                async with asyncio.timeout(CALL_SECONDS):
                    await self._client.connect(
                        self._url,
                        name="upnext",
                        allow_reconnect=False,
                        # These two also rule the first connection, which would take two minutes.
                        max_reconnect_attempts=1,
                        reconnect_time_wait=0.05,  # type: ignore[arg-type]
                        error_cb=_quiet,
                        closed_cb=self._closed,
                    )
            return self._client

    async def _closed(self) -> None:
        self._lost()


def _said(error: Exception) -> str:
    """What a person has to know to mend it; empty when silence says it all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the bus's certificate is not trusted, {error.verify_message}: see SSL_CERT_FILE"
    if isinstance(error, nats.js.errors.APIError) and error.description:
        return f"the bus refuses: {error.description}"
    return ""


async def _quiet(_: Exception) -> None:
    """Every failure reaches the caller as an exception; the driver would log it once more."""

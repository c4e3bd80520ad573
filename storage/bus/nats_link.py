"""One connection to NATS, made when needed and given up when lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from core.access import PLAIN, Access
from core.errors import Unavailable
from core.tls import trouble
from storage.bus.contract import CLOSE_SECONDS


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
    answer to a call is always about the bus and never about our memory. A new one is waited for
    `seconds`. `lost` is called when it ends, whoever ended it.
    """

    def __init__(
        self,
        url: str,
        seconds: float,
        how: Access = PLAIN,
        *,
        lost: Callable[[], None] = _nothing,
    ) -> None:
        self._url, self._user = _without_user(url, how)
        self._how = how
        self._seconds = seconds
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
                async with asyncio.timeout(CLOSE_SECONDS):
                    await client.close()

    async def _connect(self) -> Client:
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                await self.close()
                self._client = _Client()
                async with asyncio.timeout(self._seconds):
                    await self._client.connect(
                        self._url,
                        **self._options(),
                        name="upnext",
                        connect_timeout=self._seconds,  # type: ignore[arg-type]
                        allow_reconnect=False,
                        # These two also rule the first connection, which would take two minutes.
                        max_reconnect_attempts=1,
                        reconnect_time_wait=0.05,  # type: ignore[arg-type]
                        error_cb=_quiet,
                        closed_cb=self._closed,
                    )
            return self._client

    def _options(self) -> dict[str, Any]:
        """What files say now. Raises `OSError`."""
        options: dict[str, Any] = {}
        if self._url.startswith("tls://"):
            options["tls"] = self._how.tls.context()
        if self._how.password is not None and self._user is None:
            options["token"] = self._how.password.value()
        elif self._how.password is not None:
            options |= {"user": self._user, "password": self._how.password.value()}
        return options

    async def _closed(self) -> None:
        self._lost()


def _said(error: Exception) -> str:
    """What a person has to know to mend it; empty when silence says it all."""
    if said := trouble(error):
        return f"the bus over TLS: {said}"
    told = "authorization violation" in str(error).lower()  # while a connection is made
    if told or isinstance(error, nats.errors.AuthorizationError):
        return "the bus refused the login: check the user and the password"
    if isinstance(error, nats.js.errors.APIError) and error.description:
        return f"the bus refuses: {error.description}"
    return ""


def _without_user(url: str, how: Access) -> tuple[str, str | None]:
    """The URL as the driver gets it, and the user whose password is in a file.

    What the URL itself says of users goes before all else in the driver.
    """
    parts = urlsplit(url)
    if how.password is None or parts.username is None:
        return url, None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), unquote(parts.username)


async def _quiet(_: Exception) -> None:
    """Every failure reaches the caller as an exception; the driver would log it once more."""

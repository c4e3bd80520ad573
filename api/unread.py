"""Answers given before the whole body was read: what to do with the rest of it.

It cannot be told from the next request, so the server closes the connection, and a client that is
not told may have sent its next request by then and gets no answer to that. A small rest is read;
where that takes too long, or is too much, the answer says that the connection ends.
"""

import asyncio
from typing import Any

from litestar.types import HTTPReceiveMessage, Message, Receive, Scope, Send

SMALL_BYTES = 64 * 1024
PATIENCE_SECONDS = 0.5
_CLOSES = (b"connection", b"close")


def telling(scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """The request's own channels, or where it has a body, ones that see to the rest of it."""
    length = _length(scope)
    if length == 0 or scope["http_version"] != "1.1":
        return receive, send
    body = _Body(receive)

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            small = length is not None and length <= SMALL_BYTES
            if not (body.read or (small and await body.drained())):
                message["headers"] = [*message["headers"], _CLOSES]
        await send(message)

    return body.receive, sent


class _Body:
    """Whether a body was read to its end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.read = False
        self._broken = False

    async def receive(self) -> HTTPReceiveMessage:
        message: Any = await self._receive()
        self._broken = message["type"] == "http.disconnect"
        self.read = not (self._broken or message.get("more_body", False))
        return message  # type: ignore[no-any-return]

    async def drained(self) -> bool:
        """Read what is left. False: it did not come."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (self.read or self._broken):
                    await self.receive()
        except TimeoutError:
            return False
        return self.read


def _length(scope: Scope) -> int | None:
    """Bytes of the body, None when it does not say."""
    length: int | None = 0
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value) if value.isdigit() else None
    return length

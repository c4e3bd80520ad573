"""Answers given before the whole body was read: they say that the connection ends with them.

What is left of the body cannot be told from the next request, so the server closes the connection.
A client that is not told may have sent its next request on it by then, and gets no answer to that.
"""

from typing import Any

from litestar.types import Message, Receive, Scope, Send

_CLOSES = (b"connection", b"close")


def telling(scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """The request's own channels, or where it has a body, ones that say so."""
    if scope["http_version"] != "1.1" or not _has_body(scope):
        return receive, send
    unread = True

    async def received() -> Any:  # noqa: ANN401 - as there
        nonlocal unread
        message = await receive()
        unread = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and unread:
            message["headers"] = [*message["headers"], _CLOSES]
        await send(message)

    return received, sent


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )

"""Answers before the body was read end their connection, all others leave it open."""

from typing import Any

import pytest

from api.unread import telling

pytestmark = pytest.mark.unit
CLOSES = (b"connection", b"close")
LENGTH = (b"content-length", b"10")


async def headers_of(sent: tuple[bytes, bytes] | None, reads: int, version: str = "1.1") -> Any:
    """The answer's headers to a body in two parts, of which so many were read."""
    parts = [
        {"type": "http.request", "body": b"12345", "more_body": more} for more in (True, False)
    ]
    starts: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        starts.append(message)

    scope: Any = {"http_version": version, "headers": [sent] if sent else []}
    receiving, sending = telling(scope, receive, send)
    for _ in range(reads):
        await receiving()
    await sending({"type": "http.response.start", "status": 200, "headers": []})
    return starts[0]["headers"]


@pytest.mark.parametrize("reads", [0, 1])
@pytest.mark.parametrize("sent", [LENGTH, (b"transfer-encoding", b"chunked")])
async def test_what_is_left_of_the_body_ends_the_connection(
    sent: tuple[bytes, bytes], reads: int
) -> None:
    assert await headers_of(sent, reads) == [CLOSES]


@pytest.mark.parametrize(
    ("sent", "reads", "version"),
    [(LENGTH, 2, "1.1"), (None, 0, "1.1"), ((b"content-length", b"0"), 0, "1.1"), (LENGTH, 0, "2")],
)
async def test_otherwise_it_stays(
    sent: tuple[bytes, bytes] | None, reads: int, version: str
) -> None:
    assert await headers_of(sent, reads, version) == []

"""Answers before the body was read: a small rest is read, else their connection ends."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from api.unread import SMALL_BYTES, telling

pytestmark = pytest.mark.unit
CLOSES = [(b"connection", b"close")]
LENGTH = (b"content-length", b"10")
TOO_LONG = (b"content-length", b"%d" % (SMALL_BYTES + 1))
CHUNKED = (b"transfer-encoding", b"chunked")
PART = {"type": "http.request", "body": b"12345", "more_body": True}
LAST = {"type": "http.request", "body": b"67890", "more_body": False}
GONE = {"type": "http.disconnect"}


async def headers_of(
    header: tuple[bytes, bytes] | None,
    parts: Sequence[dict[str, Any]],
    reads: int = 0,
    version: str = "1.1",
) -> Any:
    """The answer's headers after so many parts were read; what comes after the last never does."""
    waiting, starts = list(parts), []

    async def receive() -> Any:
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        starts.append(message)

    scope: Any = {"http_version": version, "headers": [header] if header else []}
    receiving, sending = telling(scope, receive, send)
    for _ in range(reads):
        await receiving()
    await sending({"type": "http.response.start", "status": 200, "headers": []})
    return starts[0]["headers"]


@pytest.mark.parametrize("reads", [0, 1])
@pytest.mark.parametrize("header", [TOO_LONG, CHUNKED])
async def test_a_long_rest_ends_the_connection(header: tuple[bytes, bytes], reads: int) -> None:
    assert await headers_of(header, [PART, LAST], reads) == CLOSES


@pytest.mark.parametrize("reads", [0, 1, 2])
async def test_a_small_rest_is_read(reads: int) -> None:
    assert await headers_of(LENGTH, [PART, LAST], reads) == []


@pytest.mark.parametrize(
    ("parts", "reads"), [([PART], 0), ([PART], 1), ([PART, GONE], 0), ([PART, GONE], 2)]
)
async def test_one_that_does_not_come_ends_the_connection(
    parts: list[dict[str, Any]], reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.unread.PATIENCE_SECONDS", 0.01)
    assert await headers_of(LENGTH, parts, reads) == CLOSES


@pytest.mark.parametrize(
    ("header", "version"), [(None, "1.1"), ((b"content-length", b"0"), "1.1"), (LENGTH, "2")]
)
async def test_without_a_body_of_this_connection_it_stays(
    header: tuple[bytes, bytes] | None, version: str
) -> None:
    assert await headers_of(header, [], version=version) == []

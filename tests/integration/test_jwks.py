"""Fetching an issuer's keys over HTTP: what is read, and what counts as away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.errors import Unavailable
from storage.jwks import MAX_BYTES, JwksUrl
from tests.ports import free_port

pytestmark = pytest.mark.integration


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """The URL of a server that sends these bytes to whoever comes; None: it says nothing."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    finally:
        over.set()
        server.close()


def http(status: str, body: bytes, *headers: str) -> bytes:
    fields = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(fields).encode() + b"\r\n\r\n" + body


async def fetched(url: str, seconds: float = 0.5) -> bytes:
    source = JwksUrl(url, timeout_seconds=seconds)
    try:
        return await source.fetch()
    finally:
        await source.aclose()


async def test_the_document_comes_as_it_is() -> None:
    async with answering(http("200 OK", b'{"keys":[]}')) as url:
        assert await fetched(url, 10) == b'{"keys":[]}'


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"not HTTP at all\r\n\r\n",
        http("200 OK", b" " * (MAX_BYTES + 1)),
        http("302 Found", b"", "Location: http://127.0.0.1/other"),
        http("404 Not Found", b"{}"),
        http("500 Oops", b"{}"),
    ],
)
async def test_anything_else_is_away(answer: bytes | None) -> None:
    async with answering(answer) as url:
        with pytest.raises(Unavailable):
            await fetched(url)


async def test_nobody_there_is_away_and_the_url_stays_unsaid() -> None:
    with pytest.raises(Unavailable) as refused:
        await fetched(f"http://user:password@127.0.0.1:{free_port()}/jwks.json")
    assert "password" not in str(refused.value)

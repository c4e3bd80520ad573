"""Public keys of a token issuer, fetched over HTTP (`api.ports.KeySource`)."""

import asyncio

import httpx

from core.errors import Unavailable

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 256 * 1024


class JwksUrl:
    """The document at one URL; redirects are not followed: the keys come from there or not at all.

    Close it with `aclose`.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout = timeout_seconds
        self._client = httpx.AsyncClient(timeout=timeout_seconds)

    async def fetch(self) -> bytes:
        """The document as it is now, of at most 256 KiB. Raises `Unavailable`."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("GET", self._url) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise Unavailable("jwks", f"the issuer answered {answer.status_code}")
                return await _bounded(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            # The URL may hold a password, and such errors may hold the URL.
            raise Unavailable("jwks", f"not fetched: {type(error).__name__}") from error

    async def aclose(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()


async def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise Unavailable("jwks", f"the document has more than {MAX_BYTES} bytes")
    return bytes(body)

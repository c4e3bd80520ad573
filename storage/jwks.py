"""Public keys of a token issuer, fetched over HTTP (`api.ports.KeySource`)."""

import asyncio
import ssl
from pathlib import Path

import httpx

from core.errors import Unavailable
from core.tls import trouble

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 256 * 1024


class JwksUrl:
    """The document at one URL; redirects are not followed: the keys come from there or not at all.

    Close it with `aclose`.
    """

    def __init__(
        self, url: str, ca_file: Path | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """`ca_file` has the authorities to trust, else `SSL_CERT_FILE` or httpx's own."""
        self._url = url
        self._timeout = timeout_seconds
        # A context of its own, which the client changes to its needs.
        trusting = ssl.create_default_context(cafile=ca_file) if ca_file is not None else True
        self._client = httpx.AsyncClient(timeout=timeout_seconds, verify=trusting)

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
            said = trouble(error) or type(error).__name__
            raise Unavailable("jwks", f"not fetched: {said}") from error

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

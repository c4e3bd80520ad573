"""What TLS finds wrong with a server whose driver does not tell."""

import asyncio
import ssl
from contextlib import suppress
from typing import Final

from core.tls import trouble

SECONDS: Final = 2.0


async def found_wrong(host: str, port: int, context: ssl.SSLContext) -> str:
    """A sentence, as of `core.tls.trouble`; empty when a handshake succeeds or nobody is there."""
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                with suppress(TimeoutError):
                    # In TLS 1.3 a server says only after the handshake that it misses a
                    # certificate.
                    async with asyncio.timeout(SECONDS / 10):
                        await reader.read(1)
            finally:
                writer.close()
    except OSError as error:
        return trouble(error)
    return ""

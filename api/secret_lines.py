"""The secrets of tokens in a file, which may change while the process runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from core.errors import SetupError
from core.secrets import read_jwt_secrets

POLL_SECONDS = 2.0

log = structlog.get_logger(__name__)


class SecretLines:
    """One secret a line: the first signs, all are trusted.

    The last good ones stay while the file cannot be used. `changed` is called with each change.
    """

    def __init__(self, path: Path, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Read them a first time. Raises `SetupError`."""
        self._path = path
        self._poll_seconds = poll_seconds
        self._readable = True
        self.current = read_jwt_secrets(path)
        self.changed: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Follow the file for the time of the block."""
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _follow(self) -> None:
        # The content itself is compared: a mounted secret is a chain of links, each of which may
        # be replaced, and a time of modification may stay what it was.
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.look()

    async def look(self) -> None:
        """Read the file again, off the event loop."""
        try:
            found = await asyncio.to_thread(read_jwt_secrets, self._path)
        except SetupError as error:
            if self._readable:
                log.warning("jwt_secrets_not_read", reason=str(error), kept=len(self.current))
            self._readable = False
            return
        self._readable = True
        if found != self.current:
            self.current = found
            log.info("jwt_secrets_changed", secrets=len(found))
            self.changed()

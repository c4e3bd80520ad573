"""One process at a time that writes files of many users anew, on whatever machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.postgres.advisory import lock_connection
from storage.postgres.errors import mapped

_ALONE = text("SELECT pg_advisory_lock(hashtext('upnext files')) IS NOT NULL")


@asynccontextmanager
async def rewriting(engine: AsyncEngine) -> AsyncIterator[None]:
    """Be the one that fetches a file, leaves users out and stores it again.

    Two at once would each bring back whom the other left out. Waits for its turn: a file takes
    seconds, and the server lets the lock go when its holder ends.

    Args:
        engine: a patient one (`storage.postgres.engine.connect`): others end the wait early.

    Raises:
        Unavailable: the server did not answer.
    """
    async with lock_connection(engine) as connection:
        with mapped():
            await connection.execute(_ALONE)
        yield

"""One publisher at a time, on whatever machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import Conflict, Unavailable
from storage.postgres.errors import mapped

# For connections that hold a lock: one whose machine died without a word is found out in 25 s.
KEEPALIVE = (
    text("SET tcp_keepalives_idle = 10"),
    text("SET tcp_keepalives_interval = 5"),
    text("SET tcp_keepalives_count = 3"),
)
_ONE_PUBLISHER = text("SELECT pg_try_advisory_lock(hashtext('upnext publish'))")
_INDEX_SOON = text("SELECT pg_advisory_lock(hashtext('upnext index')) IS NOT NULL")
_INDEX_NOW = text("SELECT pg_try_advisory_lock(hashtext('upnext index'))")
_RELEASE_INDEX = text("SELECT pg_advisory_unlock(hashtext('upnext index'))")


@asynccontextmanager
async def publishing(engine: AsyncEngine) -> AsyncIterator[None]:
    """Be the one process that publishes and writes to the index, for the time of the block.

    Waits for one that is adding to it, which takes seconds. The lock is a connection's: the server
    lets it go when the holder ends, however it ends. No transaction is open meanwhile.

    Raises:
        Conflict: another process is publishing.
        Unavailable: the server did not answer, or the connection was lost in the block, so that
            another may have begun meanwhile: what was done is not to be relied on.
    """
    async with _holding(engine, _ONE_PUBLISHER, _INDEX_SOON):
        yield


@asynccontextmanager
async def adding(engine: AsyncEngine) -> AsyncIterator[None]:
    """Be the one process that writes to the index, for a few seconds.

    Raises:
        Conflict: another process is publishing or adding.
        Unavailable: as from `publishing`.
    """
    async with _holding(engine, _INDEX_NOW):
        yield


@asynccontextmanager
async def _holding(engine: AsyncEngine, *locks: TextClause) -> AsyncIterator[None]:
    with mapped():
        connection = await engine.connect()
    try:
        with mapped():
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for setting in KEEPALIVE:
                await connection.execute(setting)
            for lock in locks:
                if not await connection.scalar(lock):
                    raise Conflict("Another version is being published: try again when it is.")
        yield
        with mapped():
            if not await connection.scalar(_RELEASE_INDEX):
                raise Unavailable("postgres", "the lock of publishing was lost")
    finally:
        # Not back to the pool, where it would keep its lock; this waits for the server's end of it.
        await connection.invalidate()
        await connection.close()

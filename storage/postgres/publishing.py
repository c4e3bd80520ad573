"""One publisher at a time, on whatever machine."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import Conflict, Unavailable
from storage.postgres.advisory import lock_connection
from storage.postgres.errors import mapped

TURN_SECONDS = 600.0
"""The longest wait for who publishes already: far longer than it takes a million videos."""

_WAIT = text("SELECT set_config('lock_timeout', :ms || 'ms', false)")
_NO_LONGER = "55P03"  # the SQLSTATE of a wait past `lock_timeout`
_ONE_PUBLISHER = text("SELECT pg_advisory_lock(hashtext('upnext publish')) IS NOT NULL")
_INDEX_SOON = text("SELECT pg_advisory_lock(hashtext('upnext index')) IS NOT NULL")
_INDEX_NOW = text("SELECT pg_try_advisory_lock(hashtext('upnext index'))")
_RELEASE_INDEX = text("SELECT pg_advisory_unlock(hashtext('upnext index'))")


@asynccontextmanager
async def publishing(
    engine: AsyncEngine, *, turn_seconds: float = TURN_SECONDS
) -> AsyncIterator[None]:
    """Be the one process that publishes and writes to the index, for the time of the block.

    Waits its turn: a run that publishes beside it takes seconds to minutes, and what this one is
    about to publish took longer to make. The lock is a connection's: the server lets it go when
    the holder ends, however it ends. No transaction is open meanwhile.

    Args:
        engine: a patient one (`storage.postgres.engine.connect`): others end the wait early.
        turn_seconds: the longest wait, for each of publishing and of adding to the index.

    Raises:
        Conflict: another process was still publishing then.
        Unavailable: the server did not answer, or the connection was lost in the block, so that
            another may have begun meanwhile: what was done is not to be relied on.
    """
    async with _holding(engine, _ONE_PUBLISHER, _INDEX_SOON, turn_seconds=turn_seconds):
        yield


@asynccontextmanager
async def adding(engine: AsyncEngine) -> AsyncIterator[None]:
    """Be the one process that writes to the index, for a few seconds.

    Raises:
        Conflict: another process is publishing or adding; it is not waited for.
        Unavailable: as from `publishing`.
    """
    async with _holding(engine, _INDEX_NOW, turn_seconds=TURN_SECONDS):
        yield


@asynccontextmanager
async def _holding(
    engine: AsyncEngine, *locks: TextClause, turn_seconds: float
) -> AsyncIterator[None]:
    async with lock_connection(engine) as connection:
        with mapped(), _in_turn():
            await connection.execute(_WAIT, {"ms": str(max(1, round(turn_seconds * 1000)))})
            for lock in locks:
                if not await connection.scalar(lock):
                    raise Conflict("Another version is being published: try again when it is.")
        yield
        with mapped():
            if not await connection.scalar(_RELEASE_INDEX):
                raise Unavailable("postgres", "the lock of publishing was lost")


@contextmanager
def _in_turn() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_LONGER:
            raise
        raise Conflict(
            "Another version was being published all the while: try again when it is."
        ) from error

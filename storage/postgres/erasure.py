"""Who was erased: a hash that keeps them out, and what PostgreSQL itself had of them.

Who writes what is a user's holds a shared lock while it looks and writes; who erases holds the same
lock alone while it notes it. So whatever was written by somebody who did not know yet is there to
be deleted, and nothing is written later.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.clock import Clock
from core.jobs import Job
from core.types import UserId
from storage.postgres.engine import reading, transaction
from storage.postgres.jobs import Begun, ask, write

_BESIDE_OTHERS = text("SELECT pg_advisory_xact_lock_shared(hashtext('upnext erasure'))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('upnext erasure'))")
# Most services have erased nobody: then no hash is made.
_ERASED = text(
    """
    SELECT user_id FROM unnest(CAST(:user_ids AS text[])) AS asked (user_id)
    WHERE (SELECT EXISTS (SELECT FROM erased_users))
      AND erased_hash(user_id) IN (SELECT id_hash FROM erased_users)
    """
)
_NOTE = text(
    """
    INSERT INTO erased_users (id_hash, erased_at) VALUES (erased_hash(:user_id), :now)
    ON CONFLICT DO NOTHING
    """
)
_NOT_ASKED_FOR = text(
    """
    UPDATE jobs SET params = jsonb_set(params, '{user_ids}', (params -> 'user_ids') - :user_id)
    WHERE kind = 'batch' AND params -> 'user_ids' ? :user_id
    """
)
_COUNT = text("SELECT count(*) FROM erased_users")
_DELETE_HISTORY = text("DELETE FROM interactions WHERE user_id = :user_id")
_DELETE_USER = text("DELETE FROM users WHERE user_id = :user_id")
_DELETE_OWED = text("DELETE FROM owed_drops WHERE user_id = :user_id")


async def erased_among(connection: AsyncConnection, user_ids: Collection[str]) -> set[UserId]:
    """Those of `user_ids` that were erased; no other will be before the caller's transaction ends.

    For writers of what is a user's, before they write it.
    """
    await connection.execute(_BESIDE_OTHERS)
    return await _erased(connection, user_ids)


async def _erased(connection: AsyncConnection, user_ids: Collection[str]) -> set[UserId]:
    rows = await connection.execute(_ERASED, {"user_ids": list(user_ids)})
    return {UserId(user_id) for user_id in rows.scalars()}


class PostgresErasures:
    """`api.erasure.ErasureStore`, and what the job of an erasure needs.

    Every method raises `Unavailable`.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def ask(self, user_id: UserId, asked_by: str) -> Job:
        """Keep a user out from now on, and queue the job that erases what there is."""
        now = self._clock()
        async with transaction(self._engine) as connection:
            await connection.execute(_ALONE)
            await connection.execute(_NOTE, {"user_id": user_id, "now": now})
            await connection.execute(_NOT_ASKED_FOR, {"user_id": user_id})
            return await ask(connection, "erasure", asked_by, {"user_id": user_id}, now)

    async def delete_history(self, begun: Begun, user_id: UserId) -> dict[str, Any]:
        """Delete a user and their interactions; the job's counts with how many these were.

        Counters of videos stay: they say nothing of anybody. Raises `GivenUp`.
        """
        asked = {"user_id": user_id}
        async with transaction(self._engine) as connection:
            deleted = await connection.execute(_DELETE_HISTORY, asked)
            await connection.execute(_DELETE_USER, asked)
            await connection.execute(_DELETE_OWED, asked)
            before = begun.job.counts
            counts = {**before, "history": before.get("history", 0) + deleted.rowcount}
            await write(connection, begun, {"counts": counts})
            return counts

    async def erased(self, user_ids: Collection[str]) -> set[UserId]:
        """Those of `user_ids` that were erased by now."""
        async with reading(self._engine) as connection:
            return await _erased(connection, user_ids)

    async def count(self) -> int:
        """How many users were ever erased: it grows with each."""
        async with reading(self._engine) as connection:
            return int(await connection.scalar(_COUNT) or 0)

    @asynccontextmanager
    async def none_since(self, count: int) -> AsyncIterator[AsyncConnection | None]:
        """A transaction in which nobody is erased; None if there are more than `count`."""
        async with transaction(self._engine) as connection:
            await connection.execute(_BESIDE_OTHERS)
            same = await connection.scalar(_COUNT) == count
            yield connection if same else None

"""Drops of lists that the cache owes (`ingest.ports.OwedDrops`)."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import UserId
from storage.postgres.engine import reading, transaction
from storage.postgres.erasure import erased_among

# Rows in one order, so that two who note the same users wait for each other and never deadlock.
_OWE = text(
    """
    INSERT INTO owed_drops (user_id, revision)
    SELECT user_id, revision FROM unnest(
        CAST(:user_ids AS text[]), CAST(:revisions AS bigint[])
    ) AS batch (user_id, revision) ORDER BY user_id COLLATE "C"
    ON CONFLICT (user_id) DO UPDATE SET revision = greatest(owed_drops.revision, excluded.revision)
    """
)
_OWED = text("SELECT user_id, revision FROM owed_drops ORDER BY user_id LIMIT :most")
_SETTLE = text(
    """
    DELETE FROM owed_drops USING unnest(
        CAST(:user_ids AS text[]), CAST(:revisions AS bigint[])
    ) AS batch (user_id, revision)
    WHERE owed_drops.user_id = batch.user_id AND owed_drops.revision <= batch.revision
    """
)


class PostgresOwedDrops:
    """The table `owed_drops`; all methods raise `Unavailable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def owe(self, revisions: Mapping[UserId, int]) -> None:
        """Note users, each with the newest revision; not those who were erased."""
        async with transaction(self._engine) as connection:
            erased = await erased_among(connection, revisions)
            left = {user: revisions[user] for user in revisions if user not in erased}
            if left:
                await connection.execute(_OWE, _columns(left))

    async def owed(self, most: int) -> dict[UserId, int]:
        """Some of what is owed, at most so many."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_OWED, {"most": most})
            return {UserId(row.user_id): row.revision for row in rows}

    async def settle(self, revisions: Mapping[UserId, int]) -> None:
        """These were dropped; whoever has a newer revision is still owed."""
        async with transaction(self._engine) as connection:
            await connection.execute(_SETTLE, _columns(revisions))


def _columns(revisions: Mapping[UserId, int]) -> dict[str, list[UserId] | list[int]]:
    users = sorted(revisions)
    return {"user_ids": users, "revisions": [revisions[user] for user in users]}

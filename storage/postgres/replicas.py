"""What each replica has open. Times are the database's: replicas' clocks need not agree."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.postgres.engine import reading, transaction

SEEN_SECONDS = 10
"""A replica that reported no longer ago than this counts as running."""

FORGOTTEN_SECONDS = 60

_REPORT = text(
    """
    INSERT INTO replicas (id, versions) VALUES (:id, CAST(:versions AS text[]))
    ON CONFLICT (id) DO UPDATE SET versions = excluded.versions, seen_at = now()
    """
)
# After the upsert, and passing by what another one holds: so no two can wait for each other.
_FORGET = text(
    f"""
    DELETE FROM replicas WHERE id IN (
        SELECT id FROM replicas WHERE seen_at < now() - interval '{FORGOTTEN_SECONDS} seconds'
        FOR UPDATE SKIP LOCKED
    )
    """  # noqa: S608 (a constant)
)
_LEAVE = text("DELETE FROM replicas WHERE id = :id")
_LACKING = text(
    f"""
    SELECT id FROM replicas
    WHERE seen_at >= now() - interval '{SEEN_SECONDS} seconds'
      AND NOT CAST(:version AS text) = ANY (versions)
    ORDER BY id
    """  # noqa: S608 (a constant)
)


class PostgresReplicas:
    """The table `replicas`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def report(self, replica: str, versions: Collection[str]) -> None:
        """Say that a replica runs and has these versions open. Raises `Unavailable`.

        Those that have not reported for a minute are forgotten.
        """
        async with transaction(self._engine) as connection:
            await connection.execute(_REPORT, {"id": replica, "versions": sorted(versions)})
            await connection.execute(_FORGET)

    async def leave(self, replica: str) -> None:
        """Say that a replica has ended: nobody waits for it. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            await connection.execute(_LEAVE, {"id": replica})

    async def lacking(self, version: str) -> list[str]:
        """The replicas seen in the last 10 s that lack a version. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            return list((await connection.execute(_LACKING, {"version": version})).scalars())

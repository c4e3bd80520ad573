"""News to the replicas, read in an order in which nothing can turn up behind the reader.

A change carries the transaction that wrote it. Transactions commit in any order, so a reader looks
only below the oldest one that is still running: whatever commits later sorts after its cursor.
"""

from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.types import Change, ChangeCursor
from storage.postgres.engine import transaction

_PAGE = 1000

_NOTE = text("INSERT INTO changes (kind, keys) VALUES (:kind, :keys)")
_HORIZON = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")
READ = text(
    f"""
    SELECT CAST(CAST(transaction AS text) AS bigint) AS transaction, id, kind, keys
    FROM changes
    WHERE (transaction, id) > (CAST(CAST(:transaction AS text) AS xid8), CAST(:id AS bigint))
      AND transaction < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY changes.transaction, changes.id
    LIMIT {_PAGE}
    """  # noqa: S608 (a constant)
)
_LOST = text(
    """
    SELECT CAST(CAST(:transaction AS text) AS xid8) > pg_snapshot_xmin(pg_current_snapshot())
        OR EXISTS (
            SELECT FROM (
                SELECT * FROM changes WHERE transaction < pg_snapshot_xmin(pg_current_snapshot())
                ORDER BY transaction, id LIMIT 1
            ) AS oldest
            WHERE id > 1 AND (transaction, id) > (
                CAST(CAST(:transaction AS text) AS xid8), CAST(:id AS bigint)
            )
        )
    """
)
# The newest of the old ones stays, to tell a reader whose cursor is before it what it has missed.
_PRUNE = text(
    """
    DELETE FROM changes WHERE (transaction, id) < (
        SELECT transaction, id FROM changes WHERE created_at < :before
        ORDER BY changes.transaction DESC, changes.id DESC LIMIT 1
    )
    """
)
_EVERYTHING = [Change("video", ()), Change("model", ()), Change("config", ())]


async def note(connection: AsyncConnection, change: Change) -> None:
    """Write a change in the caller's transaction: replicas hear of it when that commits."""
    await connection.execute(_NOTE, {"kind": change.kind, "keys": list(change.keys)})


class PostgresChanges:
    """`retrieval.ports.ChangeReader` over the table `changes`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def end(self) -> ChangeCursor:
        """A cursor after which nothing that is committed later can be missed."""
        async with transaction(self._engine) as connection:
            return ChangeCursor(await connection.scalar(_HORIZON), 0)

    async def read(self, after: ChangeCursor) -> tuple[list[Change], ChangeCursor]:
        """Changes after a cursor, at most 1,000, and the next cursor. Raises `Unavailable`.

        A change shows when every writing transaction of the server that began before it has ended:
        about at once, unless a long write is running.

        News of everything comes to a cursor that this database has never given (it is another's,
        or an older copy) and to one after which changes were pruned.
        """
        place = msgspec.structs.asdict(after) | {"transaction": str(after.transaction)}
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(READ, place)).all()
            # After the reading, so that what is pruned in between is not missed.
            if await connection.scalar(_LOST, place):
                return list(_EVERYTHING), ChangeCursor(await connection.scalar(_HORIZON), 0)
        if not rows:
            return [], after
        changes = [Change(row.kind, tuple(row.keys)) for row in rows]
        return changes, ChangeCursor(rows[-1].transaction, rows[-1].id)

    async def prune(self, before: datetime) -> int:
        """Forget changes older than `before`; how many. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            return (await connection.execute(_PRUNE, {"before": before})).rowcount

"""News to the replicas, read in an order in which nothing can turn up behind the reader.

A change carries the transaction that wrote it. Transactions commit in any order, so a reader's
place moves only below the oldest one that is still running: whatever commits later sorts after it.
What has committed above that is given at once all the same, and remembered with the place until it
moves past: a take-down must not wait for somebody's long import.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.types import Change, ChangeCursor
from storage.postgres.engine import reading, transaction

_PAGE = 1000

_NOTE = text("INSERT INTO changes (kind, keys) VALUES (:kind, :keys)")
_HORIZON = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")
READ = text(
    f"""
    SELECT CAST(CAST(transaction AS text) AS bigint) AS transaction, id, kind, keys,
        transaction < pg_snapshot_xmin(pg_current_snapshot()) AS settled
    FROM changes
    WHERE (transaction, id) > (CAST(CAST(:transaction AS text) AS xid8), CAST(:id AS bigint))
      AND (
        transaction < pg_snapshot_xmin(pg_current_snapshot())
        OR id <> ALL (CAST(:ahead AS bigint[]))
      )
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
        async with reading(self._engine) as connection:
            return ChangeCursor(await connection.scalar(_HORIZON), 0)

    async def read(self, after: ChangeCursor) -> tuple[list[Change], ChangeCursor]:
        """Changes after a cursor, at most 1,000, and the next cursor. Raises `Unavailable`.

        A change shows as soon as it is committed, once to each line of cursors; while a long write
        is running somewhere on the server, those from before it may come later than younger ones.

        News of everything comes to a cursor that this database has never given (it is another's,
        or an older copy) and to one after which changes were pruned.
        """
        place = {"transaction": str(after.transaction), "id": after.id}
        async with reading(self._engine) as connection:
            rows = (await connection.execute(READ, {**place, "ahead": sorted(after.ahead)})).all()
            # After the reading, so that what is pruned in between is not missed.
            if await connection.scalar(_LOST, place):
                return list(_EVERYTHING), ChangeCursor(await connection.scalar(_HORIZON), 0)
        new = [Change(row.kind, tuple(row.keys)) for row in rows if row.id not in after.ahead]
        return new, _moved(after, rows)

    async def prune(self, before: datetime) -> int:
        """Forget changes older than `before`; how many. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            return (await connection.execute(_PRUNE, {"before": before})).rowcount


def _moved(cursor: ChangeCursor, rows: Sequence[Row[Any]]) -> ChangeCursor:
    """The cursor after these rows: behind the last settled one, the others given ahead."""
    settled = [row for row in rows if row.settled]
    given = {row.id for row in rows if not row.settled}
    ahead = frozenset(cursor.ahead - {row.id for row in settled} | given)
    if not settled:
        return ChangeCursor(cursor.transaction, cursor.id, ahead)
    return ChangeCursor(settled[-1].transaction, settled[-1].id, ahead)

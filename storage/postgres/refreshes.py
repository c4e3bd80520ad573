"""Which model's lists are to be made anew since it went live, and that it was done."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec
from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from core.events import RecommendationsRefreshed, RefreshReason
from storage.postgres.advisory import lock_connection
from storage.postgres.engine import reading, transaction
from storage.postgres.errors import mapped
from storage.postgres.model_rows import live_row
from storage.postgres.outbox import append
from storage.postgres.tables import models

_LOCK = text("SELECT pg_try_advisory_lock(hashtext('upnext refresh'))")


class Due(msgspec.Struct, frozen=True):
    """A model that went live at `live_since` and whose lists were not all made since."""

    model_id: str
    version: str
    live_since: datetime
    reason: RefreshReason


class PostgresRefreshes:
    """The refreshes that promotions and rollbacks ask for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def due(self) -> Due | None:
        """What is to be done now; equal answers name the same flip. Raises `Unavailable`."""
        statement = live_row().where(
            models.c.live_reason.is_not(None), models.c.refreshed_at.is_(None)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        return Due(row.id, row.version, row.promoted_at, row.live_reason)

    async def owe(self) -> None:
        """Have all lists of the live model, if there is one, made anew. Raises `Unavailable`."""
        statement = update(models).where(models.c.status == "live").values(refreshed_at=None)
        async with transaction(self._engine) as connection:
            await connection.execute(statement)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[bool]:
        """Whether this process may do what is due: one may at a time, on whatever machine.

        The lease is a connection's: the server takes it back when the process ends, however it
        ends.

        Raises:
            Unavailable: the server did not answer.
        """
        async with lock_connection(self._engine) as connection:
            with mapped():
                mine = bool(await connection.scalar(_LOCK))
            yield mine

    async def done(self, due: Due, users: int) -> bool:
        """Record that it was done, and tell others in the same transaction.

        Returns:
            False, and nothing is written, when another flip has come since, or it was done.

        Raises:
            Unavailable: nothing was written.
        """
        mine = (
            update(models)
            .where(
                models.c.id == due.model_id,
                models.c.status == "live",
                models.c.promoted_at == due.live_since,
                models.c.refreshed_at.is_(None),
            )
            .values(refreshed_at=func.clock_timestamp())
            .returning(models.c.id)
        )
        event = RecommendationsRefreshed(
            model_id=due.model_id, model_version=due.version, users=users, reason=due.reason
        )
        async with transaction(self._engine) as connection:
            if await connection.scalar(mine) is None:
                return False
            await append(connection, event)
        return True

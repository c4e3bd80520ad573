"""The registry of model versions: which is live, which may come back, which can be swept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import Conflict, ModelNotFound
from core.types import Change, Model, ModelStatus, ModelType
from storage.model_status import ENDED, OPEN_READY, check_promotable
from storage.postgres.changes import note
from storage.postgres.engine import reading, transaction
from storage.postgres.model_rows import live_row, locked, newest, to_model
from storage.postgres.runs import PostgresRuns
from storage.postgres.tables import models

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('upnext promotion'))")
_PREVIOUS_ID = select(models.c.previous_id).where(models.c.status == "live").scalar_subquery()

_OPENABLE = (
    select(models)
    .where(
        models.c.condemned_at.is_(None),
        or_(
            models.c.status == "live",
            models.c.id == _PREVIOUS_ID,
            models.c.id.in_(
                newest("retired", models.c.retired_at, 1, models.c.promoted_at.is_not(None))
            ),
            models.c.id.in_(newest("ready", models.c.finished_at, OPEN_READY)),
        ),
    )
    .order_by(models.c.finished_at.desc(), models.c.id)
)


class PostgresModels(PostgresRuns):
    """`api.ports.ModelRegistry`, `retrieval.ports.ModelReader`, and what jobs need of both."""

    async def get(self, model_id: str) -> Model:
        """Raises `ModelNotFound`, `Unavailable`."""
        async with reading(self._engine) as connection:
            found = await connection.execute(select(models).where(models.c.id == model_id))
            row = found.one_or_none()
        if row is None:
            raise ModelNotFound(f"There is no model {model_id}: `upnext models list` shows them.")
        return to_model(row)

    async def find(
        self, model_type: ModelType | None = None, status: ModelStatus | None = None
    ) -> list[Model]:
        """Models, newest first. Raises `Unavailable`."""
        statement = select(models).order_by(models.c.created_at.desc(), models.c.id)
        if model_type is not None:
            statement = statement.where(models.c.model_type == model_type)
        if status is not None:
            statement = statement.where(models.c.status == status)
        async with reading(self._engine) as connection:
            return [to_model(row) for row in await connection.execute(statement)]

    async def live(self) -> Model | None:
        """The live model, None before the first promotion. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(live_row())).one_or_none()
            return None if row is None else to_model(row)

    async def previous(self) -> Model | None:
        """The model that a rollback would make live, if there is one. Raises `Unavailable`."""
        statement = select(models).where(
            models.c.id == _PREVIOUS_ID, models.c.condemned_at.is_(None)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).one_or_none()
            return None if row is None else to_model(row)

    async def openable(self) -> list[Model]:
        """The versions that replicas keep open: the live one, then the newest.

        Beside it: the one before it, the one retired last (after a rollback that is the one that
        was rolled back) and the two newest `ready` ones, as far as they are there.

        Raises:
            Unavailable: PostgreSQL did not answer.
        """
        async with reading(self._engine) as connection:
            found = [to_model(row) for row in await connection.execute(_OPENABLE)]
        return sorted(found, key=lambda model: model.status != "live")

    async def promote(self, model_id: str) -> Model:
        """Make a `ready` or `retired` model live in one transaction; replicas hear of it.

        Raises:
            ModelNotFound: no such model.
            Conflict: it is in another state, or its collections are gone.
            Unavailable: nothing changed.
        """
        async with self._flip() as connection:
            live = (await connection.execute(live_row())).one_or_none()
            previous_id = live.id if live else None
            values = {"previous_id": previous_id, "live_reason": "promoted"}
            return await self._make_live(connection, model_id, values)

    async def rollback(self) -> Model:
        """Make the model live that was live before.

        Raises:
            Conflict: there is none, or its collections are gone.
            Unavailable: nothing changed.
        """
        async with self._flip() as connection:
            live = (await connection.execute(live_row())).one_or_none()
            if live is None or live.previous_id is None:
                raise Conflict("No model was live before this one: there is nothing to go back to.")
            return await self._make_live(
                connection, live.previous_id, {"live_reason": "rolled_back"}
            )

    async def sweepable(self, grace_seconds: float) -> list[Model]:
        """Models to sweep: ended `grace_seconds` ago or earlier, and not the one before the live.

        Those that have been ready for as long while two newer ones are retire first. Those that
        are returned can never be promoted, so nothing goes live while it is being deleted; they
        are returned until `mark_swept`. Raises `Unavailable`.
        """
        now = self._clock()
        ended_at = func.greatest(models.c.finished_at, models.c.retired_at)
        condemn = (
            update(models)
            .where(
                models.c.condemned_at.is_(None),
                models.c.status.in_(ENDED),
                ended_at <= now - timedelta(seconds=grace_seconds),
                models.c.id.is_distinct_from(_PREVIOUS_ID),
            )
            .values(condemned_at=now)
        )
        superseded = (
            update(models)
            .where(
                models.c.status == "ready",
                models.c.finished_at <= now - timedelta(seconds=grace_seconds),
                models.c.id.not_in(newest("ready", models.c.finished_at, OPEN_READY)),
            )
            .values(status="retired", retired_at=now)
        )
        waiting = (
            select(models)
            .where(models.c.condemned_at.is_not(None), models.c.swept_at.is_(None))
            .order_by(models.c.created_at, models.c.id)
        )
        async with self._flip() as connection:
            await connection.execute(superseded)
            await connection.execute(condemn)
            return [to_model(row) for row in await connection.execute(waiting)]

    async def mark_swept(self, model_id: str) -> None:
        """Record that the collections and artifacts of a sweepable model are gone."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                update(models)
                .where(models.c.id == model_id, models.c.condemned_at.is_not(None))
                .values(swept_at=self._clock())
            )

    @asynccontextmanager
    async def _flip(self) -> AsyncIterator[AsyncConnection]:
        """A transaction beside which no other decides what is live or what can be swept."""
        async with transaction(self._engine) as connection:
            await connection.execute(_LOCK)
            yield connection

    async def _make_live(
        self, connection: AsyncConnection, model_id: str, values: dict[str, str | None]
    ) -> Model:
        row = await locked(connection, model_id)
        check_promotable(model_id, row.status, swept=row.condemned_at is not None)
        now = self._clock()
        await connection.execute(
            update(models).where(models.c.status == "live").values(status="retired", retired_at=now)
        )
        flipped = await connection.execute(
            update(models)
            .where(models.c.id == model_id)
            .values(status="live", promoted_at=now, retired_at=None, refreshed_at=None, **values)
            .returning(models)
        )
        await note(connection, Change("model", (model_id,)))
        return to_model(flipped.one())

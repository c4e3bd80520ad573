"""Training runs in the registry: every write carries its attempt's token."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.clock import Clock
from core.errors import Conflict
from core.events import ModelTrainingCompleted, ModelTrainingStarted, TrainedOn
from core.types import Baseline, Change, DataSpan, Model, ModelStatus, ModelType, Progress
from storage.model_status import (
    CANCELLED,
    DEAD,
    ENDS_ITS_WORKER,
    MOST_BEGUN,
    STALE_REASON,
    STALE_SECONDS,
    STEPS,
    begun_before,
    check_cancellable,
    check_running,
    check_step,
    version_name,
)
from storage.postgres.changes import note
from storage.postgres.engine import reading, transaction
from storage.postgres.model_rows import locked, to_model
from storage.postgres.outbox import append
from storage.postgres.queueing import SCHEMA, defer
from storage.postgres.tables import RUNNING, models
from storage.postgres.traces import keep_trace

TRAIN = "train"
"""The task that claims a queued run and trains it."""

# The queue itself knows of runs that wait in it, and of workers that ended.
NOT_QUEUED = f"""
    NOT EXISTS (
        SELECT FROM {SCHEMA}.procrastinate_jobs AS place
        WHERE place.id = models.queue_id AND place.status IN ('todo', 'doing')
    )
"""


class PostgresRuns:
    """Runs: begun once a type, followed by heartbeats, ended once."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def create(self, model_type: ModelType, params: Mapping[str, Any]) -> tuple[Model, UUID]:
        """A new `queued` run and the token that its every write must carry.

        A run of that type without a heartbeat for 50 s is failed first.

        Raises:
            Conflict: one of that type is queued or running.
            Unavailable: nothing was written.
        """
        async with transaction(self._engine) as connection:
            made = await _created(connection, model_type, params, self._clock())
            return to_model(made), made.attempt

    async def queue(self, model_type: ModelType, params: Mapping[str, Any]) -> Model:
        """A new `queued` run that a worker will `claim`; both are written or neither.

        Raises:
            Conflict: one of that type is queued or running.
            Unavailable: nothing was written.
        """
        async with transaction(self._engine) as connection:
            made = await _created(connection, model_type, params, self._clock())
            place = await defer(connection, TRAIN, f"train {model_type}", made.id, "training")
            await keep_trace(connection, [made.id])
            await connection.execute(
                update(models).where(models.c.id == made.id).values(queue_id=place)
            )
            return to_model(made)

    async def claim(self, model_id: str, params: Mapping[str, Any]) -> tuple[Model, UUID] | None:
        """Begin a queued run, or begin it anew after its worker has ended.

        Returns:
            The model, `queued` again, and the token of this attempt: older ones write no more.
            None when the run has ended, or was begun too often and failed for that.

        Raises:
            ModelNotFound: no such model.
            Unavailable: nothing was written.
        """
        now, token = self._clock(), uuid4()
        async with transaction(self._engine) as connection:
            row = await locked(connection, model_id)
            if row.status not in STEPS:
                return None
            begun = begun_before(row.params)
            if begun >= MOST_BEGUN:
                await _end(connection, model_id, "failed", ENDS_ITS_WORKER, now)
                return None
            given = row.params | msgspec.to_builtins(dict(params))
            given["owner"] = given.get("owner", {}) | {"begun": begun + 1}
            values = {
                "status": "queued",
                "attempt": token,
                "heartbeat_at": now,
                "started_at": None,
                "published_at": None,
                "progress": None,
                "params": given,
            }
            claimed = await connection.execute(_set(model_id, values))
            return to_model(claimed.one()), token

    async def cancel(self, model_id: str) -> Model:
        """End a run; whoever works on it cannot write any more, and hears of it by that.

        Raises:
            ModelNotFound: no such model.
            Conflict: its run has ended.
            Unavailable: nothing changed.
        """
        async with transaction(self._engine) as connection:
            row = await locked(connection, model_id)
            check_cancellable(model_id, row.status)
            return await _end(connection, model_id, "cancelled", CANCELLED, self._clock())

    async def update(
        self,
        model_id: str,
        token: UUID,
        *,
        status: ModelStatus | None = None,
        progress: Progress | None = None,
        data: DataSpan | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        baseline: Baseline | None = None,
        artifact_uri: str | None = None,
        error: str | None = None,
    ) -> Model:
        """Write what is given (None: as it was) and a heartbeat; without any, only the heartbeat.

        `params` join those that are there.

        Raises:
            ModelNotFound: no such model.
            Conflict: the run has ended or was given up, or cannot go to that status from its own.
            Unavailable: nothing was written.
        """
        given = {
            "status": status,
            "progress": progress,
            "data": data,
            "metrics": metrics,
            "baseline": baseline,
            "artifact_uri": artifact_uri,
            "error": error,
        }
        values = {
            key: msgspec.to_builtins(value) for key, value in given.items() if value is not None
        }
        now = self._clock()
        async with transaction(self._engine) as connection:
            row = await locked(connection, model_id)
            if params is not None:
                values["params"] = row.params | msgspec.to_builtins(dict(params))
            check_running(model_id, row.status, same_attempt=row.attempt == token)
            steps = status is not None and status != row.status
            if status is not None and steps:
                check_step(model_id, row.status, status)
                values |= _times(status, now)
            written = await connection.execute(
                update(models)
                .where(models.c.id == model_id)
                .values(values | {"heartbeat_at": now})
                .returning(models)
            )
            model = to_model(written.one())
            if steps:
                await _tell(connection, model)
            return model

    async def mark_published(self, model_id: str, token: UUID) -> None:
        """Record that a run's collections are whole: from now on they are not `leftovers`.

        For the holder of `storage.postgres.publishing.publishing`, before letting it go.

        Raises:
            ModelNotFound: no such model.
            Conflict: the run has ended or was given up.
            Unavailable: nothing was written.
        """
        async with transaction(self._engine) as connection:
            row = await locked(connection, model_id)
            check_running(model_id, row.status, same_attempt=row.attempt == token)
            await connection.execute(
                update(models).where(models.c.id == model_id).values(published_at=self._clock())
            )

    async def leftovers(self, model_id: str) -> list[Model]:
        """Models other than this one whose collections, if any, will never be searched.

        Runs that ended without a version, and those under way that have not published: who holds
        `storage.postgres.publishing.publishing` knows that they are not publishing now, and they
        begin anew when they do. Raises `Unavailable`.
        """
        dead = and_(models.c.status.in_(DEAD), models.c.swept_at.is_(None))
        unpublished = and_(text(RUNNING), models.c.published_at.is_(None))
        statement = (
            select(models)
            .where(models.c.id != model_id, or_(dead, unpublished))
            .order_by(models.c.created_at, models.c.id)
        )
        async with reading(self._engine) as connection:
            return [to_model(row) for row in await connection.execute(statement)]

    async def fail_stale(self, orphans: Collection[str] = ()) -> list[Model]:
        """Fail and return the runs without a heartbeat for 50 s. Raises `Unavailable`.

        `orphans` are ids of runs whose process is known to have ended: they are not waited for.
        """
        async with transaction(self._engine) as connection:
            return await _fail_stale(connection, self._clock(), None, orphans)


async def _created(
    connection: AsyncConnection, model_type: ModelType, params: Mapping[str, Any], now: datetime
) -> Row[Any]:
    """The row of a new run. Raises `Conflict`: one of that type is queued or running."""
    token = uuid4()
    row = {
        "id": str(uuid4()),
        "model_type": model_type,
        "version": version_name(model_type, now, token),
        "status": "queued",
        "attempt": token,
        "heartbeat_at": now,
        "created_at": now,
        "data": {},
        "params": msgspec.to_builtins(dict(params)),
        "metrics": {},
    }
    statement = (
        insert(models)
        .values(row)
        .on_conflict_do_nothing(index_elements=["model_type"], index_where=text(RUNNING))
        .returning(models)
    )
    await _fail_stale(connection, now, model_type, ())
    made: Row[Any] | None = (await connection.execute(statement)).one_or_none()
    if made is None:
        raise Conflict(f"A {model_type} model is being trained: wait until it has ended.")
    return made


async def _end(
    connection: AsyncConnection, model_id: str, status: ModelStatus, error: str, now: datetime
) -> Model:
    """End a run that somebody may still work on: the token changes too."""
    values = {"status": status, "error": error, "finished_at": now, "attempt": uuid4()}
    model = to_model((await connection.execute(_set(model_id, values))).one())
    await _tell(connection, model)
    return model


def _set(model_id: str, values: dict[str, Any]) -> Any:  # noqa: ANN401 - an Update of the row
    return update(models).where(models.c.id == model_id).values(values).returning(models)


async def _fail_stale(
    connection: AsyncConnection,
    now: datetime,
    model_type: ModelType | None,
    orphans: Collection[str],
) -> list[Model]:
    limit = now - timedelta(seconds=STALE_SECONDS)
    stale = (
        select(models.c.id)
        .where(text(RUNNING), or_(models.c.heartbeat_at < limit, models.c.id.in_(orphans)))
        .where(text(NOT_QUEUED))
        .order_by(models.c.id)
        .with_for_update()
    )
    if model_type is not None:
        stale = stale.where(models.c.model_type == model_type)
    ids = (await connection.execute(stale)).scalars().all()
    # The token changes too: whoever still works on it cannot write any more.
    failed = await connection.execute(
        update(models)
        .where(models.c.id.in_(ids))
        .values(
            status="failed", error=STALE_REASON, finished_at=now, attempt=func.gen_random_uuid()
        )
        .returning(models)
    )
    ended = [to_model(row) for row in failed]
    for model in ended:
        await _tell(connection, model)
    return ended


def _times(status: ModelStatus, now: datetime) -> dict[str, datetime]:
    if status == "training":
        return {"started_at": now}
    return {} if status in STEPS else {"finished_at": now}


async def _tell(connection: AsyncConnection, model: Model) -> None:
    """Tell of a step what others are told: an event, and to replicas that they may open it."""
    if model.status == "training":
        started = ModelTrainingStarted(
            model_id=model.id, model_type=model.model_type, data=TrainedOn.of(model.data)
        )
        await append(connection, started)
    if model.status == "ready":
        await note(connection, Change("model", (model.id,)))
    if model.finished_at is not None:
        took = model.finished_at - (model.started_at or model.created_at)
        completed = ModelTrainingCompleted(
            model_id=model.id,
            model_type=model.model_type,
            status=model.status,
            metrics=model.metrics,
            duration_seconds=took.total_seconds(),
            error=model.error,
        )
        await append(connection, completed)

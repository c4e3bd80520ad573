"""Jobs as those who run the service see them: listed, stopped, tried again, counted."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import not_, or_, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.clock import Clock
from core.errors import JobNotFound
from core.jobs import Job, JobKind, JobStatus
from storage.job_status import CANCELLED, check_cancellable, check_retriable
from storage.postgres.engine import reading, transaction
from storage.postgres.jobs import (
    LAST_DONE,
    UPKEEP_DONE,
    change,
    forgotten,
    locked,
    queued,
    to_job,
    without_params,
)
from storage.postgres.tables import jobs

# Runs are models, with a place in the same queue: a kind for each type.
_BACKLOG = text(
    """
    SELECT kind, count(*) FILTER (WHERE status = 'queued') AS queued,
        count(*) FILTER (WHERE status = 'running') AS running,
        min(created_at) FILTER (WHERE status = 'queued') AS oldest,
        max(finished_at) FILTER (WHERE status = 'done') AS last_done
    FROM jobs GROUP BY kind
    UNION ALL
    SELECT 'train ' || model_type, count(*) FILTER (WHERE status = 'queued'),
        count(*) FILTER (WHERE status IN ('training', 'evaluating', 'publishing')),
        min(created_at) FILTER (WHERE status = 'queued'),
        max(finished_at) FILTER (WHERE status IN ('ready', 'live', 'retired'))
    FROM models GROUP BY model_type
    """
)


class Backlog(msgspec.Struct, frozen=True):
    """Of one kind: how many wait and run, since when the oldest waits, when one last ended well."""

    kind: str
    queued: int
    running: int
    oldest: datetime | None
    last_done: datetime | None


class PostgresJobList:
    """All jobs. Every method raises `Unavailable`."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def find(
        self,
        kind: JobKind | None = None,
        status: JobStatus | None = None,
        *,
        most: int,
        every: bool = True,
    ) -> list[Job]:
        """The newest jobs, newest first; of upkeep that ended well the last only, or `every`."""
        statement = without_params().order_by(jobs.c.created_at.desc(), jobs.c.id).limit(most)
        if kind is not None:
            statement = statement.where(jobs.c.kind == kind)
        if status is not None:
            statement = statement.where(jobs.c.status == status)
        if not every:
            statement = statement.where(or_(not_(UPKEEP_DONE), LAST_DONE))
        async with reading(self._engine) as connection:
            return [to_job(row) for row in await connection.execute(statement)]

    async def cancel(self, job_id: str) -> Job:
        """End a job; whoever works on it can write no more, and hears of it by that.

        Raises:
            JobNotFound: there is none.
            Conflict: it has ended, or is an erasure.
        """
        async with transaction(self._engine) as connection:
            row = await _row(connection, job_id)
            check_cancellable(job_id, row.kind, row.status)
            values = {
                "status": "cancelled",
                "error": CANCELLED,
                "attempt": uuid4(),
                "finished_at": self._clock(),
                **forgotten(row.kind),
            }
            return to_job((await connection.execute(change(job_id, values))).one())

    async def retry(self, job_id: str) -> Job:
        """Queue a job again that failed or was cancelled, under the same id.

        Raises:
            JobNotFound: there is none.
            Conflict: it has not ended so, or what was asked is not kept.
        """
        async with transaction(self._engine) as connection:
            row = await _row(connection, job_id)
            check_retriable(job_id, row.kind, row.status)
            values = {
                "status": "queued",
                "begun": 0,
                "counts": {},
                "progress": None,
                "started_at": None,
                "finished_at": None,
                "error": None,
            }
            return await queued(
                connection, (await connection.execute(change(job_id, values))).one()
            )

    async def backlog(self) -> list[Backlog]:
        """What waits and what ended well, by kind."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_BACKLOG)
            return [Backlog(**row._asdict()) for row in rows]


async def _row(connection: AsyncConnection, job_id: str) -> Any:  # noqa: ANN401 - a Row
    row = await locked(connection, job_id)
    if row is None:
        raise JobNotFound(f"There is no job {job_id}: `upnext jobs list` shows them.")
    return row

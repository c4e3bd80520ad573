"""Jobs: asked for in a request's transaction, begun by a worker, fenced by an attempt's token."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.clock import Clock
from core.errors import JobNotFound
from core.jobs import Job, JobKind, JobProgress
from storage.job_status import ENDED, ENDS_ITS_WORKER, MOST_BEGUN, check_attempt
from storage.postgres.engine import reading, transaction
from storage.postgres.queueing import defer
from storage.postgres.tables import jobs

TASK = "job"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt at a job: what was asked, and the token that its every write must carry."""

    job: Job
    params: dict[str, Any]
    token: UUID


class PostgresJobs:
    """`api.jobs.JobStore`, and what the worker needs. Every method raises `Unavailable`."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def ask(self, kind: JobKind, asked_by: str, params: Mapping[str, Any]) -> Job:
        """Write a job down and queue it, both or neither."""
        async with transaction(self._engine) as connection:
            return await ask(connection, kind, asked_by, params, self._clock())

    async def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        async with reading(self._engine) as connection:
            found = await connection.execute(_without_params().where(jobs.c.id == job_id))
            row = found.one_or_none()
        if row is None:
            raise JobNotFound(f"There is no job {job_id}.")
        return to_job(row)

    async def begin(self, job_id: str) -> Begun | None:
        """A new attempt at a job, None when it has ended; older attempts can write no more.

        One that was begun too often is failed.
        """
        now = self._clock()
        async with transaction(self._engine) as connection:
            row = await _locked(connection, job_id)
            if row is None or row.status in ENDED:
                return None
            if row.begun >= MOST_BEGUN:
                values = {"status": "failed", "error": ENDS_ITS_WORKER, "finished_at": now}
                await connection.execute(_update(job_id, {**values, "params": {}}))
                return None
            token = uuid4()
            values = {
                "status": "running",
                "attempt": token,
                "begun": row.begun + 1,
                "started_at": row.started_at or now,
            }
            begun = (await connection.execute(_update(job_id, values))).one()
            return Begun(job=to_job(begun), params=begun.params, token=token)

    async def report(
        self, begun: Begun, progress: JobProgress, counts: Mapping[str, Any] | None = None
    ) -> None:
        """Write how far an attempt is. Raises `GivenUp`."""
        values: dict[str, Any] = {"progress": msgspec.to_builtins(progress)}
        await self._write(begun, values if counts is None else {**values, "counts": dict(counts)})

    async def put_back(self, begun: Begun, message: str, counts: Mapping[str, Any]) -> None:
        """End an attempt that is no fault of the job's: it will be begun anew. Raises `GivenUp`."""
        progress = msgspec.to_builtins(JobProgress(0.0, message))
        values = {"status": "queued", "begun": 0, "progress": progress, "counts": dict(counts)}
        await self._write(begun, values)

    async def forgive(self, job_id: str) -> None:
        """Let an attempt not count that could not be put back when it ended."""
        statement = update(jobs).where(jobs.c.id == job_id, jobs.c.status.not_in(ENDED))
        async with transaction(self._engine) as connection:
            await connection.execute(statement.values(begun=func.greatest(jobs.c.begun - 1, 0)))

    async def fail(self, begun: Begun, error: str) -> None:
        """End a job badly; what was asked is forgotten. Raises `GivenUp`."""
        values = {"status": "failed", "error": error, "finished_at": self._clock(), "params": {}}
        await self._write(begun, values)

    async def finish(
        self,
        begun: Begun,
        counts: Mapping[str, Any],
        result: str | None = None,
        *,
        connection: AsyncConnection | None = None,
    ) -> None:
        """End a job well, in the caller's transaction if there is one; what was asked is forgotten.

        Raises:
            GivenUp: another attempt has taken over.
        """
        values = {
            "status": "done",
            "progress": msgspec.to_builtins(JobProgress(1.0, "done")),
            "counts": dict(counts),
            "result": result,
            "finished_at": self._clock(),
            "params": {},
        }
        if connection is None:
            await self._write(begun, values)
        else:
            await write(connection, begun, values)

    async def results(self, before: datetime | None = None) -> list[Job]:
        """Jobs whose result is kept, of those that ended before `before` (None: of all)."""
        statement = _without_params().where(jobs.c.result.is_not(None)).order_by(jobs.c.id)
        if before is not None:
            statement = statement.where(jobs.c.finished_at < before)
        async with reading(self._engine) as connection:
            return [to_job(row) for row in await connection.execute(statement)]

    async def drop_result(self, job_id: str) -> None:
        """Record that a job's result is kept no more."""
        async with transaction(self._engine) as connection:
            await connection.execute(_update(job_id, {"result": None}))

    @asynccontextmanager
    async def nobody_makes(self, job_id: str) -> AsyncIterator[bool]:
        """Whether a job neither runs nor has a result; it is not begun before the block ends."""
        async with transaction(self._engine) as connection:
            row = await _locked(connection, job_id)
            yield row is None or (row.status != "running" and row.result is None)

    async def prune(self, before: datetime) -> int:
        """Forget jobs that ended before `before` and have no result; how many."""
        statement = delete(jobs).where(jobs.c.finished_at < before, jobs.c.result.is_(None))
        async with transaction(self._engine) as connection:
            return (await connection.execute(statement)).rowcount

    async def _write(self, begun: Begun, values: dict[str, Any]) -> None:
        async with transaction(self._engine) as connection:
            await write(connection, begun, values)


async def ask(
    connection: AsyncConnection,
    kind: JobKind,
    asked_by: str,
    params: Mapping[str, Any],
    now: datetime,
) -> Job:
    """As `PostgresJobs.ask`, in the caller's transaction."""
    row = {
        "id": str(uuid4()),
        "kind": kind,
        "status": "queued",
        "asked_by": asked_by,
        "params": dict(params),
        "created_at": now,
    }
    made = (await connection.execute(insert(jobs).values(row).returning(jobs))).one()
    # Batches take a machine, so that they take turns; an erasure that waits for a store holds
    # nobody up.
    await defer(connection, TASK, kind if kind == "batch" else made.id, made.id)
    return to_job(made)


def to_job(row: Row[Any]) -> Job:
    """The job of a row; columns that are only the store's own are left out."""
    return msgspec.convert({name: getattr(row, name) for name in Job.__struct_fields__}, Job)


def _without_params() -> Any:  # noqa: ANN401 - a Select of these columns
    """What was asked may be long, and is read by who does it only."""
    return select(*(jobs.c[name] for name in Job.__struct_fields__))


async def _locked(connection: AsyncConnection, job_id: str) -> Any:  # noqa: ANN401 - a Row or None
    columns = (jobs.c.status, jobs.c.attempt, jobs.c.begun, jobs.c.started_at, jobs.c.result)
    statement = select(*columns)
    found = await connection.execute(statement.where(jobs.c.id == job_id).with_for_update())
    return found.one_or_none()


def _update(job_id: str, values: dict[str, Any]) -> Any:  # noqa: ANN401 - an Update of the row
    return update(jobs).where(jobs.c.id == job_id).values(values).returning(jobs)


async def write(connection: AsyncConnection, begun: Begun, values: dict[str, Any]) -> None:
    """Write columns of an attempt that is the newest one. Raises `GivenUp`."""
    row = await _locked(connection, begun.job.id)
    if row is None:
        raise JobNotFound(f"There is no job {begun.job.id}.")
    check_attempt(begun.job.id, row.status, same_attempt=row.attempt == begun.token)
    await connection.execute(_update(begun.job.id, values))

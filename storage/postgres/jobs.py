"""Jobs: asked for in a request's transaction, begun by a worker, fenced by an attempt's token."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, and_, delete, func, not_, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.clock import Clock
from core.errors import JobNotFound
from core.jobs import UPKEEP, Job, JobKind, JobProgress, UpkeepKind
from storage.job_status import ENDED, ENDS_ITS_WORKER, MOST_BEGUN, check_attempt
from storage.postgres.engine import reading, transaction
from storage.postgres.queueing import defer
from storage.postgres.tables import UPKEEP_RUNNING, jobs
from storage.postgres.traces import keep_trace

TASK = "job"
ENCODES = "encoding"
"""The kind of job whose child process needs torch."""

UPKEEP_DONE = and_(jobs.c.status == "done", jobs.c.kind.in_(UPKEEP))
LAST_DONE = tuple_(jobs.c.kind, jobs.c.finished_at).in_(
    select(jobs.c.kind, func.max(jobs.c.finished_at))
    .where(jobs.c.status == "done")
    .group_by(jobs.c.kind)
)


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

    async def put(self, kind: UpkeepKind, asked_by: str) -> Job | None:
        """Queue a job of upkeep; None, and nothing is written, if one is queued or running."""
        async with transaction(self._engine) as connection:
            made = await connection.execute(
                insert(jobs)
                .values(_new(kind, asked_by, {}, self._clock()))
                .on_conflict_do_nothing(index_elements=["kind"], index_where=text(UPKEEP_RUNNING))
                .returning(jobs)
            )
            row = made.one_or_none()
            return None if row is None else await queued(connection, row)

    async def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        async with reading(self._engine) as connection:
            found = await connection.execute(without_params().where(jobs.c.id == job_id))
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
            row = await locked(connection, job_id)
            if row is None or row.status in ENDED:
                return None
            if row.begun >= MOST_BEGUN:
                values = {"status": "failed", "error": ENDS_ITS_WORKER, "finished_at": now}
                await connection.execute(change(job_id, values | forgotten(row.kind)))
                return None
            token = uuid4()
            values = {
                "status": "running",
                "attempt": token,
                "begun": row.begun + 1,
                "started_at": row.started_at or now,
            }
            begun = (await connection.execute(change(job_id, values))).one()
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
        """End a job badly. Raises `GivenUp`."""
        values = {"status": "failed", "error": error, "finished_at": self._clock()}
        await self._write(begun, values | forgotten(begun.job.kind))

    async def finish(
        self,
        begun: Begun,
        counts: Mapping[str, Any],
        result: str | None = None,
        *,
        leaves: Mapping[str, Any] | None = None,
        connection: AsyncConnection | None = None,
    ) -> None:
        """End a job well, in the caller's transaction if there is one; what was asked is forgotten.

        `leaves` is what the next job of its kind needs of it (`left_by`).

        Raises:
            GivenUp: another attempt has taken over.
        """
        values = {
            "status": "done",
            "progress": msgspec.to_builtins(JobProgress(1.0, "done")),
            "counts": dict(counts),
            "result": result,
            "finished_at": self._clock(),
            "params": dict(leaves or {}),
        }
        if connection is None:
            await self._write(begun, values)
        else:
            await write(connection, begun, values)

    async def left_by(self, kind: JobKind) -> dict[str, Any]:
        """What the last job of that kind that ended well has left, empty if there was none."""
        statement = (
            select(jobs.c.params)
            .where(jobs.c.kind == kind, jobs.c.status == "done")
            .order_by(jobs.c.finished_at.desc())
            .limit(1)
        )
        async with reading(self._engine) as connection:
            return dict((await connection.execute(statement)).scalar_one_or_none() or {})

    async def results(self, before: datetime | None = None) -> list[Job]:
        """Jobs whose result is kept, of those that ended before `before` (None: of all)."""
        statement = without_params().where(jobs.c.result.is_not(None)).order_by(jobs.c.id)
        if before is not None:
            statement = statement.where(jobs.c.finished_at < before)
        async with reading(self._engine) as connection:
            return [to_job(row) for row in await connection.execute(statement)]

    async def drop_result(self, job_id: str) -> None:
        """Record that a job's result is kept no more."""
        async with transaction(self._engine) as connection:
            await connection.execute(change(job_id, {"result": None}))

    @asynccontextmanager
    async def nobody_makes(self, job_id: str) -> AsyncIterator[bool]:
        """Whether a job neither runs nor has a result; it is not begun before the block ends."""
        async with transaction(self._engine) as connection:
            row = await locked(connection, job_id)
            yield row is None or (row.status != "running" and row.result is None)

    async def prune(self, before: datetime, upkeep_before: datetime | None = None) -> int:
        """Forget jobs that ended before `before` and have no result; how many.

        Upkeep that ended well is forgotten if it did before `upkeep_before`, but for the last of
        each kind.
        """
        ended = and_(jobs.c.finished_at < before, jobs.c.result.is_(None), not_(UPKEEP_DONE))
        done = and_(jobs.c.finished_at < (upkeep_before or before), UPKEEP_DONE)
        statement = delete(jobs).where(or_(ended, and_(done, not_(LAST_DONE))))
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
    row = _new(kind, asked_by, params, now)
    made = (await connection.execute(insert(jobs).values(row).returning(jobs))).one()
    return await queued(connection, made)


def _new(kind: JobKind, asked_by: str, params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "kind": kind,
        "status": "queued",
        "asked_by": asked_by,
        "params": dict(params),
        "created_at": now,
    }


async def queued(connection: AsyncConnection, row: Row[Any]) -> Job:
    """The job of a row, which has its place in the queue now."""
    # Batches take a machine, so that they take turns; an erasure that waits for a store holds
    # nobody up.
    lock = row.kind if row.kind == "batch" else row.id
    await defer(connection, TASK, lock, row.id, "training" if row.kind == ENCODES else "jobs")
    await keep_trace(connection, [row.id])
    return to_job(row)


def forgotten(kind: JobKind) -> dict[str, Any]:
    """What a job that ends badly is to forget: whom an erasure was of. Others can be retried."""
    return {"params": {}} if kind == "erasure" else {}


def to_job(row: Row[Any]) -> Job:
    """The job of a row; columns that are only the store's own are left out."""
    return msgspec.convert({name: getattr(row, name) for name in Job.__struct_fields__}, Job)


def without_params() -> Any:  # noqa: ANN401 - a Select of these columns
    """What was asked may be long, and is read by who does it only."""
    return select(*(jobs.c[name] for name in Job.__struct_fields__))


async def locked(connection: AsyncConnection, job_id: str) -> Any:  # noqa: ANN401 - a Row or None
    """What decides of a job, held until the transaction ends."""
    names = ("kind", "status", "attempt", "begun", "started_at", "result")
    statement = select(*(jobs.c[name] for name in names))
    found = await connection.execute(statement.where(jobs.c.id == job_id).with_for_update())
    return found.one_or_none()


def change(job_id: str, values: dict[str, Any]) -> Any:  # noqa: ANN401 - an Update of the row
    """Writes columns of a job and gives the row."""
    return update(jobs).where(jobs.c.id == job_id).values(values).returning(jobs)


async def write(connection: AsyncConnection, begun: Begun, values: dict[str, Any]) -> None:
    """Write columns of an attempt that is the newest one. Raises `GivenUp`."""
    row = await locked(connection, begun.job.id)
    if row is None:
        raise JobNotFound(f"There is no job {begun.job.id}.")
    check_attempt(begun.job.id, row.status, same_attempt=row.attempt == begun.token)
    await connection.execute(change(begun.job.id, values))

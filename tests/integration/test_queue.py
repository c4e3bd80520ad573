"""The queue and the jobs in it: attempts that are fenced, failures that end or wait."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.clock import utc_now
from core.errors import InvalidInput, JobNotFound, Unavailable
from core.jobs import Job, JobProgress
from core.settings import load
from core.types import UserId
from storage.artifacts import artifact_store
from storage.job_status import MOST_BEGUN, GivenUp
from storage.postgres import migrate
from storage.postgres.engine import driver_url, transaction
from storage.postgres.erasure import PostgresErasures
from storage.postgres.jobs import TASK, PostgresJobs
from storage.postgres.queueing import defer
from storage.queue import Queue
from upnext.jobs.keys import result_key
from upnext.jobs.old_jobs import forget_old_jobs
from upnext.jobs.queued import Handler, JobRunner, Work

pytestmark = pytest.mark.integration

ALLOW = text("UPDATE pg_database SET datallowconn = :allowed WHERE datname = :name")
HANG_UP = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
QUEUED = text("SELECT args ->> 'id' FROM queue.procrastinate_jobs ORDER BY id")


async def queued(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.execute(QUEUED)).scalars())


async def test_a_job_and_its_place_in_the_queue_are_written_together(engine: AsyncEngine) -> None:
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {"limit": 3})
    assert await queued(engine) == [job.id]
    assert await jobs.get(job.id) == job
    with pytest.raises(RuntimeError, match="before the commit"):
        await _asked_in_vain(engine)
    assert await queued(engine) == [job.id]
    with pytest.raises(JobNotFound):
        await jobs.get("none")


async def _asked_in_vain(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await defer(connection, TASK, "batch", "lost")
        raise RuntimeError("before the commit")


async def test_an_attempt_that_was_given_up_writes_no_more(engine: AsyncEngine) -> None:
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {"limit": 3})
    first = await jobs.begin(job.id)
    second = await jobs.begin(job.id)
    assert first
    assert second
    assert (second.params, second.job.status) == ({"limit": 3}, "running")
    for write in (
        jobs.report(first, JobProgress(0.5)),
        jobs.fail(first, "late"),
        jobs.finish(first, {}),
        jobs.put_back(first, "late", {}),
    ):
        with pytest.raises(GivenUp):
            await write
    await jobs.report(second, JobProgress(0.5, "half"), {"users": 1})
    assert (await jobs.get(job.id)).progress == JobProgress(0.5, "half")
    await jobs.finish(second, {"users": 2}, "batches/x")
    done = await jobs.get(job.id)
    assert (done.status, done.counts, done.result) == ("done", {"users": 2}, "batches/x")
    assert await jobs.begin(job.id) is None


async def test_a_job_that_ends_its_workers_is_not_begun_for_ever(engine: AsyncEngine) -> None:
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {})
    for _ in range(MOST_BEGUN):
        assert await jobs.begin(job.id)
    assert await jobs.begin(job.id) is None
    failed = await jobs.get(job.id)
    assert failed.status == "failed"
    assert failed.error
    assert "memory" in failed.error


async def test_old_jobs_are_forgotten_once_they_have_no_result(engine: AsyncEngine) -> None:
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {})
    begun = await jobs.begin(job.id)
    assert begun
    await jobs.finish(begun, {}, "batches/x")
    later = utc_now() + timedelta(days=1)
    assert [one.id for one in await jobs.results(later)] == [job.id]
    assert await jobs.results(utc_now() - timedelta(days=1)) == []
    assert await jobs.prune(later) == 0
    await jobs.drop_result(job.id)
    assert await jobs.prune(later) == 1


Ask = Callable[[Handler], Awaitable[Job]]


@pytest.fixture
def ask(engine: AsyncEngine, database_url: str) -> Ask:
    """Has a job done by this handler, by a queue of this test's own, until it is put down."""

    async def through(handler: Handler) -> Job:
        settings = load({"postgres_url": database_url})
        runner = JobRunner(settings, engine, {"batch": handler})
        jobs = PostgresJobs(engine, utc_now)
        job = await jobs.ask("batch", "shop", {"limit": 3})
        working = asyncio.create_task(Queue(settings, {TASK: runner.run}).work())
        try:
            async with asyncio.timeout(20):  # what has ended is taken out of the queue after that
                while await queued(engine):  # noqa: ASYNC110 - in a database
                    await asyncio.sleep(0.05)
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        return await jobs.get(job.id)

    return through


async def test_what_breaks_a_rule_fails_and_what_is_away_is_waited_for(ask: Ask) -> None:
    async def refuse(_: Work) -> None:
        raise InvalidInput("The catalogue is empty: bring some in.")

    failed = await ask(refuse)
    assert (failed.status, failed.error) == ("failed", "The catalogue is empty: bring some in.")

    async def fault(_: Work) -> None:
        raise ZeroDivisionError

    failed = await ask(fault)
    assert failed.status == "failed"
    assert "see the log" in (failed.error or "")

    tries: list[datetime] = []

    async def at_last(work: Work) -> None:
        tries.append(utc_now())
        if len(tries) < 2:
            work.counts["kept"] = 1
            raise Unavailable("milvus")
        await work.jobs.finish(work.begun, work.counts)

    done = await ask(at_last)
    assert (done.status, done.counts, len(tries)) == ("done", {"kept": 1}, 2)


async def test_what_is_away_is_waited_for_a_day_from_the_first_try(
    engine: AsyncEngine, database_url: str
) -> None:
    async def away(_: Work) -> None:
        raise Unavailable("milvus")

    settings, began = load({"postgres_url": database_url}), utc_now()
    asked = PostgresJobs(engine, lambda: began - timedelta(days=2))  # no worker was there
    job = await asked.ask("erasure", "ops", {"user_id": "ann"})
    for hours, status in ((0, "queued"), (23, "queued"), (25, "failed")):
        moment = began + timedelta(hours=hours)
        runner = JobRunner(settings, engine, {"erasure": away}, lambda now=moment: now)  # type: ignore[misc]
        with suppress(Unavailable):
            await runner.run(job.id)
        assert (await asked.get(job.id)).status == status
    assert "tried for a day" in ((await asked.get(job.id)).error or "")


async def test_a_database_that_is_away_is_waited_for(
    engine: AsyncEngine, database_url: str, postgres_url: str
) -> None:
    settings, done = load({"postgres_url": database_url}), asyncio.Event()
    server = create_async_engine(driver_url(postgres_url), isolation_level="AUTOCOMMIT")
    name = {"name": make_url(database_url).database}

    async def note(_: str) -> None:
        done.set()

    queue = Queue(settings, {TASK: note})
    jobs = PostgresJobs(engine, utc_now)
    working = asyncio.create_task(queue.work())
    try:
        await jobs.ask("batch", "shop", {})
        await asyncio.wait_for(done.wait(), 20)
        done.clear()
        async with server.connect() as connection:
            await connection.execute(ALLOW, {**name, "allowed": False})
            await connection.execute(HANG_UP, name)
            async with asyncio.timeout(30):
                while not queue.away:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
            await connection.execute(ALLOW, {**name, "allowed": True})
        await jobs.ask("batch", "shop", {})
        await asyncio.wait_for(done.wait(), 30)
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await server.dispose()


def test_the_queue_is_as_the_library_wants_it() -> None:
    """Another of its migrations needs one of ours."""
    scripts = (one.name for one in files("procrastinate.sql.migrations").iterdir())
    newest = max(name for name in scripts if name.endswith(".sql"))
    script = ScriptDirectory.from_config(migrate._config()).get_revision("0005")
    assert newest == script.module._LAST_OF_THE_QUEUE


async def test_an_erasure_that_waits_holds_up_no_other(
    engine: AsyncEngine, database_url: str
) -> None:
    settings, jobs = load({"postgres_url": database_url}), PostgresJobs(engine, utc_now)
    first, second = [await jobs.ask("erasure", "ops", {"user_id": user}) for user in ("a", "b")]
    done = asyncio.Event()

    async def erase(work: Work) -> None:
        if work.begun.job.id == first.id:
            raise Unavailable("milvus")
        await work.jobs.finish(work.begun, {})
        done.set()

    runner = JobRunner(settings, engine, {"erasure": erase})
    working = asyncio.create_task(Queue(settings, {TASK: runner.run}).work())
    try:
        await asyncio.wait_for(done.wait(), 20)
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    assert (await jobs.get(second.id)).status == "done"


async def test_a_worker_that_is_stopped_puts_its_job_back(
    engine: AsyncEngine, database_url: str
) -> None:
    begun = asyncio.Event()

    async def for_ever(work: Work) -> None:
        work.counts["users"] = 3
        begun.set()
        await asyncio.Event().wait()

    settings, jobs = load({"postgres_url": database_url}), PostgresJobs(engine, utc_now)
    runner = JobRunner(settings, engine, {"batch": for_ever})
    job = await jobs.ask("batch", "shop", {})
    for _ in range(MOST_BEGUN + 1):
        begun.clear()
        working = asyncio.create_task(Queue(settings, {TASK: runner.run}).work())
        await asyncio.wait_for(begun.wait(), 20)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        left = await jobs.get(job.id)
        assert (left.status, left.counts) == ("queued", {"users": 3})
        assert await queued(engine) == [job.id]


async def test_erasing_takes_a_user_out_of_what_is_queued(engine: AsyncEngine) -> None:
    jobs, erasures = PostgresJobs(engine, utc_now), PostgresErasures(engine, utc_now)
    job = await jobs.ask("batch", "shop", {"limit": 3, "user_ids": ["ann", "bob"]})
    everybody = await jobs.ask("batch", "shop", {"limit": 3, "user_ids": None})
    erasure = await erasures.ask(UserId("ann"), "ops")
    begun = await jobs.begin(job.id)
    assert begun
    assert begun.params["user_ids"] == ["bob"]
    assert await erasures.erased(["ann", "bob"]) == {"ann"}
    assert await erasures.count() == 1
    async with erasures.none_since(0) as connection:
        assert connection is None
    begun = await jobs.begin(erasure.id)
    assert begun
    await jobs.fail(begun, "for a test")
    async with engine.connect() as connection:
        left = await connection.execute(text("SELECT params::text FROM jobs ORDER BY id"))
        assert not any("ann" in params for params in left.scalars())
    assert await jobs.begin(everybody.id)


async def test_what_failed_jobs_stored_is_deleted(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    url = (tmp_path / "artifacts").as_uri()
    settings = load({"postgres_url": database_url, "artifacts_url": url})
    store, jobs = artifact_store(url), PostgresJobs(engine, utc_now)
    made = tmp_path / "lists.ndjson"
    made.write_text("{}")

    async def fail(work: Work) -> None:
        work.result = result_key(work.begun.job.id)
        store.put(work.result, made)
        raise InvalidInput("The catalogue is empty: bring some in.")

    failing = await jobs.ask("batch", "shop", {})
    await JobRunner(settings, engine, {"batch": fail}).run(failing.id)
    assert (await jobs.get(failing.id)).status == "failed"
    assert store.keys("batches/") == []

    ended, running, done = [await jobs.ask("batch", "shop", {}) for _ in range(3)]
    begun = [await jobs.begin(job.id) for job in (ended, running, done)]
    assert begun[0]
    assert begun[2]
    await jobs.fail(begun[0], "its worker ended too often")
    await jobs.finish(begun[2], {}, result_key(done.id))
    for job_id in ("unheard-of", ended.id, running.id, done.id):
        store.put(result_key(job_id), made)
    await forget_old_jobs(settings, engine)
    assert store.keys("batches/") == sorted([result_key(running.id), result_key(done.id)])


async def test_a_job_given_up_while_it_runs_is_stopped(
    engine: AsyncEngine, database_url: str
) -> None:
    stopped = asyncio.Event()

    async def for_ever(work: Work) -> None:
        try:
            await jobs.begin(work.begun.job.id)  # another worker takes it over
            await asyncio.Event().wait()
        finally:
            stopped.set()

    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {})
    runner = JobRunner(load({"postgres_url": database_url}), engine, {"batch": for_ever})
    await asyncio.wait_for(runner.run(job.id), 10)
    assert stopped.is_set()
    assert (await jobs.get(job.id)).status == "running"

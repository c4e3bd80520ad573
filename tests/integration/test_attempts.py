"""How an attempt ends: when it is stopped, when PostgreSQL goes, when others are faster."""

import asyncio
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from procrastinate.jobs import Job as QueuedWork
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from core.clock import utc_now
from core.errors import Conflict, InvalidInput, Unavailable
from core.settings import load
from storage.artifacts import DirectoryArtifacts
from storage.job_status import MOST_BEGUN
from storage.postgres.jobs import TASK, PostgresJobs
from storage.postgres.models import PostgresModels
from storage.queue import TICK, Queue
from tests.catalogues import fitted_of, random_vectors
from tests.measured import counts
from upnext.jobs import queued as queued_jobs
from upnext.jobs.messages import Request
from upnext.jobs.queued import JobRunner, Work
from upnext.jobs.run import store_version

pytestmark = pytest.mark.integration

LEFT = "UPDATE procrastinate_jobs SET status = 'doing'"
STATUSES = text("SELECT status FROM queue.procrastinate_jobs ORDER BY status::text")


def attempts(outcome: str) -> str:
    return f'upnext_jobs_total{{kind="batch",outcome="{outcome}"}}'


async def test_a_job_is_put_back_before_its_work_has_ended(
    engine: AsyncEngine, database_url: str
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow_to_end(_: Work) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {})
    runner = JobRunner(load({"postgres_url": database_url}), engine, {"batch": slow_to_end})
    running = asyncio.create_task(runner.run(job.id))
    await asyncio.wait_for(begun.wait(), 10)
    running.cancel()
    async with asyncio.timeout(30):
        while (await jobs.get(job.id)).status != "queued":  # noqa: ASYNC110 - in a database
            await asyncio.sleep(0.02)
    may_end.set()
    with counts({attempts("given_up"): 1}), pytest.raises(asyncio.CancelledError):
        await running


async def test_an_outage_of_the_database_does_not_count_against_a_job(
    engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("postgres")

    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {})
    runner = JobRunner(load({"postgres_url": database_url}), engine, {"batch": away})
    monkeypatch.setattr(PostgresJobs, "put_back", away)
    for _ in range(MOST_BEGUN + 1):
        with counts({attempts("waiting"): 1}), pytest.raises(Unavailable):
            await runner.run(job.id)
        await asyncio.wait_for(asyncio.gather(*runner._owed), 10)
    assert (await jobs.get(job.id)).status == "running"
    assert await jobs.begin(job.id)


async def test_jobs_that_fail_are_counted(engine: AsyncEngine, database_url: str) -> None:
    jobs = PostgresJobs(engine, utc_now)
    seconds = 'upnext_job_seconds_count{kind="batch"}'
    for error in (InvalidInput("no such user"), RuntimeError("a mistake of ours")):

        async def fail(_: Work, error: Exception = error) -> None:
            raise error

        job = await jobs.ask("batch", "shop", {})
        runner = JobRunner(load({"postgres_url": database_url}), engine, {"batch": fail})
        with counts({attempts("failed"): 1, attempts("done"): 0, seconds: 1}):
            await runner.run(job.id)
        assert (await jobs.get(job.id)).status == "failed"


async def test_a_beat_that_meets_the_end_is_no_news(
    engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = asyncio.Event()
    report = PostgresJobs.report

    async def beat(self: PostgresJobs, *given: Any) -> None:
        beaten.set()
        await report(self, *given)

    async def finish(work: Work) -> None:
        await work.jobs.finish(work.begun, {})
        beaten.clear()
        await beaten.wait()
        await jobs.get(work.begun.job.id)

    monkeypatch.setattr(PostgresJobs, "report", beat)
    monkeypatch.setattr(queued_jobs, "TELL_SECONDS", 0.05)
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("batch", "shop", {})
    with capture_logs() as said:
        await JobRunner(load({"postgres_url": database_url}), engine, {"batch": finish}).run(job.id)
    assert [line["event"] for line in said] == ["A job is done."]


async def test_work_that_another_worker_has_taken_up_already_is_passed_over(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: str) -> None:
        """Never called."""

    async def stalled(**_: float) -> list[QueuedWork]:
        return [QueuedWork(id=1, queue="work", lock=None, queueing_lock=None, task_name=TASK)]

    queue = Queue(load({"postgres_url": database_url}), {TASK: nothing})
    async with queue._app.open_async():
        monkeypatch.setattr(queue._app.job_manager, "get_stalled_jobs", stalled)
        with capture_logs() as said:
            await queue._recover()
    assert said == []


async def test_a_tick_whose_next_waits_holds_up_no_other_work_that_was_left(
    engine: AsyncEngine, database_url: str
) -> None:
    async def nothing(_: str) -> None:
        """Never called."""

    queue = Queue(load({"postgres_url": database_url}), {TASK: nothing, TICK: nothing})
    tick = queue._app.tasks[TICK].configure(queue="jobs", queueing_lock="tick sweep")
    async with queue._app.open_async():
        await tick.defer_async(id="sweep")
        await queue._app.tasks[TASK].configure(queue="jobs").defer_async(id="left")
        await queue._connector.execute_query_async(LEFT)  # by a worker that is no more
        await tick.defer_async(id="sweep")
        await queue._recover()
    async with engine.connect() as connection:
        found = (await connection.execute(STATUSES)).scalars().all()
    assert found == ["doing", "todo", "todo"]


async def test_a_run_that_was_given_up_writes_no_version(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    settings, registry = load({"postgres_url": database_url}), PostgresModels(engine, utc_now)
    asked = await registry.queue("content", {})
    attempts = [await registry.claim(asked.id, {}) for _ in range(2)]
    store = DirectoryArtifacts(tmp_path / "artifacts")
    fitted = fitted_of(["a", "b"], random_vectors(2))

    async def stored(token: UUID) -> str:
        request = Request(
            model_id=asked.id,
            attempt=token,
            model_type="content",
            version=asked.version,
            parent=os.getpid(),
        )
        return await asyncio.to_thread(store_version, settings, request, store, fitted)

    given_up, current = [claimed[1] for claimed in attempts if claimed]
    with pytest.raises(Conflict):
        await stored(given_up)
    assert store.keys("") == []
    assert await stored(current)
    assert store.keys("")

"""Jobs of upkeep: training when there is something to learn, clearing up, whose queue is whose."""

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.jobs import Job, UpkeepKind
from core.settings import Settings, load
from core.types import Change, DataSpan, ModelStatus
from storage.postgres.changes import PostgresChanges, note
from storage.postgres.engine import transaction
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.jobs import TASK, PostgresJobs
from storage.postgres.models import PostgresModels
from storage.queue import Queue
from tests.histories import START, watch
from upnext.jobs.encoding import _look
from upnext.jobs.queue_handlers import HANDLERS
from upnext.jobs.queued import JobRunner, Work

pytestmark = pytest.mark.integration

STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load({"postgres_url": database_url, "artifacts_url": tmp_path.as_uri()})


async def done(settings: Settings, engine: AsyncEngine, kind: UpkeepKind) -> Job:
    """A job of that kind, when it has ended."""
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.put(kind, "schedule")
    assert job
    await JobRunner(settings, engine, HANDLERS).run(job.id)
    job = await jobs.get(job.id)
    assert (job.status, job.error) == ("done", None)
    return job


async def counts(settings: Settings, engine: AsyncEngine, kind: UpkeepKind) -> dict[str, Any]:
    return (await done(settings, engine, kind)).counts


async def test_a_run_is_queued_when_there_is_something_to_learn(
    settings: Settings, engine: AsyncEngine
) -> None:
    models, history = PostgresModels(engine, utc_now), PostgresInteractions(engine)
    assert await counts(settings, engine, "training") == {"no_run": "Nobody watched yet."}
    await history.add_many([watch("first", "tina", "v1")])
    queued = await counts(settings, engine, "training")
    [model] = await models.find()
    assert (queued, model.model_type, model.status) == ({"model": model.id}, "als", "queued")
    waiting = await counts(settings, engine, "training")
    assert "is being trained" in waiting["no_run"]

    claimed = await models.claim(model.id, {})
    assert claimed
    for status in STEPS:
        await models.update(model.id, claimed[1], status=status, data=DataSpan(end=START))
    nothing = await counts(settings, engine, "training")
    assert nothing["no_run"].startswith("Nothing was watched since 2025-03-01T12:00:00")
    await history.add_many([watch("second", "tina", "v2", hours=1)])
    assert "model" in await counts(settings, engine, "training")


async def test_what_is_old_is_deleted(settings: Settings, engine: AsyncEngine) -> None:
    for _ in range(3):
        async with transaction(engine) as connection:
            await note(connection, Change("video", ("v1",)))
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE changes SET created_at = now() - interval '8 days'"))
    first = await done(settings, engine, "retention")
    assert first.counts == {"changes": 2, "events_out": 0, "dead_letters": 0, "jobs": 0}
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE jobs SET finished_at = :then"), {"then": utc_now() - timedelta(days=3)}
        )
    await done(settings, engine, "retention")  # the last of its kind stays
    third = await done(settings, engine, "retention")
    assert third.counts["jobs"] == 1


async def test_what_is_encoded_is_what_is_new_or_goes_live(
    settings: Settings, engine: AsyncEngine
) -> None:
    models, changes = PostgresModels(engine, utc_now), PostgresChanges(engine)
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.put("encoding", "schedule")
    assert job
    begun = await jobs.begin(job.id)
    assert begun
    work = Work(settings, engine, jobs, begun)
    seen, news = await _look(work, None)
    assert not news  # no version to add to

    async def is_news() -> bool:
        nonlocal seen
        seen, news = await _look(work, seen)
        return news

    async def tell(change: Change) -> None:
        async with transaction(engine) as connection:
            await note(connection, change)

    made = []
    for _ in range(2):
        model, token = await models.create("content", {})
        for status in STEPS:
            await models.update(model.id, token, status=status)
        made.append(model.id)
    await models.promote(made[0])
    assert [await is_news(), await is_news()] == [True, False]
    await tell(Change("config"))
    assert not await is_news()
    await tell(Change("video", ("v1",)))
    assert [await is_news(), await is_news()] == [True, False]
    await models.promote(made[1])  # it may have been passed over while it was not live
    assert [await is_news(), await is_news()] == [True, False]
    await tell(Change("video", ("v2",)))
    await tell(Change("config"))
    assert await changes.prune(utc_now() + timedelta(days=1)) > 0  # before anybody read them
    assert [await is_news(), await is_news()] == [True, False]


async def test_a_worker_takes_what_is_of_its_queues(
    settings: Settings, engine: AsyncEngine
) -> None:
    jobs = PostgresJobs(engine, utc_now)
    encoding, sweep = await jobs.put("encoding", "ops"), await jobs.put("sweep", "ops")
    assert encoding
    assert sweep
    for queue, expected in (("jobs", sweep.id), ("training", encoding.id)):
        taken = asyncio.Queue[str]()
        working = asyncio.create_task(Queue(settings, {TASK: taken.put}, [queue]).work())
        assert await asyncio.wait_for(taken.get(), 20) == expected
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def test_a_worker_says_which_queues_there_are() -> None:
    program = [sys.executable, "-m", "upnext", "worker", "--queues", "events,lunch"]
    refused = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own command
    assert refused.returncode == 1
    assert "events, jobs, training" in json.loads(refused.stdout)["message"]

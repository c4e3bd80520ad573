"""What is done by schedule: once by all workers, made up for once, one job of a kind at a time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.settings import load
from storage.postgres.jobs import PostgresJobs
from storage.queue import TICK, Queue
from upnext.upkeep import SCHEDULE, schedules, tick

pytestmark = pytest.mark.integration

EACH_SECOND = "* * * * * *"
NEW_YEAR = "0 0 1 1 *"
MISSED = text(
    "INSERT INTO queue.procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp) "
    "VALUES ('tick', :name, 1)"
)


@asynccontextmanager
async def workers(url: str, count: int, crons: dict[str, str]) -> AsyncIterator[list[str]]:
    """So many workers with these schedules; what these asked for, in order."""
    asked: list[str] = []

    async def note(kind: str) -> None:
        asked.append(kind)

    settings = load({"postgres_url": url})
    working = [
        asyncio.create_task(Queue(settings, {TICK: note}, schedules=crons).work())
        for _ in range(count)
    ]
    yield asked
    for one in working:
        one.cancel()
    await asyncio.gather(*working, return_exceptions=True)


async def until(asked: list[str], count: int) -> None:
    async with asyncio.timeout(20):
        while len(asked) < count:  # noqa: ASYNC110 - another task appends
            await asyncio.sleep(0.02)


async def test_each_time_counts_once_however_many_workers_there_are(database_url: str) -> None:
    began = time.time()
    async with workers(database_url, 3, {"sweep": EACH_SECOND}) as asked:
        await until(asked, 3)
        assert len(asked) <= int(time.time()) - int(began)  # one a second that has begun since


async def test_a_time_that_was_missed_is_made_up_for_once(
    engine: AsyncEngine, database_url: str
) -> None:
    async with engine.begin() as connection:
        await connection.execute(MISSED, {"name": f"training {NEW_YEAR}"})
    crons = {"training": NEW_YEAR, "shares": NEW_YEAR, "sweep": EACH_SECOND}
    for expected in (["training"], []):
        async with workers(database_url, 2, crons) as asked:
            await until(asked, len(expected) + 1)
            assert [kind for kind in asked if kind != "sweep"] == expected


async def test_one_job_of_a_kind_is_queued_or_running(engine: AsyncEngine) -> None:
    jobs, put = PostgresJobs(engine, utc_now), tick(engine)
    await put("sweep")
    await put("sweep")
    await put("refresh")
    assert await jobs.put("sweep", "ops") is None
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT id, kind, asked_by FROM jobs ORDER BY kind"))
        made = rows.all()
    assert [(row.kind, row.asked_by) for row in made] == [
        ("refresh", SCHEDULE),
        ("sweep", SCHEDULE),
    ]
    begun = await jobs.begin(made[1].id)
    assert begun
    assert await jobs.put("sweep", "ops") is None
    await jobs.finish(begun, {}, leaves={"place": 7})
    assert await jobs.left_by("sweep") == {"place": 7}
    assert await jobs.left_by("shares") == {}
    assert await jobs.put("sweep", "ops")


def test_schedules_that_are_off_are_none() -> None:
    asked = {"schedule_training": "off", "schedule_sweep": EACH_SECOND}
    found = schedules(load(asked))
    assert "training" not in found
    assert found["sweep"] == EACH_SECOND

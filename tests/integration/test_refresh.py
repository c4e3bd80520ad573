"""Lists after a flip: made once, by one process, for the version that is live, and told."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.list_cache import ListCache
from api.maker import Maker
from api.moment import Moment
from core.clock import Clock, utc_now
from core.errors import Unavailable
from core.jobs import Job
from core.settings import Settings, child_environment, load
from core.types import Interaction, Model, RankingConfig, UserId
from embeddings.version import open_version
from storage.artifacts import artifact_store
from storage.postgres.engine import transaction
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.jobs import PostgresJobs
from storage.postgres.models import PostgresModels
from storage.postgres.refreshes import PostgresRefreshes
from storage.postgres.videos import PostgresVideos
from storage.redis.client import connect as connect_redis
from storage.redis.users import RedisUserCache
from tests.histories import START, watch
from tests.patience import PATIENT_REDIS
from tests.stored import store_live, store_ready, store_videos
from upnext.jobs.queued import JobRunner
from upnext.jobs.refresh import PAGE, ListsFailed, Refreshed, refresh, refresh_active
from upnext.jobs.snapshots import snapshot_of
from upnext.jobs.upkeep import refresh_lists

pytestmark = pytest.mark.integration

NAMES = [f"v{number:03}" for number in range(150)]
NOW = START + timedelta(days=2)


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> Settings:
    return load(
        {
            "home": str(tmp_path / "home"),
            "postgres_url": database_url,
            "redis_url": redis_url,
            "bus_url": "nats://127.0.0.1:1",
            "artifacts_url": (tmp_path / "artifacts").as_uri(),
        }
    )


@dataclass
class Here:
    """A service's stores with users who were here within the day, and one who was not."""

    settings: Settings
    engine: AsyncEngine
    models: PostgresModels
    live: Model
    users: list[UserId]
    absent: UserId

    async def refresh(self, clock: Clock = lambda: NOW) -> Refreshed | None:
        return await refresh(self.settings, self.engine, clock)

    async def events(self) -> list[dict[str, Any]]:
        """What waits for the bus about lists, oldest first."""
        query = text("SELECT data FROM outbox WHERE type = :type ORDER BY id")
        async with transaction(self.engine) as connection:
            rows = await connection.execute(query, {"type": "RecommendationsRefreshed"})
            return list(rows.scalars())

    async def kept(self, model: Model) -> set[UserId]:
        """Users with a fresh list of that model."""
        async with self.lists() as lists:
            moment = await self.moment(model)
            asked = [*self.users, self.absent]
            return {user for user in asked if await lists.get(user, moment, 100) is not None}

    @asynccontextmanager
    async def lists(self) -> AsyncIterator[ListCache]:
        redis = connect_redis(self.settings.redis_url or "", PATIENT_REDIS)
        try:
            yield ListCache(RedisUserCache(redis))
        finally:
            await redis.aclose()

    async def moment(self, model: Model) -> Moment:
        store = artifact_store(self.settings.artifacts_url or "")
        return Moment(
            live=open_version(store, model.version, self.settings.home / "versions"),
            config=RankingConfig(),
            snapshot=await snapshot_of(PostgresVideos(self.engine)),
            now=NOW,
            loaded=True,
        )


@pytest.fixture
async def here(settings: Settings, engine: AsyncEngine) -> Here:
    # Redis is shared by the tests of a session: users of this database's own.
    mark = settings.postgres_url and settings.postgres_url.partition("test_")[2][:12]
    users = [UserId(f"{mark}-{number:02}") for number in range(PAGE + 5)]
    absent = UserId(f"{mark}-absent")
    await store_videos(engine, NAMES)
    await PostgresInteractions(engine).add_many(
        [*_watches(users, NOW - timedelta(hours=23)), *_watches([absent], START)]
    )
    live = await store_live(settings, engine, NAMES)
    return Here(settings, engine, PostgresModels(engine, utc_now), live, users, absent)


def _watches(users: list[UserId], at: datetime) -> list[Interaction]:
    hours = (at - START) / timedelta(hours=1)
    return [
        watch(f"{user}-{step}", user, NAMES[(number + step * 7) % 150], hours=hours + step / 60)
        for number, user in enumerate(users)
        for step in range(4)
    ]


async def test_the_lists_of_the_day_are_made_once_and_told_once(here: Here) -> None:
    expected = Refreshed(version=here.live.version, users=len(here.users), unknown=0)
    assert await here.refresh() == expected
    assert await here.kept(here.live) == set(here.users)
    [event] = await here.events()
    assert event == {
        "model_id": here.live.id,
        "model_version": here.live.version,
        "users": len(here.users),
        "reason": "promoted",
    }
    assert await here.refresh() is None
    assert len(await here.events()) == 1


async def test_each_flip_asks_for_it_again_and_says_how_it_came(here: Here) -> None:
    await here.refresh()
    second = await store_ready(here.settings, here.engine, NAMES, seed=6)
    await here.models.promote(second.id)
    assert await here.refresh() is not None
    assert await here.kept(second) == set(here.users)
    await here.models.rollback()
    assert await here.refresh() is not None
    told = [(event["model_id"], event["reason"]) for event in await here.events()]
    assert told == [
        (here.live.id, "promoted"),
        (second.id, "promoted"),
        (here.live.id, "rolled_back"),
    ]


async def test_of_two_processes_one_does_it(here: Here) -> None:
    done = await asyncio.gather(here.refresh(), here.refresh(), here.refresh())
    assert sum(one is not None for one in done) == 1
    assert len(await here.events()) == 1


async def test_another_flip_ends_it_and_nothing_is_told_of_the_first(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = await store_ready(here.settings, here.engine, NAMES, seed=6)
    due = PostgresRefreshes.due
    asked = 0

    async def flip_before_the_second_page(self: PostgresRefreshes) -> Any:
        nonlocal asked
        asked += 1
        if asked == 4:  # once before the lease, once with it, once a page
            await here.models.promote(second.id)
        return await due(self)

    monkeypatch.setattr(PostgresRefreshes, "due", flip_before_the_second_page)
    assert await here.refresh() is None
    assert len(await here.kept(here.live)) == PAGE
    assert await here.events() == []
    monkeypatch.undo()
    expected = Refreshed(version=second.version, users=len(here.users), unknown=0)
    assert await here.refresh() == expected
    assert [event["model_id"] for event in await here.events()] == [second.id]


async def test_lists_that_failed_are_made_before_it_counts_as_done(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    personal = Maker.personal

    async def fail_for_two(self: Maker, user_id: UserId, *rest: Any) -> Any:
        if user_id in here.users[:2]:
            raise ValueError("a fault of ours")
        return await personal(self, user_id, *rest)

    monkeypatch.setattr(Maker, "personal", fail_for_two)
    with pytest.raises(ListsFailed, match="2 lists of"):
        await here.refresh()
    assert await here.kept(here.live) == set(here.users[2:])
    assert await here.events() == []
    monkeypatch.undo()
    expected = Refreshed(version=here.live.version, users=len(here.users), unknown=0)
    assert await here.refresh() == expected
    assert [event["users"] for event in await here.events()] == [len(here.users)]


async def test_lists_that_take_long_are_dated_by_when_they_are_made(here: Here) -> None:
    times = iter(range(100))
    assert await here.refresh(lambda: NOW + timedelta(minutes=4) * next(times)) is not None
    async with here.lists() as lists:
        moment = await here.moment(here.live)
        hits = [await lists.get(user, moment, 100) for user in here.users]
    made = [hit.generated_at for hit in hits if hit is not None]
    assert len(set(made)) == 2
    assert max(made) - min(made) == timedelta(minutes=4)


async def test_without_redis_nothing_is_opened_or_read(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> Any:
        pytest.fail("the version is opened for nothing")

    monkeypatch.setattr("upnext.jobs.refresh.open_copy", opened)
    away = here.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"})
    with pytest.raises(Unavailable, match="redis"):
        await refresh(away, here.engine, lambda: NOW)


async def test_a_flip_that_was_recorded_as_done_is_done_once(here: Here) -> None:
    refreshes = PostgresRefreshes(here.engine)
    due = await refreshes.due()
    assert due is not None
    assert await refreshes.done(due, 7)
    assert not await refreshes.done(due, 7)
    assert await refreshes.due() is None
    assert len(await here.events()) == 1


KILLED = """
import asyncio, os, signal
from api.warming import Warmer
from core.settings import load
from storage.postgres.engine import pool
from upnext.jobs.refresh import refresh
from tests.integration.test_refresh import NOW

page = Warmer._page

async def kill_after_the_first(self, *args):
    await page(self, *args)
    os.kill(os.getpid(), signal.SIGKILL)

Warmer._page = kill_after_the_first

async def run():
    settings = load()
    async with pool(settings) as engine:
        await refresh(settings, engine, lambda: NOW)

asyncio.run(run())
"""


async def test_a_killed_process_is_followed_by_another_that_goes_on(here: Here) -> None:
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        env=child_environment(here.settings),
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
    )
    _, errors = await killed.communicate()
    assert killed.returncode == -signal.SIGKILL, errors.decode()
    assert len(await here.kept(here.live)) == PAGE
    assert await here.events() == []
    refreshed = None
    async with asyncio.timeout(20):  # until the server has noticed that the lease's holder is gone
        while refreshed is None:
            refreshed = await here.refresh()
    assert refreshed.users == len(here.users)
    assert await here.kept(here.live) == set(here.users)
    assert len(await here.events()) == 1


async def test_models_from_before_there_were_refreshes_ask_for_none(here: Here) -> None:
    async with transaction(here.engine) as connection:
        await connection.execute(text("UPDATE models SET live_reason = NULL"))
    assert await here.refresh() is None
    assert await here.events() == []


async def _come_back(here: Here, users: list[UserId]) -> None:
    hours = (utc_now() - timedelta(minutes=10) - START) / timedelta(hours=1)
    again = [watch(f"{user}-again", user, NAMES[0], hours=hours) for user in users]
    await PostgresInteractions(here.engine).add_many(again)


async def _done(here: Here) -> Job:
    jobs = PostgresJobs(here.engine, utc_now)
    job = await jobs.put("refresh", "schedule")
    assert job
    await JobRunner(here.settings, here.engine, {"refresh": refresh_lists}).run(job.id)
    return await jobs.get(job.id)


async def test_a_schedule_makes_what_active_users_lack_or_what_is_stale(here: Here) -> None:
    assert (await _done(here)).counts == {"users": 0}  # nobody was here within the hour
    active = here.users[:3]
    await _come_back(here, active)
    expected = {"users": 3, "kept": 0, "model": here.live.version}
    assert (await _done(here)).counts == expected
    assert (await _done(here)).counts == expected | {"users": 0, "kept": 3}
    assert await here.events() == [
        {
            "model_id": here.live.id,
            "model_version": here.live.version,
            "users": 3,
            "reason": "scheduled",
        }
    ]
    async with PostgresRefreshes(here.engine).lease() as mine:  # a flip's are being made
        assert mine
        assert await refresh_active(here.settings, here.engine) is None
    later = utc_now() + timedelta(seconds=RankingConfig().soft_age_seconds)
    async with asyncio.timeout(30):  # until the server has seen that the lease was let go
        while (done := await refresh_active(here.settings, here.engine, lambda: later)) is None:
            pass
    assert done[1].made == 3


async def test_a_schedule_makes_lists_for_ten_minutes_and_those_of_the_live_model(
    here: Here,
) -> None:
    active = here.users
    await _come_back(here, active)
    began, asked = utc_now(), 0

    def clock() -> datetime:
        nonlocal asked
        asked += 1
        return began + timedelta(minutes=4 * asked)

    done = await refresh_active(here.settings, here.engine, clock)
    assert done
    assert 0 < done[1].made < len(active)

"""Watches weigh what was counted: those that come by event or to the API, and for training."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import msgspec
import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import services
from api.watching import NewWatch
from core.clock import utc_now
from core.settings import Settings
from core.types import Interaction, UserId, VideoId
from storage import bus
from storage.artifacts import DirectoryArtifacts
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.jobs import PostgresJobs
from tests.histories import watch
from tests.served import of_popular_lists
from tests.stored import store_videos
from upnext.consuming import consume
from upnext.jobs.messages import Request
from upnext.jobs.queue_handlers import HANDLERS
from upnext.jobs.queued import JobRunner
from upnext.jobs.reading import read

pytestmark = pytest.mark.integration

CLIP, HOUR = 30.0, 3_500.0
CASES = {
    "clip-to-the-end": (30.0, CLIP, 1.0),
    "clip-at-60": (18.0, CLIP, 0.2),
    "clip-left": (2.0, CLIP, 0.05),
    "hour-at-40": (0.4 * HOUR, HOUR, 0.8),
    "hour-as-half-of-all": (0.11 * HOUR, HOUR, 0.5),
    "hour-left": (8.0, HOUR, 0.05),
    "too-few-of-its-length": (50.0, 100.0, 0.5),
}
"""Seconds watched and of the video, and the weight to expect."""


@pytest.fixture
def settings(database_url: str, redis_url: str, nats_url: str, tmp_path: Path) -> Settings:
    made = of_popular_lists(database_url, redis_url, tmp_path)
    return made.model_copy(update={"bus_url": nats_url})


def _history() -> list[Interaction]:
    """Clips: a fifth are left between 30 % and 60 %, half are seen to the end.

    Hours: a third are left at once, half within a tenth, a fifth are seen beyond 40 %.
    """
    clips = [*np.linspace(0.3, 0.6, 100), *np.linspace(0.8, 0.95, 150), *[1.0] * 250]
    hours = [
        *[0.002] * 170,
        *np.linspace(0.01, 0.1, 80),
        *np.linspace(0.12, 0.39, 150),
        *np.linspace(0.45, 1.0, 100),
    ]
    return [
        msgspec.structs.replace(
            watch(f"{length} {number}", f"ww-{number}", "v000"),
            watched_seconds=float(share) * length,
            video_seconds=length,
        )
        for length, shares in ((CLIP, clips), (HOUR, hours))
        for number, share in enumerate(shares)
    ]


async def _count(settings: Settings, engine: AsyncEngine) -> None:
    jobs = PostgresJobs(engine, utc_now)
    job = await jobs.ask("shares", "test", {})
    await JobRunner(settings, engine, HANDLERS).run(job.id)
    ended = await jobs.get(job.id)
    assert (ended.status, ended.counts) == ("done", {"buckets": 2, "watches": 1_000})


async def _weights(engine: AsyncEngine, users: str) -> dict[str, float]:
    query = text("SELECT user_id, weight FROM interactions WHERE user_id LIKE :users")
    async with engine.connect() as connection:
        rows = await connection.execute(query, {"users": f"{users}%"})
        return {user_id.removeprefix(users): weight for user_id, weight in rows}


async def _publish(settings: Settings) -> None:
    connected = bus.bus_of(settings)
    for name, (watched, length, _) in CASES.items():
        event = {
            "specversion": "1.0",
            "id": name,
            "source": "test-watch-weights",
            "type": "VideoWatched",
            "time": utc_now(),
            "data": {
                "user_id": f"ww-event-{name}",
                "video_id": "v001",
                "watched_seconds": watched,
                "video_seconds": length,
            },
        }
        await connected.publish("analytics.video-watched", name, msgspec.json.encode(event))
    await connected.close()


async def test_a_watch_weighs_its_rank_among_those_of_its_length(
    settings: Settings, engine: AsyncEngine
) -> None:
    await store_videos(engine, ["v000", "v001"])
    await PostgresInteractions(engine).add_many(_history())
    await _count(settings, engine)
    expected = {name: pytest.approx(weight, abs=0.011) for name, (_, _, weight) in CASES.items()}

    await bus.setup(settings)
    await _publish(settings)
    consuming = asyncio.create_task(consume(settings, engine))
    try:
        while len(weights := await _weights(engine, "ww-event-")) < len(CASES):
            assert not consuming.done()
            await asyncio.sleep(0.05)
    finally:
        consuming.cancel()
        with suppress(asyncio.CancelledError):
            await consuming
    assert weights == expected

    async with services(settings) as given:
        for name, (watched, length, _) in CASES.items():
            told = NewWatch(
                user_id=UserId(f"ww-http-{name}"),
                video_id=VideoId("v001"),
                watched_seconds=watched,
                video_seconds=length,
            )
            await given.watching.record(told)
    assert await _weights(engine, "ww-http-") == expected


async def test_training_weighs_anew_what_came_before_anything_was_counted(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    await store_videos(engine, ["v000"])
    hours = [one for one in _history() if one.video_seconds == HOUR]
    assert {one.weight for one in hours} == {0.3}
    await PostgresInteractions(engine).add_many(hours)
    request = Request(
        model_id="m", attempt=uuid4(), model_type="als", version="als_1", parent=os.getpid()
    )
    artifacts = DirectoryArtifacts(tmp_path / "artifacts")
    data = await read(settings, request, artifacts, lambda *_: None)
    weights = dict(zip(data.histories.users, data.histories.weights.tolist(), strict=True))
    for user, weight in (("ww-0", 0.05), ("ww-249", 0.5), ("ww-399", 0.8), ("ww-499", 1.0)):
        assert weights[UserId(user)] == pytest.approx(weight, abs=0.011)

"""Imports into a real PostgreSQL and Redis: a second run adds nothing and loses nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.settings import Settings, load
from core.types import Interaction, UserId, UserState, Video
from ingest.demo import read_demo
from ingest.event_files import read_events
from ingest.feed import Feed
from ingest.movielens import read_movies, read_ratings
from ingest.report import Counts, Report
from ingest.sequences import read_pairs, read_titles
from ingest.video_files import read_videos
from ingest.weights import PLAIN
from storage.redis.client import connect
from storage.redis.users import RedisUserCache
from tests.patience import PATIENT_REDIS
from upnext.imports import import_feeds

pytestmark = pytest.mark.integration

REAL = Path(__file__).parents[3] / "shared" / "data" / "movielens-small"
Feeds = tuple[Feed[Video], Feed[Interaction]]


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return load({"postgres_url": database_url, "redis_url": redis_url})


async def rows(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return {
            table: (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()  # noqa: S608
            for table in ("videos", "interactions", "users")
        }


async def twice(
    settings: Settings, engine: AsyncEngine, feeds: Callable[[], Feeds]
) -> tuple[Report, Report]:
    """Import the same two times; the second must leave every table as it was."""
    reports = []
    counts = []
    for _ in range(2):
        videos, interactions = feeds()
        reports.append(await import_feeds(settings, videos=videos, interactions=interactions))
        counts.append(await rows(engine))
    first, again = reports
    assert counts[0] == counts[1]
    assert again.accepted == 0
    assert again.duplicates == first.accepted + first.duplicates
    assert again.rejected == first.rejected
    return first, again


async def test_movielens(settings: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,One (1995),Drama\n2,Two,War\n")
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,4.0,1260759144\n1,2,5.0,1260759145\n"
        "2,1,9.0,1260759144\n2,1,3.0,1260759144\n2,1,3.0,1260759144\n"
    )
    first, again = await twice(
        settings, engine, lambda: (read_movies(tmp_path), read_ratings(tmp_path, utc_now))
    )
    assert first.videos == Counts(accepted=2)
    assert first.interactions == Counts(accepted=3, duplicates=1, rejected=1)
    assert again.interactions == Counts(duplicates=4, rejected=1)
    assert await rows(engine) == {"videos": 2, "interactions": 3, "users": 2}


async def test_sequences(settings: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    pairs, titles = tmp_path / "pairs.tsv", tmp_path / "titles.csv"
    pairs.write_text("1\t10 11 10\n2\t12\n")
    titles.write_text('item,title\n10,"Ten # fun"\n11,Eleven\n')
    first, _ = await twice(settings, engine, lambda: (read_titles(titles), read_pairs(pairs)))
    assert first.videos == Counts(accepted=2)
    assert first.interactions == Counts(accepted=4)


async def test_files(settings: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    videos, events = tmp_path / "v.ndjson", tmp_path / "e.csv"
    videos.write_bytes(b'{"id":1,"title":"One","genres":["a"]}\n{"id":2}\n')
    events.write_text(
        "user_id,video_id,occurred_at,watched_seconds\n"
        "1,1,2025-01-01T00:00:00Z,9\n1,1,2025-01-01T00:00:00Z,9\n1,,2025-01-01,\n"
    )
    first, _ = await twice(
        settings, engine, lambda: (read_videos(videos), read_events(events, utc_now, lambda: PLAIN))
    )
    assert first.videos == Counts(accepted=1, rejected=1)
    assert first.interactions == Counts(accepted=1, duplicates=1, rejected=1)

    videos.write_bytes(b'{"id":1,"title":"One, changed"}\n')
    changed = await import_feeds(settings, videos=read_videos(videos))
    assert changed.videos == Counts(accepted=1)


async def test_the_demo(settings: Settings, engine: AsyncEngine) -> None:
    videos, events = read_demo()
    first = await import_feeds(settings, videos=videos, interactions=events)
    assert (first.videos.accepted, first.rejected) == (2_000, 0)
    counts = await rows(engine)
    assert (counts["videos"], counts["users"]) == (2_000, 500)
    assert counts["interactions"] == first.interactions.accepted
    later = read_demo(end=datetime(2026, 2, 1, tzinfo=UTC))[1]
    assert (await import_feeds(settings, interactions=later)).accepted == 0
    videos, events = read_demo()
    again = await import_feeds(settings, videos=videos, interactions=events)
    assert again.accepted == 0
    assert await rows(engine) == counts


async def test_kept_states_of_touched_users_are_dropped(
    settings: Settings, redis_url: str, tmp_path: Path
) -> None:
    events = tmp_path / "events.ndjson"
    row = {"user_id": tmp_path.name, "video_id": "1", "occurred_at": "2025-01-01T00:00:00Z"}
    events.write_bytes(msgspec.json.encode(row))
    client = connect(redis_url, PATIENT_REDIS)
    cache, user = RedisUserCache(client), UserId(tmp_path.name)
    empty = UserState(user, 0, (), np.empty(0, np.uint64))
    await cache.put_state(empty)
    assert await cache.state(user) is not None
    report = await import_feeds(settings, interactions=read_events(events, utc_now, lambda: PLAIN))
    assert (report.accepted, report.warnings) == (1, [])
    assert await cache.state(user) is None
    await cache.put_state(empty)
    assert await cache.state(user) is None
    await client.aclose()


async def test_without_redis_the_data_arrives_with_a_warning(
    database_url: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    (tmp_path / "e.csv").write_text("user_id,video_id,occurred_at\n1,1,2025-01-01\n")
    settings = load({"postgres_url": database_url, "redis_url": f"unix://{tmp_path}/nobody.sock"})
    report = await import_feeds(
        settings, interactions=read_events(tmp_path / "e.csv", utc_now, lambda: PLAIN)
    )
    assert report.accepted == 1
    assert "Redis did not answer" in report.warnings[0]
    assert (await rows(engine))["interactions"] == 1


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/movielens-small is not there")
async def test_the_real_movielens(settings: Settings, engine: AsyncEngine) -> None:
    first, _ = await twice(
        settings, engine, lambda: (read_movies(REAL), read_ratings(REAL, utc_now))
    )
    assert first.videos == Counts(accepted=9_125)
    assert first.interactions == Counts(accepted=100_004)
    assert await rows(engine) == {"videos": 9_125, "interactions": 100_004, "users": 671}

"""What every catalogue promises: the last write of an id wins, and replicas hear what changed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
import numpy as np
import pytest

from core.clock import days, utc_now
from core.types import (
    AddCounts,
    Change,
    ChangeCursor,
    Interaction,
    PopularityRow,
    StoredVideo,
    UpsertCounts,
    Video,
    VideoId,
)
from storage.memory.history import MemoryHistory
from storage.memory.videos import MemoryVideos
from storage.postgres.changes import PostgresChanges
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.videos import PostgresVideos
from tests.histories import START, watch
from tests.news import read_changes

pytestmark = pytest.mark.contract

FULL = Video(
    id=VideoId("full"),
    title="Tëst 'quoted' \\ \"double\"",
    description="Two\nlines",
    genres=("drama", "sci-fi, crime"),
    duration_seconds=5400.5,
    language="en",
    creator_id="c1",
    published_at=datetime(2020, 5, 1, 12, 30, 0, 123456, tzinfo=UTC),
    available=False,
    available_from=datetime(2020, 1, 1, tzinfo=UTC),
    available_until=datetime(2030, 1, 1, tzinfo=UTC),
    regions=("DE", "FR"),
    maturity=16,
)
BARE = Video(id=VideoId("bare"), title="Bare")


class Catalogue(Protocol):
    async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts: ...
    async def get_many(self, ids: Sequence[VideoId]) -> list[Video]: ...
    async def find(self, video_id: VideoId) -> StoredVideo | None: ...
    async def take_down(self, video_id: VideoId) -> bool: ...
    async def count(self) -> int: ...
    async def popularity(self, since: datetime | None) -> list[PopularityRow]: ...
    async def popularity_of(self, ids: Sequence[VideoId]) -> list[PopularityRow]: ...
    def stream(self) -> AsyncIterator[Sequence[Video]]: ...


class Stores(msgspec.Struct):
    videos: Catalogue
    add: Callable[[Sequence[Interaction]], Awaitable[AddCounts]]
    changes: Callable[[int], Awaitable[list[Change]]]


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        history = MemoryHistory()
        videos = MemoryVideos(history)
        return Stores(videos, history.add_many, lambda _: _noted(videos))
    engine = request.getfixturevalue("engine")
    add = PostgresInteractions(engine).add_many
    return Stores(PostgresVideos(engine), add, lambda n: _read(PostgresChanges(engine), n))


async def _noted(videos: MemoryVideos) -> list[Change]:
    return list(videos.changes)


async def _read(changes: PostgresChanges, count: int) -> list[Change]:
    found, _ = await read_changes(changes, ChangeCursor(), count)
    return found


async def test_every_field_comes_back(stores: Stores) -> None:
    assert await stores.videos.upsert_many([FULL, BARE]) == UpsertCounts(2, 0)
    assert await stores.videos.get_many([FULL.id]) == [FULL]
    assert await stores.videos.get_many([BARE.id]) == [BARE]


async def test_writing_again_counts_what_changed(stores: Stores) -> None:
    await stores.videos.upsert_many([FULL, BARE])
    taken_down = msgspec.structs.replace(BARE, available=False)
    new = msgspec.structs.replace(BARE, id=VideoId("new"))
    assert await stores.videos.upsert_many([FULL, taken_down, new]) == UpsertCounts(1, 1)
    assert await stores.videos.get_many([BARE.id]) == [taken_down]
    assert await stores.videos.count() == 3


async def test_the_last_of_equal_ids_wins(stores: Stores) -> None:
    later = msgspec.structs.replace(BARE, title="Later")
    assert await stores.videos.upsert_many([BARE, later]) == UpsertCounts(1, 0)
    assert await stores.videos.get_many([BARE.id]) == [later]


async def test_replicas_hear_of_what_changed_and_of_nothing_else(stores: Stores) -> None:
    await stores.videos.upsert_many([FULL, BARE])
    await stores.videos.upsert_many([FULL, BARE])
    await stores.videos.upsert_many([FULL, msgspec.structs.replace(BARE, maturity=12)])
    assert [(c.kind, sorted(c.keys)) for c in await stores.changes(2)] == [
        ("video", ["bare", "full"]),
        ("video", ["bare"]),
    ]


async def test_what_is_not_there_is_left_out(stores: Stores) -> None:
    assert await stores.videos.get_many([VideoId("none")]) == []
    assert [page async for page in stores.videos.stream()] == []
    assert await stores.videos.upsert_many([]) == UpsertCounts(0, 0)
    await stores.videos.upsert_many([FULL])
    assert await stores.videos.get_many([VideoId("none"), FULL.id]) == [FULL]


async def test_the_stream_gives_every_video_once_by_id(stores: Stores) -> None:
    many = [Video(id=VideoId(f"v{i:04}"), title=f"Video {i}") for i in range(2500)]
    await stores.videos.upsert_many(list(reversed(many)))
    assert [video async for page in stores.videos.stream() for video in page] == many


async def test_popularity_is_the_log_of_decayed_sums(stores: Stores) -> None:
    await stores.add([watch("1", "u1", "a", weight=0.25), watch("2", "u2", "b", weight=0)])
    await stores.add([watch("3", "u1", "a", hours=48, weight=0.5)])
    rows = {row.video_id: row for row in await stores.videos.popularity(None)}
    day = days(START)
    a = rows[VideoId("a")]
    assert a.watches == 2
    assert a.log2_slow == pytest.approx(day / 14 + np.log2(0.25 + 0.5 * 2 ** (2 / 14)), abs=1e-9)
    assert a.log2_fast == pytest.approx(day + np.log2(0.25 + 0.5 * 2**2), abs=1e-9)
    assert rows[VideoId("b")] == PopularityRow(VideoId("b"), 1, -np.inf, -np.inf)


async def test_popularity_since_leaves_out_what_did_not_move(stores: Stores) -> None:
    await stores.add([watch("1", "u1", "a")])
    assert [row.video_id for row in await stores.videos.popularity(START)] == ["a"]
    assert await stores.videos.popularity(utc_now() + timedelta(minutes=1)) == []


async def test_popularity_of_some_is_as_of_all(stores: Stores) -> None:
    await stores.add([watch("1", "u1", "a"), watch("2", "u1", "b"), watch("3", "u2", "a")])
    [everything] = [row for row in await stores.videos.popularity(None) if row.video_id == "a"]
    assert await stores.videos.popularity_of([VideoId("a"), VideoId("none")]) == [everything]
    assert await stores.videos.popularity_of([]) == []


async def test_a_change_is_dated_and_a_repeat_is_none(stores: Stores) -> None:
    videos = stores.videos
    await videos.upsert_many([BARE])
    first = await videos.find(BARE.id)
    assert first is not None
    assert first.video == BARE
    assert abs(utc_now() - first.updated_at) < timedelta(minutes=1)
    await videos.upsert_many([BARE])
    assert await videos.find(BARE.id) == first
    await videos.upsert_many([msgspec.structs.replace(BARE, title="Other")])
    other = await videos.find(BARE.id)
    assert other is not None
    assert (other.video.title, other.updated_at > first.updated_at) == ("Other", True)
    assert await videos.find(VideoId("none")) is None


async def test_a_take_down_is_told_once(stores: Stores) -> None:
    await stores.videos.upsert_many([BARE])
    assert [await stores.videos.take_down(BARE.id) for _ in range(2)] == [True, True]
    assert not await stores.videos.take_down(VideoId("none"))
    assert await stores.videos.get_many([BARE.id]) == [
        msgspec.structs.replace(BARE, available=False)
    ]
    await stores.videos.upsert_many([FULL])
    assert [change.keys for change in await stores.changes(3)] == [("bare",), ("bare",), ("full",)]

"""What every store of impressions promises: exact totals, and watches traced to their source."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.impressions import ImpressionCount, Outcome, ServedList
from core.types import Interaction, Source, VideoId
from storage.memory.history import MemoryHistory
from storage.memory.impressions import MemoryImpressions
from storage.postgres.impressions import PostgresImpressions
from storage.postgres.interactions import PostgresInteractions
from tests.histories import START, watch

pytestmark = pytest.mark.contract


class Impressions(Protocol):
    async def record(
        self, writer: str, counts: Sequence[ImpressionCount], lists: Sequence[ServedList]
    ) -> None: ...
    async def since(self, start: datetime) -> list[Outcome]: ...


class Stores(msgspec.Struct):
    impressions: Impressions
    history: MemoryHistory | PostgresInteractions


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        history = MemoryHistory()
        return Stores(MemoryImpressions(history), history)
    engine = request.getfixturevalue("engine")
    return Stores(PostgresImpressions(engine), PostgresInteractions(engine))


def counted(
    lists: int, videos: int, source: Source | None = None, *, minute: int = 0, version: str | None
) -> ImpressionCount:
    return ImpressionCount(
        minute=START + timedelta(minutes=minute),
        model_version=version,
        config_version=2,
        source=source,
        lists=lists,
        videos=videos,
    )


def served(name: str, *entries: tuple[str, Source]) -> ServedList:
    return ServedList(
        recommendation_id=name,
        model_version="als_1",
        config_version=2,
        entries=tuple((VideoId(video), source) for video, source in entries),
    )


def following(
    video: str, recommendation_id: str, minute: float = 0, *, user: str = "u"
) -> Interaction:
    plain = watch(uuid4().hex, user, video, hours=minute / 60)
    return msgspec.structs.replace(plain, recommendation_id=recommendation_id)


async def found(stores: Stores, minute: int = 0) -> dict[object, tuple[int, int, int]]:
    rows = await stores.impressions.since(START + timedelta(minutes=minute))
    return {
        (row.model_version, row.config_version, row.source): (row.lists, row.videos, row.watches)
        for row in rows
    }


async def test_counts_of_all_writers_and_minutes_add_up(stores: Stores) -> None:
    record = stores.impressions.record
    await record("a", [counted(1, 10, version=None), counted(2, 20, minute=1, version=None)], [])
    await record("b", [counted(4, 40, version=None), counted(3, 9, "new", version=None)], [])
    assert await found(stores) == {(None, 2, None): (7, 70, 0), (None, 2, "new"): (3, 9, 0)}
    assert await found(stores, minute=1) == {(None, 2, None): (2, 20, 0)}
    assert await found(stores, minute=2) == {}


async def test_a_writer_sets_its_counts_and_may_repeat_itself(stores: Stores) -> None:
    lists = [served("r", ("x", "new"))]
    for total in (1, 1, 5, 5):
        await stores.impressions.record("a", [counted(total, total, version="m")], lists)
    await stores.history.add_many([following("x", "r")])
    assert await found(stores) == {
        ("m", 2, None): (5, 5, 0),
        ("als_1", 2, None): (0, 0, 1),
        ("als_1", 2, "new"): (0, 0, 1),
    }


async def test_a_watch_follows_from_the_source_that_found_its_video(stores: Stores) -> None:
    lists = [
        served("r1", ("a", "nearest"), ("b", "popular")),
        served("r1", ("a", "nearest"), ("b", "popular"), ("c", "trending")),
        served("r2", ("a", "similar")),
    ]
    await stores.impressions.record("w", [counted(3, 6, version="als_1")], lists)
    await stores.history.add_many(
        [
            following("a", "r1"),
            following("b", "r1"),
            following("b", "r1", minute=3),  # the same user again
            following("b", "r1", minute=3, user="v"),
            following("c", "r1"),
            following("a", "r2"),
            following("z", "r1"),  # not in that list
            following("a", "r3"),  # of no list that was served
            watch("plain", "u", "a"),
        ]
    )
    assert await found(stores) == {
        ("als_1", 2, None): (3, 6, 5),
        ("als_1", 2, "nearest"): (0, 0, 1),
        ("als_1", 2, "popular"): (0, 0, 2),
        ("als_1", 2, "trending"): (0, 0, 1),
        ("als_1", 2, "similar"): (0, 0, 1),
    }
    assert await found(stores, minute=3) == {
        ("als_1", 2, None): (0, 0, 2),
        ("als_1", 2, "popular"): (0, 0, 2),
    }


async def test_nothing_in_nothing_out(stores: Stores) -> None:
    await stores.impressions.record("a", [], [])
    assert await found(stores) == {}


async def test_writers_of_the_same_lists_never_deadlock(stores: Stores) -> None:
    lists = [served(f"r{number}", ("a", "nearest"), ("b", "new")) for number in range(200)]
    await asyncio.gather(
        *(
            stores.impressions.record(
                f"w{writer}", [counted(1, 2, version="m")], lists[:: 1 if writer % 2 else -1]
            )
            for writer in range(8)
        )
    )
    await stores.history.add_many([following("b", f"r{number}") for number in range(200)])
    assert await found(stores) == {
        ("m", 2, None): (8, 16, 0),
        ("als_1", 2, None): (0, 0, 200),
        ("als_1", 2, "new"): (0, 0, 200),
    }


async def test_what_is_old_is_forgotten(engine: AsyncEngine) -> None:
    impressions, history = PostgresImpressions(engine), PostgresInteractions(engine)
    stores = Stores(impressions, history)
    counts = [counted(1, 2, minute=minute, version="m") for minute in (0, 1)]
    await impressions.record("w", counts, [served("r", ("a", "new"))])
    await history.add_many([following("a", "r")])
    await impressions.prune(START + timedelta(minutes=1))
    assert await found(stores) == {
        ("m", 2, None): (1, 2, 0),
        ("als_1", 2, None): (0, 0, 1),
        ("als_1", 2, "new"): (0, 0, 1),
    }
    await impressions.prune(utc_now() + timedelta(minutes=1))
    assert await found(stores) == {}

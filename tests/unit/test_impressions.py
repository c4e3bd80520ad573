"""Counting what is served: one increment a request, exact totals, whatever fails in between."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count as numbers

import pytest

from api.impressions import COUNTED_AT_ONCE, Impressions, Shown
from core.errors import Unavailable
from core.impressions import ImpressionCount, Outcome, ServedList
from core.types import Source, VideoId
from storage.memory.impressions import MemoryImpressions
from tests.catalogues import NOW

pytestmark = pytest.mark.unit
FIRST = NOW.replace(second=0)
_numbers = numbers()


class Store(MemoryImpressions):
    """A store that can be away, or lose the answer to what it has written."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.loses_answers = False
        self.kept: list[str] = []

    async def record(
        self, writer: str, counts: Sequence[ImpressionCount], lists: Sequence[ServedList]
    ) -> None:
        if self.away:
            raise Unavailable("postgres")
        await super().record(writer, counts, lists)
        self.kept += [served.recommendation_id for served in lists]
        if self.loses_answers:
            raise Unavailable("postgres")


class Time:
    def __init__(self) -> None:
        self.now = FIRST

    def __call__(self) -> datetime:
        return self.now


def shown(*sources: Source) -> Shown:
    entries = tuple((VideoId(f"v{row}"), source) for row, source in enumerate(sources))
    return Shown(f"r{next(_numbers)}", "als_1", 3, entries)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def impressions(store: Store, time: Time) -> Impressions:
    return Impressions(store, writer="w", clock=time)


async def totals(store: Store, since: datetime = FIRST) -> dict[Source | None, tuple[int, int]]:
    return {row.source: (row.lists, row.videos) for row in await store.since(since)}


async def test_lists_and_videos_are_counted_by_source(
    impressions: Impressions, store: Store
) -> None:
    first, second = shown("nearest", "nearest", "popular"), shown("popular")
    for entry in (first, first, second, first):
        impressions.count(entry)
    await impressions.flush()
    found = await store.since(FIRST)
    assert Outcome(
        model_version="als_1", config_version=3, source="nearest", lists=3, videos=6, watches=0
    ) in found  # fmt: skip
    assert await totals(store) == {None: (4, 10), "nearest": (3, 6), "popular": (4, 4)}
    assert store.kept == [first.recommendation_id, second.recommendation_id]


async def test_a_list_is_written_once_and_counted_each_time(
    impressions: Impressions, store: Store, time: Time
) -> None:
    entry = shown("new")
    for _ in range(5):
        impressions.count(entry)
        await impressions.flush()
        time.now += timedelta(seconds=25)
    assert await totals(store) == {None: (5, 5), "new": (5, 5)}
    assert await totals(store, FIRST + timedelta(minutes=1)) == {None: (2, 2), "new": (2, 2)}
    assert len(store.kept) == 1


async def test_what_could_not_be_written_is_written_later_in_its_own_minute(
    impressions: Impressions, store: Store, time: Time
) -> None:
    store.away = True
    for _ in range(3):
        impressions.count(shown("trending"))
        with pytest.raises(Unavailable):
            await impressions.flush()
        time.now += timedelta(minutes=1)
    store.away = False
    await impressions.flush()
    assert await totals(store) == {None: (3, 3), "trending": (3, 3)}
    assert await totals(store, FIRST + timedelta(minutes=2)) == {None: (1, 1), "trending": (1, 1)}
    assert len(store.kept) == 3


async def test_a_lost_answer_counts_nothing_twice(impressions: Impressions, store: Store) -> None:
    impressions.count(shown("new"))
    store.loses_answers = True
    with pytest.raises(Unavailable):
        await impressions.flush()
    store.loses_answers = False
    impressions.count(shown("new"))
    await impressions.flush()
    assert await totals(store) == {None: (2, 2), "new": (2, 2)}


async def test_a_clock_that_goes_back_takes_nothing_away(
    impressions: Impressions, store: Store, time: Time
) -> None:
    for minutes in (0, 1, -1):
        time.now += timedelta(minutes=minutes)
        impressions.count(shown("new"))
        await impressions.flush()
    assert await totals(store) == {None: (3, 3), "new": (3, 3)}


async def test_of_lists_that_wait_the_oldest_are_given_up(store: Store) -> None:
    impressions = Impressions(store, writer="w", clock=lambda: FIRST, most_lists=2)
    entries = [shown("new") for _ in range(5)]
    store.away = True
    for entry in entries:
        impressions.count(entry)
    with pytest.raises(Unavailable):
        await impressions.flush()
    store.away = False
    await impressions.flush()
    assert store.kept == [entry.recommendation_id for entry in entries[-2:]]
    assert (await totals(store))[None] == (5, 5)


async def test_after_an_outage_of_more_than_a_day_old_counts_are_gone(
    impressions: Impressions, store: Store, time: Time
) -> None:
    store.away = True
    impressions.count(shown("new"))
    with pytest.raises(Unavailable):
        await impressions.flush()
    time.now += timedelta(hours=26)
    impressions.count(shown("popular"))
    store.away = False
    await impressions.flush()
    assert await totals(store) == {None: (1, 1), "popular": (1, 1)}


async def test_a_flush_that_is_cancelled_leaves_the_rest_to_the_last_one(
    impressions: Impressions, store: Store
) -> None:
    for _ in range(3 * COUNTED_AT_ONCE):
        impressions.count(shown("new"))
    flush = asyncio.create_task(impressions.flush())
    await asyncio.sleep(0)  # it has begun, and lets others run
    flush.cancel()
    await asyncio.wait([flush])
    assert (flush.cancelled(), store.kept) == (True, [])
    await impressions.flush()
    assert (await totals(store))[None] == (3 * COUNTED_AT_ONCE, 3 * COUNTED_AT_ONCE)
    assert len(store.kept) == 3 * COUNTED_AT_ONCE

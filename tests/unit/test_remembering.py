"""What is like a video is asked for once, and what is remembered is what the index would say."""

import asyncio

import numpy as np
import pytest

from api.remembering import KEPT_SECONDS, Remembering
from storage.memory.index import MemoryIndex, MemorySearch
from tests.catalogues import DIM, random_vectors
from tests.counted_search import TEXTS, VIDEOS, Counted

pytestmark = pytest.mark.unit


class Clock:
    """A clock that goes when it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_each_vector_is_asked_for_once_and_hits_are_the_same() -> None:
    counted = Counted()
    search = Remembering(counted)
    texts = random_vectors(6)
    first = await search.search(TEXTS, texts[:4], 100)
    again = await search.search(TEXTS, texts[[5, 0, 3, 0]], 70)
    assert counted.asked == [(TEXTS, 4, 128), (TEXTS, 1, 128)]
    alone = await counted.alone.search(TEXTS, texts, 100)
    assert [hits.ids for hits in first] == [hits.ids for hits in alone[:4]]
    for hits, at in zip(again, (5, 0, 3, 0), strict=True):
        assert hits.ids == alone[at].ids[:70]
        assert hits.scores == pytest.approx(alone[at].scores[:70])


async def test_more_than_is_remembered_is_asked_for() -> None:
    counted = Counted()
    search = Remembering(counted)
    text = random_vectors(1)
    for k in (10, 150, 20):
        [hits] = await search.search(TEXTS, text, k)
        [alone] = await counted.alone.search(TEXTS, text, k)
        assert hits.ids == alone.ids
    assert [k for _, _, k in counted.asked] == [64, 192]


async def test_what_is_near_a_user_is_always_asked() -> None:
    counted = Counted()
    search = Remembering(counted)
    for _ in range(2):
        await search.search(VIDEOS, random_vectors(1), 10)
    assert counted.asked == [(VIDEOS, 1, 10)] * 2


async def test_it_forgets_after_a_while_and_when_there_are_new_videos() -> None:
    counted, clock, segments = Counted(), Clock(), [1]
    search = Remembering(counted, generation=lambda: tuple(segments), clock=clock)
    text = random_vectors(1)

    async def asks() -> int:
        before = len(counted.asked)
        await search.search(TEXTS, text, 10)
        return len(counted.asked) - before

    assert [await asks(), await asks()] == [1, 0]
    clock.now += KEPT_SECONDS
    assert [await asks(), await asks()] == [1, 0]
    segments.append(2)
    assert [await asks(), await asks()] == [1, 0]


async def test_a_stand_ins_answer_is_not_remembered() -> None:
    counted = Counted()
    search = Remembering(counted)
    counted.without = "milvus"
    [hits] = await search.search(TEXTS, random_vectors(1), 10)
    assert hits.without == "milvus"
    counted.without = None
    [hits] = await search.search(TEXTS, random_vectors(1), 10)
    assert hits.without is None
    assert len(counted.asked) == 2


async def test_only_so_many_are_remembered_the_last_ones() -> None:
    counted = Counted()
    search = Remembering(counted, most_kept=2)
    a, b, c = (row[np.newaxis] for row in random_vectors(3))
    for vector in (a, b, c, c, b, a):
        await search.search(TEXTS, vector, 5)
    assert len(counted.asked) == 4  # a was forgotten for c


async def test_an_empty_index_has_nothing_to_remember() -> None:
    index = MemoryIndex()
    index.create(TEXTS, DIM)
    search = Remembering(MemorySearch(index))
    for _ in range(2):
        [hits] = await search.search(TEXTS, random_vectors(1), 5)
        assert hits.ids == ()


async def test_what_was_asked_for_before_new_videos_came_is_not_remembered() -> None:
    counted, segments = Counted(), [1]
    search = Remembering(counted, generation=lambda: tuple(segments))
    texts = random_vectors(2)
    late = asyncio.create_task(search.search(TEXTS, texts[:1], 10))
    await asyncio.sleep(0)  # it has asked, and waits
    segments.append(2)
    await search.search(TEXTS, texts[1:], 10)  # the first who knows of the new ones
    await late
    await search.search(TEXTS, texts, 10)
    assert [vectors for _, vectors, _ in counted.asked] == [1, 1, 1]

"""What is like a video is asked for once, and what is remembered is what the index would say."""

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from api.remembering import KEPT_SECONDS, Remembering
from core.types import Hits
from storage.memory.index import MemoryIndex, MemorySearch
from tests.catalogues import DIM, random_vectors

pytestmark = pytest.mark.unit
VIDEOS, TEXTS = "videos_1", "content_1"


class Counted:
    """A search that remembers what it was asked; `without` is who stands in for it."""

    def __init__(self) -> None:
        index = MemoryIndex()
        for seed, collection in enumerate((VIDEOS, TEXTS)):
            index.create(collection, DIM)
            names = [f"v{number:03}" for number in range(200)]
            list(index.insert(collection, names, random_vectors(200, seed=seed)))
        self.alone = MemorySearch(index)
        self.asked: list[tuple[str, int, int]] = []
        self.without: str | None = None

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self.asked.append((collection, len(vectors), k))
        found = await self.alone.search(collection, vectors, k)
        return [replace(hits, without=self.without) for hits in found]


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


async def test_what_was_asked_for_before_new_videos_came_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Counted()
    now, go_on = 1, asyncio.Event()
    search = Remembering(counted, generation=lambda: now)
    alone, texts = counted.alone.search, random_vectors(2)

    async def slow(*args: Any) -> list[Hits]:
        found = await alone(*args)
        await go_on.wait()
        return found

    monkeypatch.setattr(counted.alone, "search", slow)
    late = asyncio.create_task(search.search(TEXTS, texts[:1], 10))
    await asyncio.sleep(0)
    monkeypatch.undo()
    now = 2
    await search.search(TEXTS, texts[1:], 10)  # the first who knows of the new ones
    go_on.set()
    await late
    await search.search(TEXTS, texts, 10)
    assert [vectors for _, vectors, _ in counted.asked] == [1, 1, 1]

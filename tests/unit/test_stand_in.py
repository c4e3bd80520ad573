import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from core.errors import Unavailable
from core.types import Hits, UserId, VideoId
from retrieval.exact import ExactSearch
from retrieval.stand_in import StandIn
from tests.serving import World

pytestmark = pytest.mark.unit

QUERY = np.ones((1, 2), dtype=np.float32)
PAUSE = 5.0


class Search:
    """Answers with its name, does not, or hangs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.away = False
        self.hangs = False
        self.asked = 0

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable(self.name, f"{self.name} has no {collection}")
        return [Hits((VideoId(self.name),), np.ones(1, np.float32))] * min(len(vectors), k)


class Both:
    """A stand-in for a breakable index, at a time that the test sets."""

    def __init__(self, patience: float = 5.0) -> None:
        self.now = 100.0
        self.index, self.exact = Search("milvus"), Search("exact")
        self.search = StandIn(
            self.index,
            self.exact,
            patience_seconds=patience,
            pause_seconds=PAUSE,
            clock=lambda: self.now,
        )

    async def ask(self) -> tuple[str, str | None]:
        [hits] = await self.search.search("videos_1", QUERY, 5)
        return hits.ids[0], hits.without


async def test_an_index_that_answers_is_the_only_one_asked() -> None:
    both = Both()
    assert await both.ask() == ("milvus", None)
    assert both.exact.asked == 0


async def test_a_failure_is_answered_exactly_and_the_index_left_alone_for_a_while() -> None:
    both = Both()
    both.index.away = True
    assert [await both.ask() for _ in range(4)] == [("exact", "milvus")] * 4
    assert both.index.asked == 1
    both.now += PAUSE
    assert [await both.ask() for _ in range(4)] == [("exact", "milvus")] * 4
    assert both.index.asked == 2


async def test_it_is_asked_again_by_all_once_it_answered() -> None:
    both = Both()
    both.index.away = True
    with capture_logs() as logs:
        await both.ask()
        both.index.away = False
        assert await both.ask() == ("exact", "milvus")
        both.now += PAUSE
        assert [await both.ask() for _ in range(2)] == [("milvus", None)] * 2
    assert [line["log_level"] for line in logs] == ["warning", "info"]


async def test_a_hanging_index_costs_its_patience_once() -> None:
    both = Both(patience=0.01)
    both.index.hangs = True
    async with asyncio.timeout(5):
        assert [await both.ask() for _ in range(3)] == [("exact", "milvus")] * 3
    assert both.index.asked == 1


async def test_only_one_waits_for_an_index_that_may_be_back() -> None:
    both = Both()
    both.index.away = True
    await both.ask()
    both.index.hangs = True
    both.now += PAUSE
    probing = asyncio.create_task(both.ask())
    await asyncio.sleep(0)
    assert [await both.ask() for _ in range(3)] == [("exact", "milvus")] * 3
    assert both.index.asked == 2
    assert not probing.done()
    probing.cancel()  # its caller has gone: the next pause brings another
    with pytest.raises(asyncio.CancelledError):
        await probing
    both.index.hangs = both.index.away = False
    both.now += PAUSE
    assert await both.ask() == ("milvus", None)


async def test_without_either_the_error_names_the_index_and_both_reasons() -> None:
    both = Both()
    both.index.away = both.exact.away = True
    with pytest.raises(Unavailable, match=r"milvus has no videos_1; exact has no videos_1") as told:
        await both.ask()
    assert told.value.dependency == "milvus"


@pytest.fixture
def world() -> World:
    """A service whose index is away."""
    world = World()
    world.search.away = True
    exact = ExactSearch(world.live.open_versions, most_bytes=1_000_000)
    world.search = StandIn(world.search, exact, patience_seconds=5)
    world.recommender = world._recommender()
    return world


async def test_lists_stay_personal_and_say_what_was_away(world: World) -> None:
    await world.watched("ann", "v000", "v003", "v006")
    for _ in range(2):
        answer = await world.recommender.recommend(UserId("ann"), 10)
        assert answer.metadata.degraded == ("milvus",)
        assert not answer.metadata.cache_hit  # so that the next one says it, or no longer does
        assert {entry.genre for entry in answer.recommendations} == {"drama"}
        assert "nearest" in {entry.source for entry in answer.recommendations}


async def test_similar_videos_stay_right_and_say_what_was_away(world: World) -> None:
    answer = await world.recommender.similar(VideoId("v000"), 10)
    assert answer.metadata.degraded == ("milvus",)
    assert {entry.genre for entry in answer.recommendations} == {"drama"}

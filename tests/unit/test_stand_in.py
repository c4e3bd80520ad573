from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from api.answers import Asked
from core.errors import Unavailable
from core.types import Hits, UserId, VideoId
from retrieval.exact import ExactSearch
from retrieval.stand_in import StandIn
from tests.serving import World

pytestmark = pytest.mark.unit

QUERY = np.ones((1, 2), dtype=np.float32)


class Search:
    """Answers with its name, or does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.away = False
        self.asked = 0

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self.asked += 1
        if self.away:
            raise Unavailable(self.name, f"{self.name} has no {collection}")
        return [Hits((VideoId(self.name),), np.ones(1, np.float32))] * min(len(vectors), k)


class Both:
    """A stand-in for a breakable index."""

    def __init__(self) -> None:
        self.index, self.exact = Search("milvus"), Search("exact")
        self.search = StandIn(self.index, self.exact)

    async def ask(self) -> tuple[str, str | None]:
        [hits] = await self.search.search("videos_1", QUERY, 5)
        return hits.ids[0], hits.without


async def test_an_index_that_answers_is_the_only_one_asked() -> None:
    both = Both()
    assert await both.ask() == ("milvus", None)
    assert both.exact.asked == 0


async def test_a_failure_is_answered_exactly_until_the_index_is_back() -> None:
    both = Both()
    both.index.away = True
    assert await both.ask() == ("exact", "milvus")
    both.index.away = False
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
    world = World(local_bytes=1_000_000)
    world.search.away = True
    exact = ExactSearch(world.live.open_versions, most_bytes=1_000_000)
    world.search = StandIn(world.search, exact)
    world.recommender = world._recommender()
    return world


async def test_lists_stay_personal_and_say_what_was_away(world: World) -> None:
    await world.watched("ann", "v000", "v003", "v006")
    for seconds, kept in ((0, False), (4, True), (1, False)):  # so that it is soon said no longer
        world.now += timedelta(seconds=seconds)
        answer = await world.recommender.recommend(Asked(UserId("ann"), 10))
        assert answer.metadata.degraded == ("milvus",)
        assert answer.metadata.cache_hit == kept
        assert {entry.genre for entry in answer.recommendations} == {"drama"}
        assert "nearest" in {entry.source for entry in answer.recommendations}


async def test_similar_videos_stay_right_and_say_what_was_away(world: World) -> None:
    answer = await world.recommender.similar(VideoId("v000"), 10)
    assert answer.metadata.degraded == ("milvus",)
    assert {entry.genre for entry in answer.recommendations} == {"drama"}

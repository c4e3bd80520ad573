"""More than can be made: answers from what is there, which ask neither the index nor PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from api.answers import Asked
from core.types import Filters, UserId, VideoId
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
ANN = UserId("ann")


@asynccontextmanager
async def filled(world: World) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(16):
            await stack.enter_async_context(world.admission.enter())
        yield


@pytest.fixture
async def full() -> AsyncIterator[World]:
    """A world whose process makes as many lists as it can, for other users."""
    world = World()
    await world.watched("ann", *NAMES[-3:])
    async with filled(world):
        yield world


async def test_a_cold_user_gets_the_popular_list_and_nobody_is_asked(full: World) -> None:
    answer = await full.recommender.recommend(Asked(ANN), must_exist=True)
    assert answer.metadata.degraded == ("overload",)
    assert not answer.metadata.cold_start  # nobody looked
    assert {entry.source for entry in answer.recommendations} == {"popular"}
    assert (full.history.calls, full.search.calls) == ([], [])


async def test_one_whose_state_is_kept_gets_it_without_what_they_watched(full: World) -> None:
    state = await full.history_store.state(ANN, 50)
    assert state is not None
    await full.cache.put_state(state)
    answer = await full.recommender.recommend(Asked(ANN))
    shown = [entry.content_id for entry in answer.recommendations]
    assert len(shown) == 10
    assert not {*shown} & {*NAMES[-3:]}  # the most popular three
    assert (full.history.calls, full.search.calls) == ([], [])


@pytest.mark.parametrize(
    "asked",
    [
        Asked(ANN, filters=Filters(genres=frozenset({"drama"}))),
        Asked(ANN, explain=True),
        Asked(ANN, list_type="trending"),
    ],
)
async def test_what_is_never_kept_gives_way_too(full: World, asked: Asked) -> None:
    answer = await full.recommender.recommend(asked)
    assert answer.metadata.degraded == ("overload",)
    assert answer.recommendations
    assert (full.history.calls, full.search.calls) == ([], [])


async def test_videos_like_one_are_popular_ones(full: World) -> None:
    answer = await full.recommender.similar(VideoId(NAMES[0]))
    assert "overload" in answer.metadata.degraded
    assert NAMES[0] not in [entry.content_id for entry in answer.recommendations]
    assert full.search.calls == []


async def test_with_room_again_the_list_is_their_own() -> None:
    world = World()
    await world.watched("ann", *NAMES[-3:])
    async with filled(world):
        assert (await world.recommender.recommend(Asked(ANN))).metadata.degraded == ("overload",)
    assert (await world.recommender.recommend(Asked(ANN))).metadata.degraded == ()


async def test_given_candidates_are_in_the_order_of_popularity(full: World) -> None:
    candidates = [VideoId(name) for name in (*NAMES[:20], "gone")]
    answer = await full.recommender.rank(ANN, candidates, 5, explain=True)
    assert [entry.content_id for entry in answer.recommendations] == NAMES[19:14:-1]
    assert answer.metadata.degraded == ("overload",)
    assert answer.metadata.unknown == ("gone",)
    for entry in answer.recommendations:
        assert entry.explanation
        assert entry.explanation.terms["popularity"].contribution == entry.score
    assert full.history.calls == []

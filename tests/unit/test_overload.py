"""More than can be made: answers from what is there, without what the user has watched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from api.answers import Asked
from api.states import HURRIED, States
from api.watching import NewWatch
from core.errors import UserNotFound
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


def shown(answer: Any) -> set[str]:
    """The videos of an answer, which was made in a hurry."""
    assert "overload" in answer.metadata.degraded
    assert answer.recommendations
    return {entry.content_id for entry in answer.recommendations}


async def test_one_whose_state_is_nowhere_kept_is_looked_up_once(full: World) -> None:
    for _ in range(2):
        answer = await full.recommender.recommend(Asked(ANN), must_exist=True)
        assert answer.metadata.degraded == ("overload",)
        assert {entry.source for entry in answer.recommendations} == {"popular"}
        assert not shown(answer) & {*NAMES[-3:]}  # the most popular three
    assert (full.history.calls, full.search.calls) == (["state"], [])


async def test_videos_like_one_and_given_candidates_lack_what_was_watched_too(full: World) -> None:
    like = await full.recommender.similar(VideoId(NAMES[0]), 100, for_user=ANN)
    full.cache.away = True
    ranked = await full.recommender.rank(ANN, [*map(VideoId, NAMES)], 100, explain=False)
    assert not (shown(like) | shown(ranked)) & {*NAMES[-3:]}


async def test_what_is_watched_under_overload_is_never_shown_again() -> None:
    world = World()
    await world.video_store.upsert_many(world.videos)
    async with filled(world):
        for _ in range(3):
            best = (await world.recommender.recommend(Asked(ANN))).recommendations[0].content_id
            await world.watching.record(NewWatch(user_id=ANN, video_id=VideoId(best)))
            world.history.away = True  # what was watched is in the cache by now
            for asked in (Asked(ANN, 100), Asked(ANN, list_type="popular")):
                assert best not in shown(await world.recommender.recommend(asked))
            world.history.away = False


async def test_a_user_of_whom_nobody_has_heard_is_said_to_be_unknown(full: World) -> None:
    with pytest.raises(UserNotFound):
        await full.recommender.recommend(Asked(UserId("nobody")), must_exist=True)


async def test_without_both_stores_it_is_said_and_what_was_watched_may_come(full: World) -> None:
    full.history.away = full.cache.away = True
    answer = await full.recommender.recommend(Asked(ANN), must_exist=True)
    assert answer.metadata.degraded == ("overload", "postgres", "redis")
    assert len(answer.recommendations) == 10


async def test_only_a_few_at_a_time_ask_the_truth_and_nobody_waits_long(full: World) -> None:
    asking: list[UserId] = []
    go_on = asyncio.Event()

    class Slow:
        async def state(self, user_id: UserId, _recent: int) -> None:
            asking.append(user_id)
            await go_on.wait()

    states = States(store=Slow(), cache=full.cache, recent=50, patience_seconds=0.001)
    first = [asyncio.create_task(states.hurried(UserId(f"u{n}"))) for n in range(HURRIED)]
    await asyncio.sleep(0)
    unknown = await states.hurried(ANN)
    assert (unknown.state, unknown.truth) == (None, False)
    assert len(asking) == HURRIED
    go_on.set()
    assert all(found.unheard_of for found in await asyncio.gather(*first))
    assert (await states.hurried(ANN)).unheard_of


async def test_one_whose_state_is_kept_gets_it_without_what_they_watched(full: World) -> None:
    state = await full.history_store.state(ANN, 50)
    assert state is not None
    await full.cache.put_state(state)
    answer = await full.recommender.recommend(Asked(ANN))
    assert len(shown(answer)) == 10
    assert not shown(answer) & {*NAMES[-3:]}
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
    assert not shown(answer) & {*NAMES[-3:]}
    assert full.search.calls == []


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
    assert full.history.calls == ["state"]

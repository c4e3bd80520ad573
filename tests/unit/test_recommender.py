"""The walk of a request, with every store in memory and each of them away in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.admission import Overloaded
from api.answers import Asked
from api.schemas import UserList
from core.errors import UserNotFound, VideoNotFound
from core.metrics import FAILED_INFERENCES
from core.types import RankingConfig, UserId, VideoId
from tests.catalogues import video
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
ANN = UserId("ann")
SPACE = NAMES[2:30:3]


@pytest.fixture
def world() -> World:
    return World()


def ids(body: Any) -> list[str]:
    return [entry.content_id for entry in body.recommendations]


@asynccontextmanager
async def full(world: World) -> AsyncIterator[None]:
    """For a while, as many lists are being made as there is room for."""
    async with AsyncExitStack() as stack:
        with suppress(Overloaded):
            while True:
                await stack.enter_async_context(world.admission.enter())
        yield


async def ask(world: World, limit: int = 10, **options: Any) -> UserList:
    must_exist = options.pop("must_exist", False)
    return await world.recommender.recommend(Asked(ANN, limit, **options), must_exist=must_exist)


@pytest.mark.parametrize(
    ("away", "failed"), [((), 0), (("cache",), 0), (("search",), 1), (("cache", "history"), 1)]
)
async def test_a_list_without_what_the_model_needs_counts_once_as_failed(
    world: World, away: tuple[str, ...], failed: int
) -> None:
    await world.watched("ann", *SPACE)
    for store in away:
        getattr(world, store).away = True
    before = FAILED_INFERENCES._value.get()
    await ask(world)
    assert FAILED_INFERENCES._value.get() == before + failed


async def test_a_rehearsal_asks_every_store_and_shows_nobody_anything(world: World) -> None:
    await world.recommender.rehearse()
    assert len(world.search.calls) == 2  # by the user's vector, and by texts
    assert world.history.calls == ["state"]
    await world.impressions.flush()
    assert world.impression_store.calls == []


@pytest.mark.parametrize("store", ["cache", "history", "search"])
async def test_a_rehearsal_does_without_what_is_away(world: World, store: str) -> None:
    getattr(world, store).away = True
    await world.recommender.rehearse()


async def test_a_list_follows_the_users_taste_and_has_nothing_watched(world: World) -> None:
    await world.watched("ann", *SPACE)
    body = await ask(world)
    genres = [entry.genre for entry in body.recommendations]
    assert len(set(ids(body))) == 10
    assert not set(ids(body)) & set(SPACE)
    assert genres.count("space") >= 7
    assert body.metadata.model_version == "content_1"
    assert not body.metadata.cold_start
    assert body.metadata.degraded == ()


async def test_the_second_answer_is_the_kept_list(world: World) -> None:
    await world.watched("ann", *SPACE)
    first = await ask(world)
    world.now += timedelta(seconds=30)
    second = await ask(world)
    assert (first.metadata.cache_hit, second.metadata.cache_hit) == (False, True)
    assert second.recommendations == first.recommendations
    assert second.metadata.generated_at == first.metadata.generated_at
    assert second.metadata.recommendation_id == first.metadata.recommendation_id


async def test_what_is_kept_does_not_depend_on_the_limit(world: World) -> None:
    await world.watched("ann", *SPACE)
    short = await ask(world, limit=3)
    long = await ask(world, limit=100)
    assert long.metadata.cache_hit
    assert len(ids(long)) == 100
    assert ids(long)[:3] == ids(short)


async def test_a_kept_list_is_one_of_its_model_and_configuration(world: World) -> None:
    await world.watched("ann", *SPACE)
    await ask(world)
    world.config = RankingConfig(version=2)
    assert not (await ask(world)).metadata.cache_hit
    world.live.swap(None)
    body = await ask(world)
    assert not body.metadata.cache_hit
    assert body.metadata.model_version is None


@pytest.mark.parametrize("older", [True, False])
async def test_without_the_live_version_every_answer_says_so(world: World, *, older: bool) -> None:
    await world.watched("ann", *SPACE)
    if not older:
        world.live.swap(None)
    world.live.missing = "artifacts"
    for _ in range(2):  # made, then kept
        body = await ask(world)
        assert body.metadata.degraded == ("artifacts",)
        assert len(ids(body)) == 10
    similar = await world.recommender.similar(VideoId(NAMES[0]))
    assert "artifacts" in similar.metadata.degraded
    world.live.swap(world.version)
    assert (await ask(world)).metadata.degraded == ()


async def test_a_hit_drops_what_was_taken_down_since(world: World) -> None:
    await world.watched("ann", *SPACE)
    before = ids(await ask(world))
    world.take_down(*before[:2])
    body = await ask(world)
    assert body.metadata.cache_hit
    assert ids(body)[:8] == before[2:]
    assert len(ids(body)) == 10


async def test_a_kept_list_too_short_for_the_limit_is_made_anew(world: World) -> None:
    await world.watched("ann", *SPACE)
    before = ids(await ask(world, limit=100))
    world.take_down(*before[:5])
    body = await ask(world, limit=100)
    assert not body.metadata.cache_hit
    assert len(ids(body)) == 100


async def test_a_small_catalogue_keeps_its_short_list(world: World) -> None:
    world.take_down(*NAMES[20:])
    await world.watched("ann", *NAMES[:5])
    assert len(ids(await ask(world, limit=100))) == 15
    assert (await ask(world, limit=100)).metadata.cache_hit
    world.catalogue.apply([video("brand-new", "space")])
    body = await ask(world, limit=100)
    assert not body.metadata.cache_hit
    assert "brand-new" in ids(body)


async def test_a_watch_drops_the_list(world: World) -> None:
    await world.watched("ann", *SPACE)
    first = ids(await ask(world))[0]
    await world.watched("ann", first)
    body = await ask(world)
    assert not body.metadata.cache_hit
    assert first not in ids(body)


async def test_past_the_hard_age_a_list_is_made_anew(world: World) -> None:
    await world.watched("ann", *SPACE)
    await ask(world)
    world.now += timedelta(seconds=world.config.hard_age_seconds)
    assert not (await ask(world)).metadata.cache_hit


async def test_past_the_soft_age_it_is_served_while_one_renewal_runs(world: World) -> None:
    await world.watched("ann", *SPACE)
    await ask(world)
    world.now += timedelta(seconds=world.config.soft_age_seconds)
    world.search.calls.clear()
    bodies = await asyncio.gather(*(ask(world) for _ in range(5)))
    assert all(body.metadata.cache_hit for body in bodies)
    for _ in range(1000):
        if (body := await ask(world)).metadata.generated_at == world.now:
            break
        await asyncio.sleep(0)
    else:
        pytest.fail("it was not renewed")
    assert body.metadata.cache_hit
    assert world.search.calls == ["search", "search"]  # nearest and similar, once


async def test_those_who_ask_at_the_same_time_share_one_computation(world: World) -> None:
    await world.watched("ann", *SPACE)
    bodies = await asyncio.gather(*(ask(world) for _ in range(20)))
    assert len({tuple(ids(body)) for body in bodies}) == 1
    assert world.search.calls == ["search", "search"]


@pytest.mark.parametrize("list_type", ["trending", "popular", "new"])
async def test_other_lists_come_from_memory_without_what_was_watched(
    world: World, list_type: Any
) -> None:
    await world.watched("ann", *NAMES[-5:], *NAMES[:5])
    body = await ask(world, list_type=list_type)
    assert body.metadata.type == list_type
    assert len(set(ids(body))) == 10
    assert not set(ids(body)) & {*NAMES[-5:], *NAMES[:5]}
    assert world.search.calls == []
    assert "put_list" not in world.cache.calls


async def test_popular_is_in_the_order_of_popularity(world: World) -> None:
    body = await ask(world, list_type="popular")
    assert ids(body) == NAMES[:-11:-1]


async def test_a_stranger_gets_a_cold_start_list_that_is_not_kept(world: World) -> None:
    body = await ask(world)
    assert body.metadata.cold_start
    assert len(ids(body)) == 10
    assert not (await ask(world)).metadata.cache_hit
    with pytest.raises(UserNotFound):
        await ask(world, must_exist=True)


async def test_a_user_whose_videos_are_gone_is_known_and_gets_a_full_list(world: World) -> None:
    await world.watched("ann", "gone-from-the-catalogue")
    body = await ask(world, must_exist=True)
    assert not body.metadata.cold_start
    assert len(ids(body)) == 10


async def test_with_redis_away_lists_are_made_each_time(world: World) -> None:
    await world.watched("ann", *SPACE)
    expected = ids(await ask(world))
    world.cache.away = True
    world.cache.calls.clear()
    body = await ask(world)
    assert ids(body) == expected
    assert body.metadata.degraded == ("redis",)
    assert not body.metadata.cache_hit
    assert world.cache.calls == ["get_list"]  # once away, it is not asked again


async def test_with_milvus_away_memory_answers_and_nothing_is_kept(world: World) -> None:
    await world.watched("ann", *SPACE)
    world.search.away = True
    body = await ask(world)
    assert set(body.metadata.degraded) == {"milvus", "nearest", "similar"}
    assert len(ids(body)) == 10
    assert not set(ids(body)) & set(SPACE)
    world.search.away = False
    again = await ask(world)
    assert (again.metadata.cache_hit, again.metadata.degraded) == (False, ())


async def test_with_postgres_away_kept_lists_and_states_are_used(world: World) -> None:
    await world.watched("ann", *SPACE)
    kept = await ask(world)
    world.history.away = True
    assert (await ask(world)).recommendations == kept.recommendations
    world.config = RankingConfig(version=2)  # the list is a miss now, the state is not
    body = await ask(world)
    assert ids(body) == ids(kept)
    assert body.metadata.degraded == ()


async def test_with_postgres_away_a_user_without_state_gets_popular(world: World) -> None:
    world.history.away = True
    body = await ask(world, must_exist=True)
    assert ids(body) == NAMES[:-11:-1]
    assert body.metadata.degraded == ("postgres",)
    assert not body.metadata.cold_start


async def test_with_everything_away_there_is_still_a_list(world: World) -> None:
    world.history.away = world.cache.away = world.search.away = True
    body = await ask(world)
    assert ids(body) == NAMES[:-11:-1]
    assert body.metadata.degraded == ("postgres", "redis")


async def test_before_the_catalogue_is_read_kept_lists_are_served(world: World) -> None:
    await world.watched("ann", *SPACE)
    kept = await ask(world)
    world.catalogue = type(world.catalogue)()
    world.loaded = False
    body = await ask(world)
    assert ids(body) == ids(kept)
    assert {entry.title for entry in body.recommendations} == {""}  # those are the catalogue's
    assert body.metadata.degraded == ("catalogue",)
    stranger = await world.recommender.recommend(Asked(UserId("stranger")))
    assert ids(stranger) == []
    assert "catalogue" in stranger.metadata.degraded


async def test_equal_inputs_give_equal_lists_in_every_process(world: World) -> None:
    other = World()
    for one in (world, other):
        await one.watched("ann", *SPACE)
        one.cache.away = True
    assert (await ask(world)).recommendations == (await ask(other)).recommendations


async def test_similar_videos_are_of_the_same_kind(world: World) -> None:
    body = await world.recommender.similar(VideoId("v005"))
    assert {entry.genre for entry in body.recommendations} == {"space"}
    assert "v005" not in ids(body)
    assert len(set(ids(body))) == 10
    assert body.metadata.degraded == ()


async def test_similar_to_a_video_without_a_vector(world: World) -> None:
    world.catalogue.apply([video("brand-new", "space")])
    body = await world.recommender.similar(VideoId("brand-new"))
    assert body.metadata.degraded == ("content_vector",)
    assert {entry.genre for entry in body.recommendations} == {"space"}


async def test_similar_with_milvus_away(world: World) -> None:
    world.search.away = True
    body = await world.recommender.similar(VideoId("v005"))
    assert set(body.metadata.degraded) == {"milvus", "similar"}
    assert len(ids(body)) == 10


async def test_similar_to_a_video_of_the_next_snapshot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came after this request began; the snapshots share their ids."""
    moment = world.moment()
    world.catalogue.apply([video("late", "drama")])
    monkeypatch.setattr(world.recommender, "_moment", lambda: moment)
    with pytest.raises(VideoNotFound):
        await world.recommender.similar(VideoId("late"))


async def test_similar_to_an_unknown_video(world: World) -> None:
    with pytest.raises(VideoNotFound):
        await world.recommender.similar(VideoId("no-such"))
    world.loaded = False
    body = await world.recommender.similar(VideoId("no-such"))
    assert (ids(body), body.metadata.degraded) == ([], ("catalogue",))


async def test_without_room_the_list_of_an_earlier_version_is_given(world: World) -> None:
    await world.watched("ann", *SPACE)
    kept = await ask(world)
    world.live.swap(replace(world.version, version="content_2"))
    async with full(world):
        body = await ask(world)
    assert body.recommendations == kept.recommendations
    assert body.metadata.model_version == "content_1"
    assert (body.metadata.degraded, body.metadata.cache_hit) == (("overload",), True)
    assert (await ask(world)).metadata.model_version == "content_2"


async def test_a_renewal_that_there_is_no_room_for_is_left_to_the_next(world: World) -> None:
    await world.watched("ann", *SPACE)
    await ask(world)
    world.now += timedelta(seconds=world.config.soft_age_seconds)
    async with full(world):
        with capture_logs() as logs:
            body = await ask(world)
            await asyncio.sleep(0)
    assert (body.metadata.cache_hit, body.metadata.degraded) == (True, ())
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_every_answer_is_counted_with_what_it_shows(world: World) -> None:
    await world.watched("ann", *SPACE)
    made = await ask(world, limit=7)
    await ask(world, limit=7)
    assert made.recommendations
    await world.recommender.similar(VideoId(NAMES[0]), 3)
    await world.recommender.rank(ANN, [VideoId(name) for name in NAMES[40:45]], explain=False)
    await world.impressions.flush()
    outcomes = await world.impression_store.since(world.now - timedelta(hours=1))
    [total] = [one for one in outcomes if one.source is None]
    assert (total.lists, total.videos) == (4, 7 + 7 + 3 + 5)

"""Recording a watch: what is committed, what is refused, what a repeat is answered."""

from datetime import timedelta
from typing import Any

import pytest

from api.answers import Asked
from api.watching import NewRating, NewWatch, Recorded
from core.errors import Conflict, InvalidInput, Unavailable, VideoNotFound
from core.types import UserId, VideoId
from tests.catalogues import NOW
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
ANN = UserId("ann")


@pytest.fixture
async def world() -> World:
    world = World()
    await world.video_store.upsert_many(world.videos)
    return world


async def record(world: World, key: str | None = None, **fields: Any) -> Recorded:
    plain: dict[str, Any] = {"user_id": ANN, "video_id": VideoId(NAMES[0])}
    return await world.watching.record(NewWatch(**{**plain, **fields}), key)


async def rate(world: World, rating: float, key: str | None = None, **fields: Any) -> Recorded:
    plain: dict[str, Any] = {"user_id": ANN, "video_id": VideoId(NAMES[0])}
    return await world.watching.record(NewRating(**{**plain, "rating": rating, **fields}), key)


async def watches(world: World) -> int:
    return sum([len(page) async for page in world.history_store.stream()])


async def test_a_watch_is_committed_as_it_was_told(world: World) -> None:
    recorded = await record(
        world, watched_seconds=600.0, video_seconds=900.0, occurred_at=NOW, recommendation_id="r"
    )
    kept = await world.history_store.find(recorded.interaction.key)
    assert not recorded.duplicate
    assert kept == recorded.interaction
    assert kept is not None
    assert (kept.kind, kept.occurred_at, kept.recommendation_id) == ("watch", NOW, "r")
    assert kept.weight == pytest.approx(2 / 3)


async def test_without_a_time_it_is_now(world: World) -> None:
    assert (await record(world)).interaction.occurred_at == world.now


async def test_an_unknown_user_is_created(world: World) -> None:
    await record(world)
    assert await world.history_store.state(ANN, 1) is not None


async def test_an_unknown_video_is_refused(world: World) -> None:
    with pytest.raises(VideoNotFound):
        await record(world, video_id=VideoId("no-such"))
    assert await watches(world) == 0


async def test_a_time_ahead_is_refused(world: World) -> None:
    await record(world, occurred_at=NOW + timedelta(minutes=5))
    with pytest.raises(InvalidInput) as caught:
        await record(world, occurred_at=NOW + timedelta(minutes=5, seconds=1))
    assert caught.value.field == "occurred_at"


async def test_without_a_key_each_request_is_a_watch(world: World) -> None:
    await record(world)
    await record(world)
    assert await watches(world) == 2


async def test_a_repeat_with_a_key_changes_nothing(world: World) -> None:
    first = await record(world, "k")
    world.now += timedelta(seconds=3)
    second = await record(world, "k")
    assert second.duplicate
    assert second.interaction == first.interaction
    assert await watches(world) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"video_id": VideoId(NAMES[1])},
        {"watched_seconds": 1.0},
        {"video_seconds": 1.0},
        {"recommendation_id": "other"},
        {"occurred_at": NOW - timedelta(days=1)},
    ],
)
async def test_a_key_used_for_something_else_is_a_conflict(
    world: World, other: dict[str, Any]
) -> None:
    await record(world, "k", occurred_at=NOW)
    with pytest.raises(Conflict):
        await record(world, "k", **{"occurred_at": NOW, **other})
    assert await watches(world) == 1


async def test_keys_are_each_users_own(world: World) -> None:
    await record(world, "k")
    assert not (await record(world, "k", user_id=UserId("bob"))).duplicate


@pytest.mark.parametrize("key", ["", "x" * 256, "line\nbreak"])
async def test_an_unusable_key_is_refused(world: World, key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await record(world, key)
    assert caught.value.field == "Idempotency-Key"


async def test_the_next_list_does_not_have_it(world: World) -> None:
    await world.watched("ann", *NAMES[2:30:3])
    before = (await world.recommender.recommend(Asked(ANN))).recommendations[0].content_id
    await record(world, video_id=VideoId(before))
    after = await world.recommender.recommend(Asked(ANN))
    assert not after.metadata.cache_hit
    assert before not in [entry.content_id for entry in after.recommendations]


async def test_with_redis_away_it_is_committed_and_the_lists_are_dropped_later(
    world: World,
) -> None:
    await world.watched("ann", *NAMES[2:30:3])
    before = (await world.recommender.recommend(Asked(ANN))).recommendations[0].content_id
    world.cache.away = True
    assert not (await record(world, video_id=VideoId(before))).duplicate
    world.cache.away = False
    await world.forgetting.pay()
    after = await world.recommender.recommend(Asked(ANN))
    assert before not in [entry.content_id for entry in after.recommendations]


async def test_what_redis_could_not_drop_is_not_served_once_it_is_back(world: World) -> None:
    await world.watched("ann", *NAMES[2:30:3])
    before = (await world.recommender.recommend(Asked(ANN))).recommendations[0].content_id
    world.cache.away = True
    await record(world, video_id=VideoId(before))
    world.cache.away = False  # its lists and its state of the user are the old ones
    world.cache.calls.clear()
    after = await world.recommender.recommend(Asked(ANN, 100))
    assert before not in [entry.content_id for entry in after.recommendations]
    assert after.metadata.degraded == ("redis",)
    await world.forgetting.pay()
    assert world.cache.calls == ["forget_many"]
    assert (await world.recommender.recommend(Asked(ANN))).metadata.degraded == ()


@pytest.mark.parametrize("store", ["history", "cache"])
async def test_no_fault_of_renewing_the_state_fails_a_watch(world: World, store: str) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError

    name = {"history": "state", "cache": "put_state"}[store]
    setattr(getattr(world, store), name, broken)
    assert not (await record(world)).duplicate


async def test_with_postgres_away_nothing_is_said_to_be_committed(world: World) -> None:
    world.history.away = True
    with pytest.raises(Unavailable):
        await record(world)


async def test_a_rating_is_committed_with_its_weight(world: World) -> None:
    recorded = await rate(world, 4.0)
    kept = await world.history_store.find(recorded.interaction.key)
    assert kept is not None
    assert (kept.kind, kept.rating, kept.weight, kept.occurred_at) == ("rating", 4.0, 0.75, NOW)


async def test_a_rated_video_never_comes_again(world: World) -> None:
    await world.watched("ann", *NAMES[2:30:3])
    before = (await world.recommender.recommend(Asked(ANN))).recommendations[0].content_id
    await rate(world, 0.5, video_id=VideoId(before))
    after = await world.recommender.recommend(Asked(ANN, 100))
    assert before not in [entry.content_id for entry in after.recommendations]


async def test_a_repeated_rating_is_a_duplicate_and_another_a_conflict(world: World) -> None:
    first = await rate(world, 4.0, "k")
    world.now += timedelta(seconds=3)
    assert await rate(world, 4.0, "k") == Recorded(first.interaction, duplicate=True)
    for other in (rate(world, 4.5, "k"), record(world, "k")):
        with pytest.raises(Conflict):
            await other
    assert await watches(world) == 1


@pytest.mark.parametrize("rating", [0.0, 0.49, 5.1, -1.0, float("nan"), float("inf")])
async def test_a_rating_out_of_bounds_is_refused(world: World, rating: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        await rate(world, rating)
    assert caught.value.field == "rating"

"""Where a user's own list comes from: this process, all processes, or made once for all who ask."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.answers import Asked
from api.app import _background
from api.kept_list import Entry
from api.list_cache import ListCache
from api.local_lists import LocalLists
from api.maker import Made
from api.schemas import UserList
from core.metrics import LOCAL_BYTES
from core.types import Ranked, UserId, VideoId
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

ANN = UserId("ann")
SPACE = NAMES[2:30:3]


@pytest.fixture
async def world() -> World:
    world = World(local_bytes=1_000_000)
    await world.watched("ann", *SPACE)
    world.cache.calls.clear()
    return world


async def ask(world: World, limit: int = 10) -> UserList:
    return await world.recommender.recommend(Asked(ANN, limit))


def entry_of(world: World, length: int = 100) -> Entry:
    items = tuple(Ranked(VideoId(name), "popular", 0.5) for name in NAMES[:length])
    return Entry.of(Made(items), world.moment())


def put(world: World, user: str, ticket: int, **options: Any) -> bool:
    world.local.put(UserId(user), entry_of(world), world.moment(), ticket=ticket, **options)
    return world.local.get(UserId(user), world.moment()) is not None


async def test_what_this_process_keeps_asks_nobody(world: World) -> None:
    made = await ask(world)
    world.cache.calls.clear()
    kept = await ask(world)
    assert (made.metadata.cache_hit, kept.metadata.cache_hit) == (False, True)
    assert kept.recommendations == made.recommendations
    assert kept.metadata.recommendation_id == made.metadata.recommendation_id
    assert world.cache.calls == []


async def test_a_hundred_who_ask_at_once_make_one_search_of_each_kind(world: World) -> None:
    searched: Counter[str] = Counter()
    search = world.search.search

    async def counted(collection: str, *args: Any, **options: Any) -> Any:
        searched[collection] += 1
        await asyncio.sleep(0)
        return await search(collection, *args, **options)

    world.search.search = counted
    limits = [1 + number % 100 for number in range(100)]
    bodies = await asyncio.gather(*(ask(world, limit) for limit in limits))
    assert list(searched.values()) == [1, 1]  # in the users' space, and in that of content
    assert len({body.metadata.recommendation_id for body in bodies}) == 1
    assert Counter(world.history.calls)["state"] == 1
    assert Counter(world.cache.calls)["get_list"] == 1


async def test_whoever_asks_after_a_watch_joins_nothing_older(world: World) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    search = world.search.search

    async def slow(*args: Any, **options: Any) -> Any:
        began.set()
        await go_on.wait()
        return await search(*args, **options)

    world.search.search = slow
    before = asyncio.create_task(ask(world))
    await began.wait()
    await world.watched("ann", NAMES[50])
    world.search.search = search
    after = await ask(world)
    go_on.set()
    await before
    assert NAMES[50] not in {one.content_id for one in after.recommendations}
    kept = await ask(world, 100)  # what was made before the watch has replaced nothing
    assert kept.metadata.recommendation_id == after.metadata.recommendation_id


async def test_what_is_read_while_the_cache_is_told_of_a_watch_is_not_kept(world: World) -> None:
    before = await ask(world)
    forget_many = world.cache.forget_many

    async def slow(revisions: Any) -> None:
        during = await ask(world)  # from the shared cache, which has not dropped it yet
        assert during.metadata.recommendation_id == before.metadata.recommendation_id
        await forget_many(revisions)

    world.cache.forget_many = slow
    watched = before.recommendations[0].content_id
    await world.watched("ann", watched)
    after = await ask(world)
    assert watched not in {one.content_id for one in after.recommendations}


async def test_while_redis_is_away_lists_are_kept_here_for_five_seconds(world: World) -> None:
    world.cache.away = True
    world.local.lose("silence")
    made, kept = await ask(world), await ask(world)
    assert (made.metadata.cache_hit, kept.metadata.cache_hit) == (False, True)
    assert made.metadata.degraded == kept.metadata.degraded == ("redis",)
    world.now += timedelta(seconds=5)
    assert not (await ask(world)).metadata.cache_hit


async def test_a_list_that_another_process_renewed_is_taken(world: World) -> None:
    await ask(world)
    world.now += timedelta(seconds=world.config.soft_age_seconds)
    state = await world.history_store.state(ANN, 50)
    assert state is not None
    made = Made(tuple(Ranked(VideoId(name), "popular", 0.5) for name in NAMES[40:]))
    await ListCache(world.cache).keep(ANN, world.moment(), state.revision, made)
    world.search.calls.clear()
    assert (await ask(world)).metadata.cache_hit  # the old one, while it is looked after
    for _ in range(20):
        await asyncio.sleep(0)
    assert (await ask(world)).metadata.recommendation_id == made.recommendation_id
    assert world.search.calls == []


async def test_a_renewal_that_fails_is_told_once_however_many_wait(world: World) -> None:
    await ask(world)
    world.now += timedelta(seconds=world.config.soft_age_seconds)

    async def broken(*_: Any) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    world.cache.get_list = broken
    with capture_logs() as logs:
        for _ in range(3):
            assert (await ask(world)).metadata.cache_hit
        for _ in range(20):
            await asyncio.sleep(0)
    assert [line["event"] for line in logs] == ["A list could not be renewed."]


async def test_a_task_that_ends_by_itself_is_told_of() -> None:
    async def faulty() -> None:
        raise ZeroDivisionError

    with capture_logs() as logs:
        await asyncio.wait([_background("faulty", faulty())])
        await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in logs] == [("background_task_ended", "faulty")]


def test_what_was_read_before_news_is_not_kept_after_it(world: World) -> None:
    ticket = world.local.ticket()
    world.local.drop([UserId("bob")])
    assert not put(world, "bob", ticket)
    assert put(world, "carl", ticket)
    full = LOCAL_BYTES.collect()
    world.local.drop([UserId("carl")])
    assert LOCAL_BYTES.collect() != full
    assert put(world, "carl", world.local.ticket())
    assert put(world, "bob", world.local.ticket())
    ticket = world.local.ticket()
    world.local.lose("gap")
    world.local.follow()
    assert not put(world, "carl", ticket)
    assert put(world, "carl", world.local.ticket())


def test_news_that_are_too_many_to_remember_refuse_all_that_is_older(
    world: World,
) -> None:
    world.local = LocalLists(1_000_000, drops_remembered=3)
    ticket = world.local.ticket()
    world.local.drop([UserId(f"other{number}") for number in range(4)])
    assert not put(world, "bob", ticket)
    assert put(world, "bob", world.local.ticket())


def test_the_least_recently_used_go_first_and_memory_is_bounded(world: World) -> None:
    users = [f"user{number}" for number in range(1000)]
    for user in users:
        assert put(world, user, world.local.ticket())
        world.local.get(UserId(users[0]), world.moment())
    kept = [u for u in users if world.local.get(UserId(u), world.moment())]
    assert kept[0] == users[0]
    assert kept[1:] == users[-len(kept) + 1 :]
    assert 200 < len(kept) < 600  # 1 MB of lists of 100


def test_lists_that_were_made_together_do_not_grow_old_together(world: World) -> None:
    ends = {entry_of(world).made_until(600) - world.now for _ in range(50)}
    assert len(ends) > 40
    assert timedelta(seconds=480) < min(ends) < max(ends) <= timedelta(seconds=600)

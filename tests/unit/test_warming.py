"""Lists that are there when a version goes live: the ones that would have been made on asking."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from api.answers import Asked
from api.list_cache import ListCache
from api.maker import maker_over
from api.moment import Moment
from api.schemas import UserList
from api.warming import PAGE, Moments, Warmed, Warmer, Warming
from core.errors import Unavailable
from core.hashing import event_key
from core.types import Interaction, Model, UserId, VideoId
from retrieval.exact import ExactSearch
from retrieval.live import LiveHandle
from tests.catalogues import NOW, random_vectors
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

NEW = Model(id="m2", model_type="content", version="content_2", status="ready", created_at=NOW)
LATE = [UserId(f"late{number}") for number in range(2 * PAGE + 1)]
EARLY = [UserId("early0"), UserId("early1")]


def new_version(world: World) -> LiveHandle:
    items = replace(world.version.items, vectors=random_vectors(len(NAMES), seed=11))
    return replace(world.version, version="content_2", items=items)


@pytest.fixture
async def world() -> World:
    """Some users were here within the hour, some before it; another version is open."""
    world = World()
    draw = np.random.default_rng(3)
    for minutes, users in ((10, LATE), (90, EARLY)):
        for number, user_id in enumerate(users):
            names = draw.choice(NAMES, 4, replace=False).tolist()
            rows = [
                Interaction(
                    key=event_key(user_id, name),
                    user_id=user_id,
                    video_id=VideoId(name),
                    kind="watch",
                    occurred_at=NOW - timedelta(minutes=minutes + number, seconds=at),
                    weight=1.0,
                )
                for at, name in enumerate(names)
            ]
            await world.history_store.add_many(rows)
    world.live.add(new_version(world))
    return world


def warming(world: World) -> Warming:
    return Warming(
        users=world.history,
        cache=world.cache,
        live=world.live,
        index=world.search,
        moment=world.moment,
        recent=50,
        exact_bytes=1_000_000,
    )


def warmer(world: World) -> Warmer:
    exact = ExactSearch(world.live.open_versions, most_bytes=1_000_000)
    return Warmer(world.history, ListCache(world.cache), exact, recent=50)


def now(world: World) -> Moments:
    async def moment() -> Moment:
        return world.moment()

    return moment


async def warmed_up(world: World) -> Warmed:
    return await warmer(world).warm(LATE, now(world))


async def ask(world: World, user_id: UserId) -> UserList:
    return await world.recommender.recommend(Asked(user_id, 100))


def flip(world: World) -> None:
    world.live.swap(world.live.get("content_2"))


async def test_who_was_here_lately_has_a_list_of_the_version_that_goes_live(world: World) -> None:
    before = (await ask(world, LATE[0])).recommendations
    await warming(world).prepare(NEW)
    assert (await ask(world, LATE[0])).recommendations == before  # of the version that is live
    flip(world)
    for user_id in LATE:
        kept = (await ask(world, user_id)).metadata
        assert (kept.cache_hit, kept.model_version) == (True, "content_2")
    for user_id in EARLY:
        assert not (await ask(world, user_id)).metadata.cache_hit


async def test_what_is_kept_is_what_would_have_been_made(world: World) -> None:
    await warming(world).prepare(NEW)
    flip(world)
    exact = ExactSearch(world.live.open_versions, most_bytes=1_000_000)
    maker = maker_over(exact, deadline_seconds=5)
    for user_id in LATE:
        state = await world.history_store.state(user_id, 50)
        made = await maker.personal(user_id, state, world.moment())
        kept = await ask(world, user_id)
        assert kept.metadata.cache_hit
        assert kept.recommendations == world.moment().shown(made.items)
        assert kept.metadata.generated_at == world.now


async def test_a_watch_drops_what_was_kept(world: World) -> None:
    await warming(world).prepare(NEW)
    flip(world)
    shown = (await ask(world, LATE[1])).recommendations[0].content_id
    await world.watched(LATE[1], shown)
    after = await ask(world, LATE[1])
    assert not after.metadata.cache_hit
    assert shown not in {item.content_id for item in after.recommendations}


async def test_a_list_made_from_an_older_history_is_not_kept(world: World) -> None:
    states = await world.history_store.states_of([LATE[1]], 50)
    await world.watched(LATE[1], NAMES[0])

    class Late:
        """Reads before the watch and answers after it."""

        async def states_of(self, user_ids: object, recent: object) -> object:
            del user_ids, recent
            return states

    world.history = Late()
    await warmed_up(world)
    assert await ListCache(world.cache).get(LATE[1], world.moment(), 100) is None


async def test_what_is_there_is_not_made_again_but_what_is_stale_is(world: World) -> None:
    assert await warmed_up(world) == Warmed(there=len(LATE), made=len(LATE))
    world.history.calls.clear()
    assert await warmed_up(world) == Warmed(there=len(LATE))
    assert world.history.calls == []
    world.now += timedelta(seconds=world.config.soft_age_seconds)
    assert await warmed_up(world) == Warmed(there=len(LATE), made=len(LATE))
    assert world.history.calls == ["states_of"] * 3
    assert (await ask(world, LATE[0])).metadata.generated_at == world.now


async def test_the_latest_come_first_and_what_is_made_by_a_cancellation_stays(
    world: World,
) -> None:
    pages = 0

    async def cancel_the_third() -> Moment:
        nonlocal pages
        pages += 1
        if pages == 3:
            raise asyncio.CancelledError
        return world.moment()

    latest = await world.history_store.seen_since(NOW - timedelta(hours=1))
    assert latest == LATE
    with pytest.raises(asyncio.CancelledError):
        await warmer(world).warm(latest, cancel_the_third)
    hits = [(await ask(world, user_id)).metadata.cache_hit for user_id in latest]
    assert hits == [True] * 2 * PAGE + [False]


async def test_it_ends_when_it_is_told_to(world: World) -> None:
    async def never() -> None:
        return None

    assert await warmer(world).warm(LATE, never) == Warmed()


async def test_each_page_is_made_for_the_moment_it_is_made_in(world: World) -> None:
    async def a_minute_later() -> Moment:
        world.now += timedelta(minutes=1)
        return world.moment()

    await warmer(world).warm(LATE, a_minute_later)
    made = [(await ask(world, user_id)).metadata.generated_at for user_id in LATE[::PAGE]]
    assert made == [NOW + timedelta(minutes=page) for page in (1, 2, 3)]


async def test_others_have_their_turn_between_pages(world: World) -> None:
    """A page is a handful of lists: that long, and no longer, a request waits."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def count() -> Moment:
        counts.append(turns)
        return world.moment()

    counts: list[int] = []
    task = asyncio.create_task(others())
    await warmer(world).warm(LATE, count)
    task.cancel()
    assert len(counts) == 3
    assert all(later - earlier > 3 for earlier, later in itertools.pairwise(counts))


async def test_it_waits_until_the_version_is_open_and_the_catalogue_read(world: World) -> None:
    world.live.keep([])
    world.loaded = False
    preparing = asyncio.create_task(warming(world).prepare(NEW))
    await asyncio.sleep(0)
    world.live.add(new_version(world))
    await asyncio.sleep(0)
    assert world.history.calls == []
    assert not preparing.done()
    world.loaded = True
    async with asyncio.timeout(10):
        await preparing
    flip(world)
    assert (await ask(world, LATE[0])).metadata.cache_hit


async def test_a_user_nobody_has_heard_of_is_no_failure(world: World) -> None:
    assert await warmer(world).warm([UserId("nobody"), *LATE], now(world)) == Warmed(
        there=len(LATE), made=len(LATE), unknown=1
    )


async def test_lists_that_cannot_be_made_are_counted_and_not_kept(world: World) -> None:
    nowhere = ExactSearch(list, most_bytes=1_000_000)
    failing = Warmer(world.history, ListCache(world.cache), nowhere, recent=50)
    assert await failing.warm(LATE, now(world)) == Warmed(failed=len(LATE))
    assert await ListCache(world.cache).get(LATE[0], world.moment(), 100) is None


@pytest.mark.parametrize("store", ["cache", "history"])
async def test_a_store_that_is_away_ends_it(world: World, store: str) -> None:
    getattr(world, store).away = True
    with pytest.raises(Unavailable):
        await warming(world).prepare(NEW)

"""What every user cache promises: the newest revision wins, an event drops what is older."""

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from api.ports import UserCache
from core.hashing import hash64_many
from core.types import UserId, UserState, VideoId, Watch
from storage.memory.users import MemoryUserCache
from storage.redis.client import connect
from storage.redis.users import LATE_SECONDS, RedisUserCache
from tests.patience import PATIENT_REDIS

pytestmark = pytest.mark.contract
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "redis", "cluster"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[UserCache]:
    if request.param == "memory":
        yield MemoryUserCache()
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"), PATIENT_REDIS)
    yield RedisUserCache(client)
    await client.aclose()


@pytest.fixture
def user() -> UserId:
    """A user of this test's own: the server is shared."""
    return UserId(f"u-{uuid.uuid4().hex}")


def state_of(user: UserId, revision: int) -> UserState:
    watched = np.sort(hash64_many(["a", "b", str(revision)]))
    recent = (Watch(VideoId("a"), NOON, 0.5), Watch(VideoId("b"), NOON, 1.0))
    return UserState(user_id=user, revision=revision, recent=recent, watched=watched)


async def test_nothing_is_kept_of_a_stranger(cache: UserCache, user: UserId) -> None:
    assert await cache.state(user) is None
    assert await cache.get_list(user, "m/1/personalized") is None


async def test_an_erased_user_leaves_nothing(cache: UserCache, user: UserId) -> None:
    assert isinstance(cache, RedisUserCache | MemoryUserCache)
    ahead = int(datetime(2126, 1, 1, tzinfo=UTC).timestamp() * 1e6)  # of a clock that is wrong
    await cache.put_state(state_of(user, ahead))
    await cache.put_list(user, "m/1/personalized", ahead, b"[]", 60)
    assert await cache.erase(user)
    assert await cache.state(user) is None
    assert await cache.get_list(user, "m/1/personalized") is None
    assert not await cache.erase(user)


@pytest.mark.parametrize("server", ["redis", "cluster"])
async def test_nobody_who_is_late_brings_an_erased_user_back(
    request: pytest.FixtureRequest, user: UserId, server: str
) -> None:
    url = request.getfixturevalue(f"{server}_url")
    async with aclosing(connect(url, PATIENT_REDIS)) as client:
        cache = RedisUserCache(client)
        await cache.put_state(state_of(user, 7))
        await cache.erase(user)
        await cache.put_state(state_of(user, 8))
        await cache.put_list(user, "m/1/personalized", 8, b"[]", 60)
        await cache.forget_many({user: 9})
        assert await cache.state(user) is None
        assert await cache.get_list(user, "m/1/personalized") is None
        (mark,) = [key async for key in client.scan_iter(match=f"*{user}*")]
        assert 0 < await client.ttl(mark) <= LATE_SECONDS


async def test_a_state_comes_back_as_it_went_in(cache: UserCache, user: UserId) -> None:
    kept = state_of(user, 7)
    await cache.put_state(kept)
    back = await cache.state(user)
    assert back is not None
    assert (back.user_id, back.revision, back.recent) == (user, 7, kept.recent)
    assert back.watched.dtype == np.uint64
    np.testing.assert_array_equal(back.watched, kept.watched)


async def test_what_was_watched_and_is_not_recent_comes_back_too(
    cache: UserCache, user: UserId
) -> None:
    kept = state_of(user, 7)
    await cache.put_state(replace(kept, recent=()))
    back = await cache.state(user)
    assert back is not None
    assert back.recent == ()
    np.testing.assert_array_equal(back.watched, kept.watched)


async def test_a_state_without_history_is_kept_too(cache: UserCache, user: UserId) -> None:
    await cache.put_state(UserState(user, 0, (), np.empty(0, np.uint64)))
    back = await cache.state(user)
    assert back is not None
    assert back.recent == ()
    assert len(back.watched) == 0


async def test_an_older_state_is_refused(cache: UserCache, user: UserId) -> None:
    await cache.put_state(state_of(user, 5))
    await cache.put_state(state_of(user, 4))
    back = await cache.state(user)
    assert back is not None
    assert back.revision == 5


async def test_a_newer_state_replaces_and_drops_older_lists(cache: UserCache, user: UserId) -> None:
    await cache.put_list(user, "m/1/personalized", 5, b"five", 60)
    await cache.put_state(state_of(user, 6))
    back = await cache.state(user)
    assert back is not None
    assert back.revision == 6
    assert await cache.get_list(user, "m/1/personalized") is None


async def test_lists_are_apart_by_field(cache: UserCache, user: UserId) -> None:
    await cache.put_list(user, "m/1/personalized", 5, b"one", 60)
    await cache.put_list(user, "m/2/personalized", 5, b"two", 60)
    assert await cache.get_list(user, "m/1/personalized") == b"one"
    assert await cache.get_list(user, "m/2/personalized") == b"two"
    assert await cache.get_list(user, "n/1/personalized") is None


async def test_forget_drops_state_and_lists(cache: UserCache, user: UserId) -> None:
    await cache.put_state(state_of(user, 5))
    await cache.put_list(user, "m/1/personalized", 5, b"five", 60)
    await cache.forget_many({user: 6})
    assert await cache.state(user) is None
    assert await cache.get_list(user, "m/1/personalized") is None


async def test_forget_at_the_known_revision_drops_as_well(cache: UserCache, user: UserId) -> None:
    await cache.put_state(state_of(user, 5))
    await cache.put_list(user, "m/1/personalized", 5, b"five", 60)
    await cache.forget_many({user: 5})
    assert await cache.state(user) is None
    assert await cache.get_list(user, "m/1/personalized") is None


async def test_a_slow_reader_cannot_bring_back_what_was_dropped(
    cache: UserCache, user: UserId
) -> None:
    await cache.forget_many({user: 6})
    await cache.put_state(state_of(user, 5))
    await cache.put_list(user, "m/1/personalized", 5, b"five", 60)
    assert await cache.state(user) is None
    assert await cache.get_list(user, "m/1/personalized") is None


async def test_what_is_made_after_a_forget_is_kept(cache: UserCache, user: UserId) -> None:
    await cache.forget_many({user: 6})
    await cache.put_state(state_of(user, 6))
    await cache.put_list(user, "m/1/personalized", 6, b"six", 60)
    back = await cache.state(user)
    assert back is not None
    assert back.revision == 6
    assert await cache.get_list(user, "m/1/personalized") == b"six"


async def test_revisions_of_the_clocks_size_are_told_apart(cache: UserCache, user: UserId) -> None:
    now = 1_800_000_000_000_001
    await cache.forget_many({user: now})
    await cache.put_state(state_of(user, now - 1))
    assert await cache.state(user) is None
    await cache.put_state(state_of(user, now))
    back = await cache.state(user)
    assert back is not None
    assert back.revision == now


async def test_a_late_forget_leaves_what_is_newer(cache: UserCache, user: UserId) -> None:
    await cache.put_state(state_of(user, 8))
    await cache.forget_many({user: 7})
    back = await cache.state(user)
    assert back is not None
    assert back.revision == 8


async def test_forget_is_about_the_named_users_only(cache: UserCache, user: UserId) -> None:
    other = UserId(f"{user}-other")
    await cache.put_state(state_of(user, 1))
    await cache.put_state(state_of(other, 1))
    await cache.forget_many({})
    await cache.forget_many({user: 2, UserId(f"{user}-never-seen"): 1})
    assert await cache.state(user) is None
    assert await cache.state(other) is not None


async def test_many_are_forgotten_with_one_call(cache: UserCache, user: UserId) -> None:
    crowd = {UserId(f"{user}-{number}"): 2 for number in range(600)}
    last = list(crowd)[-1]
    for kept in (user, last):
        await cache.put_state(state_of(kept, 1))
    await cache.forget_many({user: 2, **crowd})
    assert await cache.state(user) is await cache.state(last) is None

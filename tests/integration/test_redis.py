"""What only a real Redis shows: expiry, slots, errors, foreign content."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from redis.asyncio import Redis

from core.errors import SetupError, Unavailable
from core.types import UserId, UserState
from storage.redis.client import connect, ping
from storage.redis.users import STATE_TTL_SECONDS, RedisUserCache

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url, timeout_seconds=2.0)
    yield client
    await client.aclose()


async def test_everything_of_a_user_expires(client: Redis) -> None:
    user = UserId(f"ttl-{uuid.uuid4().hex}")
    cache = RedisUserCache(client)
    await cache.put_state(UserState(user, 3, (), np.empty(0, np.uint64)))
    await cache.put_list(user, "none/1/personalized", 3, b"entry", 60)
    assert STATE_TTL_SECONDS - 5 < await client.ttl(f"u:{{{user}}}:state") <= STATE_TTL_SECONDS
    assert 55 < await client.ttl(f"u:{{{user}}}:lists") <= 60


async def test_the_floor_left_by_a_forget_expires(client: Redis) -> None:
    user = UserId(f"ttl-{uuid.uuid4().hex}")
    await RedisUserCache(client).forget_many({user: 3})
    assert STATE_TTL_SECONDS - 5 < await client.ttl(f"u:{{{user}}}:state") <= STATE_TTL_SECONDS


async def test_a_state_of_another_form_is_a_miss(client: Redis) -> None:
    user = UserId(f"form-{uuid.uuid4().hex}")
    await client.hset(f"u:{{{user}}}:state", mapping={"floor": 1, "body": b"\x93\x01"})
    assert await RedisUserCache(client).state(user) is None


async def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/none.sock", timeout_seconds=0.2)
    cache = RedisUserCache(client)
    user = UserId("1")
    state = UserState(user, 1, (), np.empty(0, np.uint64))
    for call in (
        ping(client),
        cache.state(user),
        cache.put_state(state),
        cache.get_list(user, "f"),
        cache.put_list(user, "f", 1, b"", 1),
        cache.forget_many({user: 1}),
    ):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.dependency == "redis"
    await client.aclose()


def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(SetupError, match="UPNEXT_REDIS_URL"):
        _ = connect("http://localhost:6379", timeout_seconds=0.2)

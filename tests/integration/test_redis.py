"""What only a real Redis shows: expiry, slots, errors, foreign content."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from api.list_cache import ListCache
from api.maker import Made
from api.moment import Moment
from core.errors import SetupError, Unavailable
from core.hashing import hash64_many
from core.types import Ranked, RankingConfig, UserId, UserState, VideoId, Watch
from storage.redis.client import GuardedRedis, connect, ping
from storage.redis.users import STATE_TTL_SECONDS, RedisUserCache
from tests.catalogues import catalogue_of, indexed
from tests.patience import PATIENT_REDIS

pytestmark = pytest.mark.integration
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[GuardedRedis]:
    client = connect(redis_url, PATIENT_REDIS)
    yield client
    await client.aclose()


async def test_everything_of_a_user_expires(client: GuardedRedis) -> None:
    user = UserId(f"ttl-{uuid.uuid4().hex}")
    cache = RedisUserCache(client)
    await cache.put_state(UserState(user, 3, (), np.empty(0, np.uint64)))
    await cache.put_list(user, "none/1/personalized", 3, b"entry", 60)
    assert STATE_TTL_SECONDS - 5 < await client.ttl(f"u:{{{user}}}:state") <= STATE_TTL_SECONDS
    assert 55 < await client.ttl(f"u:{{{user}}}:lists") <= 60


async def test_the_floor_left_by_a_forget_expires(client: GuardedRedis) -> None:
    user = UserId(f"ttl-{uuid.uuid4().hex}")
    await RedisUserCache(client).forget_many({user: 3})
    assert STATE_TTL_SECONDS - 5 < await client.ttl(f"u:{{{user}}}:state") <= STATE_TTL_SECONDS


async def test_a_state_of_another_form_is_a_miss(client: GuardedRedis) -> None:
    user = UserId(f"form-{uuid.uuid4().hex}")
    await client.hset(f"u:{{{user}}}:state", mapping={"floor": 1, "body": b"\x93\x01"})
    assert await RedisUserCache(client).state(user) is None


async def test_all_that_is_kept_of_anyone_is_dropped_some_at_a_time(
    client: GuardedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.redis.users.SCANNED", 2)
    cache, users = RedisUserCache(client), [UserId(f"all-{at}") for at in range(5)]
    for user in users:
        await cache.put_state(UserState(user, 3, (), np.empty(0, np.uint64)))
        await cache.put_list(user, "none/1/personalized", 3, b"entry", 60)
    assert await cache.clear() >= len(users)
    assert [await cache.state(user) for user in users] == [None] * len(users)
    assert await cache.clear() == 0


@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_cancelled_loop_of_calls_ends(client: GuardedRedis, *, pipelined: bool) -> None:
    async def forever() -> None:
        while True:
            if pipelined:
                pipe = client.pipeline(transaction=False)
                pipe.execute_command("GET", "nothing")
                await pipe.execute()
            else:
                await ping(client)
                await client.get("nothing")

    for turns in range(300):
        loop = asyncio.create_task(forever())
        for _ in range(turns % 40):
            await asyncio.sleep(0)
        loop.cancel()
        await asyncio.wait([loop], timeout=20)
        assert loop.cancelled()


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


async def test_a_server_that_hangs_is_waited_for_three_times(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    address = tmp_path / "hangs.sock"
    server = await asyncio.start_unix_server(hang, address)
    client = connect(f"unix://{address}", timeout_seconds=0.3)
    cache = RedisUserCache(client)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Unavailable):
            await cache.state(UserId("1"))
        with pytest.raises(Unavailable):
            await cache.forget_many({UserId("1"): 1})
    assert time.monotonic() - began < 20 * 0.3  # of 200 calls
    await client.aclose()
    server.close()
    await server.wait_closed()


def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(SetupError, match="UPNEXT_REDIS_URL"):
        _ = connect("http://localhost:6379", timeout_seconds=0.2)


async def test_what_is_kept_of_a_user_takes_less_than_four_kilobytes(client: GuardedRedis) -> None:
    """100 watches, a list of 100, ids of 8 letters; 150 bytes are left for the user's limit."""
    user = UserId(f"m-{uuid.uuid4().hex[:6]}")
    names = [VideoId(uuid.uuid4().hex[:8]) for _ in range(200)]
    recent = tuple(
        Watch(name, NOON - timedelta(hours=at), 1 / (at + 1)) for at, name in enumerate(names[:100])
    )
    state = UserState(user, 1_800_000_000_000_001, recent, np.sort(hash64_many(names[:100])))
    made = Made(tuple(Ranked(name, "nearest", 0.123456) for name in names[100:]))
    live = indexed(["v1"], np.ones((1, 4), np.float32))[0]
    moment = Moment(
        live=replace(live, version="als_20260101000000_0123abcd"),
        config=RankingConfig(),
        snapshot=catalogue_of([]).snapshot,
        now=NOON,
        loaded=True,
    )
    cache = RedisUserCache(client)
    await cache.put_state(state)
    await ListCache(cache).keep(user, moment, state.revision, made)
    keys = (f"u:{{{user}}}:state", f"u:{{{user}}}:lists")
    sizes = [await client.memory_usage(key, samples=0) for key in keys]
    assert sum(size or 4096 for size in sizes) < 4000 - 150

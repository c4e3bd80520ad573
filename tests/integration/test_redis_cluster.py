"""What only a cluster shows: a node that is away, hangs, comes back; a slot that moves."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from redis.crc import key_slot

from api.forgetting import Forgetting
from core.errors import PartlyAway, SetupError, Unavailable
from core.quota import Quota, Report
from core.types import UserId, UserState
from ingest.dropping import Dropping
from storage.redis.client import GuardedRedis, connect, ping
from storage.redis.keys import keys_of
from storage.redis.limits import RECALLS, RedisLedger
from storage.redis.notices import COUNTER
from storage.redis.users import RedisUserCache
from tests.catalogues import video
from tests.cluster import Cluster, Node
from tests.integration.test_news import following, until
from tests.polling import eventually
from tests.served import Served, of_popular_lists, write_videos

pytestmark = pytest.mark.integration
QUOTA = Quota("user", 500)
SECONDS = 0.3
BACK_SECONDS = 60
"""A node that was taken for dead is taken back after ten seconds at the earliest."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[GuardedRedis]:
    client = connect(cluster.url, 2.0)
    yield client
    await client.aclose()


@pytest.fixture
def node(cluster: Cluster) -> Iterator[Node]:
    """One that may be taken away: it has neither what counts notices nor what is recalled."""
    [spare, *_] = [each for each in cluster.nodes if not each.has(COUNTER) | each.has(RECALLS)]
    yield spare
    if not spare.alive:
        spare.launch()
    eventually(cluster.agrees, seconds=BACK_SECONDS)


def users(node: Node, *, there: bool, many: int = 5) -> list[UserId]:
    """New users whose keys are on the node, or on the others."""
    names = (UserId(uuid4().hex) for _ in range(10_000))
    found = (name for name in names if node.has(keys_of(name)[0]) == there)
    return [next(found) for _ in range(many)]


def state_of(user: UserId) -> UserState:
    return UserState(user, 1, (), np.empty(0, np.uint64))


async def test_only_what_is_on_a_dead_node_is_away_and_it_comes_back(
    client: GuardedRedis, node: Node
) -> None:
    cache, gone, others = RedisUserCache(client), users(node, there=True), users(node, there=False)
    for user in (*gone, *others):
        await cache.put_state(state_of(user))
    subs = limited(node, there=True), limited(node, there=False)
    await RedisLedger(client, "a").settle([Report(QUOTA, sub, used=((0, 5),)) for sub in subs])
    async with following(client) as heard:
        node.kill()
        await states_go_on(cache, gone, others)
        await counts_go_on(client, *subs)
        owes = await drops_go_on(cache, gone, others)
        await until(lambda: set(others) <= set(heard.users))
        assert not set(gone) & set(heard.users)
        with pytest.raises(Unavailable):
            await ping(client)
        node.launch()
        eventually(node.answers, seconds=30)
        async with asyncio.timeout(BACK_SECONDS):
            await until_answered(cache, users(node, there=True)[0])
        await owes()
        await until(lambda: set(gone) <= set(heard.users))
    await ping(client)


async def states_go_on(cache: RedisUserCache, gone: list[UserId], others: list[UserId]) -> None:
    for user in gone:
        with pytest.raises(Unavailable):
            await cache.state(user)
    for user in others:
        assert await cache.state(user) is not None
        await cache.put_list(user, "m/1/personalized", 1, b"[]", 60)
        assert await cache.get_list(user, "m/1/personalized") == b"[]"


async def counts_go_on(client: GuardedRedis, gone: str, kept: str) -> None:
    """A count that was taken is known as taken: it is not stated again."""
    ledger, other = RedisLedger(client, "a"), RedisLedger(client, "b")
    with pytest.raises(PartlyAway) as caught:
        await ledger.settle([Report(QUOTA, sub, used=((0, 5),)) for sub in (gone, kept)])
    assert caught.value.done.keys() == {1}
    assert caught.value.done[1].counted == 10
    [settled] = await other.settle([Report(QUOTA, kept)])
    assert settled.counted == 10
    with pytest.raises(Unavailable, match="redis"):
        await other.settle([Report(QUOTA, gone)])


async def drops_go_on(
    cache: RedisUserCache, gone: list[UserId], others: list[UserId]
) -> Callable[[], Awaitable[None]]:
    """What cannot be dropped is owed, and nothing else; the answer pays."""
    revisions = dict.fromkeys((*gone, *others), 2)
    forgetting, owed = Forgetting(cache), Owed()
    with pytest.raises(PartlyAway) as caught:
        await cache.forget_many(revisions)
    assert caught.value.done.keys() == set(others)
    await forgetting.forget(revisions)
    await Dropping(cache, owed).drop(revisions)
    assert {user for user in revisions if forgetting.owes(user)} == set(gone)
    assert owed.revisions.keys() == set(gone)
    for user in others:
        assert await cache.state(user) is None

    async def pay() -> None:
        await forgetting.pay()
        assert not any(forgetting.owes(user) for user in revisions)
        assert await Dropping(cache, owed).pay() == len(gone)

    return pay


async def until_answered(cache: RedisUserCache, user: UserId) -> None:
    while True:
        try:
            await cache.put_state(state_of(user))
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_node_that_hangs_is_waited_for_three_times(cluster: Cluster, node: Node) -> None:
    client = connect(cluster.url, SECONDS)
    cache, gone, others = RedisUserCache(client), users(node, there=True), users(node, there=False)
    await cache.state(others[0])
    assert node.process
    node.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        for at in range(50):
            with pytest.raises(Unavailable):
                await cache.state(gone[at % len(gone)])
            await cache.state(others[at % len(others)])
        assert time.monotonic() - began < 25 * SECONDS  # of 50 calls
    finally:
        node.process.send_signal(signal.SIGCONT)
        await client.aclose()


class Owed:
    """`ingest.ports.OwedDrops` in memory."""

    def __init__(self) -> None:
        self.revisions: dict[UserId, int] = {}

    async def owe(self, revisions: Mapping[UserId, int]) -> None:
        self.revisions |= revisions

    async def owed(self, most: int) -> dict[UserId, int]:
        return dict(list(self.revisions.items())[:most])

    async def settle(self, revisions: Mapping[UserId, int]) -> None:
        for user in revisions:
            del self.revisions[user]


def limited(node: Node, *, there: bool) -> str:
    """A caller whose count is on the node, or on another."""
    names = (uuid4().hex for _ in range(10_000))
    return next(name for name in names if node.has(f"l:{{{name}}}") == there)


async def test_notices_of_users_anywhere_reach_who_follows(client: GuardedRedis) -> None:
    everybody = [UserId(uuid4().hex) for _ in range(300)]
    async with following(client) as one, following(client) as other:
        await RedisUserCache(client).forget_many(dict.fromkeys(everybody, 1))
        await until(lambda: set(everybody) <= set(one.users) & set(other.users))
        assert one.lost == other.lost == []
        await client.incr(COUNTER)  # as if something had been published and lost
        await until(lambda: one.lost and other.lost)


async def test_a_slot_is_followed_while_it_moves_and_after(
    cluster: Cluster, client: GuardedRedis
) -> None:
    user = UserId(uuid4().hex)
    key, cache = keys_of(user)[0], RedisUserCache(client)
    await cache.put_state(state_of(user))
    source = cluster.node_of(key)
    target = next(each for each in cluster.nodes if each is not source)
    names = {each: each.ask("CLUSTER", "MYID").decode() for each in (source, target)}
    slot = key_slot(key.encode())
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    try:
        assert await cache.state(user) is not None  # still there
        source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)
        assert await cache.state(user) is not None  # asked for where it went
        assert (await client.together([("HGET", key, "floor")])) == [b"1"]
        for each in (target, source):
            each.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target])
        assert (await client.together([("HGET", key, "floor")])) == [b"1"]
        assert await cache.state(user) is not None
        assert (await client.at(key)).connection_pool.connection_kwargs["port"] == target.port
        await cache.forget_many({user: 2})
        assert await cache.state(user) is None
    finally:
        target.ask("DEL", *keys_of(user))
        for each in (source, target):
            each.ask("CLUSTER", "SETSLOT", slot, "NODE", names[source])


async def test_a_cluster_that_is_away_is_unavailable_at_once() -> None:
    client = connect("redis+cluster://127.0.0.1:1,127.0.0.1:2", SECONDS)
    cache, began = RedisUserCache(client), time.monotonic()
    for _ in range(20):
        with pytest.raises(Unavailable) as caught:
            await cache.state(UserId("1"))
        assert caught.value.dependency == "redis"
        with pytest.raises(Unavailable):
            await cache.forget_many({UserId("1"): 1})
    assert time.monotonic() - began < 20 * SECONDS  # of 40 calls
    await client.aclose()


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://127.0.0.1:7000/3"])
def test_an_address_of_no_cluster_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="UPNEXT_REDIS_URL"):
        _ = connect(url, SECONDS)


def test_lists_go_on_while_a_node_is_away(
    cluster: Cluster, node: Node, database_url: str, tmp_path: Path
) -> None:
    settings = of_popular_lists(database_url, cluster.url, tmp_path)
    settings = settings.model_copy(update={"workers": 1})
    write_videos(settings, [video(f"v{number}", "drama") for number in range(20)])
    gone, others = users(node, there=True), users(node, there=False)
    with Served(settings) as served, served.client() as asking:

        def degraded(user: UserId) -> list[str]:
            answer = asking.get(f"/recs/{user}")
            assert answer.status_code == 200
            assert answer.json()["recommendations"]
            found: list[str] = answer.json()["metadata"].get("degraded", [])
            return found

        for user in (*gone, *others):
            watched = asking.post(f"/users/{user}/watch-history", json={"content_id": "v1"})
            assert watched.is_success
            assert degraded(user) == []
        node.kill()
        for user in (*gone, *others):
            watched = asking.post(f"/users/{user}/watch-history", json={"content_id": "v2"})
            assert watched.is_success
        assert {tuple(degraded(user)) for user in gone} == {("redis",)}
        assert {tuple(degraded(user)) for user in others} == {()}
        assert asking.get("/health").json()["dependencies"]["redis"]["status"] == "unavailable"
        node.launch()
        eventually(lambda: not any(degraded(user) for user in gone), seconds=BACK_SECONDS)

"""News of dropped lists over a real Redis, and all kinds of news on two services."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from core.settings import Settings, load
from core.types import UserId
from storage.redis.client import GuardedRedis, connect
from storage.redis.notices import COUNTER, RedisNotices
from storage.redis.users import RedisUserCache
from tests.catalogues import video
from tests.measured import undocumented
from tests.patience import PATIENT_REDIS
from tests.polling import eventually
from tests.ports import free_port
from tests.served import Served, write_videos

pytestmark = pytest.mark.integration

NAMES = [f"v{number:03}" for number in range(120)]
PATIENT_SECONDS = 10.0
"""Of silence: so long no busy machine keeps a follower from its own beat."""
SOON = 4.0  # a second, and what asking all workers of a busy machine takes


class Heard:
    """Everything that a follower is told."""

    def __init__(self) -> None:
        self.users: list[UserId] = []
        self.lost: list[str] = []
        self.follows = 0

    def drop(self, user_ids: Iterable[UserId]) -> None:
        self.users += user_ids

    def lose(self, why: str) -> None:
        self.lost.append(why)

    def follow(self) -> None:
        self.follows += 1


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[GuardedRedis]:
    client = connect(redis_url, PATIENT_REDIS)
    yield client
    await client.aclose()


@asynccontextmanager
async def following(
    client: GuardedRedis, notices: RedisNotices | None = None
) -> AsyncIterator[Heard]:
    heard = Heard()
    notices = notices or RedisNotices(client, silence_seconds=PATIENT_SECONDS)
    task = asyncio.create_task(notices.run(heard))
    await until(lambda: heard.follows)
    yield heard
    task.cancel()
    await asyncio.wait([task])


class Busy(RedisNotices):
    """Begins while something is published: after it subscribed, before it asked for the count."""

    user: UserId | None = UserId(uuid4().hex)

    async def _count(self, server: GuardedRedis) -> int:
        user, self.user = self.user, None
        if user is not None:
            await RedisUserCache(self._client).forget_many({user: 1})
        return await super()._count(server)


async def test_news_that_come_while_it_begins_are_no_gap(client: GuardedRedis) -> None:
    user = UserId(uuid4().hex)
    async with following(client, Busy(client, silence_seconds=PATIENT_SECONDS)) as heard:
        await until(lambda: Busy.user in heard.users)
        await RedisUserCache(client).forget_many({user: 1})
        await until(lambda: user in heard.users)
        assert heard.lost == []


async def test_whoever_is_dropped_anywhere_is_told_to_all(client: GuardedRedis) -> None:
    users = [UserId(uuid4().hex) for _ in range(3)]
    async with following(client) as one, following(client) as other:
        await RedisUserCache(client).forget_many(dict.fromkeys(users[:2], 1))
        await RedisUserCache(client).forget_many({users[2]: 1})
        await until(lambda: set(users) <= set(one.users) & set(other.users))
        assert one.lost == other.lost == []


async def test_news_that_never_came_are_missed(client: GuardedRedis) -> None:
    async with following(client) as heard:
        await client.incr(COUNTER)  # as if something had been published and lost
        await until(lambda: heard.lost)
        assert heard.lost == ["gap"]
        assert heard.follows == 2


async def test_a_broken_connection_is_silence_and_then_news_arrive_again(
    client: GuardedRedis,
) -> None:
    user = UserId(uuid4().hex)
    async with following(client) as heard:
        await client.client_kill_filter(_type="pubsub")
        await until(lambda: heard.follows == 2)
        assert heard.lost == ["silence"]
        await RedisUserCache(client).forget_many({user: 1})
        await until(lambda: user in heard.users)


@pytest.fixture
def services(
    tmp_path: Path, database_url: str, redis_url: str, milvus_uri: str, nats_url: str
) -> Iterator[list[Served]]:
    """Two services of two workers each, over the same stores."""

    def settings() -> Settings:
        return load(
            {
                "home": str(tmp_path),
                "port": str(free_port()),
                "workers": "2",
                "postgres_url": database_url,
                "redis_url": redis_url,
                "milvus_uri": milvus_uri,
                "bus_url": nats_url,
                "artifacts_url": tmp_path.as_uri(),
                "jwt_secret": "a secret of this test only, long enough for an HMAC",
            }
        )

    own = [settings(), settings()]
    write_videos(own[0], [video(name, "drama", age_days=row) for row, name in enumerate(NAMES)])
    with ExitStack() as stack:
        yield [stack.enter_context(Served(one)) for one in own]


def everywhere(services: list[Served], user: str) -> list[httpx.Response]:
    """The user's list from every worker of every service: each connection meets one at random."""
    answers = []
    for service in services:
        with service.client() as client:
            close = {"Connection": "close"}
            answers += [client.get(f"/recs/{user}", headers=close) for _ in range(8)]
    return answers


def shown(answers: list[httpx.Response]) -> set[str]:
    return {one["content_id"] for answer in answers for one in answer.json()["recommendations"]}


def test_news_are_on_every_worker_of_every_service_at_once(services: list[Served]) -> None:
    user = f"news-{uuid4().hex}"
    first, second = services
    with first.client() as client, second.client() as other:
        assert client.post(f"/users/{user}/watch-history", json={"content_id": "v000"}).is_success
        kept = everywhere(services, user)
        assert {answer.json()["metadata"]["cache_hit"] for answer in kept[2:]} == {True}

        # A watch on one service.
        seen = kept[0].json()["recommendations"][0]["content_id"]
        assert client.post(f"/users/{user}/watch-history", json={"content_id": seen}).is_success
        eventually(lambda: seen not in shown(everywhere(services, user)), seconds=SOON)

        # A take-down on the other one.
        gone = everywhere(services, user)[0].json()["recommendations"][0]["content_id"]
        assert other.delete(f"/videos/{gone}").status_code == 204
        eventually(lambda: gone not in shown(everywhere(services, user)), seconds=SOON)

        # A new configuration.
        config = client.get("/recs/config").json()
        headers = {"If-Match": str(config.pop("version"))}
        new = {**config, "diversity": 0.5}
        changed = client.put("/recs/config", json=new, headers=headers)
        assert changed.is_success, changed.text
        wanted = {changed.json()["version"]}

        def versions() -> set[int]:
            answers = everywhere(services, user)
            return {answer.json()["metadata"]["config_version"] for answer in answers}

        eventually(lambda: versions() == wanted, seconds=SOON)
        metrics = other.get("/metrics").text
        assert 'upnext_notices_total{outcome="gap"} 0.0' in metrics
        assert 'upnext_lists_total{outcome="local"}' in metrics
        assert undocumented(metrics) == []

"""Events from a real bus to real stores, through consumers that are killed."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest

from core.settings import Settings, load
from core.types import UserId
from storage.embedded.stack import EmbeddedStack
from storage.postgres.engine import pool
from storage.postgres.owed_drops import PostgresOwedDrops
from storage.redis.client import connect
from storage.redis.users import RedisUserCache
from tests.embedded import started
from tests.eventful import (
    FIELD,
    Consuming,
    account,
    lists_kept,
    make_streams,
    nothing_waits,
    publish,
    survive,
    traffic,
    until,
)
from tests.faults.dependencies import ServerProcess
from tests.kafka import KafkaServer
from tests.log_lines import Line, checked
from tests.patience import PATIENT_REDIS, SHIPPED

pytestmark = pytest.mark.integration

EVENTS, KILLS = 4_000, 3


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[str]:
    """A bus of this test's own: what others left there would be consumed as well."""
    with EmbeddedStack(tmp_path / "bus", ["bus"]) as stack:
        yield stack.servers["bus"].url


@pytest.fixture
def settings(own_bus: str, database_url: str, redis_url: str) -> Settings:
    return load(
        {
            "bus_url": own_bus,
            "postgres_url": database_url,
            "redis_url": redis_url,
            "events_batch": "50",
        }
    )


async def test_each_event_counts_once_whenever_the_consumer_is_killed(
    settings: Settings, tmp_path: Path
) -> None:
    users = [f"{uuid4().hex}-{number}" for number in range(200)]
    sent = traffic(EVENTS, users)
    await make_streams(settings.bus_url or "")
    async with lists_kept(settings, users) as made:
        await survive(settings, sent, KILLS, tmp_path / "consumer.log")
    found = await account(settings, users)
    assert found.keys == {one.key for one in sent}
    assert len(found.keys) == EVENTS < len(sent)
    assert (found.wrong_counters, found.dead, found.stale) == (0, [], [])
    assert len(set(made)) > 20  # so often a list was made while events flowed


async def test_the_same_over_kafka(tmp_path: Path, database_url: str, redis_url: str) -> None:
    users = [f"{uuid4().hex}-{number}" for number in range(50)]
    sent = traffic(1_000, users)
    with started(KafkaServer(tmp_path / "kafka")) as broker:
        urls = {"bus_url": broker.url, "postgres_url": database_url, "redis_url": redis_url}
        settings = load({**urls, "events_batch": "100"})
        await make_streams(broker.url)
        await survive(settings, sent, 0, tmp_path / "consumer.log")  # more in the soak: 8 s a kill
        found = await account(settings, users)
    assert found.keys == {one.key for one in sent}
    assert (found.wrong_counters, found.dead, found.stale) == (0, [], [])
    _no_fault(await asyncio.to_thread(_said, tmp_path / "consumer.log"))


async def test_two_consumers_with_one_hot_video_while_redis_hangs(
    tmp_path: Path, database_url: str
) -> None:
    users = [f"u{number}" for number in range(50)]
    sent = traffic(2_000, [*users, *[users[0]] * 50], hot=0.5)
    with EmbeddedStack(tmp_path / "servers", ["bus", "redis"]) as stack:
        urls = {"bus_url": stack.servers["bus"].url, "redis_url": stack.servers["redis"].url}
        settings = load(
            {
                **urls,
                "postgres_url": database_url,
                "redis_timeout_seconds": SHIPPED["redis_timeout_seconds"],
                "postgres_timeout_seconds": "60",  # only a deadlock ends a transaction
                "events_batch": "50",
            }
        )
        await make_streams(urls["bus_url"])
        await _keep_a_list_of_each(urls["redis_url"], users)
        redis = ServerProcess(stack.servers["redis"])
        redis.hang()
        try:
            await publish(urls["bus_url"], sent)
            consumers = [Consuming(settings) for _ in range(2)]
            for consumer in consumers:
                consumer.launch(tmp_path / "consumers.log")
            await nothing_waits(urls["bus_url"])
        finally:
            for consumer in consumers:
                consumer.kill()
            redis.resume()
        assert len((await account(settings, users)).stale) == len(users)
        assert await _owed(settings)
        with_debts = Consuming(settings)  # which are not its own
        with_debts.launch(tmp_path / "consumers.log")
        await until(lambda: _paid(settings), every=0.1)
        with_debts.stop()
        found = await account(settings, users)
    assert found.keys == {one.key for one in sent}
    assert (found.wrong_counters, found.dead, found.stale) == (0, [], [])
    lines = _said(tmp_path / "consumers.log")
    undropped = [line for line in lines if line["message"] == "lists_not_dropped"]
    # Once each, if each had any; and once more where nothing was owed yet as it looked for that.
    assert 1 <= len(undropped) <= 2 * len(consumers)
    _no_fault(lines)
    waited = [line for line in lines if line["message"] == "Waiting for a dependency."]
    deadlocks = [line for line in waited if "postgres" in line["event.reason"]]
    assert deadlocks == []


def _said(log: Path) -> list[Line]:
    return checked(log.read_text().split("\n")[:-1])


def _no_fault(lines: Sequence[Line]) -> None:
    """What is away for a moment may be said, on a busy machine; nothing else is wrong."""
    assert [line for line in lines if line["log.level"] in {"error", "critical"}] == []
    assert not [line for line in lines if "error.stack_trace" in line]


async def _keep_a_list_of_each(url: str, users: Sequence[str]) -> None:
    async with aclosing(connect(url, PATIENT_REDIS)) as redis:
        for user in users:
            await RedisUserCache(redis).put_list(UserId(user), FIELD, 1, b"1", 3600)


async def _owed(settings: Settings) -> dict[UserId, int]:
    """Some of the lists that are still to be dropped."""
    async with pool(settings) as engine:
        return dict(await PostgresOwedDrops(engine).owed(1))


async def _paid(settings: Settings) -> bool:
    return not await _owed(settings)

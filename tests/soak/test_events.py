"""50,000 events through consumers that are killed 20 times, also with PostgreSQL away meanwhile."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from core.settings import Settings, load
from storage.embedded.stack import EmbeddedStack
from storage.postgres import migrate
from tests.embedded import started
from tests.eventful import Sent, account, lists_kept, make_streams, survive, traffic
from tests.faults.dependencies import ServerProcess
from tests.kafka import KafkaServer

pytestmark = pytest.mark.soak

EVENTS, KILLS, USERS = 50_000, 20, 2_000
KAFKA_EVENTS, KAFKA_KILLS = 10_000, 5
BEFORE_SECONDS, AWAY_SECONDS = 5.0, 15.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path / "servers", ["postgres", "redis", "bus"]) as running:
        migrate.upgrade(running.servers["postgres"].url)
        yield running


@pytest.fixture
def settings(stack: EmbeddedStack) -> Settings:
    return load(
        {
            "bus_url": stack.servers["bus"].url,
            "postgres_url": stack.servers["postgres"].url,
            "redis_url": stack.servers["redis"].url,
            "events_batch": "100",
        }
    )


async def _away(server: ServerProcess) -> None:
    await asyncio.sleep(BEFORE_SECONDS)
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(server.restart)


@pytest.mark.parametrize("outage", [False, True], ids=["kills", "kills and an outage"])
async def test_each_event_counts_once(
    stack: EmbeddedStack, settings: Settings, tmp_path: Path, *, outage: bool
) -> None:
    users = [f"{uuid4().hex}-{number}" for number in range(USERS)]
    sent = traffic(EVENTS, users)
    await make_streams(settings.bus_url or "")
    async with lists_kept(settings, users) as made:
        away = asyncio.create_task(_away(ServerProcess(stack.servers["postgres"])))
        if not outage:
            away.cancel()
        await survive(settings, sent, KILLS, tmp_path / "consumer.log")
        with suppress(asyncio.CancelledError):
            await away
    await _check(settings, sent, users, tmp_path / "consumer.log")
    assert len(set(made)) > 100  # so often a list was made while events flowed


async def test_the_same_over_kafka(settings: Settings, tmp_path: Path) -> None:
    users = [f"{uuid4().hex}-{number}" for number in range(USERS)]
    sent = traffic(KAFKA_EVENTS, users)
    with started(KafkaServer(tmp_path / "kafka")) as broker:
        over_kafka = settings.model_copy(update={"bus_url": broker.url})
        await make_streams(broker.url)
        async with lists_kept(over_kafka, users):
            await survive(over_kafka, sent, KAFKA_KILLS, tmp_path / "consumer.log")
        await _check(over_kafka, sent, users, tmp_path / "consumer.log")


async def _check(settings: Settings, sent: Sequence[Sent], users: Sequence[str], log: Path) -> None:
    found = await account(settings, users)
    assert found.keys == {one.key for one in sent}
    assert len(found.keys) < len(sent)
    assert (found.wrong_counters, found.dead, found.stale) == (0, [], [])
    assert b"Traceback" not in await asyncio.to_thread(log.read_bytes)

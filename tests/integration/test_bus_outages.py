"""Both buses, when they are away, hang, come back, or were never set up."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import RequestTimedOutError

from core.errors import Unavailable
from core.settings import load
from storage.bus import Bus, Events, Timing, bus_of, connect, events, events_of
from storage.embedded.server import EmbeddedServer
from storage.embedded.stack import EmbeddedStack
from tests.embedded import started
from tests.kafka import KafkaServer
from tests.ports import taken_port

pytestmark = pytest.mark.integration

WATCHED = "analytics.video-watched"
QUICK = Timing(answer=4, first=0.2)
SETUP = "run `upnext bus setup`"
SOON_SECONDS = 25.0
"""Our times add up to 11 s, on an idle machine; what has none would wait for the server."""

# Takes what there is and is killed with it in hand.
KILLED_CONSUMER = """
import asyncio, os, signal, sys
from core.settings import load
from storage import bus

async def main():
    source = bus.events_of(load({"bus_url": sys.argv[1]}))
    assert len(await source.fetch(10)) == 1
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def server_of(kind: str, home: Path) -> EmbeddedServer:
    """A server that is not started yet."""
    return KafkaServer(home) if kind == "kafka" else EmbeddedStack(home, ["bus"]).servers["bus"]


@pytest.fixture(params=["nats", "kafka"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedServer]:
    """One of this test's own."""
    with started(server_of(request.param, tmp_path)) as made:
        yield made


@contextmanager
def frozen(server: EmbeddedServer) -> Iterator[None]:
    """Alive, and silent."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    os.waitpid(server.process.pid, os.WUNTRACED)  # its last thread has stopped
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def refused(bus: Bus, source: Events, reason: str | None = None, *, after: float = 0) -> None:
    """Calls side by side say so, each of them, after so many seconds and soon."""

    async def check(call: Awaitable[object]) -> None:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=reason) as caught:
            await call
        assert caught.value.dependency == "bus"
        assert after <= time.monotonic() - began < SOON_SECONDS

    calls = (bus.publish(WATCHED, "2", b"{}"), source.fetch(1), source.waiting())
    await asyncio.gather(*(check(call) for call in calls))


async def a_message(source: Events) -> bytes:
    async with asyncio.timeout(30):
        while not (messages := await source.fetch(1)):
            pass
    await source.acknowledge(messages)
    return messages[0].payload


@pytest.mark.parametrize("url", ["nats://127.0.0.1:9", "kafka://127.0.0.1:9"])
async def test_nobody_at_the_address(url: str) -> None:
    bus, source = connect(url, QUICK), events(url, QUICK)
    await refused(bus, source)
    with pytest.raises(Unavailable):
        await bus.ping()
    with pytest.raises(Unavailable):
        await bus.setup()
    await bus.close()
    await source.close()


@pytest.mark.parametrize("kind", ["nats", "kafka"])
async def test_who_is_silent_is_given_the_time_that_is_set(kind: str) -> None:
    with taken_port() as port:  # connections are taken there, and nothing is said
        settings = load({"bus_url": f"{kind}://127.0.0.1:{port}", "bus_timeout_seconds": "3"})
        bus, source = bus_of(settings), events_of(settings)
        await refused(bus, source, after=3)
        await bus.close()
        await source.close()


async def test_a_service_makes_nothing_and_works_once_it_is_made(server: EmbeddedServer) -> None:
    bus, source = connect(server.url, QUICK), events(server.url, QUICK)
    for _ in range(2):
        await refused(bus, source, SETUP)
    await bus.setup()
    await bus.publish(WATCHED, "1", b"first")
    assert await a_message(source) == b"first"
    await bus.close()
    await source.close()


async def test_it_goes_silent_goes_away_and_comes_back(server: EmbeddedServer) -> None:
    bus, source = connect(server.url, QUICK), events(server.url, QUICK)
    await bus.setup()
    await bus.publish(WATCHED, "1", b"before")
    assert await a_message(source) == b"before"
    with frozen(server):
        await refused(bus, source)
    server.stop(0)
    await refused(bus, source)
    server.launch()
    server.wait_ready()
    await bus.setup()  # this Kafka keeps nothing over a restart
    await bus.publish(WATCHED, "3", b"after")
    while await a_message(source) != b"after":
        pass  # what was published to a silent server may have arrived
    await bus.close()
    await source.close()


async def test_what_a_killed_consumer_had_comes_again_within_ten_seconds(tmp_path: Path) -> None:
    with started(server_of("nats", tmp_path)) as server:
        bus, source = connect(server.url, QUICK), events(server.url, QUICK)
        await bus.setup()
        await bus.publish(WATCHED, "1", b"again")
        consumer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED_CONSUMER, server.url
        )
        assert await consumer.wait() == -signal.SIGKILL
        began = time.monotonic()
        assert await a_message(source) == b"again"
        assert time.monotonic() - began < 10
        await bus.close()
        await source.close()


async def test_a_lag_that_kafka_does_not_tell_costs_nobody_their_place(
    kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> int:
        raise RequestTimedOutError

    bus, source = connect(kafka_url, QUICK), events(kafka_url, QUICK)
    await bus.setup()
    await bus.publish(WATCHED, "1", b"in work")
    async with asyncio.timeout(30):
        while not (messages := await source.fetch(1)):
            pass
    with monkeypatch.context() as patch:
        patch.setattr(AIOKafkaConsumer, "committed", fails)
        with pytest.raises(Unavailable):
            await source.waiting()
    before = await source.waiting()
    await source.acknowledge(messages)
    assert await source.waiting() == before - 1
    await bus.close()
    await source.close()

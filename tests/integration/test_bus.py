"""What the bus is told by its URL, and what the commands say."""

import asyncio
from pathlib import Path
from uuid import uuid4

import nats
import nats.errors
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner
from nats.js import JetStreamManager

from core.errors import SetupError, Unavailable
from core.events import SUBJECTS
from core.settings import load
from storage.bus import Bus, Events, bus_of, events_of, setup
from storage.bus.contract import EVENTS
from storage.bus.nats_inbox import Inbox
from storage.bus.nats_link import Link
from storage.embedded.stack import EmbeddedStack
from tests.patience import PATIENT_BUS
from upnext.cli import main

pytestmark = pytest.mark.integration


def bus_at(url: str) -> Bus:
    return bus_of(load({"bus_url": url}))


def events_at(url: str) -> Events:
    return events_of(load({"bus_url": url}))


async def test_a_wrong_password_is_unavailable(nats_url: str) -> None:
    bus = bus_at(nats_url.replace("upnext:", "somebody:"))
    with pytest.raises(Unavailable):
        await bus.ping()
    await bus.close()


async def test_a_lost_connection_that_cannot_be_ended_is_unavailable(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        await end()
        raise ConnectionResetError

    link = Link(nats_url, PATIENT_BUS)
    async with link.connected() as client:
        end = client.close
    monkeypatch.setattr(client, "close", fails)
    with pytest.raises(Unavailable):
        async with link.connected():
            raise nats.errors.ConnectionClosedError
    async with link.connected() as another:
        assert another is not client
    await link.close()


async def test_a_lag_that_nats_does_not_tell_costs_no_connection(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise nats.errors.TimeoutError

    await setup(load({"bus_url": nats_url}))
    source = events_at(nats_url)
    await source.put_back(await source.fetch(1), 0)
    fetching = asyncio.create_task(source.fetch(1))
    with monkeypatch.context() as patch:
        patch.setattr(JetStreamManager, "consumer_info", fails)
        with pytest.raises(Unavailable):
            await source.waiting()
        await source.put_back(await fetching, 0)
    await source.waiting()
    await source.close()


async def test_what_arrived_for_a_fetch_that_was_cancelled_is_handed_on_at_once(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setup(load({"bus_url": nats_url}))
    bus, source, other = bus_at(nats_url), events_at(nats_url), events_at(nats_url)
    await bus.publish("analytics.video-watched", uuid4().hex, b"handed on")
    arrived, ask = asyncio.Event(), Inbox.ask

    async def stays(inbox: Inbox, most: int) -> None:
        await ask(inbox, most)
        arrived.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "ask", stays)
        fetching = asyncio.create_task(source.fetch(100))
        await arrived.wait()
        fetching.cancel()
        await source.close()
    messages = await other.fetch(100)
    assert b"handed on" in [message.payload for message in messages]
    await other.acknowledge(messages)
    await other.close()
    await bus.close()


async def test_setup_says_what_the_bus_refuses(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path, ["bus"]) as stack:
        url = stack.servers["bus"].url
        client = await nats.connect(url)
        await client.jetstream().add_stream(name="OURS", subjects=["analytics.video-watched"])
        await client.close()
        bus = bus_at(url)
        with pytest.raises(Unavailable, match="refuses: subjects overlap"):
            await bus.setup()
        await bus.close()


async def test_a_message_whose_headers_are_none_holds_nothing_up(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path, ["bus"]) as stack:
        url = stack.servers["bus"].url
        await setup(load({"bus_url": url}))
        client = await nats.connect(url)
        for headers in (b"", b"\r\n\r\n", b"NATS/1.0 200 \xff\xff\r\n\r\n"):
            sizes = len(headers), len(headers) + len(b"odd")
            line = b"HPUB analytics.video-watched %d %d\r\n" % sizes
            await client._send_command(line + headers + b"odd\r\n")  # the driver sends no such
        await client.flush()
        await client.jetstream().publish("analytics.video-watched", b"even")
        await client.close()
        source = events_at(url)
        messages = await source.fetch(10)
        assert [message.payload for message in messages] == [b"odd", b"odd", b"odd", b"even"]
        await source.acknowledge(messages)
        await source.close()


async def test_events_are_read_however_their_sender_compressed_them(kafka_url: str) -> None:
    await setup(load({"bus_url": kafka_url}))
    codecs, servers = ("gzip", "snappy", "lz4", "zstd"), kafka_url.removeprefix("kafka://")
    for codec in codecs:
        async with AIOKafkaProducer(bootstrap_servers=servers, compression_type=codec) as producer:
            await producer.send_and_wait("analytics.video-watched", codec.encode() * 100)
    source, missing = events_at(kafka_url), {codec.encode() * 100 for codec in codecs}
    async with asyncio.timeout(30):
        while missing:
            messages = await source.fetch(10)
            missing -= {message.payload for message in messages}
            await source.acknowledge(messages)
    await source.close()


@pytest.mark.parametrize(
    "url", ["http://host:9092", "host:4222", "", "nats://", "nats://host:port", "tls://ann:secret@"]
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    for make in (bus_at, events_at):
        with pytest.raises(SetupError, match="UPNEXT_BUS_URL") as caught:
            make(url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "printed"),
    [
        ("nats_url", ["stream ANALYTICS", "stream RECS", "consumer upnext"]),
        ("kafka_url", [f"topic {name}" for name in sorted([*EVENTS, *SUBJECTS.values()])]),
    ],
)
def test_the_command_makes_what_is_needed(
    server: str,
    printed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("UPNEXT_HOME", str(tmp_path))
    monkeypatch.setenv("UPNEXT_BUS_URL", request.getfixturevalue(server))
    for _ in range(2):
        result = CliRunner().invoke(main, ["bus", "setup"])
        assert (result.exit_code, result.stdout.splitlines()) == (0, printed)

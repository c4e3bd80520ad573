"""Events reach the bus in order and at least once, whatever dies in between."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple

import msgspec
import nats
import pytest
import structlog
from aiokafka import AIOKafkaConsumer
from nats.js.client import JetStreamContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import Unavailable
from core.events import (
    CloudEvent,
    DeadLetter,
    ModelTrainingCompleted,
    ModelTrainingStarted,
    TracedEvent,
)
from core.settings import load
from core.tracing import extract, root
from storage.bus import Bus, bus_of
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.outbox import PostgresOutbox, append
from storage.postgres.traces import prune_traces
from tests.asyncapi import complaints
from tests.spans import CALLER, header_of, recorded

pytestmark = pytest.mark.integration

# Publishes what waits and is killed before it can mark it.
KILLED_RELAY = """
import asyncio, os, signal, sys
from core.settings import load
from storage.bus import bus_of
from storage.postgres.engine import connect
from storage.postgres.outbox import PostgresOutbox

class Deadly:
    async def publish(self, subject, message_id, payload, key):
        await real.publish(subject, message_id, payload, key)
        os.kill(os.getpid(), signal.SIGKILL)

real = bus_of(load({"bus_url": sys.argv[2]}))
engine = connect(load({"postgres_url": sys.argv[1]}))
asyncio.run(PostgresOutbox(engine).relay(Deadly()))
"""


class Recorder:
    """A publisher that fails from its `failing`-th message on."""

    def __init__(self, failing: int = 1_000) -> None:
        self.sent: list[tuple[str, str, CloudEvent]] = []
        self.keys: list[str | None] = []
        self._failing = failing

    async def publish(
        self, subject: str, message_id: str, payload: bytes, key: str | None = None
    ) -> None:
        if len(self.sent) == self._failing:
            raise Unavailable("bus")
        event = msgspec.json.decode(payload, type=CloudEvent)
        assert complaints(subject, payload) == [], "as the AsyncAPI document has it"
        self.sent.append((subject, message_id, event))
        self.keys.append(key)


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    made = bus_of(load({"bus_url": nats_url}))
    await made.setup()
    yield made
    await made.close()


@pytest.fixture
async def kafka(kafka_url: str) -> AsyncIterator[Bus]:
    made = bus_of(load({"bus_url": kafka_url}))
    await made.setup()
    yield made
    await made.close()


@pytest.fixture
async def stream(bus: Bus, nats_url: str) -> AsyncIterator[JetStreamContext]:
    """JetStream as a consumer sees it, our own events emptied."""
    await bus.ping()
    client = await nats.connect(nats_url)
    jetstream = client.jetstream()
    await jetstream.purge_stream("RECS")
    yield jetstream
    await client.close()


async def failed_run(engine: AsyncEngine) -> str:
    """The id of a run that trained and failed: two events."""
    models = PostgresModels(engine, utc_now)
    model, token = await models.create("content", {})
    await models.update(model.id, token, status="training")
    await models.update(model.id, token, status="failed", error="Too little data.")
    return model.id


async def messages(stream: JetStreamContext) -> int:
    info = await stream.stream_info("RECS")
    return info.state.messages


async def test_events_go_out_in_order_as_cloud_events(engine: AsyncEngine) -> None:
    model_id = await failed_run(engine)
    recorder, outbox = Recorder(), PostgresOutbox(engine)
    assert await outbox.relay(recorder) == 2
    assert await outbox.relay(recorder) == 0
    (first, first_id, started), (second, _, completed) = recorder.sent
    assert first == "recs.model-training-started"
    assert second == "recs.model-training-completed"
    assert (started.specversion, started.source, started.id) == ("1.0", "/upnext", first_id)
    assert (started.type, started.datacontenttype) == ("ModelTrainingStarted", "application/json")
    assert msgspec.json.decode(started.data, type=ModelTrainingStarted).model_id == model_id
    assert recorder.keys == [model_id, model_id]
    ended = msgspec.json.decode(completed.data, type=ModelTrainingCompleted)
    assert (ended.model_id, ended.status, ended.error) == (model_id, "failed", "Too little data.")
    assert ended.duration_seconds >= 0


async def test_events_tell_the_trace_that_caused_them(engine: AsyncEngine) -> None:
    sent: list[TracedEvent] = []

    class Recorder:
        async def publish(
            self, subject: str, message_id: str, payload: bytes, key: str | None = None
        ) -> None:
            assert complaints(subject, payload) == [], (message_id, key)
            sent.append(msgspec.json.decode(payload, type=TracedEvent))

    with recorded() as spans:
        caller = extract({"traceparent": CALLER, "tracestate": "a=b"})
        with root("job training", kind="consumer", caused_by=caller):
            await failed_run(engine)
        assert await PostgresOutbox(engine).relay(Recorder()) == 2
    causes = {header_of(span) for span in spans.all() if span.name == "transaction"}
    assert {str(one.traceparent) for one in sent} <= causes
    assert [one.tracestate for one in sent] == ["a=b", "a=b"]
    assert all(str(one.traceparent)[3:35] == CALLER[3:35] for one in sent)
    assert await prune_traces(engine, utc_now() + timedelta(minutes=1)) == 2


async def test_a_bus_that_goes_away_keeps_the_rest_for_later(engine: AsyncEngine) -> None:
    await failed_run(engine)
    outbox, failing, after = PostgresOutbox(engine), Recorder(failing=1), Recorder()
    with pytest.raises(Unavailable):
        await outbox.relay(failing)
    assert await outbox.relay(after) == 1
    assert [event.type for _, _, event in failing.sent + after.sent] == [
        "ModelTrainingStarted",
        "ModelTrainingCompleted",
    ]


async def test_what_a_slow_bus_took_is_not_sent_again(database_url: str) -> None:
    async with pool(
        load({"postgres_url": database_url, "postgres_timeout_seconds": "4"})
    ) as engine:
        await failed_run(engine)
        after = Recorder()

        class Slow(Recorder):
            async def publish(
                self, subject: str, message_id: str, payload: bytes, key: str | None = None
            ) -> None:
                if self.sent:
                    await asyncio.Event().wait()
                await super().publish(subject, message_id, payload, key)

        class Stuck(Recorder):
            async def publish(self, *_: object) -> None:
                await asyncio.Event().wait()

        outbox = PostgresOutbox(engine)
        with pytest.raises(Unavailable, match="too slow"):
            await outbox.relay(Stuck())
        assert await outbox.relay(Slow()) == 1
        assert await outbox.relay(after) == 1
        assert [event.type for _, _, event in after.sent] == ["ModelTrainingCompleted"]


async def test_one_relay_works_at_a_time(engine: AsyncEngine) -> None:
    await failed_run(engine)
    outbox, other = PostgresOutbox(engine), Recorder()
    inside, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Recorder):
        async def publish(
            self, subject: str, message_id: str, payload: bytes, key: str | None = None
        ) -> None:
            inside.set()
            await go_on.wait()
            await super().publish(subject, message_id, payload, key)

    first = asyncio.create_task(outbox.relay(Slow()))
    await asyncio.wait_for(inside.wait(), 10)
    assert await outbox.relay(other) == 0
    go_on.set()
    assert await first == 2
    assert other.sent == []


async def killed_relay(database_url: str, bus_url: str) -> None:
    """One message is on the bus, and its relay died before it could say so."""
    relay = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_RELAY, database_url, bus_url
    )
    assert await relay.wait() == -signal.SIGKILL


async def relayed(engine: AsyncEngine, bus: Bus) -> int:
    """What the next relay sends, once the server has noticed that the killed one is gone."""
    outbox = PostgresOutbox(engine)
    async with asyncio.timeout(30):
        while not (sent := await outbox.relay(bus)):
            pass
    return sent


async def test_a_relay_killed_before_it_marks_publishes_again_with_the_same_ids(
    engine: AsyncEngine, database_url: str, nats_url: str, bus: Bus, stream: JetStreamContext
) -> None:
    await failed_run(engine)
    await killed_relay(database_url, nats_url)
    assert await messages(stream) == 1
    assert await relayed(engine, bus) == 2
    kept = await stream.get_last_msg("RECS", "recs.model-training-started")
    assert kept.headers is not None
    assert kept.data is not None
    event = msgspec.json.decode(kept.data, type=CloudEvent)
    assert kept.headers["Nats-Msg-Id"] == event.id
    assert await messages(stream) == 2, "the bus drops what comes with an id it knows"


async def test_over_kafka_a_killed_relay_repeats_and_the_order_stays(
    engine: AsyncEngine, database_url: str, kafka_url: str, kafka: Bus
) -> None:
    model_id = await failed_run(engine)
    await killed_relay(database_url, kafka_url)
    assert await relayed(engine, kafka) == 2
    started, completed = "recs.model-training-started", "recs.model-training-completed"
    records = await read(kafka_url, started, completed, key=model_id, count=3)
    assert sorted(each.topic for each in records) == [completed, started, started]
    ids = {each.id for each in records if each.topic == started}
    assert len(ids) == 1, "a repeat is known by its id"


class Record(NamedTuple):
    topic: str
    id: str


async def read(kafka_url: str, *topics: str, key: str, count: int) -> list[Record]:
    """So many records of that key, without joining any group."""
    servers = kafka_url.removeprefix("kafka://")
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Record] = []
    try:
        async with asyncio.timeout(20):
            while len(found) < count:
                each = await consumer.getone()
                if each.key.decode() == key:
                    event = msgspec.json.decode(each.value, type=CloudEvent)
                    found.append(Record(each.topic, event.id))
    finally:
        await consumer.stop()
    return found


async def test_what_is_too_large_for_the_bus_does_not_hold_up_the_rest(
    engine: AsyncEngine, bus: Bus, stream: JetStreamContext
) -> None:
    letter = DeadLetter(
        event="x" * 2_000_000, encoding="utf-8", subject="a", reason="too long", attempts=1
    )
    async with engine.begin() as connection:
        await append(connection, letter)
    await failed_run(engine)
    outbox = PostgresOutbox(engine)
    with structlog.testing.capture_logs() as lines:
        assert await outbox.relay(bus) == 3
    assert [line["event"] for line in lines] == ["An event stays here."]
    assert await messages(stream) == 2
    assert await outbox.relay(bus) == 0


async def test_pruning_forgets_only_what_was_published(engine: AsyncEngine) -> None:
    await failed_run(engine)
    outbox = PostgresOutbox(engine)
    with pytest.raises(Unavailable):
        await outbox.relay(Recorder(failing=1))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET created_at = now() - interval '1 year'"))
    year_ago = utc_now() - timedelta(days=365)
    assert await outbox.prune(year_ago) == 0
    assert await outbox.prune(utc_now()) == 1
    assert await outbox.relay(Recorder()) == 1


async def test_streams_are_made_once_and_then_left_alone(
    bus: Bus, stream: JetStreamContext
) -> None:
    info = await stream.stream_info("ANALYTICS")
    await stream.update_stream(info.config.evolve(max_age=3600))
    await bus.setup()
    info = await stream.stream_info("ANALYTICS")
    assert info.config.subjects == ["analytics.>"]
    assert info.config.max_age == 3600


async def test_a_subject_without_a_stream_says_what_to_do(bus: Bus) -> None:
    with pytest.raises(Unavailable, match="upnext bus setup") as caught:
        await bus.publish("elsewhere.thing", "1", b"{}")
    assert caught.value.dependency == "bus"

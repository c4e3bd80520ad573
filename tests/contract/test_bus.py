"""What every bus promises, whichever it is."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from core.clock import utc_now
from core.errors import InvalidInput
from core.messages import Message
from ingest.ports import EventSource
from storage import bus as buses
from storage.bus import Bus, Timing
from storage.embedded.stack import EmbeddedStack
from storage.memory.bus import MemoryBus
from tests.outside import outside
from tests.patience import PATIENT_BUS

pytestmark = [pytest.mark.contract, pytest.mark.asyncio(loop_scope="module")]

WATCHED, RATED = "analytics.video-watched", "analytics.video-rated"
DEAD = "recs.dead-letter"
# Who has a message is taken for dead where the event loop stands still for two fifths of `again`.
SHORT = Timing(answer=PATIENT_BUS, first=0.3, again=6.0, held=60)
AT_ONCE = 200  # all of them are answered in the time that each waits


@dataclass
class World:
    """A bus and its consumers, with nothing waiting.

    On Kafka, joining the group takes seconds, so a consumer stays from test to test.
    """

    bus: Bus
    new: Callable[[], EventSource]
    stays: bool = False
    drops_repeats: bool = True
    forgets: bool = True
    consumers: list[EventSource] = field(default_factory=list)

    async def publish(self, *payloads: bytes, subject: str = WATCHED) -> None:
        for payload in payloads:
            await self.bus.publish(subject, uuid.uuid4().hex, payload)

    def consumer(self) -> EventSource:
        """The one that is there, or a first."""
        return self.consumers[0] if self.consumers else self.another()

    def another(self) -> EventSource:
        self.consumers.append(self.new())
        return self.consumers[-1]

    async def close(self, consumer: EventSource) -> None:
        self.consumers.remove(consumer)
        await consumer.close()

    async def close_all(self) -> None:
        for consumer in list(self.consumers):
            await self.close(consumer)


@pytest.fixture(scope="module")
def own_nats(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server of this file's own: its consumer is impatient."""
    if (given := outside(pytestconfig, "--nats-url")) is not None:
        yield given
        return
    with EmbeddedStack(tmp_path_factory.mktemp("home"), ["bus"]) as stack:
        yield stack.servers["bus"].url


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["memory", "nats", "kafka"])
async def worlds(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """One for all tests, or for each test when a consumer need not stay."""
    if request.param == "memory":
        bus = MemoryBus(SHORT)
        await bus.setup()
        yield World(bus, bus.events)
        return
    url = request.getfixturevalue({"nats": "own_nats", "kafka": "kafka_url"}[request.param])
    made = buses.connect(url, SHORT)
    await made.setup()
    kafka = request.param == "kafka"
    yield World(
        made,
        lambda: buses.events(url, SHORT),
        stays=kafka,
        drops_repeats=not kafka,
        forgets=not kafka,
    )
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def world(worlds: World) -> AsyncIterator[World]:
    await drained(worlds.consumer())
    yield worlds
    if not worlds.stays:
        await worlds.close_all()


@pytest_asyncio.fixture(loop_scope="module", scope="module", autouse=True)
async def _no_consumer_is_left(worlds: World) -> AsyncIterator[None]:
    yield
    await worlds.close_all()


async def drained(consumer: EventSource) -> None:
    while await consumer.waiting():
        await consumer.acknowledge(await consumer.fetch(1000))


async def lag(consumer: EventSource, expected: int) -> None:
    """A bus may count an acknowledgement a moment after it was told."""
    found = [await consumer.waiting()]
    while found[-1] != expected and len(found) < 500:
        await asyncio.sleep(0.01)
        found.append(await consumer.waiting())
    assert found[-1] == expected


async def one(*consumers: EventSource) -> tuple[EventSource, Message]:
    """A message, and who has it."""
    async with asyncio.timeout(30):
        while True:
            for consumer in consumers:
                if messages := await consumer.fetch(1):
                    return consumer, messages[0]


async def fetched(consumer: EventSource, count: int) -> list[Message]:
    """So many messages, in however many batches they come."""
    messages: list[Message] = []
    async with asyncio.timeout(30):
        while len(messages) < count:
            messages += await consumer.fetch(count - len(messages))
    return messages


def payloads(messages: Sequence[Message]) -> list[bytes]:
    return [message.payload for message in messages]


async def test_what_is_published_arrives_and_is_told_apart(world: World) -> None:
    began = utc_now()
    await world.publish(b"one", b"two")
    await world.publish(b"\xff\x00", subject=RATED)
    await world.publish(b"of others", subject=DEAD)
    consumer = world.consumer()
    messages = await fetched(consumer, 3)
    assert sorted((each.subject, each.payload) for each in messages) == [
        (RATED, b"\xff\x00"),
        (WATCHED, b"one"),
        (WATCHED, b"two"),
    ]
    assert len({each.position for each in messages}) == 3
    assert {each.deliveries for each in messages} == {1}
    for each in messages:
        assert abs((each.received_at - began).total_seconds()) < 60
        assert each.received_at.utcoffset() is not None
    await consumer.acknowledge(messages)
    assert await consumer.fetch(10) == []


async def test_a_batch_has_no_more_than_was_asked_for(world: World) -> None:
    await world.publish(*(b"%d" % number for number in range(25)))
    consumer = world.consumer()
    first = await consumer.fetch(10)
    assert 1 <= len(first) <= 10
    rest = await fetched(consumer, 25 - len(first))
    assert {*payloads(first), *payloads(rest)} == {b"%d" % number for number in range(25)}
    await consumer.acknowledge([*first, *rest])


async def test_the_first_message_is_waited_for(world: World) -> None:
    consumer = world.consumer()
    await drained(consumer)
    waiting = asyncio.create_task(fetched(consumer, 1))
    await asyncio.sleep(0.1)
    await world.publish(b"late")
    messages = await waiting
    assert payloads(messages) == [b"late"]
    await consumer.acknowledge(messages)


async def test_what_is_put_back_comes_after_its_pause(world: World) -> None:
    await world.publish(b"later")
    consumer = world.consumer()
    messages = await fetched(consumer, 1)
    began = asyncio.get_running_loop().time()
    await consumer.put_back(messages, 0.7)
    await lag(consumer, 1)
    again = await fetched(consumer, 1)
    assert asyncio.get_running_loop().time() - began >= 0.65
    assert payloads(again) == [b"later"]
    assert again[0].position == messages[0].position
    await consumer.acknowledge(again)
    await lag(consumer, 0)


async def test_the_lag_counts_what_is_in_work(world: World) -> None:
    consumer = world.consumer()
    await lag(consumer, 0)
    await world.publish(b"one", b"two", b"three")
    await lag(consumer, 3)
    messages = await fetched(consumer, 3)
    await lag(consumer, 3)
    await consumer.acknowledge(messages[:2])
    await lag(consumer, 1)
    await consumer.acknowledge(messages[2:])
    await lag(consumer, 0)


async def test_a_repeat_may_be_dropped_by_its_id(world: World) -> None:
    for _ in range(2):
        await world.bus.publish(WATCHED, "the same", b"repeated", "a key")
    consumer = world.consumer()
    messages = await fetched(consumer, 1 if world.drops_repeats else 2)
    assert set(payloads(messages)) == {b"repeated"}
    await consumer.acknowledge(messages)
    await lag(consumer, 0)


async def test_a_message_that_is_too_large_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="3,000,000 bytes"):
        await world.publish(bytes(3_000_000))
    await world.bus.ping()


async def test_setup_leaves_what_is_there(world: World) -> None:
    await world.publish(b"kept")
    await world.bus.setup()
    consumer = world.consumer()
    messages = await fetched(consumer, 1)
    assert payloads(messages) == [b"kept"]
    await consumer.acknowledge(messages)


async def test_messages_can_be_forgotten(world: World) -> None:
    await world.bus.forget(DEAD, lambda _: True)
    await world.publish(b"ann 1", b"bob", b"ann 2", subject=DEAD)
    forgotten = await world.bus.forget(DEAD, lambda payload: payload.startswith(b"ann"))
    assert forgotten == (2 if world.forgets else None)
    if world.forgets:
        assert await world.bus.forget(DEAD, lambda payload: payload.startswith(b"ann")) == 0
        assert await world.bus.forget(DEAD, lambda payload: payload == b"bob") == 1
        assert await world.bus.forget(DEAD, lambda _: True) == 0


async def test_a_batch_of_thousands(world: World) -> None:
    for first in range(0, 3000, AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for number in range(first, first + AT_ONCE):
                group.create_task(world.publish(b"%d" % number))
    consumer = world.consumer()
    messages = await fetched(consumer, 3000)
    assert len(set(payloads(messages))) == 3000
    await consumer.acknowledge(messages)
    await lag(consumer, 0)


async def test_work_that_takes_long_stays_with_whoever_has_it(world: World) -> None:
    await world.publish(b"long")
    first = world.consumer()
    messages = await fetched(first, 1)
    if not world.stays:  # Kafka shares out anew when one joins: this is about when none does
        world.another()
    clock = asyncio.get_running_loop().time
    end = clock() + 1.5 * SHORT.again
    while clock() < end:
        for consumer in world.consumers:
            assert await consumer.fetch(1) == []
    await first.acknowledge(messages)
    await lag(first, 0)


async def test_consumers_share_and_take_over(world: World) -> None:
    """What one of them had in work when it left comes to the other."""
    first, second = world.consumer(), world.another()
    await asyncio.gather(first.fetch(1), second.fetch(1))
    await world.publish(*(b"%d" % number for number in range(40)))
    seen: set[bytes] = set()

    async def consume(consumer: EventSource) -> None:
        while len(seen) < 40:
            messages = await consumer.fetch(5)
            seen.update(payloads(messages))
            await consumer.acknowledge(messages)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(consume(first))
        group.create_task(consume(second))
    assert seen == {b"%d" % number for number in range(40)}
    await lag(first, 0)
    await world.publish(b"left")
    owner, message = await one(first, second)
    await world.close(owner)
    [again] = await fetched(world.consumer(), 1)
    assert (again.payload, again.position) == (b"left", message.position)
    assert again.received_at == message.received_at
    assert again.deliveries == (1 if world.stays else 2)  # Kafka does not count them
    await world.consumer().acknowledge([again])
    await lag(world.consumer(), 0)

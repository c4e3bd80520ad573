"""What a consumer does when something fails, or when it dies."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY

from core.errors import Unavailable
from core.types import AddCounts, Interaction
from ingest.consumer import LONGEST_PAUSE_SECONDS, Consumer
from storage.memory.history import MemoryHistory
from tests.consumers import U1, U2, Killed, World
from tests.eventful import event

pytestmark = pytest.mark.unit


@pytest.fixture
def world() -> World:
    return World()


async def test_wherever_it_is_killed_nothing_is_lost_or_stale() -> None:
    """Each of two processes dies at every place there is, before or after each call."""
    sent = [event("u1", "v1"), event("u2", "v2", rating=4.0), event("u1", "v3", rating=9)]
    first, died = 0, True
    while died:
        first += 1
        for second in (1, 3, 5, None):
            world = World()
            await world.publish(*sent, sent[0])
            for user in (U1, U2):
                await world.keep_list(user)
            died = await _die(world, first)
            await _die(world, second)
            assert not await _die(world, None)
            assert {row.key for row in await world.rows()} == {one.key for one in sent[:2]}
            assert len(world.letters.letters) == len(world.letters.announced) == 1
            assert not await world.is_stale(U1)
            assert not await world.is_stale(U2)
            assert await world.bus.events().waiting() == 0
    assert first > 2 * 2 * 4  # before and after each of four calls, of two batches


async def _die(world: World, at: int | None) -> bool:
    """One process, until it dies or there is nothing left to do; the bus gives up its batch."""
    world.points.at, world.points.passed = at, 0
    consumer = world.consumer(most=3)
    try:
        while await world.bus.events().waiting():
            await consumer.step()
    except Killed:
        for kept in world.bus.kept:
            kept.due = 0.0
        return True
    finally:
        world.points.at = None
    return False


def _counted() -> dict[str, float]:
    names = {
        "upnext_events_total": {"type": "VideoRated"},
        "upnext_event_outcomes_total": {"outcome": "dead"},
        "upnext_event_batch_seconds_count": {},
        "upnext_events_waiting": {},
        "upnext_event_newest_timestamp_seconds": {},
    }
    return {name: REGISTRY.get_sample_value(name, of) or 0.0 for name, of in names.items()}


async def test_what_is_done_is_counted(world: World) -> None:
    await world.publish(event("u1", "v1", rating=4), event("u1", "v2", rating=9))
    (_, newest), consumer = world.bus.kept, world.consumer()
    before = _counted()
    following = asyncio.create_task(consumer.follow_lag())
    async with asyncio.timeout(5):
        while not world.pauses:  # noqa: ASYNC110 - it has no event to give
            await asyncio.sleep(0)
    following.cancel()
    assert _counted()["upnext_events_waiting"] == 2
    await consumer.step()
    after = _counted()
    assert after["upnext_event_newest_timestamp_seconds"] == newest.received_at.timestamp()
    for name in list(before)[:3]:
        assert after[name] == before[name] + 1


class AwayHistory(MemoryHistory):
    """Fails so many times, then works."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts:
        if self.errors:
            raise self.errors.pop(0)
        return await super().add_many(interactions)


@pytest.mark.parametrize("awake", [1.0, 0.5], ids=["in time", "before anything comes again"])
async def test_an_outage_is_nobodys_fault(
    world: World, capsys: pytest.CaptureFixture[str], awake: float
) -> None:
    world.awake, world.tick = awake, 0.1
    store = AwayHistory(*[Unavailable("postgres")] * 9)
    await world.publish(event("u1", "v1"))
    await _until_done(world, world.consumer(store))
    assert not store.errors
    assert not world.letters.letters
    grown = world.pauses[:9]
    assert grown == sorted(grown)
    assert (grown[0], grown[-1]) == (0.25, LONGEST_PAUSE_SECONDS)
    said = capsys.readouterr().out
    assert said.count("Waiting for a dependency.") == said.count("The dependency is back.") == 1


async def test_a_mistake_of_ours_dead_letters_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    store = AwayHistory(RuntimeError("a mistake"), RuntimeError("a mistake"))
    await world.publish(event("u1", "v1"))
    await _until_done(world, world.consumer(store))
    assert (world.letters.letters, world.pauses) == ({}, [0.25, 0.5])
    assert capsys.readouterr().out.count("A batch of events failed.") == 2


async def test_a_bus_that_is_away_is_waited_for(world: World) -> None:
    await world.publish(event("u1", "v1"))
    world.bus.away = True
    consuming = asyncio.create_task(world.consumer().run())
    while len(world.pauses) < 5:  # noqa: ASYNC110 - it has no event to give
        await asyncio.sleep(0)
    world.bus.away = False
    await _wait(world)
    consuming.cancel()
    assert len(await world.rows()) == 1


async def _until_done(world: World, consumer: Consumer) -> None:
    consuming = asyncio.create_task(consumer.run())
    await _wait(world)
    consuming.cancel()


async def _wait(world: World) -> None:
    async with asyncio.timeout(5):
        while await world.bus.events().waiting():  # noqa: ASYNC110 - it has no event to give
            await asyncio.sleep(0)

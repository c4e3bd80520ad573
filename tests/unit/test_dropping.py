"""Lists that are dropped now, or when the cache is back, by whoever is there then."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from core.errors import Unavailable
from core.types import UserId
from ingest.dropping import CHUNK, LOOK_EVERY, PAUSE_SECONDS, Dropping
from tests.consumers import U1, World
from tests.eventful import event

pytestmark = pytest.mark.unit


@pytest.fixture
def world() -> World:
    return World()


async def test_while_the_cache_is_away_events_are_done_and_drops_are_owed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.publish(event("u1", "v1"), event("u1", "v2"), event("u2", "v2"))
    await world.keep_list(U1)
    world.cache.away = True
    consumer = world.consumer(most=1)
    for _ in range(3):
        await consumer.step()
    assert await world.bus.events().waiting() == 0
    assert await world.is_stale(U1)
    assert capsys.readouterr().out.count("lists_not_dropped") == 1
    with pytest.raises(Unavailable):
        await world.dropping().pay()
    world.cache.away = False
    assert await world.dropping().pay() == 2  # by another process: the first one is gone
    assert not await world.is_stale(U1)
    assert world.owed.rows == {}


async def test_debts_are_paid_soon_and_others_debts_in_a_while(world: World) -> None:
    dropping, done = world.dropping(), asyncio.Event()
    looked: list[int] = []
    owed = world.owed.owed

    async def look(most: int) -> dict[UserId, int]:
        looked.append(len(world.pauses))
        return await owed(most)

    world.owed.owed = look  # type: ignore[method-assign]
    steps: dict[int, Callable[[], Awaitable[None]]] = {
        1: lambda: _owe(world, dropping, {U1: 1}),
        3: lambda: _come_back(world),
        5: lambda: world.owed.owe({UserId(f"u{n}"): 1 for n in range(CHUNK + 1)}),
    }

    async def sleep(seconds: float) -> None:
        assert seconds == PAUSE_SECONDS
        world.pauses.append(seconds)
        if step := steps.get(len(world.pauses)):
            await step()
        if len(world.pauses) > LOOK_EVERY:
            done.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(dropping.run(sleep))
    await done.wait()
    running.cancel()
    assert world.owed.rows == {}
    assert looked == [0, 1, 2, 3, 3] + [LOOK_EVERY] * 3


async def _owe(world: World, dropping: Dropping, revisions: Mapping[UserId, int]) -> None:
    world.cache.away = True
    assert not await dropping.drop(revisions)


async def _come_back(world: World) -> None:
    world.cache.away = False

"""What a batch of events does, and what a consumer does when something fails or it dies."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from core.errors import InvalidInput, Unavailable
from core.messages import Message
from core.types import AddCounts, Interaction, UserId, UserState
from ingest.consumer import LONGEST_PAUSE_SECONDS, Consumer
from ingest.dropping import CHUNK, LOOK_EVERY, PAUSE_SECONDS, Dropping
from ingest.handling import Handler, Outcome
from ingest.weights import PLAIN
from storage.memory.bus import MemoryBus
from storage.memory.dead_letters import MemoryDeadLetters, MemoryOwedDrops
from storage.memory.history import MemoryHistory
from storage.memory.users import MemoryUserCache
from tests.eventful import Sent, event

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIELD = "m/1/personalized"
U1, U2 = UserId("u1"), UserId("u2")


class Killed(BaseException):
    """The process is gone."""


class Points:
    """Places where a process can end; it ends at the one that is wanted, before or after it."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.passed = 0

    async def around(self, call: Awaitable[Any]) -> Any:
        self._pass(call)
        result = await call
        self._pass()
        return result

    def _pass(self, call: Awaitable[Any] | None = None) -> None:
        self.passed += 1
        if self.passed == self.at:
            if asyncio.iscoroutine(call):
                call.close()
            raise Killed


class Mortal:
    """Any store; each of its calls is a place to die at."""

    def __init__(self, inner: object, points: Points) -> None:
        self._inner = inner
        self._points = points

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return lambda *args: self._points.around(method(*args))


class AwayCache(MemoryUserCache):
    """Away at will."""

    away = False

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        if self.away:
            raise Unavailable("redis")
        await super().forget_many(revisions)


class World:
    """All that a consumer needs, in memory.

    Time goes on by a `tick` whenever somebody asks, and by the part `awake` of every pause.
    """

    def __init__(self) -> None:
        self.bus = MemoryBus(seconds=self.seconds)
        self.now, self.tick, self.awake = 0.0, 0.0, 1.0
        self.history = MemoryHistory()
        self.cache = AwayCache()
        self.letters = MemoryDeadLetters()
        self.owed = MemoryOwedDrops()
        self.points = Points()
        self.pauses: list[float] = []

    def seconds(self) -> float:
        """The time of the bus."""
        self.now += self.tick
        return self.now

    def handler(self, interactions: object = None) -> Handler:
        return Handler(
            Mortal(interactions or self.history, self.points),
            Mortal(self.letters, self.points),
            self.dropping(),
            weights=lambda: PLAIN,
        )

    def dropping(self) -> Dropping:
        return Dropping(Mortal(self.cache, self.points), Mortal(self.owed, self.points))

    def consumer(self, interactions: object = None, most: int = 100) -> Consumer:
        source = Mortal(self.bus.events(), self.points)
        return Consumer(source, self.handler(interactions), most, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds * self.awake
        await asyncio.sleep(0)

    async def publish(self, *sent: Sent) -> None:
        await self.bus.setup()
        for number, one in enumerate(sent):
            name = f"{len(self.bus.kept)}-{number}"
            await self.bus.publish(one.subject, name, one.payload)

    async def keep_list(self, user: UserId) -> int:
        """As a request would, from the user's state now."""
        state = await self.history.state(user, 10) or UserState(user, 0, (), None)  # type: ignore[arg-type]
        await self.cache.put_list(user, FIELD, state.revision, b"%d" % state.revision, 3600)
        return state.revision

    async def is_stale(self, user: UserId) -> bool:
        state = await self.history.state(user, 10)
        kept = await self.cache.get_list(user, FIELD)
        return state is not None and kept is not None and int(kept) < state.revision

    async def rows(self) -> list[Interaction]:
        return [row async for page in self.history.stream() for row in page]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_batch_of_everything(world: World) -> None:
    watch = event("u1", "v1", name="e1", watched_seconds=30, video_seconds=60)
    again = event("u1", "v1", name="e1", at=NOON, watched_seconds=30, video_seconds=60)
    broken = event("u2", "v1", rating=7)
    world.history.erase(UserId("gone"))
    world.letters.erased.add("gone")
    await world.publish(
        watch, again, event("u2", "never-heard-of", rating=3.0), broken, event("gone", "v1"),
        event("gone", "v1", rating=9), Sent(watch.subject, b"\xff", watch.key),
    )  # fmt: skip
    messages = await world.bus.events().fetch(10)
    outcome = await world.handler().handle(messages)
    assert outcome == Outcome(watches=3, ratings=1, accepted=2, duplicates=1, erased=2, dead=2)
    rows = {row.user_id: row for row in await world.rows()}
    assert (rows[U1].weight, rows[U2].video_id) == (0.5, "never-heard-of")
    rating, unreadable = await world.letters.get(1), await world.letters.get(2)
    assert (rating.payload, rating.reason) == (broken.payload, "rating 7.0 must be 0.5 to 5")
    assert (rating.subject, rating.attempts) == ("analytics.video-rated", 1)
    assert unreadable.reason.startswith("it cannot be read: ")


async def test_without_a_time_the_bus_says_when_it_came(world: World) -> None:
    sent = event("u1", "v1")
    body = msgspec.json.decode(sent.payload)
    del body["time"]
    await world.publish(Sent(sent.subject, msgspec.json.encode(body), sent.key))
    (message,) = await world.bus.events().fetch(10)
    await world.handler().handle([message])
    assert [row.occurred_at for row in await world.rows()] == [message.received_at]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b"null", "Expected `object`"),
        (b'{"type": "VideoLiked"}', "Invalid value 'VideoLiked'"),
        (b'{"type": "Video\\u0000"}', "Invalid value"),
        (b'{"type": "VideoWatched", "id": "\\ud800 and more"}', "surrogate"),
        (b'{"type": "VideoWatched", "id": "\xff"}', "utf-8"),
        (b'{"type": "VideoWatched", "x": ' + b"[" * 100_000, "recursion"),
        (b'{"type": "VideoWatched", "specversion": "1.0", "id": "e"}', "missing required field"),
    ],
)
async def test_bytes_that_are_no_event_say_why(world: World, payload: bytes, reason: str) -> None:
    message = Message(subject="s", payload=payload, position="1", received_at=NOON)
    outcome = await world.handler().handle([message])
    assert outcome == Outcome(dead=1)
    letter = await world.letters.get(1)
    assert reason in letter.reason
    assert "\x00" not in letter.reason


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (datetime(1989, 12, 31, tzinfo=UTC), "before 1990"),
        (datetime.now(UTC) + timedelta(minutes=6), "more than 5 minutes ahead"),
    ],
)
async def test_a_time_that_cannot_be_is_refused(world: World, at: datetime, reason: str) -> None:
    await world.publish(event("u1", "v1", at=at), event("u1", "v2"))
    outcome = await world.handler().handle(await world.bus.events().fetch(10))
    assert (outcome.accepted, outcome.dead) == (1, 1)
    assert reason in (await world.letters.get(1)).reason


class Choosy(MemoryHistory):
    """Refuses every batch with a video that it cannot keep, and does not say which."""

    calls = 0

    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts:
        self.calls += 1
        if any(row.video_id == "bad" for row in interactions):
            raise InvalidInput("PostgreSQL cannot keep a value")
        return await super().add_many(interactions)


async def test_what_the_store_refuses_is_found_among_its_neighbours(world: World) -> None:
    store = Choosy()
    sent = [event("u1", "bad" if place == 70 else f"v{place}") for place in range(100)]
    await world.publish(*sent)
    outcome = await world.handler(store).handle(await world.bus.events().fetch(100))
    assert (outcome.accepted, outcome.dead) == (99, 1)
    assert (await world.letters.get(1)).payload == sent[70].payload
    assert store.calls < 20


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
        while await world.bus.events().waiting():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


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
    await dropping.drop(revisions)


async def _come_back(world: World) -> None:
    world.cache.away = False

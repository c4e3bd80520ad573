"""What a batch of events does: commit, drop, and set aside what breaks a rule."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from prometheus_client import REGISTRY

from core.clock import utc_now
from core.errors import InvalidInput
from core.messages import Message
from core.types import AddCounts, Interaction, UserId
from ingest.handling import Outcome
from storage.memory.history import MemoryHistory
from tests.consumers import U1, U2, World
from tests.eventful import Sent, event

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


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
        (datetime(2100, 1, 1, tzinfo=UTC), "more than 5 minutes ahead"),
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


async def test_how_old_an_event_is_when_its_lists_are_dropped_is_measured(world: World) -> None:
    def measured(what: str) -> float:
        return REGISTRY.get_sample_value(f"upnext_event_to_list_seconds_{what}") or 0.0

    before = measured("count"), measured("sum")
    received = utc_now() - timedelta(seconds=20)
    messages = [
        Message(subject=sent.subject, payload=sent.payload, position=str(at), received_at=received)
        for at, sent in enumerate(
            (event("u1", "v1"), event("u2", "v1"), event("u2", "v1", rating=9))
        )
    ]
    await world.handler().handle(messages)
    assert measured("count") == before[0] + 2  # not of the dead letter
    assert 40.0 <= measured("sum") - before[1] < 60.0

    world.cache.away = True  # they are dropped later, when nobody can say how late it was
    again = msgspec.structs.replace(messages[0], payload=event("u1", "v2").payload)
    await world.handler().handle([again])
    assert measured("count") == before[0] + 2

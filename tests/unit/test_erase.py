"""Deleting a user's vectors, beside what a killed publish left too, and dead letters."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest

from core.clock import utc_now
from core.dead_letters import Refused
from core.errors import Unavailable
from core.events import CloudEvent
from core.messages import Message
from core.types import UserId
from storage.memory.bus import MemoryBus
from storage.memory.dead_letters import MemoryDeadLetters
from storage.memory.index import MemoryIndex
from tests.eventful import event
from upnext.jobs.erase import DEAD_LETTERS, NOT_REACHED_ON_KAFKA, drop_letters, drop_vectors

pytestmark = pytest.mark.unit

GONE, STAYS = UserId("gone"), UserId("stays")


class HalfMade(MemoryIndex):
    """Cannot say what is in a collection that was never sealed, as the real one."""

    def lacking(self, collection: str, ids: Sequence[str]) -> list[str]:
        if collection.endswith("_killed"):
            raise Unavailable("milvus", "index not found")
        return super().lacking(collection, ids)


@pytest.fixture
def index() -> HalfMade:
    made = HalfMade()
    for name in ("users_live", "users_before", "users_killed", "videos_live"):
        made.create(name, 2)
        list(made.insert(name, [GONE, STAYS], np.eye(2, dtype=np.float32)))
    return made


def test_a_users_vectors_go_from_all_versions(index: HalfMade) -> None:
    assert drop_vectors(index, GONE, ["killed", "never_published"]) == 2
    assert index.collections() == ["users_before", "users_live", "videos_live"]
    for name in ("users_live", "users_before"):
        assert index.lacking(name, [GONE, STAYS]) == [GONE]
    assert index.lacking("videos_live", [GONE]) == []
    assert drop_vectors(index, GONE, []) == 0


def test_what_nobody_can_look_into_is_not_passed_over(index: HalfMade) -> None:
    with pytest.raises(Unavailable):
        drop_vectors(index, GONE, [])


class NeverForgets(MemoryBus):
    """As Kafka."""

    async def forget(self, subject: str, matches: Callable[[bytes], bool]) -> None:  # type: ignore[override]
        del subject, matches


async def _letters(bus: MemoryBus) -> MemoryDeadLetters:
    """A letter of each, announced."""
    letters = MemoryDeadLetters()
    await bus.setup()
    for user in (GONE, STAYS):
        sent = event(user, "v1", rating=9)
        message = Message(
            subject=sent.subject, payload=sent.payload, position=user, received_at=utc_now()
        )
        await letters.keep([Refused(message, "rating 9 must be 0.5 to 5")])
    for name, letter in letters.announced.items():
        data = msgspec.Raw(msgspec.json.encode(letter))
        told = CloudEvent(id=str(name), type="DeadLetter", time=utc_now(), data=data)
        await bus.publish(DEAD_LETTERS, str(name), msgspec.json.encode(told))
    return letters


async def test_dead_letters_go_where_they_are_kept_and_announced() -> None:
    bus = MemoryBus()
    letters = await _letters(bus)
    assert await drop_letters(letters, bus, GONE) == (1, ())
    assert [STAYS.encode() in kept.payload for kept in bus.kept] == [True]
    assert len(letters.letters) == 1
    assert await drop_letters(letters, bus, GONE) == (0, ())


async def test_what_a_bus_cannot_delete_is_said() -> None:
    bus = NeverForgets()
    letters = await _letters(bus)
    assert await drop_letters(letters, bus, GONE) == (1, NOT_REACHED_ON_KAFKA)
    assert len(bus.kept) == 2

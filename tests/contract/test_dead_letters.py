"""What dead letters promise: each once, announced, nobody's who was erased."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.dead_letters import MOST_ANNOUNCED, Refused
from core.errors import NotFound
from core.events import DeadLetter
from core.messages import Message
from core.settings import load
from core.types import UserId
from storage.memory.dead_letters import MemoryDeadLetters, MemoryOwedDrops
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.engine import pool
from storage.postgres.erasure import PostgresErasures
from storage.postgres.owed_drops import PostgresOwedDrops

pytestmark = pytest.mark.contract

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUBJECT = "analytics.video-rated"
U1, U2 = UserId("u1"), UserId("u2")
Letters = PostgresDeadLetters | MemoryDeadLetters


class World:
    """The letters, what they announced, and a way to erase somebody."""

    def __init__(
        self,
        letters: Letters,
        announced: Callable[[], Awaitable[list[DeadLetter]]],
        erase: Callable[[UserId], Awaitable[None]],
    ) -> None:
        self.letters = letters
        self.announced = announced
        self.erase = erase


def _in_memory() -> World:
    letters = MemoryDeadLetters()

    async def announced() -> list[DeadLetter]:
        return list(letters.announced.values())

    async def erase(user: UserId) -> None:
        letters.erased.add(user)

    return World(letters, announced, erase)


def _in_postgres(engine: AsyncEngine) -> World:
    async def announced() -> list[DeadLetter]:
        async with engine.connect() as connection:
            rows = await connection.execute(text("SELECT data FROM outbox ORDER BY id"))
            return [msgspec.convert(data, DeadLetter) for data in rows.scalars()]

    async def erase(user: UserId) -> None:
        await PostgresErasures(engine, utc_now).ask(user, "test")

    return World(PostgresDeadLetters(engine), announced, erase)


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return _in_memory()
    return _in_postgres(request.getfixturevalue("engine"))


def refused(payload: bytes, place: int = 1, *, deliveries: int = 1) -> Refused:
    message = Message(
        subject=SUBJECT,
        payload=payload,
        position=f"ANALYTICS:{place}",
        received_at=NOON,
        deliveries=deliveries,
    )
    return Refused(message, "rating 7 must be 0.5 to 5")


def of(user: str) -> bytes:
    return b'{"id": "e1", "data": {"user_id": "%s", "rating": 7}}' % user.encode()


async def test_each_is_kept_and_announced_once(world: World) -> None:
    first, second = refused(of("u1"), 1), refused(of("u2"), 2)
    assert await world.letters.keep([first, first]) == 0
    again = refused(of("u1"), 1, deliveries=3)
    assert await world.letters.keep([second, again]) == 0
    assert await world.letters.keep([]) == 0
    newest, oldest = await world.letters.latest(10)
    assert (oldest.payload, oldest.subject, oldest.attempts) == (of("u1"), SUBJECT, 1)
    assert (oldest.reason, oldest.received_at) == (first.reason, NOON)
    assert newest.payload == of("u2")
    assert await world.letters.latest(1) == [newest]
    assert await world.letters.get(oldest.id) == oldest
    assert {letter.event for letter in await world.announced()} == {
        of("u1").decode(), of("u2").decode(),
    }  # fmt: skip


async def test_the_same_place_of_a_stream_made_anew_is_another(world: World) -> None:
    await world.letters.keep([refused(of("u1"))])
    later = msgspec.structs.replace(refused(of("u1")).message, received_at=NOON + timedelta(1))
    await world.letters.keep([Refused(later, "again")])
    assert len(await world.letters.latest(10)) == 2


async def test_whatever_came_is_kept_byte_for_byte(world: World) -> None:
    payloads = [
        b"",
        b"\x00\xff",
        b"nul \x00",
        "m\u00f6\U0001f600".encode(),
        b"x" * (MOST_ANNOUNCED + 1),
    ]
    await world.letters.keep([refused(one, place) for place, one in enumerate(payloads)])
    assert {letter.payload for letter in await world.letters.latest(10)} == set(payloads)
    announced = await world.announced()
    assert sorted(letter.encoding for letter in announced) == ["base64"] * 2 + ["utf-8"] * 3
    (cut,) = (letter for letter in announced if "262,144 of 262,145 bytes" in letter.reason)
    assert len(cut.event) == MOST_ANNOUNCED


async def test_what_was_replayed_is_marked(world: World) -> None:
    await world.letters.keep([refused(of("u1"), place) for place in range(3)])
    first, second, third = await world.letters.not_replayed()
    await world.letters.mark_replayed(second)
    assert await world.letters.not_replayed() == [first, third]
    assert (await world.letters.get(second)).replayed_at is not None


async def test_old_ones_are_forgotten(world: World) -> None:
    await world.letters.keep([refused(of("u1"))])
    assert await world.letters.prune(utc_now() - timedelta(minutes=1)) == 0
    (letter,) = await world.letters.latest(10)
    assert await world.letters.prune(utc_now() + timedelta(minutes=1)) == 1
    with pytest.raises(NotFound, match=str(letter.id)):
        await world.letters.get(letter.id)


async def test_a_users_letters_are_erased_and_nobody_elses(world: World) -> None:
    theirs = [
        of("u1"),
        b'{"data": {"user_id": "u\\u0031", "rating": 7}}',  # as a writer of JSON may write it
        b'not even {"user_id": "u1"',
        b'{"user_id": "u\\u0031"}',
        b'{"data": {"user_id": "u1 "}}',
        b"\xff u1",
    ]
    others = [of("u12"), of("u2"), b'{"data": {"user_id": "u2", "video_id": "u1"}}', b"{"]
    await world.letters.keep(
        [refused(payload, place) for place, payload in enumerate([*theirs, *others])]
    )
    assert await world.letters.erase(U1) == len(theirs)
    assert {letter.payload for letter in await world.letters.latest(20)} == set(others)
    assert {letter.event.encode() for letter in await world.announced()} == set(others)
    assert await world.letters.erase(U1) == 0


async def test_one_connection_is_enough_to_erase(database_url: str) -> None:
    settings = load({"postgres_url": database_url, "postgres_pool_size": "1"})
    async with pool(settings) as engine:
        letters = PostgresDeadLetters(engine)
        await letters.keep([refused(of("u1"))])
        assert await letters.erase(U1) == 1


async def test_nothing_is_kept_of_who_was_erased(world: World) -> None:
    await world.erase(U1)
    assert await world.letters.keep([refused(of("u1"), 1), refused(of("u2"), 2)]) == 1
    assert [letter.payload for letter in await world.letters.latest(10)] == [of("u2")]
    assert len(await world.announced()) == 1


OwedDrops = PostgresOwedDrops | MemoryOwedDrops


@pytest.fixture(params=["memory", "postgres"])
def owed(request: pytest.FixtureRequest) -> OwedDrops:
    if request.param == "memory":
        return MemoryOwedDrops()
    return PostgresOwedDrops(request.getfixturevalue("engine"))


async def test_a_drop_is_owed_at_its_newest_revision(owed: OwedDrops) -> None:
    await owed.owe({})
    await owed.owe({U1: 5, U2: 1})
    await owed.owe({U1: 4, U2: 2})
    assert await owed.owed(10) == {U1: 5, U2: 2}
    assert await owed.owed(1) == {U1: 5}


async def test_only_what_was_dropped_is_settled(owed: OwedDrops) -> None:
    await owed.owe({U1: 5, U2: 2})
    await owed.settle({U1: 4, U2: 3, UserId("u3"): 1})
    assert await owed.owed(10) == {U1: 5}
    await owed.settle({U1: 5})
    assert await owed.owed(10) == {}


async def test_nothing_is_owed_to_who_was_erased(engine: AsyncEngine) -> None:
    await PostgresErasures(engine, utc_now).ask(U1, "test")
    owed = PostgresOwedDrops(engine)
    await owed.owe({U1: 1, U2: 1})
    assert await owed.owed(10) == {U2: 1}

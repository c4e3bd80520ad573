"""What every history promises: each event once, and states that are of one moment."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec
import numpy as np
import pytest
from sqlalchemy import text

from core.clock import utc_now
from core.hashing import event_key, hash64_many
from core.types import AddCounts, Interaction, UserId, UserState, VideoId, Watch
from storage.memory.history import MemoryHistory
from storage.postgres.erasure import PostgresErasures
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.jobs import PostgresJobs
from storage.postgres.owed_drops import PostgresOwedDrops
from storage.postgres.users import PostgresUsers
from tests.histories import START, watch

pytestmark = pytest.mark.contract


class Writer(Protocol):
    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts: ...
    async def find(self, key: UUID) -> Interaction | None: ...


class Reader(Protocol):
    async def state(self, user_id: UserId, recent: int) -> UserState | None: ...
    async def states_of(
        self, user_ids: Sequence[UserId], recent: int
    ) -> dict[UserId, UserState]: ...
    async def seen_since(self, since: datetime) -> list[UserId]: ...


Stores = tuple[Writer, Reader]
A_SECOND = 1e6  # revisions count microseconds
U1, U2 = UserId("u1"), UserId("u2")


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        history = MemoryHistory()
        return history, history
    engine = request.getfixturevalue("engine")
    return PostgresInteractions(engine), PostgresUsers(engine)


async def test_writing_counts_and_raises_revisions(stores: Stores) -> None:
    writer, _ = stores
    first = await writer.add_many([watch("1", "u1", "a"), watch("2", "u2", "a")])
    assert (first.accepted, first.duplicates, set(first.revisions)) == (2, 0, {U1, U2})
    second = await writer.add_many([watch("3", "u1", "b")])
    assert (second.accepted, second.duplicates, set(second.revisions)) == (1, 0, {U1})
    assert second.revisions[U1] > first.revisions[U1]
    for name in "123":
        assert await writer.find(event_key("test", name))


async def test_revisions_follow_the_clock(stores: Stores) -> None:
    """So that they rise past those of a database that was there before this one."""
    writer, _ = stores
    before = utc_now().timestamp() * 1e6
    counts = await writer.add_many([watch("1", "u1", "a")])
    assert before - A_SECOND <= counts.revisions[U1] <= utc_now().timestamp() * 1e6 + A_SECOND


async def test_nothing_in_nothing_out(stores: Stores) -> None:
    writer, reader = stores
    assert await writer.add_many([]) == AddCounts(0, 0, {})
    assert await reader.state(U1, 10) is None
    assert await writer.find(event_key("test", "1")) is None


async def test_a_repeat_changes_nothing_even_with_another_time(stores: Stores) -> None:
    writer, reader = stores
    first = await writer.add_many([watch("1", "u1", "a")])
    again = await writer.add_many([watch("1", "u1", "b", hours=9), watch("1", "u1", "c")])
    assert again == AddCounts(0, 2, first.revisions)
    state = await reader.state(U1, 10)
    assert state is not None
    assert state.recent == (Watch(VideoId("a"), START, 0.3),)


async def test_a_repeat_inside_a_batch_counts_once(stores: Stores) -> None:
    writer, _ = stores
    rows = [watch("1", "u1", "a"), watch("1", "u1", "b"), watch("2", "u1", "b")]
    counts = await writer.add_many(rows)
    assert (counts.accepted, counts.duplicates, set(counts.revisions)) == (2, 1, {U1})
    kept = await writer.find(event_key("test", "1"))
    assert kept is not None
    assert kept.video_id == "a"


async def test_a_key_that_another_user_took_does_not_make_a_user(stores: Stores) -> None:
    writer, reader = stores
    await writer.add_many([watch("1", "u1", "a")])
    assert await writer.add_many([watch("1", "u2", "a")]) == AddCounts(0, 1, {})
    assert await reader.state(U2, 10) is None


async def test_every_field_comes_back(stores: Stores) -> None:
    writer, _ = stores
    seen = msgspec.structs.replace(
        watch("1", "u1", "a", weight=1 / 3),
        watched_seconds=600.5,
        video_seconds=900.25,
        recommendation_id="r-1",
    )
    rated = msgspec.structs.replace(watch("2", "u1", "a"), kind="rating", rating=4.5)
    await writer.add_many([seen, rated])
    assert await writer.find(seen.key) == seen
    assert await writer.find(rated.key) == rated


async def test_a_state_is_newest_first_with_each_video_once(stores: Stores) -> None:
    writer, reader = stores
    rows = [
        watch("1", "u1", "old", hours=1),
        watch("2", "u1", "twice", hours=2, weight=0.2),
        watch("3", "u1", "new", hours=3),
        watch("4", "u1", "twice", hours=4, weight=0.9),
        watch("5", "u2", "other", hours=5),
    ]
    await writer.add_many(rows)
    state = await reader.state(U1, 2)
    assert state is not None
    assert [(seen.video_id, seen.weight) for seen in state.recent] == [("twice", 0.9), ("new", 0.3)]
    assert state.watched.dtype == np.uint64
    np.testing.assert_array_equal(state.watched, np.sort(hash64_many(["old", "twice", "new"])))


async def test_equal_times_give_one_order(stores: Stores) -> None:
    writer, reader = stores
    for event, video in (("1", "b"), ("2", "c"), ("3", "a")):
        await writer.add_many([watch(event, "u1", video)])
    await writer.add_many([watch("4", "u1", "b", weight=0.8)])
    state = await reader.state(U1, 10)
    assert state is not None
    assert [(seen.video_id, seen.weight) for seen in state.recent] == [
        ("a", 0.3),
        ("b", 0.8),
        ("c", 0.3),
    ]


async def test_many_states_are_the_states_of_each(stores: Stores) -> None:
    writer, reader = stores
    rows = [
        watch(f"{user}{number}", user, f"v{(number * step) % 7}", hours=number % 5)
        for step, user in enumerate(["u1", "u2", "u10", "U1"], start=1)
        for number in range(12)
    ]
    await writer.add_many(rows)
    asked = [UserId(name) for name in ("u2", "nobody", "u10", "u1", "U1")]
    found = await reader.states_of(asked, 4)
    assert sorted(found) == ["U1", "u1", "u10", "u2"]
    for user_id, state in found.items():
        alone = await reader.state(user_id, 4)
        assert alone is not None
        assert (state.user_id, state.revision, state.recent) == (
            alone.user_id,
            alone.revision,
            alone.recent,
        )
        assert state.watched.tolist() == alone.watched.tolist()
    assert await reader.states_of([], 4) == {}


async def test_an_erased_user_is_gone_and_does_not_come_back(
    stores: Stores, request: pytest.FixtureRequest
) -> None:
    writer, reader = stores
    rows = [watch("1", "u1", "a"), watch("2", "u2", "a"), watch("3", "u1", "b")]
    await writer.add_many(rows)
    await _erase(writer, request, U1)
    assert await reader.state(U1, 9) is None
    assert [await writer.find(row.key) for row in rows] == [None, rows[1], None]
    counts = await writer.add_many([*rows, watch("4", "u1", "c"), watch("5", "u3", "c")])
    assert (counts.accepted, counts.duplicates, counts.erased) == (1, 1, 3)
    assert counts.revisions.keys() == {"u2", "u3"}
    assert await reader.state(U1, 9) is None
    only_erased = await writer.add_many([watch("6", "u1", "c")])
    assert (only_erased.accepted, only_erased.erased, only_erased.revisions) == (0, 1, {})


async def _erase(writer: Writer, request: pytest.FixtureRequest, user: UserId) -> None:
    if isinstance(writer, MemoryHistory):
        writer.erase(user)
        return
    engine = request.getfixturevalue("engine")
    erasures = PostgresErasures(engine, utc_now)
    job = await erasures.ask(user, "ops")
    begun = await PostgresJobs(engine, utc_now).begin(job.id)
    assert begun is not None
    owed = PostgresOwedDrops(engine)
    await owed.owe({U2: 1})
    async with engine.begin() as connection:  # as of a worker that did not know yet
        await connection.execute(text("INSERT INTO owed_drops VALUES (:id, 1)"), {"id": user})
    assert (await erasures.delete_history(begun, user))["history"] == 2
    assert await owed.owed(9) == {U2: 1}


async def test_users_seen_since_a_time_come_the_latest_first(stores: Stores) -> None:
    writer, reader = stores
    await writer.add_many(
        [
            watch("1", "old", "a", hours=0),
            watch("2", "late", "a", hours=1),
            watch("3", "late", "b", hours=9),
            watch("4", "early", "b", hours=5),
            watch("5", "also-late", "b", hours=9),
        ]
    )
    assert await reader.seen_since(START + timedelta(hours=5)) == ["also-late", "late", "early"]
    assert await reader.seen_since(START + timedelta(hours=10)) == []

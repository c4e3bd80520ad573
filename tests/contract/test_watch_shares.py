"""What every count of how far videos are watched promises: ranks by length, of what is recent."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import Interaction
from core.watch_shares import FEWEST, STEPS, WatchShares
from storage.memory.history import MemoryHistory
from storage.memory.watch_shares import MemoryWatchShares
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.watch_shares import PostgresWatchShares
from tests.histories import watch

pytestmark = pytest.mark.contract


class Counting(Protocol):
    async def read(self) -> list[WatchShares]: ...
    async def count(self) -> list[WatchShares]: ...


class Stores(msgspec.Struct):
    shares: Counting
    history: MemoryHistory | PostgresInteractions


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        history = MemoryHistory()
        return Stores(MemoryWatchShares(history), history)
    engine = request.getfixturevalue("engine")
    return Stores(PostgresWatchShares(engine), PostgresInteractions(engine))


def watches(
    name: str, length: float | None, seconds: Sequence[float | None], *, days: float = 0
) -> list[Interaction]:
    return [
        msgspec.structs.replace(
            watch(f"{name} {number}", f"u{number % 50}", name, hours=24 * days),
            watched_seconds=watched,
            video_seconds=length,
        )
        for number, watched in enumerate(seconds)
    ]


async def test_before_the_first_count_nothing_is_known(stores: Stores) -> None:
    assert await stores.shares.read() == []
    assert await stores.shares.count() == []


async def test_shares_are_kept_in_equal_steps_of_rank(stores: Stores) -> None:
    await stores.history.add_many(watches("clip", 40.0, [n / 10 for n in range(1, 401)]))
    (counted,) = await stores.shares.count()
    assert (counted.bucket, counted.watches) == (0, 400)
    steps = [step / STEPS for step in range(1, STEPS + 1)]
    assert counted.shares == pytest.approx([1 / 400, *steps], abs=1 / 399)
    assert await stores.shares.read() == [counted]


async def test_each_length_is_counted_by_itself(stores: Stores) -> None:
    for length in (59.9, 60.0, 300.0, 1_200.0, 3_599.0, 3_600.0, 90_000.0):
        await stores.history.add_many(watches(f"v{length}", length, [length / 2] * FEWEST))
    counted = await stores.shares.count()
    assert [(one.bucket, one.watches // FEWEST) for one in counted] == [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 2),
    ]
    assert {share for one in counted for share in one.shares} == {0.5}


async def test_a_bucket_of_few_watches_is_left_out(stores: Stores) -> None:
    await stores.history.add_many(watches("v", 40.0, [10.0] * (FEWEST - 1)))
    assert await stores.shares.count() == []
    await stores.history.add_many(watches("one more", 40.0, [10.0]))
    assert [one.watches for one in await stores.shares.count()] == [FEWEST]


async def test_what_is_not_known_or_long_ago_does_not_count(stores: Stores) -> None:
    await stores.history.add_many(watches("now", 40.0, [10.0] * FEWEST))
    await stores.history.add_many(watches("old", 40.0, [40.0] * FEWEST, days=-90))
    await stores.history.add_many(watches("no-length", None, [10.0] * FEWEST))
    await stores.history.add_many(watches("no-share", 40.0, [None] * FEWEST))
    await stores.history.add_many(watches("nothing", 0.0, [10.0] * FEWEST))
    (counted,) = await stores.shares.count()
    assert counted.watches == FEWEST
    assert set(counted.shares) == {0.25}


async def test_a_count_replaces_the_one_before(stores: Stores) -> None:
    await stores.history.add_many(watches("clip", 40.0, [10.0] * FEWEST))
    await stores.shares.count()
    later = watches("film", 9_000.0, [900.0] * FEWEST, days=100)
    await stores.history.add_many(later)
    (counted,) = await stores.shares.count()
    assert (counted.bucket, set(counted.shares)) == (4, {0.1})
    assert await stores.shares.read() == [counted]


async def test_no_number_of_seconds_stops_the_count(stores: Stores) -> None:
    for watched, length in ((5e-324, 8_640_000.0), (8_640_000.0, 5e-324), (0.0, 30.0), (1e-9, 2.0)):
        await stores.history.add_many(watches(f"{watched}/{length}", length, [watched] * FEWEST))
    assert [(one.shares[0], one.shares[-1]) for one in await stores.shares.count()] == [
        (0.0, 1.0),
        (0.0, 0.0),
    ]


async def test_both_count_alike(engine: AsyncEngine) -> None:
    draw = np.random.default_rng(5)
    memory, postgres = MemoryHistory(), PostgresInteractions(engine)
    for length in (30.0, 200.0, 5_000.0):
        rows = watches(f"v{length}", length, (length * draw.beta(0.5, 0.5, 777)).tolist())
        await memory.add_many(rows)
        await postgres.add_many(rows)
    assert await PostgresWatchShares(engine).count() == await MemoryWatchShares(memory).count()


async def test_of_a_long_history_a_part_is_counted(engine: AsyncEngine) -> None:
    history = PostgresInteractions(engine)
    await history.add_many(watches("clip", 40.0, [n / 100 for n in range(1, 4_001)]))
    (counted,) = await PostgresWatchShares(engine, most_pages=20).count()
    assert FEWEST <= counted.watches < 3_000
    assert counted.shares[50] == pytest.approx(0.5, abs=0.15)

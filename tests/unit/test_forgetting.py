"""Dropping kept lists while the cache comes and goes."""

import asyncio
from collections.abc import Mapping

import pytest

from api.forgetting import CHUNK, Forgetting
from core.errors import Unavailable
from core.types import UserId
from storage.memory.users import MemoryUserCache

pytestmark = pytest.mark.unit
ANN, BOB, EVE = UserId("ann"), UserId("bob"), UserId("eve")


class Cache(MemoryUserCache):
    """Away at will; remembers what it was asked to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.away = True
        self.asked: list[dict[UserId, int]] = []
        self.answered = asyncio.Event()

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        if self.away:
            raise Unavailable("redis")
        self.asked.append(dict(revisions))
        self.answered.set()


async def test_what_is_dropped_at_once_is_not_owed() -> None:
    cache = Cache()
    cache.away = False
    forgetting = Forgetting(cache)
    await forgetting.forget({ANN: 1})
    await forgetting.pay()
    assert cache.asked == [{ANN: 1}]


async def test_the_newest_revision_is_owed_in_whatever_order_requests_end() -> None:
    cache = Cache()
    forgetting = Forgetting(cache)
    for revision in (6, 5):
        await forgetting.forget({ANN: revision})
    cache.away = False
    await forgetting.pay()
    await forgetting.pay()
    assert cache.asked == [{ANN: 6}]


async def test_the_oldest_debts_go_when_there_are_too_many() -> None:
    cache = Cache()
    forgetting = Forgetting(cache, most_owed=2)
    for user in (ANN, BOB, EVE):
        await forgetting.forget({user: 1})
    cache.away = False
    await forgetting.pay()
    assert cache.asked == [{BOB: 1, EVE: 1}]


async def test_debts_are_paid_in_chunks() -> None:
    cache = Cache()
    forgetting = Forgetting(cache)
    await forgetting.forget({UserId(f"u{number}"): 1 for number in range(CHUNK + 1)})
    cache.away = False
    await forgetting.pay()
    assert [len(asked) for asked in cache.asked] == [CHUNK, 1]


async def test_the_task_pays_once_the_cache_is_back_and_ends_when_cancelled() -> None:
    cache = Cache()
    forgetting = Forgetting(cache, pause_seconds=0.001)
    await forgetting.forget({ANN: 1})
    task = asyncio.create_task(forgetting.run())
    cache.away = False
    await asyncio.wait_for(cache.answered.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cache.asked == [{ANN: 1}]

"""One caller at full speed, through many processes over one real Redis."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Self
from uuid import uuid4

import httpx
import pytest

from api.auth import Principal
from api.limits import Limiter
from core.errors import RateLimited
from core.quota import Quota, Report, Settled
from core.settings import Settings
from storage.redis.client import connect
from storage.redis.limits import RedisLedger
from tests.patience import PATIENT_REDIS
from tests.served import Served, of_popular_lists, two_processes
from upnext.tokens import make_token

pytestmark = pytest.mark.integration
WORKERS = 4
ON_ITS_WAY = 0.2
# So long an answer takes. Were it none, callers would use up a loan while the next is fetched, and
# how many wait would tell of the machine.
ANSWER_SECONDS = 0.01
BEAT_SECONDS = 0.005


class Timed(RedisLedger):
    """Knows how long a report of its process was on its way at most."""

    longest = 0.0

    async def settle(self, reports: Sequence[Report]) -> list[Settled]:
        began = monotonic()
        try:
            return await super().settle(reports)
        finally:
            self.longest = max(self.longest, monotonic() - began)


class Race:
    """What one caller was given who comes through several processes."""

    def __init__(self, quota: Quota, redis_url: str) -> None:
        self.quota = quota
        self.who = Principal(f"race-{uuid4().hex}", frozenset({"user"}))
        self.clients = [connect(redis_url, PATIENT_REDIS) for _ in range(WORKERS)]
        self.ledgers = [Timed(client, uuid4().hex[:12]) for client in self.clients]
        self.limiters = [Limiter(ledger, {"user": quota}) for ledger in self.ledgers]
        self.given: list[float] = []
        self.waits_below_400 = 0
        self.due, self.longest_late = float("inf"), 0.0

    async def __aenter__(self) -> Self:
        self.running = [asyncio.create_task(limiter.run()) for limiter in self.limiters]
        self.running.append(asyncio.create_task(self._beat()))
        return self

    async def _beat(self) -> None:
        """Know when the event loop did not come round."""
        while True:
            self.due = monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self.longest_late = self.late()

    def late(self) -> float:
        """How late the event loop was at most, in seconds."""
        return max(self.longest_late, monotonic() - self.due)

    async def __aexit__(self, *_: object) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.wait(self.running)
        for limiter, client in zip(self.limiters, self.clients, strict=True):
            await limiter.close()
            await client.aclose()

    async def ask(self, limiter: Limiter) -> bool:
        """Whether an answer was given; a refusal must be one that the caller has earned."""
        if limiter.take(self.who) is None:
            self.waits_below_400 += len(self.given) < self.quota.limit * 0.8
            asked = monotonic()
            try:
                await limiter.acquire(self.who)
            except RateLimited:
                # It was refused at some time since it asked.
                since = asked - self.counted_seconds() - ON_ITS_WAY
                assert self.within(since, monotonic() - since) >= self.quota.limit
                return False
        self.given.append(monotonic())
        return True

    def counted_seconds(self) -> float:
        """Counted late by 1/200 of the window, and by as long as a report is on its way."""
        on_its_way = max(ledger.longest for ledger in self.ledgers)
        return self.quota.window_ms / 1000 * (1 + 1 / 200) + on_its_way

    def within(self, since: float, seconds: float) -> int:
        return sum(since <= at < since + seconds for at in self.given)

    async def until_refused(self, limiter: Limiter) -> None:
        while await self.ask(limiter):  # noqa: ASYNC110 - each round is an answer
            await asyncio.sleep(ANSWER_SECONDS)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return of_popular_lists(database_url, redis_url, tmp_path)


@pytest.fixture
def servers(settings: Settings) -> Iterator[list[Served]]:
    with two_processes(settings) as servers:
        yield servers


async def test_racing_callers_get_all_of_a_window_and_seldom_wait(redis_url: str) -> None:
    async with Race(Quota("user", 500), redis_url) as race:
        await asyncio.gather(
            *(race.until_refused(limiter) for limiter in race.limiters for _ in range(4))
        )
        assert 500 <= len(race.given) <= 510
        assert race.waits_below_400 <= 40


async def test_a_steady_caller_over_the_limit_keeps_getting_all_of_it(redis_url: str) -> None:
    quota = Quota("user", 100, window_ms=1500, lease_ms=400)
    async with Race(quota, redis_url) as race:
        began, asked = monotonic(), 0
        while monotonic() < began + 4:
            await race.ask(race.limiters[asked % WORKERS])
            asked += 1
            await asyncio.sleep(max(0.0, began + asked / 80 - monotonic()))
        assert max(race.within(at, 1.5) for at in race.given) <= 102
        # Asks that a late loop has not made were not refused.
        seconds = 4 - race.late()
        assert len(race.given) >= 0.945 * quota.limit * seconds / race.counted_seconds()


async def test_one_user_at_full_speed_over_two_processes_of_two_workers(
    servers: list[Served], settings: Settings
) -> None:
    user = f"fast-{uuid4().hex}"
    token = make_token(settings, user, ("user",), timedelta(hours=1))
    statuses: list[int] = []

    async def ask(server: Served, enough: Callable[[], bool]) -> None:
        headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        async with httpx.AsyncClient(base_url=server.address, headers=headers) as client:
            while not enough():
                answer = await client.get(f"/recs/{user}")
                statuses.append(answer.status_code)
                assert answer.headers["ratelimit-limit"] == "500"
                if answer.status_code == 429:
                    assert 1 <= int(answer.headers["retry-after"]) <= 61

    async def race(enough: Callable[[], bool]) -> None:
        await asyncio.gather(*(ask(server, enough) for server in servers for _ in range(4)))

    await race(lambda: len(statuses) >= 390)
    assert set(statuses) == {200}
    assert sum(map(waits, servers)) <= len(statuses) / 10
    await race(lambda: statuses.count(429) >= 8)
    assert set(statuses) == {200, 429}
    assert 500 <= statuses.count(200) <= 510


def waits(server: Served) -> float:
    """How many answers of that process waited for the shared count."""
    metrics = httpx.get(f"{server.address}/metrics").text
    lines = [line.split() for line in metrics.splitlines()]
    return sum(float(line[1]) for line in lines if line[0] == "upnext_limit_waits_total")

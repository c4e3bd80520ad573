"""Limits: what holds of any sixty seconds, however many processes a caller comes through."""

import asyncio
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.auth import Principal
from api.limits import Limiter, quotas
from core.errors import RateLimited, Unavailable
from core.quota import Quota
from core.settings import load
from storage.memory.limits import Counts, MemoryLedger

pytestmark = pytest.mark.unit
ANN = Principal("ann", frozenset({"user"}))
USER = Quota("user", 500)


class Clock:
    """Seconds that pass only when told, and processes that get their turn while they do."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.turns: list[Any] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass; whoever runs beside gets a turn every 50 ms."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.05)
            for turn in self.turns:
                await turn()
            await settled()


async def settled() -> None:
    """Let the tasks that are under way go on."""
    for _ in range(8):
        await asyncio.sleep(0)


class Fleet:
    """Processes over one ledger, and every answer with its time."""

    def __init__(self, processes: int, quota: Quota = USER, late: float = 0.0) -> None:
        """`late`: how much later than after a window an answer may stop to count, in windows."""
        self.clock = Clock()
        self.counts = Counts(self.clock)
        self.ledgers = [Counted(MemoryLedger(f"p{n}", self.counts)) for n in range(processes)]
        self.limiters = [
            Limiter(ledger, {"user": quota}, clock=self.clock, sleep=self.clock.sleep)
            for ledger in self.ledgers
        ]
        self.clock.turns = [limiter.tick for limiter in self.limiters]
        self.quota = quota
        self.given: deque[float] = deque()
        self.waited = 0
        self.wait = 0
        self.late = late

    async def ask(self, process: int) -> bool:
        """Whether an answer was given; what must hold of the last minute is checked."""
        limiter = self.limiters[process]
        try:
            if limiter.take(ANN) is None:
                self.waited += 1
                await limiter.acquire(ANN)
        except RateLimited as refused:
            assert self.within(1.0 + self.late) >= self.quota.limit, "refused too early"
            self.wait = refused.retry_after
            return False
        self.given.append(self.clock.now)
        assert self.within(1.0) <= self.quota.limit * 1.02, "given too many"
        return True

    def within(self, windows: float) -> int:
        """Answers of the time that has just passed."""
        since = self.clock.now - windows * self.quota.window_ms / 1000
        return sum(1 for at in self.given if at > since)


class Counted:
    """A ledger that can be away, and counts its round trips."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.away = False
        self.trips = 0

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            self.trips += 1
            await asyncio.sleep(0)
            if self.away:
                raise Unavailable("redis")
            return await getattr(self._ledger, name)(*args)

        return call


async def test_at_full_speed_four_processes_give_500_to_510() -> None:
    fleet = Fleet(4)
    asked = 0
    while await fleet.ask(asked % 4):
        asked += 1
        if asked == 400:
            assert fleet.waited <= 40
        if asked % 5 == 0:
            await settled()
    assert 500 <= len(fleet.given) <= 510


async def test_at_nine_a_second_any_minute_has_500_to_510() -> None:
    fleet = Fleet(4)
    for asked in range(9 * 150):
        assert await fleet.ask(asked % 4) or 1 <= fleet.wait <= 5
        await settled()
        await fleet.clock.sleep(1 / 9)
    assert fleet.within(1.0) >= 500


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(1, 80),
            st.sampled_from([0, 0, 0.01, 0.1, 0.3, 2, 20, 59.8, 60, 60.2]),
        ),
        max_size=40,
    )
)
def test_any_pace_keeps_both_bounds(steps: list[tuple[int, int, float]]) -> None:
    async def run() -> None:
        fleet = Fleet(3, Quota("user", 200), late=1 / 200)
        for process, burst, pause in steps:
            for _ in range(burst):
                await fleet.ask(process)
            await fleet.clock.sleep(pause)

    asyncio.run(run())


async def test_a_quiet_process_gives_back_what_it_holds() -> None:
    fleet = Fleet(2)
    assert await fleet.ask(0)
    await settled()
    window = fleet.counts.windows["user:ann"]
    assert window._loans["p0"][0] > 10
    await fleet.clock.sleep(USER.lease_ms / 1000 + 0.2)
    assert not window._loans
    assert sum(window._slots.values()) == 1
    assert not fleet.limiters[0]._accounts["user"]


async def test_loans_in_use_are_renewed_together() -> None:
    fleet = Fleet(1)
    [limiter], [ledger] = fleet.limiters, fleet.ledgers
    callers = [Principal(f"caller{n}", frozenset({"user"})) for n in range(20)]
    for caller in callers:
        await limiter.acquire(caller)
    fleet.clock.turns = []
    await fleet.clock.sleep(USER.lease_ms / 1000 - 1)
    await limiter.tick()  # finds out where recalls are
    before = ledger.trips
    assert all(limiter.take(caller) for caller in callers)
    await settled()
    assert ledger.trips == before
    await limiter.tick()
    await settled()
    assert ledger.trips == before + 2  # recalls, and everybody's renewal
    await fleet.clock.sleep(2)
    assert all(limiter.take(caller) for caller in callers)


async def test_closing_gives_everything_back() -> None:
    fleet = Fleet(1)
    assert await fleet.ask(0)
    await fleet.limiters[0].close()
    window = fleet.counts.windows["user:ann"]
    assert (window._loans, sum(window._slots.values())) == ({}, 1)


async def given_by(limiter: Limiter) -> int:
    """How many answers it gives until it refuses one."""
    given = 0
    while True:
        try:
            limiter.take(ANN) or await limiter.acquire(ANN)
        except RateLimited:
            return given
        given += 1


async def test_a_process_that_died_costs_only_what_it_held() -> None:
    fleet = Fleet(2)
    assert await fleet.ask(1)
    fleet.clock.turns.pop()  # it never says anything again
    assert await given_by(fleet.limiters[0]) == 505 - 101
    await fleet.clock.sleep(USER.lease_ms / 1000 + 61)
    assert await fleet.ask(0)


async def test_while_the_ledger_is_away_each_process_counts_for_itself() -> None:
    fleet = Fleet(2)
    for ledger in fleet.ledgers:
        ledger.away = True
    for limiter, ledger in zip(fleet.limiters, fleet.ledgers, strict=True):
        assert 500 <= await given_by(limiter) <= 510
        assert ledger.trips == 1, "nobody waits for one that is away"


async def test_a_ledger_that_goes_away_takes_no_count_along() -> None:
    fleet = Fleet(2)
    for number in range(400):
        assert await fleet.ask(number % 2)
    await settled()
    fleet.ledgers[0].away = True
    assert await given_by(fleet.limiters[0]) <= 200


async def test_what_was_given_meanwhile_counts_when_the_ledger_is_back() -> None:
    fleet = Fleet(2)
    fleet.ledgers[0].away = True
    for _ in range(120):
        assert await fleet.ask(0)
    fleet.ledgers[0].away = False
    await fleet.clock.sleep(2)
    while await fleet.ask(0):
        pass
    assert 500 <= len(fleet.given) <= 510


@pytest.mark.parametrize("answers", [None, []])
async def test_a_ledger_that_fails_for_another_reason_is_counted_without(
    answers: list[Any] | None,
) -> None:
    fleet = Fleet(1)

    async def broken(*_: Any) -> Any:
        if answers is None:
            raise ZeroDivisionError
        return answers

    for name in ("settle", "recall", "recalled"):
        setattr(fleet.ledgers[0], name, broken)
    assert 500 <= await given_by(fleet.limiters[0]) <= 510
    await fleet.limiters[0].tick()


async def test_one_who_stops_waiting_takes_nothing_from_the_others() -> None:
    fleet = Fleet(1)
    waiting = [asyncio.create_task(fleet.limiters[0].acquire(ANN)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    verdicts = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(verdicts[0], asyncio.CancelledError)
    assert [verdict.remaining for verdict in verdicts[1:]] == [499, 498]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("roles", "limit"),
    [
        (("user",), 500),
        (("service",), 1000),
        (("user", "service"), 1000),
        (("user", "admin"), 0),
        (("trainer",), 0),
        ((), 500),
    ],
)
async def test_the_most_generous_role_counts(roles: tuple[Any, ...], limit: int) -> None:
    limited = quotas(load({"limit_service_a_minute": "1000"}))
    limiter = Limiter(MemoryLedger("p"), limited)
    who = Principal("ann", frozenset(roles))
    verdict = limiter.take(who) or await limiter.acquire(who)
    assert verdict.limit == limit
    assert bool(verdict.headers) == bool(limit)


async def test_ten_times_as_many_callers_as_are_remembered_do_not_grow_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.limits.MOST_ACCOUNTS", 20)
    limiter = Limiter(MemoryLedger("p"), {"user": USER})
    for number in range(200):
        await limiter.acquire(Principal(f"u{number}", ANN.roles))
    assert len(limiter._accounts["user"]) <= 20

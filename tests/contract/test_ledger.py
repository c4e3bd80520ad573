"""What every ledger promises: counted plus lent never exceed the ceiling, however it is asked."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import numpy as np
import pytest

from api.ports import Ledger
from core.quota import Quota, Report, Window
from storage.memory.limits import Counts, MemoryLedger
from storage.redis.client import connect
from storage.redis.limits import RedisLedger
from tests.patience import PATIENT_REDIS

pytestmark = pytest.mark.contract
USER = Quota("user", 500)
SHORT = Quota("user", 50, window_ms=300, lease_ms=100)
Pair = tuple[Ledger, Ledger]


@pytest.fixture(params=["memory", "redis", "cluster"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """The ledgers of two processes."""
    if request.param == "memory":
        counts = Counts()
        yield MemoryLedger("a", counts), MemoryLedger("b", counts)
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"), PATIENT_REDIS)
    yield RedisLedger(client, "a"), RedisLedger(client, "b")
    await client.aclose()


@pytest.fixture
def sub() -> str:
    """A caller of this test's own: the server is shared."""
    return f"l-{uuid.uuid4().hex}"


async def test_a_loan_is_a_fifth_of_what_is_free(pair: Pair, sub: str) -> None:
    a, b = pair
    [first] = await a.settle([Report(USER, sub, wanted=1)])
    [second] = await b.settle([Report(USER, sub, wanted=1)])
    assert (first.granted, first.counted, first.elsewhere) == (101, 0, 0)
    assert (second.granted, second.counted, second.elsewhere) == (80, 0, 101)


async def test_a_report_replaces_what_was_held(pair: Pair, sub: str) -> None:
    a, b = pair
    await a.settle([Report(USER, sub, wanted=1)])
    [settled] = await a.settle([Report(USER, sub, used=((40, 7), (0, 1)), held=30)])
    assert (settled.granted, settled.counted, settled.elsewhere) == (0, 8, 0)
    assert 59_000 < settled.relief_ms <= 60_250
    [other] = await b.settle([Report(USER, sub, wanted=500)])
    assert (other.granted, other.counted, other.elsewhere) == (505 - 8 - 30, 8, 30)


async def test_everything_can_be_had_and_no_more(pair: Pair, sub: str) -> None:
    held = [0, 0]
    for turn in range(150):
        who = turn % 2
        [settled] = await pair[who].settle([Report(USER, sub, held=held[who], wanted=1)])
        assert settled.elsewhere == held[1 - who]
        held[who] += settled.granted
    assert sum(held) == 505
    [over] = await pair[0].settle([Report(USER, sub, used=((0, 600),), wanted=1)])
    assert (over.granted, over.counted) == (0, 600)


async def test_callers_and_roles_are_apart(pair: Pair, sub: str) -> None:
    service = Quota("service", 1000)
    answers = await pair[0].settle(
        [
            Report(USER, sub, used=((0, 5),)),
            Report(service, sub, used=((0, 6),)),
            Report(USER, f"{sub}-other", used=((0, 7),)),
        ]
    )
    assert [answer.counted for answer in answers] == [5, 6, 7]


async def test_what_is_counted_leaves_with_its_window(pair: Pair, sub: str) -> None:
    a, b = pair
    began = time.monotonic()
    [settled] = await a.settle([Report(SHORT, sub, used=((0, 50),), wanted=1)])
    assert (settled.granted, settled.counted) == (0, 50)
    relief = settled.relief_ms / 1000
    await asyncio.sleep(relief - 0.1)
    [settled] = await b.settle([Report(SHORT, sub, wanted=1)])
    late = time.monotonic() - began > relief - 0.01  # a machine may have much else to do
    assert settled.counted == 50 or late
    await asyncio.sleep(settled.relief_ms / 1000 + 0.01)
    [settled] = await b.settle([Report(SHORT, sub, wanted=1)])
    assert (settled.granted, settled.counted, settled.relief_ms) == (10, 0, 0)


async def test_the_loan_of_one_who_died_counts_until_it_must_have_left(
    pair: Pair, sub: str
) -> None:
    a, b = pair
    began = time.monotonic()
    await a.settle([Report(SHORT, sub, wanted=50)])
    await asyncio.sleep(0.3)
    [settled] = await b.settle([Report(SHORT, sub)])
    late = time.monotonic() - began > 0.4 - 0.01  # the loan's time and a window
    assert settled.elsewhere == 50 or late
    await asyncio.sleep(0.15)
    [settled] = await b.settle([Report(SHORT, sub)])
    assert settled.elsewhere == 0


async def test_recalls_reach_every_process_once(pair: Pair, sub: str) -> None:
    a, b = pair
    assert (await a.recalled(), await b.recalled()) == ([], [])
    await a.recall(f"user:{sub}")
    await b.recall(f"user:{sub}:with:colons")
    for ledger in pair:
        assert await ledger.recalled() == [f"user:{sub}", f"user:{sub}:with:colons"]
        assert await ledger.recalled() == []


async def test_any_reports_are_settled_as_the_rule_says(pair: Pair, sub: str) -> None:
    window, draw = Window(), np.random.default_rng(7)
    for _ in range(200):
        who = int(draw.integers(2))
        used = tuple(
            (int(draw.integers(20_000)), int(draw.integers(1, 4))) for _ in range(draw.integers(4))
        )
        held, wanted = int(draw.integers(20)), int(draw.integers(30))
        report = Report(USER, sub, used, held, wanted)
        [settled] = await pair[who].settle([report])
        expected = window.settle("ab"[who], report, int(time.monotonic() * 1000))
        assert (settled.granted, settled.counted, settled.elsewhere) == (
            expected.granted,
            expected.counted,
            expected.elsewhere,
        )


async def test_a_count_is_small_and_goes_away(redis_url: str, sub: str) -> None:
    client = connect(redis_url, PATIENT_REDIS)
    ledger = RedisLedger(client, "a")
    steady = tuple((111 * n, 1) for n in range(500))
    await ledger.settle([Report(USER, sub, used=steady)])
    await ledger.settle([Report(USER, f"{sub}-light", used=((0, 5),), wanted=1)])
    assert (await client.memory_usage(f"l:{{{sub}}}") or 0) in range(1, 2048)
    assert (await client.memory_usage(f"l:{{{sub}-light}}") or 0) in range(1, 256)
    assert 60_000 < await client.pttl(f"l:{{{sub}}}") <= 76_000
    await client.aclose()


@pytest.mark.parametrize("server", ["redis", "cluster"])
async def test_a_server_that_forgot_the_script_is_told_it_again(
    request: pytest.FixtureRequest, sub: str, server: str
) -> None:
    client = connect(request.getfixturevalue(f"{server}_url"), PATIENT_REDIS)
    ledger = RedisLedger(client, "a")
    for counted in (2, 4):
        await client.script_flush()
        settled = await ledger.settle(
            [Report(USER, sub, used=((0, 2),)), Report(USER, f"{sub}-2", used=((0, 2),))]
        )
        assert [each.counted for each in settled] == [counted, counted]
    await client.aclose()

"""A step of the worker goes on after whatever failed, and does not ask what is away too often."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from core.errors import Conflict, SetupError, Unavailable
from upnext.repeating import repeat
from upnext.worker import work

pytestmark = pytest.mark.unit
Outcomes = Sequence[Exception | None]


async def through(
    outcomes: Outcomes, seconds: float, **longest: float
) -> tuple[list[EventDict], list[float]]:
    """The log lines and pauses of a step that ends in these ways, one after the other."""
    left, pauses = iter(outcomes), list[float]()

    async def step() -> None:
        try:
            fault = next(left)
        except StopIteration:
            raise asyncio.CancelledError from None
        if fault is not None:
            raise fault

    async def sleep(pause: float) -> None:
        pauses.append(pause)

    with capture_logs() as logs, suppress(asyncio.CancelledError):
        await repeat("sweep", step, seconds, sleep=sleep, **longest)
    return logs, pauses


async def test_a_step_that_fails_is_logged_and_tried_again() -> None:
    faults = [ValueError("a fault of ours"), Conflict("not worth repeating")]
    logs, pauses = await through([*faults, None], 1)
    assert [line["exc_info"] for line in logs] == faults
    assert pauses == [line["again_in"] for line in logs] + [1] == [2, 4, 1]


async def test_what_is_away_is_asked_less_and_less_often_until_it_is_back() -> None:
    logs, pauses = await through([*itertools.repeat(Unavailable("redis"), 10), None, None], 1)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 1, 1]
    assert [line["event"] for line in logs] == [
        "Waiting for a dependency.",
        "The dependency is back.",
    ]


async def test_a_step_may_be_asked_for_more_often_while_something_is_away() -> None:
    fault = Unavailable("bus")
    _, pauses = await through([*[fault] * 5, ValueError("a fault of ours")], 0.5, away_seconds=5)
    assert pauses == [1, 2, 4, 5, 5, 10]


async def test_a_step_that_is_rare_stays_as_rare() -> None:
    _, pauses = await through([Unavailable("milvus"), None], 60, away_seconds=5)
    assert pauses == [60, 60]


async def test_a_part_that_needs_a_person_ends_all_and_says_why() -> None:
    async def needs_a_person() -> None:
        raise SetupError("UPNEXT_REDIS_URL cannot be used.")

    other = asyncio.Event().wait()
    with pytest.raises(SetupError, match="UPNEXT_REDIS_URL"):
        await work([needs_a_person(), other])  # type: ignore[list-item]

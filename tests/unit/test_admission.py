"""Computations are let in while they end in time; renewals give way first."""

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from api.admission import Admission, Overloaded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


class Clock:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def inside(admission: Admission, most: int, *, renewal: bool = False) -> "AsyncIterator[int]":
    """As many as are let in of `most` who come at once, until the end of the block."""
    async with AsyncExitStack() as stack:
        count = 0
        for _ in range(most):
            try:
                await stack.enter_async_context(admission.enter(renewal=renewal))
            except Overloaded:
                break
            count += 1
        yield count


async def run(admission: Admission, clock: Clock, *, times: int, seconds: float) -> None:
    """Computations one after the other, each as long."""
    for _ in range(times):
        async with admission.enter():
            clock.now += seconds


async def test_no_more_than_there_is_room_for(clock: Clock) -> None:
    admission = Admission(4, clock=clock)
    async with inside(admission, 9) as count:
        assert count == admission.inside == 4
    async with inside(admission, 9) as count:  # those who left made room
        assert count == 4


async def test_slow_ones_leave_room_for_fewer(clock: Clock) -> None:
    admission = Admission(16, patience_seconds=0.25, clock=clock)
    await run(admission, clock, times=100, seconds=0.05)
    async with inside(admission, 20) as count:
        assert count == 5


async def test_the_first_few_are_always_let_in(clock: Clock) -> None:
    admission = Admission(16, patience_seconds=0.25, clock=clock)
    await run(admission, clock, times=100, seconds=3.0)
    async with inside(admission, 20, renewal=True) as renewals:
        assert renewals == 2
    async with inside(admission, 20) as count:
        assert count == 4


async def test_the_cost_of_those_that_wait_for_others_is_learned(clock: Clock) -> None:
    admission = Admission(16, patience_seconds=0.15, clock=clock)
    await run(admission, clock, times=20, seconds=0.1)  # alone each costs what it takes
    for _ in range(30):  # as many as are let in, which all take as long as one
        async with inside(admission, 20):
            clock.now += 0.1
    async with inside(admission, 20) as count:
        assert count >= 6


async def test_what_counts_is_how_many_end_a_second(clock: Clock) -> None:
    admission = Admission(16, patience_seconds=0.25, clock=clock)
    for _ in range(30):  # ten at a time that take 100 ms together
        async with inside(admission, 10):
            clock.now += 0.1
    async with inside(admission, 20) as count:
        assert count == 16


async def test_a_pause_between_computations_does_not_count(clock: Clock) -> None:
    admission = Admission(8, patience_seconds=0.25, clock=clock)
    for _ in range(100):
        await run(admission, clock, times=1, seconds=0.01)
        clock.now += 60
    async with inside(admission, 20) as count:
        assert count == 8


async def test_while_nothing_ends_nobody_else_is_let_in(clock: Clock) -> None:
    admission = Admission(16, patience_seconds=0.25, clock=clock)
    async with inside(admission, 5):
        clock.now += 0.2  # a stall
        async with inside(admission, 1) as count:
            assert count == 1
        clock.now += 2.0  # an outage
        async with inside(admission, 1) as count:
            assert count == 0


async def test_it_recovers_with_the_first_quick_ones(clock: Clock) -> None:
    admission = Admission(16, patience_seconds=0.25, clock=clock)
    await run(admission, clock, times=50, seconds=2.0)
    await run(admission, clock, times=60, seconds=0.005)
    async with inside(admission, 20) as count:
        assert count > 10


async def test_renewals_give_way_first(clock: Clock) -> None:
    admission = Admission(16, clock=clock)
    async with inside(admission, 20, renewal=True) as renewals:
        assert renewals == 8
        async with inside(admission, 20) as others:
            assert others == 8


async def test_one_that_fails_leaves_too(clock: Clock) -> None:
    admission = Admission(1, clock=clock)
    with pytest.raises(ZeroDivisionError):
        async with admission.enter():
            raise ZeroDivisionError
    assert admission.inside == 0

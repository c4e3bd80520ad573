import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from core.tally import Tally, observe_many

pytestmark = pytest.mark.unit

BOUNDS = (0.001, 0.01, 0.1)
SECONDS = (0.0, 0.0005, 0.001, 0.0011, 0.05, 0.1, 0.2, 7.0)


def histogram(registry: CollectorRegistry) -> Histogram:
    return Histogram("seconds", "Of answers.", ["route"], buckets=BOUNDS, registry=registry)


async def test_what_is_gathered_is_what_the_histogram_would_have() -> None:
    gathered, plain = CollectorRegistry(), CollectorRegistry()
    counter = Counter("lists", "All.", registry=None)
    tally, observed = Tally(histogram(gathered).labels("a"), counter), histogram(plain).labels("a")
    for part in (SECONDS[:3], SECONDS[3:]):
        for seconds in part:
            tally.observe(seconds)
            observed.observe(seconds)
        tally.hand_over()
    assert lines(gathered) == lines(plain)
    assert counter._value.get() == len(SECONDS)


def test_many_at_once_are_as_one_by_one() -> None:
    together, plain = CollectorRegistry(), CollectorRegistry()
    observe_many(histogram(together).labels("a"), SECONDS)
    observed = histogram(plain).labels("a")
    for seconds in SECONDS:
        observed.observe(seconds)
    assert lines(together) == lines(plain)


def lines(registry: CollectorRegistry) -> list[str]:
    """All but the time at which each was made."""
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if "_created" not in line]


async def test_it_is_handed_over_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.tally.LATE_SECONDS", 0)
    counter = Counter("lists", "All.", registry=None)
    tally = Tally(histogram(CollectorRegistry()).labels("a"), counter)
    tally.observe(0.5)
    assert not counter._value.get()
    while not counter._value.get():  # noqa: ASYNC110 - it comes with the loop's next rounds
        await asyncio.sleep(0)

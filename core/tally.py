"""Observations of a histogram that cost little, and are in it a quarter of a second later."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter, Histogram

LATE_SECONDS = 0.25


class Tally:
    """Gathers what one child of a histogram is to observe, and a counter to count as often.

    Each observation there writes to mapped files three times, which is a fifth of the time that a
    finished answer takes. A process that is killed takes the last quarter second's with it. For
    one event loop.
    """

    def __init__(self, histogram: Histogram, counter: Counter) -> None:
        """Make one; both are children: all their labels are given."""
        self._histogram = histogram
        self._counter = counter
        self._bounds = histogram._upper_bounds  # noqa: SLF001 - it takes one observation at a time
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        self._waits = False

    def observe(self, seconds: float) -> None:
        """As the histogram's."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds
        if not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_later(LATE_SECONDS, self.hand_over)

    def hand_over(self) -> None:
        """Let both have what was gathered."""
        counts, self._counts = self._counts, [0] * len(self._bounds)
        total, self._sum = self._sum, 0.0
        self._waits = False
        _add(self._histogram, counts, total)
        self._counter.inc(sum(counts))


def observe_many(histogram: Histogram, values: Sequence[float]) -> None:
    """Observe each of the values, at the price of a few."""
    bounds = histogram._upper_bounds  # noqa: SLF001 - it takes one observation at a time
    counts = [0] * len(bounds)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    _add(histogram, counts, sum(values))


def _add(histogram: Histogram, counts: Sequence[int], total: float) -> None:
    histogram._sum.inc(total)  # noqa: SLF001
    for bucket, count in zip(histogram._buckets, counts, strict=True):  # noqa: SLF001
        if count:
            bucket.inc(count)

"""How far videos are watched, in memory: the twin of `storage.postgres.watch_shares`."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from math import ceil

from core.watch_shares import FEWEST, STEPS, WatchShares, bucket_of, share_of
from storage.memory.history import MemoryHistory

_RECENT = timedelta(days=90)


class MemoryWatchShares:
    """Counts over a history in memory; never unavailable."""

    def __init__(self, history: MemoryHistory) -> None:
        self._history = history
        self._counted: list[WatchShares] = []

    async def read(self) -> list[WatchShares]:
        """What was counted last, the shortest videos first."""
        return self._counted

    async def count(self) -> list[WatchShares]:
        """Count anew over the last 90 days before the newest watch."""
        watches = [
            (row.occurred_at, row.watched_seconds, row.video_seconds)
            async for page in self._history.stream()
            for row in page
            if row.kind == "watch" and row.watched_seconds is not None and row.video_seconds
        ]
        shares = defaultdict[int, list[float]](list)
        start = max((at for at, _, _ in watches), default=None)
        for at, watched, length in watches:
            if start is not None and at > start - _RECENT:
                shares[bucket_of(length)].append(share_of(watched, length))
        self._counted = [
            WatchShares(bucket=bucket, shares=_ranked(found), watches=len(found))
            for bucket, found in sorted(shares.items())
            if len(found) >= FEWEST
        ]
        return self._counted


def _ranked(shares: Sequence[float]) -> tuple[float, ...]:
    """The least share that each step's part of them stays at or below."""
    ordered = sorted(shares)
    places = (ceil(step / STEPS * len(ordered)) for step in range(STEPS + 1))
    return tuple(ordered[max(place, 1) - 1] for place in places)

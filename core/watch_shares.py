"""How far videos of a length are watched: what one watch is compared with."""

from bisect import bisect_right
from typing import Final

import msgspec

LENGTHS: Final = (60.0, 300.0, 1_200.0, 3_600.0)
"""Where the next bucket of length begins, in seconds; the last one has no end."""

STEPS: Final = 100
"""Steps of rank in which the shares of a bucket are kept."""

FEWEST: Final = 200
"""Watches below which a bucket says nothing, and tells nobody how far one person watched."""

INSTANT: Final = 0.001
"""Seconds below which nothing was watched: a quotient of less is no number of use."""


class WatchShares(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a video the watches of one bucket reached.

    `shares[i]` is the least share, 0..1, that at least i % of the watches stayed at or below: 101
    of them, ascending. `watches` is how many were counted.
    """

    bucket: int
    shares: tuple[float, ...]
    watches: int


def bucket_of(video_seconds: float) -> int:
    """The bucket of videos of this length: 0 for the shortest, `len(LENGTHS)` for the longest."""
    return bisect_right(LENGTHS, video_seconds)


def share_of(watched_seconds: float, video_seconds: float) -> float:
    """How much of a video was watched, 0..1; who watched longer than it lasts, all of it."""
    if watched_seconds >= video_seconds:
        return 1.0
    return 0.0 if watched_seconds < INSTANT else watched_seconds / video_seconds

"""How much one interaction says about a taste, 0 (nothing) to 1 (everything).

Shares watched are not comparable as they are: a clip of half a minute is mostly seen to its end, a
film hardly ever, so that they would speak for short videos. A share is therefore replaced by its
rank among the watches of videos of about its length. Ranking watch time within groups of duration:
Zhan and others, *Deconfounding Duration Bias in Watch-time Prediction for Video Recommendation*,
KDD 2022 (D2Q).
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.watch_shares import INSTANT, LENGTHS, STEPS, WatchShares, bucket_of, share_of

LEAST: Final = 0.05
FULL_MARKS: Final = 5.0
ABANDONED_SECONDS: Final = 10.0
ABANDONED_SHARE: Final = 0.1
"""Who leaves before both have passed has looked, and did not want it."""

_Ranks = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class WatchWeights:
    """Weights of watches by how far others watched, 0.05..1.

    `ranks` has the shares of each bucket of length in equal steps of rank; a bucket that has none
    gives the plain share.
    """

    ranks: _Ranks = ((),) * (len(LENGTHS) + 1)

    @classmethod
    def of(cls, counted: Iterable[WatchShares]) -> "WatchWeights":
        """Weights by these counts."""
        shares = {one.bucket: one.shares for one in counted}
        return cls(tuple(shares.get(bucket, ()) for bucket in range(len(LENGTHS) + 1)))

    def watch(self, watched_seconds: float | None, video_seconds: float | None) -> float:
        """The rank of the share watched among videos of about this length.

        That is the part of their watches that reached at most as far, down to a whole percent and
        not below 0.05. 1 for a watch to the end, and when the share is not known; 0.05 for a video
        that was left within 10 s and its first tenth, whatever the rank.
        """
        if watched_seconds is None or not video_seconds:
            return 1.0
        share = share_of(watched_seconds, video_seconds)
        if share >= 1.0:
            return 1.0
        if share < ABANDONED_SHARE and watched_seconds < ABANDONED_SECONDS:
            return LEAST
        ranks = self.ranks[bucket_of(video_seconds)]
        rank = (bisect_right(ranks, share) - 1) / STEPS if ranks else share
        return max(rank, LEAST)

    def watches(
        self, watched_seconds: NDArray[np.float64], video_seconds: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """As `watch`, of many: float64 (n,) from two of (n,), in which NaN is not known."""
        known = ~np.isnan(watched_seconds) & (video_seconds > 0)
        watched, length = watched_seconds[known], video_seconds[known]
        shares = np.zeros(len(watched))
        np.divide(watched, length, out=shares, where=(watched < length) & (watched >= INSTANT))
        weights = shares.copy()
        buckets = np.searchsorted(LENGTHS, length, side="right")
        for bucket, ranks in enumerate(self.ranks):
            if ranks:
                here = buckets == bucket
                weights[here] = (np.searchsorted(ranks, shares[here], side="right") - 1) / STEPS
        weights[(shares < ABANDONED_SHARE) & (watched < ABANDONED_SECONDS)] = LEAST
        weights[watched >= length] = 1.0
        result = np.ones(len(watched_seconds))
        result[known] = np.maximum(weights, LEAST)
        return result


PLAIN: Final = WatchWeights()
"""Before anything was counted: the share itself."""


def rating_weight(rating: float) -> float:
    """A rating of 0.5..5 as `(rating - 1) / 4`, clipped to 0.05..1."""
    return min(max((rating - 1.0) / (FULL_MARKS - 1.0), LEAST), 1.0)

"""How much each video is watched: counters of the truth, their ranks and orders."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MIN_TRENDING_WATCHES = 5
DECIMALS = 6  # shard rows merge in any order: sums equal but for rounding must still tie

COUNTERS = np.dtype([("watches", np.int64), ("slow", np.float64), ("fast", np.float64)])
Counters = NDArray[np.void]


def no_counters(n: int) -> Counters:
    """Counters of n videos that nobody has watched."""
    counters = np.zeros(n, dtype=COUNTERS)
    counters["slow"] = counters["fast"] = -np.inf
    return counters


@dataclass(frozen=True)
class Popularity:
    """Popularity of n videos.

    `counters` (n,): rows of `core.types.PopularityRow` without the id, -inf for no watches ·
    `by_hash` int32 (n,): all rows in the order of their hashes, which is how ties are settled
    alike in every process.
    """

    counters: Counters
    by_hash: NDArray[np.int32]

    @cached_property
    def score(self) -> NDArray[np.float32]:
        """0..1, float32 (n,): the share of watched videos that are watched no more than this one.

        The most watched has 1, one without watches 0; equals share.
        """
        slow = np.round(self.counters["slow"], DECIMALS)
        watched = np.isfinite(slow)
        ascending = np.sort(slow[watched])
        score = np.zeros(len(slow), dtype=np.float32)
        no_more = np.searchsorted(ascending, slow[watched], side="right")
        score[watched] = no_more / max(len(ascending), 1)
        return score

    @cached_property
    def popular_rows(self) -> NDArray[np.int32]:
        """All rows, most popular first, int32 (n,)."""
        return self._descending(self.score)

    @cached_property
    def trending_rows(self) -> NDArray[np.int32]:
        """Rows with at least 5 watches, int32 (m,), those that rise most first.

        Ordered by the sum with the short half-life over that with the long one. Taken as stored,
        both leave out a factor of the moment, the same for all videos: it does not change the
        order, so the order holds until a counter changes.
        """
        counters = self.counters
        enough = (counters["watches"] >= MIN_TRENDING_WATCHES) & np.isfinite(counters["slow"])
        trend = np.full(len(counters), -np.inf)
        np.subtract(counters["fast"], counters["slow"], out=trend, where=enough)
        return self._descending(np.round(trend, DECIMALS))[: np.count_nonzero(enough)]

    def _descending(self, values: NDArray[np.floating]) -> NDArray[np.int32]:
        return self.by_hash[np.argsort(-values[self.by_hash], kind="stable")]

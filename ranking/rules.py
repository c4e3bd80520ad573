"""What a list must obey, whatever the scores say."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

FIRST = 10


class CreatorCap:
    """At most `cap` videos of one creator in the first 10 places; unknown creators are free."""

    def __init__(self, creators: NDArray[np.int32], cap: int) -> None:
        self._creators = creators
        self._cap = cap
        self._placed: Counter[int] = Counter()
        self._free = (creators < 0) | (cap > 0)

    def free(self) -> NDArray[np.bool_]:
        """Which candidates the next place may have, bool (n,)."""
        if self._placed.total() >= FIRST:
            return np.ones(len(self._creators), dtype=np.bool_)
        return self._free

    def place(self, index: int) -> None:
        """The candidate `index` got the next place."""
        creator = int(self._creators[index])
        self._placed[creator] += 1
        if creator >= 0 and self._placed[creator] >= self._cap:
            self._free &= self._creators != creator

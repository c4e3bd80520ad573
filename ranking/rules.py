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
        self._places = 0
        self._placed: Counter[int] = Counter()
        self._free = (creators < 0) | (cap > 0)

    def free(self) -> NDArray[np.bool_] | None:
        """Which candidates the next place may have, bool (n,); None for all of them."""
        return self._free if self._places < FIRST else None

    def place(self, index: int) -> None:
        """The candidate `index` got the next place."""
        creator = int(self._creators[index])
        self._places += 1
        self._placed[creator] += 1
        if creator >= 0 and self._placed[creator] >= self._cap:
            self._free &= self._creators != creator


def enough(creators: NDArray[np.int32], cap: int, places: int) -> int:
    """How many of the first candidates always have one for the next of so many places.

    One that has no place yet and that the cap lets have it, whichever of them were placed before;
    all candidates when the cap must give way.
    """
    bound = min(FIRST, places)
    counted: Counter[int] = Counter()
    for at, creator in enumerate(creators.tolist()):
        if counted.total() == bound:
            return max(at, places)
        if creator < 0 or counted[creator] < cap:
            counted[creator] += 1
    return len(creators)

"""What is in force in this process: the live version and the ranking configuration.

A request takes each once and keeps it to its end; a swap is one assignment.
"""

import numpy as np
from numpy.typing import NDArray

from core.types import RankingConfig
from embeddings.version import Version

LiveHandle = Version


class LiveModel:
    """`current` is the live version, None before the first; `previous` the one before it."""

    def __init__(self, current: LiveHandle | None = None) -> None:
        self.current = current
        self.previous: LiveHandle | None = None

    def swap(self, handle: LiveHandle | None) -> None:
        """Make this version live; the one before stays open, so that going back is quick."""
        if self.current is not None and handle is not self.current:
            self.previous = self.current
        self.current = handle


class LiveConfig:
    """`current` is the ranking configuration in force; the defaults until one is read."""

    def __init__(self, current: RankingConfig | None = None) -> None:
        self.current = current or RankingConfig()


def vectors_of(handle: LiveHandle | None, hashes: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Item vectors of these videos, float32 (n, d): zeros for one without; d is 0 for no version.

    Takes `VideoColumns.hashes` and gives what `ranking.rank` takes as `vectors`.
    """
    if handle is None:
        return np.zeros((len(hashes), 0), dtype=np.float32)
    rows = handle.items.rows(hashes)
    known = rows >= 0
    vectors = np.zeros((len(hashes), handle.items.dim), dtype=np.float32)
    vectors[known] = handle.items.vectors[rows[known]]
    return vectors

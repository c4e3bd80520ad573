"""Row numbers by 64-bit hash: two sorted arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class HashIndex:
    """`hashes` uint64 (n,), sorted · `order` int32 (n,), the row each belongs to."""

    hashes: NDArray[np.uint64]
    order: NDArray[np.int32]

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> "HashIndex":
        """The index of rows 0 ... n-1."""
        order = np.argsort(hashes).astype(np.int32)
        return cls(hashes[order], order)

    def extended(self, hashes: NDArray[np.uint64]) -> "HashIndex":
        """The index with rows added at the end; a new one, this one stays as it is."""
        added = np.argsort(hashes)
        at = np.searchsorted(self.hashes, hashes[added])
        rows = (added + len(self.order)).astype(np.int32)
        return HashIndex(np.insert(self.hashes, at, hashes[added]), np.insert(self.order, at, rows))

    def rows(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each hash, int64 (m,), -1 for an unknown one."""
        if not len(self.hashes):
            return np.full(len(hashes), UNKNOWN, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, self.order[at], UNKNOWN).astype(np.int64)

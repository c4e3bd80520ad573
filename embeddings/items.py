"""Item vectors of one version: two arrays, usually mapped from files and shared by processes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.hashing import hash64_many
from core.types import VideoId

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class ItemVectors:
    """Vectors of n videos, found by the 64-bit hash of their id.

    `hashes` uint64 (n,), sorted, each once · `vectors` float32 (n, d), L2-normalised rows in the
    order of `hashes`.
    """

    hashes: NDArray[np.uint64]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.hashes.ndim != 1 or len(self.hashes) != len(self.vectors):
            raise ValueError("hashes (n,) and vectors (n, d) must be of one length")

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def dim(self) -> int:
        """Length of a vector, d."""
        return int(self.vectors.shape[1])

    def rows(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each hash, int64 (m,); -1 for a video that this version does not have."""
        if len(self.hashes) == 0:
            return np.full(len(hashes), UNKNOWN, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, at, UNKNOWN).astype(np.int64)

    def take(self, ids: Sequence[VideoId]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors of those videos that are known.

        Returns:
            float32 (m, d), one row for each known id in the order asked, and bool (len(ids),),
            which ids they are: `m == known.sum()`.
        """
        rows = self.rows(hash64_many(ids))
        known = rows != UNKNOWN
        return self.vectors[rows[known]], known


def item_vectors(ids: Iterable[VideoId], vectors: NDArray[np.float32]) -> ItemVectors:
    """Item vectors from ids and their rows (n, d), in any order, not yet normalised."""
    hashes = hash64_many(ids)
    order = np.argsort(hashes)
    return ItemVectors(hashes[order], normalised(vectors[order]))


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (n, d) divided by their L2 norm; rows of zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return scaled

"""Item vectors of one version: arrays, usually mapped from files and shared by processes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.hashing import hash64_many
from core.types import VideoId

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class ItemVectors:
    """Vectors of n videos, found by the 64-bit hash of their id.

    `hashes` uint64 (n,), sorted, each once · `ids` bytes (n,) and `vectors` float32 (n, d) in the
    order of `hashes`. `tail` holds the videos that came after the version was made; one that both
    have is the tail's.
    """

    hashes: NDArray[np.uint64]
    ids: NDArray[np.bytes_]
    vectors: NDArray[np.float32]
    tail: "ItemVectors | None" = None

    def __post_init__(self) -> None:
        if self.hashes.ndim != 1 or not len(self.hashes) == len(self.ids) == len(self.vectors):
            raise ValueError("hashes (n,), ids (n,) and vectors (n, d) must be of one length")

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def dim(self) -> int:
        """Length of a vector, d."""
        return int(self.vectors.shape[1])

    @property
    def count(self) -> int:
        """Rows with those of the tail; a video that both have counts twice."""
        return sum(len(part) for part in self.parts)

    @property
    def nbytes(self) -> int:
        """What all vectors take, the tail's too."""
        return sum(part.vectors.nbytes for part in self.parts)

    @property
    def parts(self) -> "tuple[ItemVectors, ...]":
        """These vectors without their tail, then the tail if there is one."""
        if self.tail is None:
            return (self,)
        return replace(self, tail=None), self.tail

    def rows(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each hash, int64 (m,); -1 for a video not here, the tail left aside."""
        if len(self.hashes) == 0:
            return np.full(len(hashes), UNKNOWN, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, at, UNKNOWN).astype(np.int64)

    def at(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors of these videos, float32 (m, d), zeros for unknown ones; which are known (m,)."""
        vectors = np.zeros((len(hashes), self.dim), dtype=np.float32)
        known = np.zeros(len(hashes), dtype=np.bool_)
        for part in self.parts:
            rows = part.rows(hashes)
            here = rows != UNKNOWN
            vectors[here] = part.vectors[rows[here]]
            known |= here
        return vectors, known

    def take(self, ids: Sequence[VideoId]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors of those videos that are known.

        Returns:
            float32 (m, d), one row for each known id in the order asked, and bool (len(ids),),
            which ids they are: `m == known.sum()`.
        """
        vectors, known = self.at(hash64_many(ids))
        return vectors[known], known


def item_vectors(ids: Iterable[VideoId], vectors: NDArray[np.float32]) -> ItemVectors:
    """Item vectors from ids and their rows (n, d), in any order."""
    named = list(ids)
    hashes = hash64_many(named)
    order = np.argsort(hashes)
    encoded = np.array([id_.encode() for id_ in named], dtype=np.bytes_)
    return ItemVectors(hashes[order], encoded[order], vectors[order])


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (n, d) divided by their L2 norm; rows of zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return scaled

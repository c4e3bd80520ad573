"""The user encoder of ALS: a new user's vector in closed form; numpy only, for serving."""

from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

NEGLIGIBLE = np.float32(1e-5)  # share of its weight below which a watch is not worth the time


class FoldInConfig(msgspec.Struct, frozen=True, kw_only=True, tag="fold_in"):
    """What the model was trained with; the fields of `AlsConfig`, and how many videos it has."""

    videos: int
    unobserved: float
    regularisation: float
    exponent: float
    half_life: float | None
    """Watches after which one counts half, None: all the same."""


@dataclass(frozen=True)
class FoldIn:
    """The vector that training would give a user with these watches: one ridge regression.

    `gram` float32 (d, d) is the Gram matrix of the version's item vectors. Hu, Koren, Volinsky,
    *Collaborative Filtering for Implicit Feedback Datasets* (ICDM 2008), equation 4, with the
    loss of `embeddings.als.config.AlsConfig`.
    """

    config: FoldInConfig
    gram: NDArray[np.float32]

    def encode(
        self, vectors: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """See `UserEncoder.encode`; raw, so that a score is the predicted preference."""
        penalty = self._penalty(len(vectors))
        vectors, weights = self._decayed(vectors, weights)
        if not weights.any():
            return None
        if len(vectors) >= len(self.gram):
            return self._in_factors(vectors, weights, penalty)
        return self._in_entries(vectors, weights, penalty)

    def stranger(
        self, vectors: NDArray[np.float32], watches: NDArray[np.integer]
    ) -> NDArray[np.float32] | None:
        """See `UserEncoder.stranger`: the mean of all that anybody watched.

        Among its nearest are the most watched, and what is like them but was not there to be
        watched. None when nobody watched anything.
        """
        total = int(watches.sum())
        if total == 0:
            return None
        mean: NDArray[np.float32] = (watches / total).astype(np.float32) @ vectors
        return mean

    def _penalty(self, watches: int) -> np.float32:
        config = self.config
        size = watches + config.unobserved * config.videos
        return np.float32(config.regularisation * size**config.exponent)

    def _decayed(
        self, vectors: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.config.half_life is None:
            return vectors, weights
        ages = np.arange(len(weights), dtype=np.float32)
        decay = np.exp2(-ages / np.float32(self.config.half_life))
        kept = int(np.count_nonzero(decay >= NEGLIGIBLE))
        return vectors[:kept], weights[:kept] * decay[:kept]

    @cached_property
    def _spread(self) -> NDArray[np.float32]:
        """What "all pairs" adds to the normal equations, (d, d)."""
        return self.gram * np.float32(self.config.unobserved)

    @cached_property
    def _eigen(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Eigenvalues (d,) and eigenvectors (d, d) of `_spread`."""
        values, basis = np.linalg.eigh(self._spread.astype(np.float64))
        return np.maximum(values, 0).astype(np.float32), basis.astype(np.float32)

    def _in_factors(
        self, vectors: NDArray[np.float32], weights: NDArray[np.float32], penalty: np.float32
    ) -> NDArray[np.float32]:
        weighted = vectors.T * weights
        normal = weighted @ vectors
        normal += self._spread
        normal.ravel()[:: len(normal) + 1] += penalty
        solved: NDArray[np.float32] = np.linalg.solve(normal, weighted.sum(axis=1))
        return solved

    def _in_entries(
        self, vectors: NDArray[np.float32], weights: NDArray[np.float32], penalty: np.float32
    ) -> NDArray[np.float32]:
        """The same by the Woodbury identity: cheaper while there are fewer watches than factors."""
        values, basis = self._eigen
        roots = np.sqrt(weights)
        diagonal = np.sqrt(values + penalty)
        scaled = (vectors @ basis) * roots[:, None] / diagonal
        kernel = scaled @ scaled.T
        kernel.ravel()[:: len(kernel) + 1] += np.float32(1)
        solved: NDArray[np.float32] = basis @ ((np.linalg.solve(kernel, roots) @ scaled) / diagonal)
        return solved

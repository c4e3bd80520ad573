"""From what a user watched to one vector in the space of the items; numpy only, for serving."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.types import Watch
from embeddings.items import ItemVectors


class UserEncoder(Protocol):
    """Encodes a user's recent watches: equal inputs give equal vectors in every process."""

    def encode(
        self, recent: Sequence[Watch], items: ItemVectors, now: datetime
    ) -> NDArray[np.float32] | None:
        """The user's vector, float32 (d,), L2-normalised.

        Args:
            recent: newest first, each video once.
            items: the item vectors of the encoder's own version.
            now: depended upon by whole hours at most, so that lists can be kept.

        Returns:
            None when nothing that was watched is known to `items`.
        """
        ...


class DecayedMean(msgspec.Struct, frozen=True, tag="decayed_mean"):
    """The mean of the watched videos' vectors, the r-th newest weighing `weight * 2^(-r / h)`.

    Videos that the version does not know take no place in the order, here as in training.
    `half_life` h counts watches, not days: it measured better, and a user who comes back after
    a year is met with the taste they left with. `now` has no influence.
    """

    half_life: float

    def encode(
        self,
        recent: Sequence[Watch],
        items: ItemVectors,
        now: datetime,  # noqa: ARG002  (the Protocol's)
    ) -> NDArray[np.float32] | None:
        """See `UserEncoder.encode`."""
        vectors, known = items.take([watch.video_id for watch in recent])
        weights = np.array([watch.weight for watch in recent], dtype=np.float32)[known]
        mean = (weights * self.decay(len(weights))) @ vectors
        norm = float(np.linalg.norm(mean))
        return (mean / norm).astype(np.float32) if norm > 0 else None

    def decay(self, count: int) -> NDArray[np.float32]:
        """What each of `count` watches keeps of its weight, newest first, float32 (count,)."""
        ages = np.arange(count, dtype=np.float32)
        kept: NDArray[np.float32] = np.exp2(-ages / np.float32(self.half_life))
        return kept

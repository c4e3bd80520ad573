"""From what a user watched to one vector in the space of the items; numpy only, for serving."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.types import Watch
from embeddings.items import ItemVectors


class UserEncoder(Protocol):
    """Encodes a user's recent watches: equal inputs give equal vectors in every process."""

    def encode(
        self, vectors: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """The user's vector, float32 (d,); a video's score is its inner product with it.

        Args:
            vectors: float32 (n, d), item vectors of the watched videos, newest first, each once.
            weights: float32 (n,), how much each watch says.

        Returns:
            None when that says nothing about the user.
        """
        ...

    def stranger(
        self, vectors: NDArray[np.float32], watches: NDArray[np.integer]
    ) -> NDArray[np.float32] | None:
        """The vector, float32 (d,), of someone who has watched nothing yet.

        Args:
            vectors: float32 (n, d), all item vectors.
            watches: (n,), how many users watched each.

        Returns:
            None when nothing is known of anybody.
        """
        ...


class DecayedMean(msgspec.Struct, frozen=True, tag="decayed_mean"):
    """The normalised mean of the watched videos' vectors, newer ones weighing more.

    The r-th newest keeps `lasting + (1 - lasting) * 2^(-r / h)` of its weight: the last few say
    what comes next, all together what there is a taste for when that is something new.

    Videos that the version does not know take no place in the order, here as in training.
    `half_life` h counts watches, not days: it measured better, and a user who comes back after
    a year is met with the taste they left with.
    """

    half_life: float
    lasting: float = 0.0
    """What a watch keeps however old it is, 0 to 1."""

    def encode(
        self, vectors: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """See `UserEncoder.encode`; L2-normalised."""
        mean = (weights * self.decay(len(weights))) @ vectors
        norm = float(np.linalg.norm(mean))
        return (mean / norm).astype(np.float32) if norm > 0 else None

    def stranger(
        self,
        vectors: NDArray[np.float32],  # noqa: ARG002
        watches: NDArray[np.integer],  # noqa: ARG002
    ) -> NDArray[np.float32] | None:
        """None: the mean of many texts is near to those that say nothing in particular."""
        return None

    def decay(self, count: int) -> NDArray[np.float32]:
        """What each of `count` watches keeps of its weight, newest first, float32 (count,)."""
        ages = np.arange(count, dtype=np.float32)
        decayed = np.exp2(-ages / np.float32(self.half_life))
        kept: NDArray[np.float32] = self.lasting + np.float32(1 - self.lasting) * decayed
        return kept


def user_vector(
    encoder: UserEncoder, recent: Sequence[Watch], items: ItemVectors
) -> NDArray[np.float32] | None:
    """The vector of a user with these recent watches, newest first, each video once.

    None when nothing that was watched is known to `items`.
    """
    vectors, known = items.take([watch.video_id for watch in recent])
    weights = np.array([watch.weight for watch in recent], dtype=np.float32)[known]
    return encoder.encode(vectors, weights) if len(vectors) else None

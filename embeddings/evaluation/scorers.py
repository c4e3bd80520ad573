"""Scorers: of a model's vectors, and those that show everybody the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings.dataset import Histories
from embeddings.encode_users import user_vectors
from embeddings.user_encoder import UserEncoder


@dataclass(frozen=True, slots=True)
class VectorScorer:
    """A model as the service searches it: inner products with the vector of a user.

    `items` float32 (n, d) · `encoder` of the same model · `recent`, how many of a user's newest
    watches count · `watches` (n,), how many users had watched each video: by these a user without
    a vector gets a stranger's, and where nobody has watched anything all videos tie.
    """

    items: NDArray[np.float32]
    encoder: UserEncoder
    recent: int
    watches: NDArray[np.int32]

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Scorer.scores`."""
        vectors, has = user_vectors(histories, self.items, self.encoder, self.recent, users)
        if len(has) == len(users):
            return vectors @ self.items.T
        stranger = self.encoder.stranger(self.items, self.watches)
        table = for_everybody(
            self.watches if stranger is None else self.items @ stranger, len(users)
        )
        table[has] = vectors @ self.items.T
        return table


@dataclass(frozen=True, slots=True)
class UserVectorScorer:
    """Inner products with vectors that users have already.

    `users` int64 (m,), each once, have `vectors` float32 (m, d), and are the only ones that can be
    asked for · `items` float32 (n, d).
    """

    users: NDArray[np.int64]
    vectors: NDArray[np.float32]
    items: NDArray[np.float32]

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: ARG002
        """See `Scorer.scores`."""
        order = np.argsort(self.users)
        places = order[np.searchsorted(self.users, users, sorter=order)]
        return self.vectors[places] @ self.items.T


@dataclass(frozen=True, slots=True)
class PopularScorer:
    """Everybody gets the most watched: `watches` (n,), users who watched each video."""

    watches: NDArray[np.int32]

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: ARG002
        """See `Scorer.scores`."""
        return for_everybody(self.watches, len(users))


@dataclass(frozen=True, slots=True)
class RandomScorer:
    """All of so many videos tie: gains are those expected of a list drawn at random."""

    videos: int

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: ARG002
        """See `Scorer.scores`."""
        return np.zeros((len(users), self.videos), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class NewestScorer:
    """Everybody gets the newest: `times` float64 (n,), when each video appeared; nan is oldest."""

    times: NDArray[np.float64]

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: ARG002
        """See `Scorer.scores`."""
        # Days since the epoch in float32 would make what came within minutes equal.
        _, places = np.unique(np.nan_to_num(self.times, nan=-np.inf), return_inverse=True)
        return for_everybody(places, len(users))


def for_everybody(
    scores: NDArray[np.integer] | NDArray[np.floating], users: int
) -> NDArray[np.float32]:
    """The same scores, (n,), for so many users, float32 (users, n)."""
    return np.tile(scores.astype(np.float32), (users, 1))

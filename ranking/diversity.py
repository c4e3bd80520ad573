"""Different videos near each other in a list: maximal marginal relevance on vectors."""

import numpy as np
from numpy.typing import NDArray

from ranking.rules import CreatorCap


def select(
    scores: NDArray[np.float64],
    vectors: NDArray[np.float32],
    creators: NDArray[np.int32],
    *,
    diversity: float,
    creator_cap: int,
    limit: int,
) -> NDArray[np.int64]:
    """Indices of at most `limit` candidates in the order of the list, int64 (m,).

    Each place goes to the candidate with the highest
    `(1 - diversity) * relevance - diversity * (highest cosine to those already placed)`
    (Carbonell, Goldstein: The use of MMR, 1998), where relevance is the score scaled to 0..1 over
    the candidates. Equals go to the one that comes first.

    The cap on creators gives way when nobody else is left, so the list is never shorter for it.

    Args:
        scores: (n,), in falling order.
        vectors: (n, d), rows L2-normalised; rows of zeros are like nothing.
        creators: (n,), -1 for an unknown one.
        diversity: 0 (by score alone) to 1.
        creator_cap: most videos of one creator in the first 10.
        limit: length of the list.
    """
    worth = (1.0 - diversity) * _scaled(scores)
    likeness = np.zeros(len(scores), dtype=np.float32)  # to the nearest placed; below 0 is 0
    left = np.ones(len(scores), dtype=np.bool_)
    cap = CreatorCap(creators, creator_cap)
    order: list[int] = []
    for _ in range(min(limit, len(scores))):
        free = left & cap.free()
        marginal = np.where(free if free.any() else left, worth - diversity * likeness, -np.inf)
        best = int(np.argmax(marginal))
        order.append(best)
        left[best] = False
        cap.place(best)
        np.maximum(likeness, vectors @ vectors[best], out=likeness)
    return np.array(order, dtype=np.int64)


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros(len(scores))

"""Different videos near each other in a list: maximal marginal relevance on vectors."""

import numpy as np
from numpy.typing import NDArray

from embeddings.items import normalised
from ranking.rules import CreatorCap, enough

ROUNDING = 1e-5  # a cosine of float32 vectors may exceed 1 by less than this


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
        vectors: (n, d), of any length; rows of zeros are like nothing.
        creators: (n,), -1 for an unknown one.
        diversity: 0 (by score alone) to 1.
        creator_cap: most videos of one creator in the first 10.
        limit: length of the list.
    """
    limit = min(limit, len(scores))
    worth = (1.0 - diversity) * _scaled(scores)
    reach = _reach(worth, creators, diversity=diversity, creator_cap=creator_cap, limit=limit)
    worth, directions = worth[:reach], normalised(vectors[:reach])
    likeness = np.zeros(reach, dtype=np.float32)  # to the nearest placed; below 0 is 0
    cap = CreatorCap(creators[:reach], creator_cap)
    order = np.empty(limit, dtype=np.int64)
    for place in range(limit):
        best = _best(worth - diversity * likeness, cap.free())
        order[place] = best
        worth[best] = -np.inf
        cap.place(best)
        if diversity > 0:
            # Row by row: the sums of a product of a matrix depend on BLAS's threads.
            np.maximum(likeness, np.vecdot(directions, directions[best]), out=likeness)
    return order


def _best(marginal: NDArray[np.float64], free: NDArray[np.bool_] | None) -> int:
    """The first of the highest, among the free ones if any of them has no place yet."""
    if free is not None:
        best = int(np.argmax(np.where(free, marginal, -np.inf)))
        if free[best] and marginal[best] > -np.inf:
            return best
    return int(np.argmax(marginal))


def _reach(
    worth: NDArray[np.float64],
    creators: NDArray[np.int32],
    *,
    diversity: float,
    creator_cap: int,
    limit: int,
) -> int:
    """How many of the first candidates can get a place at all.

    While places are left, one of the first `enough` candidates is free to have the next, and being
    different is worth `diversity` at most: whoever is further behind it than that is never chosen.
    """
    head = enough(creators, creator_cap, limit)
    if head == 0:
        return 0
    least = worth[head - 1] - diversity - ROUNDING
    return int(np.searchsorted(-worth, -least, side="right"))


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros(len(scores))

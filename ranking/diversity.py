"""Different videos near each other in a list: maximal marginal relevance on vectors."""

import numpy as np
from numpy.typing import NDArray

from embeddings.items import normalised
from ranking.rules import CreatorCap, enough

ROUNDING = 1e-5  # a cosine of float32 vectors may exceed 1 by less than this
TOGETHER = 10
"""Videos that are seen together: which they are is for diversity, their order for the score."""
SHARPNESS = 2.0  # with 1 the same distance in lists costs more nDCG@10, with 4 it does so for some


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

    Diversity says who is among the next ten, the score in what order they stand. Each of the ten
    is the candidate with the highest

        (1 - diversity) * relevance - diversity * (mean cosine to those chosen before)

    where relevance is `exp(2 * (s - 1))` of the score s scaled to 0..1 over the candidates, and a
    negative cosine counts as 0: maximal marginal relevance (Carbonell, Goldstein: The use of MMR,
    1998) with the mean in place of the highest cosine. Equals go to the one that comes first.

    The cap on creators gives way when nobody else is left, so the list is never shorter for it;
    whoever has a place by that stands behind the others of the ten.

    Args:
        scores: (n,), in falling order.
        vectors: (n, d), of any length; rows of zeros are like nothing.
        creators: (n,), -1 for an unknown one.
        diversity: 0 (by score alone) to 1.
        creator_cap: most videos of one creator in the first 10.
        limit: length of the list.
    """
    whole = min(-(-limit // TOGETHER) * TOGETHER, len(scores))  # so that a limit only cuts it
    worth = (1.0 - diversity) * _relevance(scores)
    reach = _reach(worth, creators, diversity=diversity, creator_cap=creator_cap, limit=whole)
    worth, directions = worth[:reach], normalised(vectors[:reach])
    likeness = np.zeros(reach, dtype=np.float32)  # to all that are chosen, added up
    cap = CreatorCap(creators[:reach], creator_cap)
    chosen = np.empty(whole, dtype=np.int64)
    kept = 0  # places before the cap gave way
    for place in range(whole):
        free = cap.free()
        best = _best(worth - diversity / max(place, 1) * likeness, free)
        chosen[place] = best
        kept += kept == place < TOGETHER and (free is None or bool(free[best]))
        worth[best] = -np.inf
        cap.place(best)
        if diversity > 0:
            # Row by row: the sums of a product of a matrix depend on BLAS's threads.
            likeness += np.maximum(np.vecdot(directions, directions[best]), 0)
    for part in np.split(chosen, [kept, *range(TOGETHER, whole, TOGETHER)]):
        part.sort()  # of those that are seen together the best first: as the scores fall
    return chosen[:limit]


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


def _relevance(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best has 1, the worst exp(-2): what is watched next is among the best far more often."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    scaled = (scores - low) / (high - low) if high > low else np.zeros(len(scores))
    return np.exp(SHARPNESS * (scaled - 1.0))

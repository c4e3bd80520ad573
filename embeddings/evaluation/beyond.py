"""What lists are like beside being right: coverage, novelty, diversity, popularity bias."""

import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.case import Case
from embeddings.evaluation.ranking import NOBODY

CUTS = (10, 20)
USERS_AT_ONCE = 500


def beyond(
    case: Case, shown: NDArray[np.int32], vectors: NDArray[np.float32] | None
) -> dict[str, float]:
    """Of the first 10 and 20 of every list.

    `coverage`, `gini`, `novelty`, `popularity`: see the functions of this module; `diversity` when
    there are vectors.

    Args:
        case: who the lists are for; popularity is that of its training part.
        shown: the lists, int32 (m, at least 20), best first, `NOBODY` behind their end.
        vectors: float32 (n, d), what videos are like: of their texts, or those of a model.
    """
    ranked = np.arange(case.videos) if case.among is None else np.flatnonzero(case.among)
    watches = case.train.watches(case.videos)
    audience = int(np.count_nonzero(np.diff(case.train.offsets)))
    percentile_of = percentiles(watches)
    directions = None if vectors is None else _of_length_one(vectors)
    made: dict[str, float] = {}
    for cut in CUTS:
        lists = shown[:, :cut]
        exposure = _exposure(lists, case.videos)[ranked]
        made[f"coverage@{cut}"] = float((exposure > 0).mean())
        made[f"gini@{cut}"] = gini(exposure)
        made[f"novelty@{cut}"] = novelty(lists, watches=watches, users=audience)
        made[f"popularity@{cut}"] = popularity(lists, percentiles=percentile_of)
        if directions is not None:
            made[f"diversity@{cut}"] = diversity(lists, vectors=directions)
    return made


def gini(exposure: NDArray[np.int64]) -> float:
    """How unequally videos are shown: 0 all the same, towards 1 one of them alone.

    `exposure` (n,) is how often each was shown. With it sorted upwards, the sum over i = 1 .. n of
    (2 i - n - 1) * exposure_i, divided by n times the sum of exposure. Shani, Gunawardana,
    *Evaluating Recommendation Systems* (2011), section 8.3.3.
    """
    total = exposure.sum()
    if total == 0:
        return 0.0
    count = len(exposure)
    return float((2 * np.arange(1, count + 1) - count - 1) @ np.sort(exposure) / (count * total))


def novelty(lists: NDArray[np.int32], *, watches: NDArray[np.int32], users: int) -> float:
    """Mean self-information of what is shown, in bits: log2(users / users who watched it).

    A video that nobody has watched counts as one watched once. Zhou, Kuscsik, Liu, Medo, Wakeling,
    Zhang, *Solving the Apparent Diversity-Accuracy Dilemma of Recommender Systems* (PNAS 2010).
    """
    bits = np.log2(max(users, 1) / np.maximum(watches, 1))
    return _mean(bits[lists[lists != NOBODY]])


def popularity(lists: NDArray[np.int32], *, percentiles: NDArray[np.float64]) -> float:
    """Mean percentile, 0..1, that what is shown has among all videos by users who watched it.

    0.5 for lists at random; the higher, the more popular.
    """
    return _mean(percentiles[lists[lists != NOBODY]])


def percentiles(watches: NDArray[np.int32]) -> NDArray[np.float64]:
    """The share of videos with fewer watches than each, and half of those with as many, (n,)."""
    _, of, counts = np.unique(watches, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    shares: NDArray[np.float64] = (below + counts / 2)[of] / max(len(watches), 1)
    return shares


def diversity(lists: NDArray[np.int32], *, vectors: NDArray[np.float32]) -> float:
    """Mean over lists of the mean distance, 1 - cosine, of their pairs of videos.

    The intra-list distance of Ziegler, McNee, Konstan, Lausen, *Improving Recommendation Lists
    Through Topic Diversification* (WWW 2005). Lists of one video have no pairs and no say.

    Args:
        lists: int32 (m, k), `NOBODY` behind their end.
        vectors: float32 (n, d), of length 1, or 0 for videos of which nothing is known: those are
            at distance 1 of any other.
    """
    sums, lengths = [], (lists != NOBODY).sum(axis=1)
    for start in range(0, len(lists), USERS_AT_ONCE):
        part = lists[start : start + USERS_AT_ONCE]
        there = (part != NOBODY)[:, :, None]
        taken = vectors[part] * there
        whole, own = taken.sum(axis=1), np.square(taken).sum(axis=(1, 2))
        sums.append((np.square(whole).sum(axis=1) - own).astype(np.float64))
    pairs = lengths * (lengths - 1)
    several = pairs > 0
    return _mean(1 - np.concatenate([np.zeros(0), *sums])[several] / pairs[several])


def _exposure(lists: NDArray[np.int32], videos: int) -> NDArray[np.int64]:
    """How many lists show each video, int64 (videos,)."""
    return np.bincount(lists[lists != NOBODY], minlength=videos)


def _of_length_one(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _mean(values: NDArray[np.floating]) -> float:
    """0 of nothing: nothing was shown."""
    return float(values.mean()) if len(values) else 0.0

"""HR, recall, nDCG and MRR of each user, as expected over a random order of equal scores."""

import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.case import Case
from embeddings.evaluation.ranking import TOP, Ranked

CUTS = (1, 5, 10, 20, 50)
"""Lengths of lists that are judged."""
MEASURES = ("hr", "recall", "ndcg", "mrr")
NAMES = tuple(f"{measure}@{cut}" for measure in MEASURES for cut in CUTS)
"""The columns of `gains_of`."""
USERS_AT_ONCE = 50_000
DISCOUNTS = 1 / np.log2(np.arange(TOP) + 2)
"""What a video at each place is worth to DCG, float64 (TOP,)."""
IDEAL = np.concatenate([[0.0], np.cumsum(DISCOUNTS)])
"""The highest DCG with so many relevant videos, float64 (TOP + 1,)."""


def gains_of(case: Case, ranked: Ranked) -> NDArray[np.float64]:
    """What each judged user's list is worth, float64 (m, len(NAMES)).

    With R relevant videos, of which those at ranks r are among the first k:

        HR@k      1 if there is any, else 0
        recall@k  their number / R
        nDCG@k    sum of 1 / log2(r + 1), divided by the same sum over r = 1 .. min(k, R)
        MRR@k     1 / the lowest r, 0 if there is none

    nDCG: Jarvelin, Kekalainen, *Cumulated Gain-Based Evaluation of IR Techniques* (TOIS 2002).
    Where scores are equal, each is the mean over all orders of the equal ones, in closed form:
    recall and nDCG are sums over videos, so each one's chance of each rank is enough (McSherry,
    Najork, *Computing Information Retrieval Performance Measures Efficiently in the Presence of
    Tied Scores*, ECIR 2008); the first relevant video is always among those of the best score.
    """
    made = np.zeros((len(case.users), len(NAMES)))
    for start in range(0, len(made), USERS_AT_ONCE):
        offsets = case.offsets[start : start + USERS_AT_ONCE + 1]
        own = slice(offsets[0], offsets[-1])
        part = Ranked(ranked.above[own], ranked.ties[own], ranked.shown[:0])
        made[start : start + USERS_AT_ONCE] = _gains(np.diff(offsets), part)
    return made


def _gains(counts: NDArray[np.int64], ranked: Ranked) -> NDArray[np.float64]:
    """See `gains_of`, of users with so many relevant videos, int64 (b,), and their ranks."""
    users, owners = len(counts), np.repeat(np.arange(len(counts)), counts)
    found, worth = found_of(ranked), worth_of(ranked)
    first = _first(owners, users, ranked)
    columns = [_hit(first, cut) for cut in CUTS]
    columns += [np.bincount(owners, found[:, at], users) / counts for at in range(len(CUTS))]
    columns += [
        np.bincount(owners, worth[:, at], users) / IDEAL[np.minimum(counts, cut)]
        for at, cut in enumerate(CUTS)
    ]
    return np.column_stack([*columns, *_reciprocal(first).T])


def found_of(ranked: Ranked) -> NDArray[np.float64]:
    """The chance of each relevant video to be among the first k, float64 (k, len(CUTS))."""
    return np.column_stack([_within(ranked, cut) / ranked.ties for cut in CUTS])


def worth_of(ranked: Ranked) -> NDArray[np.float64]:
    """What each relevant video is expected to add to DCG@k, float64 (k, len(CUTS))."""
    columns = []
    for cut in CUTS:
        begin = np.minimum(ranked.above, cut)
        columns.append((IDEAL[begin + _within(ranked, cut)] - IDEAL[begin]) / ranked.ties)
    return np.column_stack(columns)


def _within(ranked: Ranked, cut: int) -> NDArray[np.int64]:
    """How many of the ranks that each relevant video may have are among the first `cut`."""
    return np.clip(cut - ranked.above, 0, ranked.ties)


def _first(owners: NDArray[np.int64], users: int, ranked: Ranked) -> NDArray[np.float64]:
    """The chance that the first relevant video of each user has rank 1 .. TOP, (users, TOP).

    The best score of any relevant one is shared by t videos from a place s on, r of them relevant.
    In a random order the chance that none of the r is among the first j is the product over
    i < j of (t - r - i) / (t - i), and then the next one is relevant with chance r / (t - j).
    """
    above = np.full(users, TOP)
    np.minimum.at(above, owners, ranked.above)
    best = ranked.above == above[owners]
    ties = np.ones(users, dtype=np.int64)
    ties[owners[best]] = ranked.ties[best]
    relevant = np.bincount(owners[best], minlength=users)
    chances = np.zeros((users, TOP + 1))  # one more, for what falls behind
    none_yet = np.ones(users)
    everyone = np.arange(users)
    for drawn in range(int(min(TOP, (ties - relevant).max(initial=0) + 1))):
        left = np.maximum(ties - drawn, 1)
        hit = np.minimum(relevant / left, 1.0)
        chances[everyone, np.minimum(above + drawn, TOP)] += none_yet * hit
        none_yet *= 1 - hit
    return chances[:, :TOP]


def _hit(first: NDArray[np.float64], cut: int) -> NDArray[np.float64]:
    total: NDArray[np.float64] = first[:, :cut].sum(axis=1)
    return total


def _reciprocal(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """MRR at each of `CUTS`, float64 (m, len(CUTS))."""
    summed = np.cumsum(first / np.arange(1, TOP + 1), axis=1)
    return summed[:, np.array(CUTS) - 1]

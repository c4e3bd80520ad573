"""Ranks of what is asked for, and the videos that would be shown instead; ties at random."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.case import Case
from embeddings.evaluation.entries import entries_of
from embeddings.evaluation.ports import Scorer

TOP = 50
"""Longest list that is judged."""
NUMBERS_AT_ONCE = 5_000_000  # scores held at a time
NOBODY = -1
NEVER = np.float32(-np.inf)


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a scorer makes of a case.

    Of each relevant video, in the order of `Case.relevant`: `above` int64 (k,), how many videos
    score higher, and `ties` int64 (k,), how many score the same, itself included: its rank is any
    of the `ties` from `above` on, with equal chance. One that is not among the first `TOP` whatever
    the chance has `TOP` above it. `shown` int32 (m, TOP), each user's list, best first, `NOBODY`
    where there are fewer videos.
    """

    above: NDArray[np.int64]
    ties: NDArray[np.int64]
    shown: NDArray[np.int32]


def rank(scorer: Scorer, case: Case, *, seed: int) -> Ranked:
    """Rank the videos for every judged user, some users at a time.

    A score that is no number, or -inf, is never shown. Ties cost the relevant videos nothing and
    give them nothing: see `Ranked`. In the lists that are `shown`, equal scores stand in one random
    order of all videos, drawn by `seed`, as a service has one order for all users.
    """
    order = np.random.default_rng(seed).permutation(case.videos)
    above = np.full(len(case.relevant), TOP)
    ties = np.ones(len(case.relevant), dtype=np.int64)
    shown = np.full((len(case.users), TOP), NOBODY, dtype=np.int32)
    step = max(1, NUMBERS_AT_ONCE // max(1, case.videos))
    for start in range(0, len(case.users), step):
        judged = np.arange(start, min(start + step, len(case.users)))
        scores = eligible(scorer.scores(case.train, case.users[judged]), case, judged)
        best, values = top_of(scores, order)
        shown[judged, : best.shape[1]] = np.where(values > NEVER, best, NOBODY)
        own = slice(case.offsets[judged[0]], case.offsets[judged[-1] + 1])
        owners = np.repeat(np.arange(len(judged)), np.diff(case.offsets[start : judged[-1] + 2]))
        above[own], ties[own] = places_of(scores, values, owners, case.relevant[own])
    return Ranked(above, ties, shown)


def eligible(
    scores: NDArray[np.float32], case: Case, judged: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores float32 (b, n) with what is not ranked for these judged users at -inf; in place."""
    np.copyto(scores, NEVER, where=np.isnan(scores))
    if case.among is not None:
        scores[:, ~case.among] = NEVER
    if case.candidates is None:
        owners, places = entries_of(case.train.offsets, case.users[judged])
        scores[owners, case.train.rows[places]] = NEVER
        return scores
    owners, places = entries_of(case.candidates.offsets, judged)
    rows = case.candidates.rows[places]
    kept = np.full_like(scores, NEVER)
    kept[owners, rows] = scores[owners, rows]
    return kept


def top_of(
    scores: NDArray[np.float32], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The columns of the highest `TOP` of each row, and their scores, highest first.

    Equal ones stand as in `order`, (n,): the lower number first.
    """
    videos = scores.shape[1]
    size = min(TOP, videos)
    best = np.argpartition(scores, videos - size, axis=1)[:, videos - size :]
    values = np.take_along_axis(scores, best, axis=1)
    bound = values.min(axis=1)
    room = (values == bound[:, None]).sum(axis=1)
    crowd = (scores == bound[:, None]).sum(axis=1)
    for row in np.flatnonzero((crowd > room) & (bound > NEVER)).tolist():
        # More are as good as the last one than there is room for: who gets in is for `order`.
        alike = np.flatnonzero(scores[row] == bound[row])
        first = np.argpartition(order[alike], room[row] - 1)[: room[row]]
        best[row, values[row] == bound[row]] = alike[first]
    arranged = np.lexsort((order[best], -values), axis=1)
    best = np.take_along_axis(best, arranged, axis=1)
    return best, np.take_along_axis(values, arranged, axis=1)


def places_of(
    scores: NDArray[np.float32],
    values: NDArray[np.float32],
    owners: NDArray[np.int64],
    relevant: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many score above, and the same as, each relevant video: as in `Ranked`.

    Args:
        scores: float32 (b, n).
        values: the highest of each row, (b, up to `TOP`).
        owners: the row of each relevant video, int64 (k,).
        relevant: its column, int32 (k,).
    """
    above = np.full(len(relevant), TOP)
    ties = np.ones(len(relevant), dtype=np.int64)
    mine = scores[owners, relevant]
    bound = values[:, -1]
    near = np.flatnonzero((mine > NEVER) & (mine >= bound[owners]))
    best, own = values[owners[near]], mine[near, None]
    above[near] = (best > own).sum(axis=1)
    ties[near] = (best == own).sum(axis=1)
    last = near[mine[near] == bound[owners[near]]]  # as good as the last: others may be outside
    ties[last] = (scores == bound[:, None]).sum(axis=1)[owners[last]]
    return above, ties

"""Metrics by parts of the users, and of what they were asked for."""

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from embeddings.evaluation.bootstrap import intervals
from embeddings.evaluation.case import Case
from embeddings.evaluation.metrics import CUTS, NAMES, found_of, worth_of
from embeddings.evaluation.ranking import Ranked

BUCKETS = 4
OF_USERS = ("hr@10", "recall@10", "ndcg@10", "mrr@10", "recall@20", "ndcg@20", "recall@50")
OF_VIDEOS = ("recall@10", "recall@20", "recall@50", "dcg@10")


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Users, or relevant videos, whose measure is from `low` to `high`; both ends are among them.

    `count` is how many they are.
    """

    low: float
    high: float
    count: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def by_history(case: Case, gains: NDArray[np.float64], *, seed: int) -> list[Segment]:
    """By how many videos a judged user has in the training part: means of `OF_USERS`."""
    lengths = case.lengths()
    columns = [NAMES.index(name) for name in OF_USERS]
    made = []
    for among in buckets(lengths):
        own = gains[among][:, columns]
        ends = intervals(own, seed=seed).T.tolist()
        made.append(_segment(lengths[among], OF_USERS, own.mean(axis=0).tolist(), ends))
    return made


def by_popularity(case: Case, ranked: Ranked, *, seed: int) -> list[Segment]:
    """By how many users watched a relevant video in the training part."""
    watches = case.train.watches(case.videos)[case.relevant]
    return _by_video(case, ranked, watches, seed)


def by_age(
    case: Case, ranked: Ranked, appeared: NDArray[np.float64], *, seed: int
) -> list[Segment]:
    """By how old a relevant video was when it was watched, in days.

    Args:
        case: with `times`.
        ranked: of the same case.
        appeared: when each video appeared, in days, float64 (n,); those without (nan) are left out.
        seed: of the intervals.

    Raises:
        ValueError: the case has no times.
    """
    if case.times is None:
        raise ValueError("The age of a video when it was watched is known by times alone.")
    return _by_video(case, ranked, case.times - appeared[case.relevant], seed)


def buckets(measure: NDArray[np.number]) -> Iterator[NDArray[np.int64]]:
    """Which belong together, of `measure` (k,): up to `BUCKETS` of like size, the lowest first.

    Equal ones stay together, and those of measure 0 for themselves: users without a history,
    videos that nobody had watched. What is no number is in none.
    """
    nothing = np.flatnonzero(measure == 0)
    if len(nothing):
        yield nothing
    some = np.flatnonzero((measure != 0) & ~np.isnan(measure))
    if len(some) == 0:
        return
    shares = np.arange(1, BUCKETS) / BUCKETS
    bounds = np.unique(np.quantile(measure[some], shares, method="lower"))
    of = np.searchsorted(bounds, measure[some])
    for bucket in np.unique(of).tolist():
        yield some[of == bucket]


def _by_video(case: Case, ranked: Ranked, measure: NDArray[np.number], seed: int) -> list[Segment]:
    """Means over relevant videos; a user's are drawn together.

    `recall@k` is the share of them that was among the first k, `dcg@10` what each added to DCG@10.
    """
    found, worth = found_of(ranked), worth_of(ranked)
    values = np.column_stack(
        [*(found[:, CUTS.index(cut)] for cut in (10, 20, 50)), worth[:, CUTS.index(10)]]
    )
    owners = case.owners()
    made = []
    for among in buckets(measure):
        users, of = np.unique(owners[among], return_inverse=True)
        sums = np.zeros((len(users), values.shape[1]))
        np.add.at(sums, of, values[among])
        parts = np.bincount(of).astype(np.float64)
        ends = intervals(sums, seed=seed, parts=parts).T.tolist()
        means = values[among].mean(axis=0).tolist()
        made.append(_segment(measure[among], OF_VIDEOS, means, ends))
    return made


def _segment(
    measure: NDArray[np.number],
    names: tuple[str, ...],
    means: list[float],
    ends: list[list[float]],
) -> Segment:
    return Segment(
        low=float(measure.min()),
        high=float(measure.max()),
        count=len(measure),
        metrics=dict(zip(names, means, strict=True)),
        intervals={name: (low, high) for name, (low, high) in zip(names, ends, strict=True)},
    )

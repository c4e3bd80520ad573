"""Cases and scorers for tests of evaluations, and metrics told slowly."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from math import isnan, log2
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from core.types import UserId
from embeddings.dataset import Histories
from embeddings.evaluation.case import Candidates, Case
from embeddings.evaluation.log import Log


@dataclass(frozen=True)
class TableScorer:
    """Scores that are known for every user, (users, n)."""

    table: NDArray[np.float32]

    def scores(self, histories: Histories, users: NDArray[np.int64]) -> NDArray[np.float32]:
        assert len(histories.users) == len(self.table)
        return self.table[users].astype(np.float32)


def log_of(
    *users: Sequence[int],
    videos: int,
    times: Sequence[Sequence[float]] | None = None,
    timed: bool = True,
) -> Log:
    """Users who watched these videos, oldest first, at these times: else one after the other."""
    rows = [row for user in users for row in user]
    days = [day for user in times for day in user] if times is not None else range(len(rows))
    return Log(
        users=[UserId(f"u{number}") for number in range(len(users))],
        videos=videos,
        offsets=np.cumsum([0, *map(len, users)], dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        weights=np.ones(len(rows), dtype=np.float32),
        times=np.array(days, dtype=np.float64),
        timed=timed,
    )


def case_of(
    watched: Sequence[Sequence[int]],
    relevant: Sequence[Sequence[int]],
    *,
    videos: int,
    candidates: Sequence[Sequence[int]] | None = None,
    among: NDArray[np.bool_] | None = None,
) -> Case:
    """Every user judged, with what each watched and what is right for them."""
    return Case(
        train=log_of(*watched, videos=videos).histories(),
        videos=videos,
        users=np.arange(len(watched)),
        offsets=np.cumsum([0, *map(len, relevant)], dtype=np.int64),
        relevant=np.array([row for user in relevant for row in user], dtype=np.int32),
        candidates=None
        if candidates is None
        else Candidates(
            np.cumsum([0, *map(len, candidates)], dtype=np.int64),
            np.array([row for user in candidates for row in user], dtype=np.int32),
        ),
        among=among,
    )


def slowly(scores: Sequence[float], relevant: set[int], cut: int) -> dict[str, float]:
    """HR, recall, nDCG and MRR: means over all orders of the videos that the scores allow.

    Scores that are no number or -inf are of videos that are never shown.
    """
    shown = [row for row, score in enumerate(scores) if not isnan(score) and score > float("-inf")]
    orders = [
        order
        for order in permutations(shown)
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    found = [of_order(order, relevant, cut) for order in orders]
    return {name: mean(one[name] for one in found) for name in found[0]}


def of_order(order: Sequence[int], relevant: set[int], cut: int) -> dict[str, float]:
    """The same of one order, the best first."""
    hits = [rank for rank, row in enumerate(order[:cut], start=1) if row in relevant]
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(cut, len(relevant)) + 1))
    return {
        "hr": 1.0 if hits else 0.0,
        "recall": len(hits) / len(relevant),
        "ndcg": sum(1 / log2(rank + 1) for rank in hits) / ideal,
        "mrr": 1 / hits[0] if hits else 0.0,
    }

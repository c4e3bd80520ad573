"""Popularity counters of a batch, in the order-independent form of `PopularityRow`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.clock import SECONDS_A_DAY
from core.types import Interaction

SLOW_HALF_LIFE_DAYS = 14.0
FAST_HALF_LIFE_DAYS = 1.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What a batch adds to n videos, in the byte order of their ids.

    `watches` int64, `slow` and `fast` float64, all (n,): rows, and log2 of the decayed sums.
    A row of weight 0 counts as a watch and adds nothing to the sums (`-inf` is log2 of nothing).
    """

    video_ids: tuple[str, ...]
    watches: NDArray[np.int64]
    slow: NDArray[np.float64]
    fast: NDArray[np.float64]


def tally(interactions: Sequence[Interaction]) -> Tally:
    """Sum a batch by video: `log2(sum_i weight_i * 2^(t_i / half_life))`, t in days."""
    ids = [row.video_id.encode() for row in interactions]
    videos = sorted(set(ids))
    place = {video: index for index, video in enumerate(videos)}
    rows = np.array([place[video] for video in ids], dtype=np.intp)
    moments = np.array([row.occurred_at.timestamp() for row in interactions]) / SECONDS_A_DAY
    with np.errstate(divide="ignore"):
        weights = np.log2([row.weight for row in interactions], dtype=np.float64)
    return Tally(
        tuple(video.decode() for video in videos),
        np.bincount(rows, minlength=len(videos)),
        _log2_sums(rows, len(videos), weights + moments / SLOW_HALF_LIFE_DAYS),
        _log2_sums(rows, len(videos), weights + moments / FAST_HALF_LIFE_DAYS),
    )


def _log2_sums(
    rows: NDArray[np.intp], length: int, exponents: NDArray[np.float64]
) -> NDArray[np.float64]:
    sums = np.full(length, -np.inf)
    np.logaddexp2.at(sums, rows, exponents)
    return sums

"""Confidence intervals by drawing users again: how far a mean would move with other users."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

DRAWS = 1_000
LEVEL = 0.95
NUMBERS_AT_ONCE = 5_000_000


def intervals(
    values: NDArray[np.float64],
    *,
    seed: int,
    parts: NDArray[np.float64] | None = None,
    draws: int = DRAWS,
) -> NDArray[np.float64]:
    """Percentile intervals, at `LEVEL`, of the mean of each column over users, float64 (2, c).

    Users are what is drawn, with replacement, as many as there are: what one user's list gains says
    something about the next of the same user. Efron, Tibshirani, *An Introduction to the Bootstrap*
    (1993), chapter 13.

    Args:
        values: of each user, (m, c), at least one user; the same users for all columns.
        seed: of the draws; the same one draws the same users for tables of the same length.
        parts: (m,), what each user counts for: then the mean is the sum of `values` over the sum
            of `parts`. None: everybody for one.
        draws: how often.
    """
    means = np.concatenate(list(_means(values, parts, seed, draws)))
    outside = (1 - LEVEL) / 2
    low_high: NDArray[np.float64] = np.quantile(means, [outside, 1 - outside], axis=0)
    return low_high


def difference(
    gains: NDArray[np.float64], others: NDArray[np.float64], *, seed: int, draws: int = DRAWS
) -> NDArray[np.float64]:
    """Mean of `gains - others`, both (m, c) of the same users, and its interval, float64 (3, c).

    Paired: it is narrower than two intervals beside each other, since users who are hard to please
    are so for both.
    """
    values = gains - others
    return np.vstack([values.mean(axis=0), intervals(values, seed=seed, draws=draws)])


def _means(
    values: NDArray[np.float64], parts: NDArray[np.float64] | None, seed: int, draws: int
) -> Iterator[NDArray[np.float64]]:
    """Means over users drawn again, some draws at a time, (b, c)."""
    users = len(values)
    draw = np.random.default_rng(seed)
    step = max(1, NUMBERS_AT_ONCE // users)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = draw.integers(0, users, (size, users)) + np.arange(size)[:, None] * users
        times = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users)
        times = times.astype(np.float64)
        if parts is None:
            yield times @ values / users
        else:  # somebody who counts is drawn nearly always; where not, there is no mean
            counted = (times @ parts)[:, None]
            yield (times @ values)[counted[:, 0] > 0] / counted[counted[:, 0] > 0]

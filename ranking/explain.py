"""Why an entry has its score: the terms of the blend one by one, and the watch nearest to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.types import Term, VideoId, Weights
from embeddings.items import normalised
from ranking.features import Features

DECIMALS = 6  # of a score as it is shown
_UNIT = 10**DECIMALS


def blended(features: Features, weights: Weights, at: int, score: float) -> dict[str, Term]:
    """The terms of one candidate's score.

    Args:
        features: of all n candidates.
        weights: those that blended them.
        at: which candidate, 0 ... n-1.
        score: as it is shown; the contributions add up to it in millionths.
    """
    names = Weights.__struct_fields__
    values = [float(getattr(features, name)[at]) for name in names]
    given = [float(getattr(weights, name)) for name in names]
    parts = _adding_up([value * weight for value, weight in zip(values, given, strict=True)], score)
    return {
        name: Term(round(value, DECIMALS), weight, part)
        for name, value, weight, part in zip(names, values, given, parts, strict=True)
    }


def by_popularity(score: float) -> dict[str, Term]:
    """The only term of a score that is the video's popularity."""
    return {"popularity": Term(score, 1.0, score)}


def nearest_watched(
    vectors: NDArray[np.float32], watched: NDArray[np.float32], ids: Sequence[VideoId]
) -> list[VideoId | None]:
    """For each candidate the watched video with the highest cosine to it, above 0.

    Args:
        vectors: (n, d), zeros for a candidate without one.
        watched: (r, d) in the same space, of `ids`; of equally near ones the first counts.
        ids: r videos.
    """
    if not ids:
        return [None] * len(vectors)
    cosines = normalised(vectors) @ normalised(watched).T
    best = cosines.argmax(axis=1)
    near = cosines[np.arange(len(vectors)), best] > 0
    return [ids[at] if is_near else None for at, is_near in zip(best, near, strict=True)]


def _adding_up(parts: Sequence[float], total: float) -> list[float]:
    """Parts rounded so that they add up to `total` in millionths; the largest takes the rest."""
    units = [round(part * _UNIT) for part in parts]
    largest = max(range(len(units)), key=lambda at: abs(units[at]))
    units[largest] += round(total * _UNIT) - sum(units)
    return [unit / _UNIT for unit in units]

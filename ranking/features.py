"""What is known of each candidate, as one number between 0 and 1 a feature.

All functions take n candidates as arrays and give float64 (n,). They are pure: equal inputs give
equal numbers in every process.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from core.clock import days
from core.hashing import hash64
from core.types import UserId

NEVER_WATCHED = 0.1  # the share that a genre gets which the user has not watched
DAYS_A_YEAR = 365.0
SECONDS_AN_HOUR = 3600

Feature = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Features:
    """One array for each weight of `core.types.Weights`, each float64 (n,), 0..1."""

    similarity: Feature
    popularity: Feature
    genre: Feature
    recency: Feature
    exploration: Feature


def similarity(vectors: NDArray[np.float32], user_vector: NDArray[np.float32] | None) -> Feature:
    """Cosine of each candidate to the user, what points away counting as 0.

    Args:
        vectors: (n, d), rows L2-normalised, zeros for a candidate without a vector.
        user_vector: (d,), L2-normalised; None for a user without one: then all are 0.
    """
    if user_vector is None:
        return np.zeros(len(vectors))
    # einsum sums each row alike wherever it stands, which BLAS does not promise.
    cosines: NDArray[np.float32] = np.einsum("nd,d->n", vectors, user_vector)
    return np.clip(cosines.astype(np.float64), 0.0, 1.0)


def genre_shares(watched_genres: NDArray[np.bool_]) -> Feature:
    """Share of the user's recent watches that have each genre; 0.1 for one never watched.

    Args:
        watched_genres: (r, G), the genres of the recent watches that the catalogue knows.

    Returns:
        float64 (G,).
    """
    shares = watched_genres.sum(axis=0) / max(len(watched_genres), 1)
    return np.where(shares > 0, shares, NEVER_WATCHED)


def genre(genres: NDArray[np.bool_], shares: Feature) -> Feature:
    """Mean of `shares` over each candidate's genres; 0.1 for a candidate without any.

    Args:
        genres: (n, G), which genres each candidate has.
        shares: (G,), from `genre_shares`.
    """
    counts = genres.sum(axis=1)
    sums = np.where(genres, shares, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), NEVER_WATCHED)


def recency(published_day: NDArray[np.float32], now: datetime) -> Feature:
    """1 / (1 + days / 365) since publication.

    An unknown date gives 0, since nothing says that the video is new; a date to come gives 1, as
    for a video of today.
    """
    age = np.maximum(days(now) - published_day.astype(np.float64), 0.0)
    return np.nan_to_num(1.0 / (1.0 + age / DAYS_A_YEAR), nan=0.0)


def exploration(
    hashes: NDArray[np.uint64], user_id: UserId, version: str | None, now: datetime
) -> Feature:
    """A number that looks drawn at random, the same for an hour wherever it is computed.

    It is the SplitMix64 mix of the video's hash and one of (user, model version, hour of `now`).
    """
    hour = int(now.timestamp()) // SECONDS_AN_HOUR
    seed = np.uint64(hash64(f"{user_id}\n{version or ''}\n{hour}"))
    return _unit(_splitmix64(hashes ^ seed))


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014), with the
    # constants of its reference implementation; arithmetic modulo 2^64 is intended.
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _unit(x: NDArray[np.uint64]) -> Feature:
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53  # the 53 bits that a float64 holds

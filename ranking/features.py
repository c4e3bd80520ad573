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
from core.types import UserId, VideoColumns

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


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose list it is, and when.

    `vector` (d,) is the user's in the space of `version`, None for a user without one ·
    `watched_genres` bool (r, G) are the genres of the recent watches that the catalogue knows ·
    `version` is the live version's name, None before there is one.
    """

    user_id: UserId
    vector: NDArray[np.float32] | None
    watched_genres: NDArray[np.bool_]
    version: str | None
    now: datetime


def features_of(columns: VideoColumns, vectors: NDArray[np.float32], asker: Asker) -> Features:
    """All features of n candidates.

    Args:
        columns: the candidates' facts.
        vectors: (n, d) in the space of `asker.version`, zeros for candidates without one.
        asker: who is to watch them, and when.
    """
    return Features(
        similarity=similarity(vectors, asker.vector),
        popularity=columns.popularity.astype(np.float64),
        genre=genre(columns.genres, genre_shares(asker.watched_genres)),
        recency=recency(columns.published_day, asker.now),
        exploration=exploration(columns.hashes, asker.user_id, asker.version, asker.now),
    )


def similarity(vectors: NDArray[np.float32], user_vector: NDArray[np.float32] | None) -> Feature:
    """Inner product of each candidate with the user, as a share of the best candidate's.

    Models give products of different sizes, and one model gives a user with few watches smaller
    ones: as shares they weigh alike against the other features. What is not above 0 counts as 0.
    When nothing is above 0 the model recommends none of them and all have 0, since shares of a
    best that is no good would say the opposite.

    Args:
        vectors: (n, d), zeros for a candidate without a vector.
        user_vector: (d,); None for a user without one: then all are 0.
    """
    if user_vector is None or not len(vectors):
        return np.zeros(len(vectors))
    # einsum sums each row alike wherever it stands, which BLAS does not promise.
    products = np.einsum("nd,d->n", vectors, user_vector).astype(np.float64)
    above: Feature = np.maximum(products, 0.0)
    best = float(above.max())
    return above / best if best > 0 else above


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

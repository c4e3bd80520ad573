"""Hyper-parameters from the data's size: the table and its reasons are in `docs/models.md`."""

import numpy as np

from embeddings.als.config import AlsConfig
from embeddings.dataset import Histories

MOST_FACTORS, FEWEST_FACTORS = 128, 16
ROWS_A_FACTOR = 4  # of the smaller side
UNOBSERVED_TO_OBSERVED = 4.0
REGULARISATION, UNORDERED_REGULARISATION = 0.01, 0.02
FADE = 0.25
HALF_LIFE = 0.3  # times the square root of the median history


def defaults(
    *,
    users: int,
    videos: int,
    interactions: int,
    median_history: float,
    mean_weight: float,
    ordered: bool = True,
) -> AlsConfig:
    """What to train with.

    Args:
        users: those with a history.
        videos: all of the catalogue.
        interactions: pairs of a user and a video, each counted once.
        median_history: videos that the median user watched.
        mean_weight: of an interaction, above 0 and up to 1.
        ordered: whether what is asked for comes after the history. Where it was drawn from it at
            random, the newest watch says no more than any other.
    """
    # Fading leaves a third of the weights, so a penalty weighs three times as much beside them.
    regularisation = REGULARISATION if ordered else UNORDERED_REGULARISATION
    factors = max(FEWEST_FACTORS, min(users, videos) // ROWS_A_FACTOR)
    density = interactions / max(users * videos, 1)
    return AlsConfig(
        factors=min(MOST_FACTORS, 1 << (factors.bit_length() - 1)),
        unobserved=UNOBSERVED_TO_OBSERVED * density * mean_weight,
        regularisation=regularisation * mean_weight,
        fade=FADE if ordered else None,
        half_life=HALF_LIFE * median_history**0.5 if ordered else None,
    )


def defaults_for(histories: Histories, videos: int, *, ordered: bool = True) -> AlsConfig:
    """What to train with on these histories, of a catalogue of so many videos; they hold some.

    `ordered` as in `defaults`.
    """
    lengths = np.diff(histories.offsets)
    return defaults(
        users=len(histories.users),
        videos=videos,
        interactions=len(histories.rows),
        median_history=float(np.median(lengths)),
        mean_weight=float(histories.weights.mean()),
        ordered=ordered,
    )

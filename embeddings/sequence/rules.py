"""Hyper-parameters from the data's size: the table and its reasons are in `docs/models.md`."""

import numpy as np

from embeddings.dataset import Histories
from embeddings.sequence.config import SequenceConfig

MANY = 200_000  # watches: fewer bear neither long vectors nor little dropout
STEPS = 300  # of an epoch
POSITIONS = 512, 8_192
PATIENT_STEPS, PATIENCE = 600, (6, 60)
MOST_STEPS, EPOCHS = 12_000, (100, 600)
WHOLE = 2_000  # videos
NEGATIVES = 1_024, 4_096


def defaults(*, interactions: int, videos: int) -> SequenceConfig:
    """What to train with.

    Args:
        interactions: pairs of a user and a video, each counted once.
        videos: all of the catalogue.
    """
    many = interactions >= MANY
    positions = int(np.clip(_power_of_two(interactions // STEPS), *POSITIONS))
    steps = max(1, interactions // positions)
    return SequenceConfig(
        dimensions=128 if many else 64,
        dropout=0.3 if many else 0.4,
        negatives=None if videos <= WHOLE else int(np.clip(_power_of_two(videos // 4), *NEGATIVES)),
        batch_positions=positions,
        epochs=int(np.clip(MOST_STEPS // steps, *EPOCHS)),
        patience=int(np.clip(PATIENT_STEPS // steps, *PATIENCE)),
    )


def defaults_for(histories: Histories, videos: int) -> SequenceConfig:
    """What to train with on these histories, of a catalogue of so many videos; they hold some."""
    return defaults(interactions=len(histories.rows), videos=videos)


def _power_of_two(number: int) -> int:
    """The greatest that is no more than `number`, at least 1."""
    return 1 << max(number.bit_length() - 1, 0)

"""User encoders as files of a version: `encoder.json`, and `gram.npy` for a fold-in."""

from pathlib import Path

import msgspec
import numpy as np

from embeddings.fold_in import FoldIn, FoldInConfig
from embeddings.user_encoder import DecayedMean, UserEncoder

SETTINGS, GRAM = "encoder.json", "gram.npy"


def write_encoder(encoder: UserEncoder, folder: Path) -> list[str]:
    """Write an encoder into a version's folder; the names of its files."""
    if isinstance(encoder, FoldIn):
        np.save(folder / GRAM, encoder.gram)
        (folder / SETTINGS).write_bytes(msgspec.json.encode(encoder.config))
        return [SETTINGS, GRAM]
    (folder / SETTINGS).write_bytes(msgspec.json.encode(encoder))
    return [SETTINGS]


def read_encoder(folder: Path) -> UserEncoder:
    """The encoder that `write_encoder` wrote there."""
    kept = (folder / SETTINGS).read_bytes()
    settings: DecayedMean | FoldInConfig = msgspec.json.decode(
        kept, type=DecayedMean | FoldInConfig
    )
    if isinstance(settings, FoldInConfig):
        return FoldIn(settings, np.load(folder / GRAM))
    return settings

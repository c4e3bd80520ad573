"""User encoders as files of a version: `encoder.json`, and what a fold-in or a network needs."""

from pathlib import Path

import msgspec
import numpy as np

from core.errors import Unavailable
from embeddings.fold_in import FoldIn, FoldInConfig
from embeddings.sequence_encoder import SequenceEncoder
from embeddings.user_encoder import DecayedMean, UserEncoder

SETTINGS, GRAM, NETWORK = "encoder.json", "gram.npy", "encoder.onnx"


class SequenceSettings(msgspec.Struct, frozen=True, tag="sequence"):
    """What a sequence encoder is beside its network."""

    longest: int


Settings = DecayedMean | FoldInConfig | SequenceSettings


def write_encoder(encoder: UserEncoder, folder: Path) -> list[str]:
    """Write an encoder into a version's folder; the names of its files."""
    if isinstance(encoder, FoldIn):
        np.save(folder / GRAM, encoder.gram)
        return _written(encoder.config, folder, GRAM)
    if isinstance(encoder, SequenceEncoder):
        (folder / NETWORK).write_bytes(encoder.onnx)
        return _written(SequenceSettings(encoder.longest), folder, NETWORK)
    if isinstance(encoder, DecayedMean):
        return _written(encoder, folder)
    raise TypeError(f"a {type(encoder).__name__} has no files")


def read_encoder(folder: Path) -> UserEncoder:
    """The encoder that `write_encoder` wrote there.

    Raises:
        Unavailable: the files are whole, but this release cannot read them.
    """
    try:
        settings: Settings = msgspec.json.decode((folder / SETTINGS).read_bytes(), type=Settings)
        if isinstance(settings, FoldInConfig):
            return FoldIn(settings, np.load(folder / GRAM))
        if isinstance(settings, SequenceSettings):
            return SequenceEncoder((folder / NETWORK).read_bytes(), settings.longest)
    except ValueError as error:  # msgspec's are of this kind too
        raise Unavailable("artifacts", f"The user encoder of {folder.name}: {error}.") from error
    return settings


def _written(settings: Settings, folder: Path, *others: str) -> list[str]:
    (folder / SETTINGS).write_bytes(msgspec.json.encode(settings))
    return [SETTINGS, *others]

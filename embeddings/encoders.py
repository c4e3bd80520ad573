"""User encoders as files of a version."""

from pathlib import Path

import msgspec

from embeddings.user_encoder import DecayedMean, UserEncoder

SETTINGS = "encoder.json"


def write_encoder(encoder: UserEncoder, folder: Path) -> list[str]:
    """Write an encoder into a version's folder; the names of its files."""
    (folder / SETTINGS).write_bytes(msgspec.json.encode(encoder))
    return [SETTINGS]


def read_encoder(folder: Path) -> UserEncoder:
    """The encoder that `write_encoder` wrote there."""
    return msgspec.json.decode((folder / SETTINGS).read_bytes(), type=DecayedMean)

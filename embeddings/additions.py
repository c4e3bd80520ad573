"""What the tail of a version is to take in: new videos, and those whose text has changed."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.hashing import hash64_many
from core.types import VideoId
from embeddings.version import Version

TOLERANCE = 1e-3  # of a number of a text vector; of the length of an item vector
PAGE = 4096  # videos compared at a time


@dataclass(frozen=True, slots=True)
class Additions:
    """m videos: their item vectors, float32 (m, d), and text vectors, float32 (m, c)."""

    ids: list[VideoId]
    items: NDArray[np.float32]
    content: NDArray[np.float32]

    def without(self, ids: Container[VideoId]) -> "Additions":
        """These but for some videos."""
        rows = [row for row, id_ in enumerate(self.ids) if id_ not in ids]
        return Additions([self.ids[row] for row in rows], self.items[rows], self.content[rows])


def additions(version: Version, ids: Sequence[VideoId], content: NDArray[np.float32]) -> Additions:
    """Of a catalogue, its text vectors float32 (n, c) beside, what the version lacks.

    An item vector is the image of the text vector. One that was learned from watches stays when
    the text changes: what people watched says more.
    """
    hashes = hash64_many(ids)
    rows = np.concatenate(
        [
            start + _behind(version, hashes[start : start + PAGE], content[start : start + PAGE])
            for start in range(0, len(ids), PAGE)
        ]
        or [np.zeros(0, dtype=np.int64)]
    )
    items = version.content_map(content[rows])
    had, learned = _learned(version, hashes[rows])
    items[learned] = had[learned]
    return Additions([ids[row] for row in rows.tolist()], items, content[rows])


def _behind(
    version: Version, hashes: NDArray[np.uint64], content: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Which of these the version does not have, or not with this text."""
    had, known = version.content.at(hashes)
    differs = np.abs(had - content).max(axis=1) > TOLERANCE
    return np.flatnonzero(~known | differs)


def _learned(
    version: Version, hashes: NDArray[np.uint64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Item vectors (m, d), zeros for unknown ones, and which are more than the text's image."""
    had, known = version.items.at(hashes)
    image = version.content_map(version.content.at(hashes)[0])
    away = np.linalg.norm(had - image, axis=1)
    return had, known & (away > TOLERANCE * np.linalg.norm(had, axis=1))

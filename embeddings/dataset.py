"""The truth as arrays: the catalogue's texts and the users' histories."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from core.hashing import hash64
from core.types import UserId, Video, VideoId
from embeddings.text import genres_of, text_of


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The videos in the order of their hashes, and what the text encoder reads of each."""

    ids: list[VideoId]
    texts: list[str]
    genres: list[str]


@dataclass(frozen=True, slots=True)
class Histories:
    """Users' histories, oldest first, each video once (where it was watched last).

    User u's are `rows[offsets[u]:offsets[u + 1]]`: int32 rows of the item vectors, with float32
    `weights` and float64 `times` (days since the epoch) beside. `first` and `last` bound the times
    of all interactions read, `count` is how many those were.
    """

    users: list[UserId]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]
    times: NDArray[np.float64]
    count: int
    first: datetime | None
    last: datetime | None

    def of(self, user: int) -> slice:
        """Where user number `user` has their history."""
        return slice(int(self.offsets[user]), int(self.offsets[user + 1]))

    def watches(self, videos: int) -> NDArray[np.int32]:
        """How many users watched each of so many videos, int32 (videos,)."""
        return np.bincount(self.rows, minlength=videos).astype(np.int32)


async def read_catalogue(pages: AsyncIterator[Sequence[Video]]) -> Catalogue:
    """All videos of a stream."""
    read: list[tuple[int, VideoId, str, str]] = []
    async for page in pages:
        read.extend((hash64(one.id), one.id, text_of(one), genres_of(one)) for one in page)
    read.sort()
    return Catalogue([one[1] for one in read], [one[2] for one in read], [one[3] for one in read])

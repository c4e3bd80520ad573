"""The truth as arrays: the catalogue's texts and the users' histories."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.clock import days
from core.hashing import hash64
from core.types import Interaction, UserId, Video, VideoId
from embeddings.text import genres_of, text_of

SNAPSHOT = pa.schema(
    [
        ("user_id", pa.string()),
        ("video_id", pa.string()),
        ("kind", pa.string()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
        ("weight", pa.float32()),
    ]
)


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


async def read_histories(
    pages: AsyncIterator[Sequence[Interaction]], row_of: dict[VideoId, int], snapshot: Path
) -> Histories:
    """Histories of a stream sorted by user and time, written to `snapshot` as it passes.

    Interactions with videos that `row_of` does not know are in the snapshot and nowhere else.
    """
    reader = _Reader(row_of)
    with pq.ParquetWriter(snapshot, SNAPSHOT) as writer:
        async for page in pages:
            writer.write_table(_table(page))
            for interaction in page:
                reader.add(interaction)
    return reader.histories()


class _Reader:
    """Gathers one user at a time into flat arrays."""

    def __init__(self, row_of: dict[VideoId, int]) -> None:
        self._row_of = row_of
        self._users: list[UserId] = []
        self._lengths: list[int] = []
        self._rows: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
        self._says: list[NDArray[np.float64]] = [np.zeros((0, 2))]  # weights and times
        self._user: UserId | None = None
        self._history: dict[int, tuple[float, float]] = {}
        self._count = 0
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, interaction: Interaction) -> None:
        """The next interaction of the stream."""
        if interaction.user_id != self._user:
            self._close()
            self._user = interaction.user_id
        at = interaction.occurred_at
        self._count += 1
        self._first = at if self._first is None else min(self._first, at)
        self._last = at if self._last is None else max(self._last, at)
        row = self._row_of.get(interaction.video_id)
        if row is not None:
            self._history.pop(row, None)  # a later watch moves the video to the end
            self._history[row] = interaction.weight, days(at)

    def histories(self) -> Histories:
        """All that was added."""
        self._close()
        says = np.concatenate(self._says)
        return Histories(
            users=self._users,
            offsets=np.cumsum([0, *self._lengths], dtype=np.int64),
            rows=np.concatenate(self._rows),
            weights=says[:, 0].astype(np.float32),
            times=says[:, 1].copy(),
            count=self._count,
            first=self._first,
            last=self._last,
        )

    def _close(self) -> None:
        if self._user is not None and self._history:
            self._users.append(self._user)
            self._lengths.append(len(self._history))
            self._rows.append(np.fromiter(self._history, np.int32, len(self._history)))
            self._says.append(np.array(list(self._history.values())))
        self._history = {}


def _table(page: Sequence[Interaction]) -> pa.Table:
    columns = {name: [getattr(one, name) for one in page] for name in SNAPSHOT.names}
    return pa.table(columns, schema=SNAPSHOT)

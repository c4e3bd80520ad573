"""Histories from columns of interactions, kept as a Parquet snapshot while they pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.clock import EPOCH, SECONDS_A_DAY
from core.types import Interaction, UserId, VideoId
from embeddings.dataset import Histories

SNAPSHOT = pa.schema(
    [
        ("user_id", pa.string()),
        ("video_id", pa.string()),
        ("kind", pa.string()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
        ("weight", pa.float32()),
    ]
)
ERASED = "upnext.erased"
"""Where a snapshot says how many rows erasures took out of it."""
MICROSECONDS = 1e6
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class _Rows:
    """Interactions: int32 item rows (`UNKNOWN`: of no video), float32 weights, float64 days."""

    items: NDArray[np.int32]
    weights: NDArray[np.float32]
    times: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.items)

    def at(self, where: slice | NDArray[Any]) -> "_Rows":
        return _Rows(self.items[where].copy(), self.weights[where].copy(), self.times[where].copy())

    def then(self, other: "_Rows") -> "_Rows":
        return _Rows(
            np.concatenate([self.items, other.items]),
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.times, other.times]),
        )


class SnapshotWriter:
    """Writes a run's snapshot and nothing else; the file is whole after the block."""

    def __init__(self, snapshot: Path) -> None:
        self._writer = pq.ParquetWriter(snapshot, SNAPSHOT, write_page_checksum=True)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def take(self, table: pa.Table) -> None:
        """The next rows, sorted by user and time; columns as in `SNAPSHOT`."""
        self._writer.write_table(table.select(SNAPSHOT.names).cast(SNAPSHOT))
        self.count += len(table)


class HistoryReader:
    """Takes interactions sorted by user and time, a table at a time; 16 bytes a kept one.

    with HistoryReader(row_of, snapshot) as reader:
        await copy_history(engine, None, None, reader.take)
    reader.histories()
    """

    def __init__(self, row_of: Mapping[VideoId, int], snapshot: Path | None = None) -> None:
        """Prepare to read.

        Args:
            row_of: the row of each video of the catalogue. Interactions with others are in the
                snapshot and nowhere else.
            snapshot: the file that is written, if any; it is whole after the block.
        """
        self._row_of = row_of
        self._snapshot = None if snapshot is None else SnapshotWriter(snapshot)
        self._users: list[UserId] = []
        self._lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._closed = [_nothing()]
        self._user: UserId | None = None
        self._open = _nothing()  # what there is of `_user` up to now
        self._span: tuple[datetime, datetime] | None = None
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._snapshot is not None:
            self._snapshot.__exit__(kind, error, trace)

    def take(self, table: pa.Table) -> None:
        """The next of them; columns as in `SNAPSHOT`."""
        table = table.select(SNAPSHOT.names).cast(SNAPSHOT)
        if self._snapshot is not None:
            self._snapshot.take(table)
        if not len(table):
            return
        moments = table.column("occurred_at").cast(pa.int64()).to_numpy()
        self._widen(int(moments.min()), int(moments.max()))
        self.count += len(table)
        own = table.column("user_id").combine_chunks()
        changes = pc.not_equal(own.slice(1), own.slice(0, len(own) - 1))
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        rows = _Rows(
            self._rows_of(table.column("video_id")),
            table.column("weight").to_numpy(),
            moments / MICROSECONDS / SECONDS_A_DAY,
        )
        self._sort_in(own.take(pa.array(starts)).to_pylist(), starts, rows)

    def histories(self) -> Histories:
        """All that was taken; for once, the reader is empty then."""
        self._close([] if self._user is None else [self._user], np.zeros(1, np.int64), self._open)
        closed, self._closed = self._closed, []
        items = np.concatenate([part.items for part in closed])
        weights = np.concatenate([part.weights for part in closed])
        times = np.concatenate([part.times for part in closed])
        first, last = self._span or (None, None)
        return Histories(
            users=self._users,
            offsets=np.cumsum(np.concatenate(self._lengths)),
            rows=items,
            weights=weights,
            times=times,
            count=self.count,
            first=first,
            last=last,
        )

    def _widen(self, first: int, last: int) -> None:
        """Have the span hold these moments, in microseconds since the epoch."""
        low, high = (EPOCH + timedelta(microseconds=moment) for moment in (first, last))
        span = self._span or (low, high)
        self._span = min(low, span[0]), max(high, span[1])

    def _rows_of(self, videos: pa.ChunkedArray) -> NDArray[np.int32]:
        encoded = videos.combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        rows = np.fromiter((self._row_of.get(name, UNKNOWN) for name in names), np.int32)
        found: NDArray[np.int32] = rows[encoded.indices.to_numpy()]
        return found

    def _sort_in(self, users: list[UserId], starts: NDArray[np.int64], rows: _Rows) -> None:
        """Close all users but the last, who may have more in the next table."""
        before = len(self._open)
        if self._user is not None:
            rows, starts = self._open.then(rows), starts + before
            if users[0] == self._user:
                starts[0] = 0
            else:
                users, starts = [self._user, *users], np.concatenate([[0], starts])
        last = int(starts[-1])
        self._close(users[:-1], starts[:-1], rows.at(slice(0, last)))
        self._user, self._open = users[-1], rows.at(slice(last, None))

    def _close(self, users: Sequence[UserId], starts: NDArray[np.int64], rows: _Rows) -> None:
        """Keep whole histories of users, each video where it was watched last."""
        if not len(rows):
            return
        owners = np.repeat(np.arange(len(users)), np.diff(starts, append=len(rows)))
        known = np.flatnonzero(rows.items != UNKNOWN)
        pairs = owners[known] * len(self._row_of) + rows.items[known]
        _, backwards = np.unique(pairs[::-1], return_index=True)
        kept = known[np.sort(len(pairs) - 1 - backwards)]
        lengths = np.bincount(owners[kept], minlength=len(users))
        self._users += [user for user, length in zip(users, lengths, strict=True) if length]
        self._lengths.append(lengths[lengths > 0])
        self._closed.append(rows.at(kept))


def table_of(interactions: Sequence[Interaction]) -> pa.Table:
    """Interactions as `HistoryReader.take` takes them."""
    columns = {name: [getattr(one, name) for one in interactions] for name in SNAPSHOT.names}
    return pa.table(columns, schema=SNAPSHOT)


def read_snapshot(snapshot: Path, row_of: Mapping[VideoId, int]) -> Histories:
    """The histories of a run's snapshot: what it was fitted to, less who was erased since.

    Raises:
        OSError: the file is damaged.
    """
    try:
        with (
            pq.ParquetFile(snapshot, page_checksum_verification=True) as file,
            HistoryReader(row_of) as reader,
        ):
            for group in range(file.num_row_groups):
                reader.take(file.read_row_group(group))
    except (OSError, pa.ArrowException) as error:  # it depends on where the damage is
        raise OSError(f"{snapshot} cannot be read: {error}") from error
    return reader.histories()


def erased_from(snapshot: Path) -> int:
    """How many rows erasures have taken out of a snapshot since it was written."""
    said: dict[bytes, bytes] = pq.read_metadata(snapshot).metadata or {}
    return int(said.get(ERASED.encode(), b"0"))


def _nothing() -> _Rows:
    return _Rows(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0))

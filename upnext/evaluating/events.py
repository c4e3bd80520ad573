"""A platform's log of who watched what, read from a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.clock import SECONDS_A_DAY
from core.errors import InvalidInput
from core.types import UserId
from embeddings.evaluation.entries import offsets_of
from embeddings.evaluation.log import Log
from upnext.evaluating.columns import Columns, Ids, ids_of, numbers, read_columns
from upnext.evaluating.moments import days_of, in_step

PAIR = ("user_id", "video_id")


@dataclass(frozen=True, slots=True)
class Events:
    """Events in their order, oldest first.

    `owners` int32 (n,) are places in `users`, `watched` int32 (n,) in `videos` · `weights` float32
    (n,), 0 to 1 · `times` float64 (n,), days since the epoch; None: the file has none, and only the
    order of its rows is known · `empty`, how many rows had no user or no video.
    """

    users: list[str]
    videos: list[str]
    owners: NDArray[np.int32]
    watched: NDArray[np.int32]
    weights: NDArray[np.float32]
    times: NDArray[np.float64] | None
    empty: int

    def __len__(self) -> int:
        return len(self.owners)

    def log(self, row_of: Mapping[str, int], *, in_one_order: bool = False) -> Log:
        """The events by user, with the rows of a catalogue that has all `videos`.

        Without times, all users' last events are at one moment, since files are often one user
        after the other; `in_one_order` has events a second apart in the order of the file instead.
        """
        order = np.argsort(self.owners, kind="stable")
        rows = np.fromiter((row_of[name] for name in self.videos), np.int32, len(self.videos))
        owners = self.owners[order].astype(np.int64)
        return Log(
            users=[UserId(name) for name in self.users],
            videos=len(row_of),
            offsets=offsets_of(owners, len(self.users)),
            rows=rows[self.watched[order]],
            weights=self.weights[order],
            times=self._times(in_one_order=in_one_order)[order],
            timed=self.times is not None,
        )

    def _times(self, *, in_one_order: bool) -> NDArray[np.float64]:
        if self.times is not None:
            return self.times
        return np.arange(len(self)) / SECONDS_A_DAY if in_one_order else in_step(self.owners)


def read_events(path: Path) -> Events:
    """The log of a file with `user_id`, `video_id` and, if known, `occurred_at` and `weight`.

    Raises:
        SetupError: there is no such file.
        InvalidInput: the file as a whole cannot be used, or a cell cannot; the message says where.
    """
    columns = read_columns(path, PAIR, ("occurred_at", "weight"))
    users, videos = (ids_of(columns, name) for name in PAIR)
    times = days_of(columns, "occurred_at") if columns.has("occurred_at") else None
    weights = _weights(columns)
    whole = with_ids(columns, users, videos)
    order = whole if times is None else whole[np.argsort(times[whole], kind="stable")]
    users, videos = users.only(order), videos.only(order)
    return Events(
        users=users.names,
        videos=videos.names,
        owners=users.codes,
        watched=videos.codes,
        weights=weights[order],
        times=None if times is None else times[order],
        empty=len(columns) - len(whole),
    )


def with_ids(columns: Columns, *ids: Ids) -> NDArray[np.int64]:
    """Rows, int64 (k,), in which none of these is empty.

    Raises:
        InvalidInput: there is none.
    """
    whole = np.flatnonzero(np.all([one.codes >= 0 for one in ids], axis=0))
    if not len(whole):
        raise InvalidInput(f"{columns.path}: no row has both a user_id and a video_id.")
    return whole


def _weights(columns: Columns) -> NDArray[np.float32]:
    if not columns.has("weight"):
        return np.ones(len(columns), dtype=np.float32)
    read = numbers(columns, "weight")
    bad = np.flatnonzero((read < 0) | (read > 1))
    if len(bad):
        raise InvalidInput(
            f"{columns.place(int(bad[0]))}: weight {read[bad[0]]:g} is not 0 (says nothing) to 1 "
            "(says everything). Leave the column out to weigh all events alike.",
            field="weight",
        )
    return read.astype(np.float32)

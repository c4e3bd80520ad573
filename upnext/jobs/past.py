"""Users and catalogue as they were when a watch that is held out was still to come."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from core.clock import EPOCH
from core.types import PopularityRow, UserState, VideoId, Watch
from embeddings.dataset import Histories
from embeddings.items import ItemVectors
from embeddings.split import Split
from retrieval.build import with_counters
from retrieval.snapshot import Snapshot
from storage.counters import FAST_HALF_LIFE_DAYS, SLOW_HALF_LIFE_DAYS

MOMENTS = 24  # states of the popularity counters; each has to be sorted anew


@dataclass(frozen=True, slots=True)
class Ask:
    """A user just before a held-out watch, as far as is known, and what they watched then."""

    state: UserState
    now: datetime
    target: VideoId


class Past:
    """What a service would have known at the times of held-out watches, and nothing later."""

    def __init__(self, facts: Snapshot, split: Split, items: ItemVectors, *, recent: int) -> None:
        """Look back.

        Args:
            facts: the catalogue, without popularity counters.
            split: its rows are rows of `items`.
            items: names the videos.
            recent: how many recent watches a state has.
        """
        self._facts = facts
        self._split = split
        self._hashes = items.hashes
        self._ids = [VideoId(id_.decode()) for id_ in items.ids.tolist()]
        self._recent = recent

    def moments(self, judged: NDArray[np.int64]) -> Iterator[tuple[Snapshot, list[Ask]]]:
        """Some of the split's users at a time, by time, and the catalogue as it was before them.

        A user's moment is the split's cut, or where it has none the user's last watch in `train`.

        Args:
            judged: which of `split.users`, int64 (n,), each with a history.
        """
        train = self._split.train
        last = train.times[train.offsets[self._split.users[judged] + 1] - 1]
        if self._split.cut is not None:
            last = np.full_like(last, self._split.cut)
        in_time = np.argsort(last, kind="stable")
        counted = _Counted(train, self._ids, self._facts)
        size = max(1, -(-len(in_time) // MOMENTS))
        for start in range(0, len(in_time), size):
            part = in_time[start : start + size]
            snapshot = counted.until(float(last[part[0]]))
            asked = zip(judged[part].tolist(), last[part].tolist(), strict=True)
            yield snapshot, [self._ask(at, _moment(day)) for at, day in asked]

    def _ask(self, at: int, now: datetime) -> Ask:
        split, train = self._split, self._split.train
        user = int(split.users[at])
        own = train.of(user)
        rows = train.rows[own]
        newest = np.arange(own.start, own.stop)[::-1][: self._recent]
        recent = tuple(
            Watch(self._ids[row], _moment(day), weight)
            for row, day, weight in zip(
                train.rows[newest].tolist(),
                train.times[newest].tolist(),
                train.weights[newest].tolist(),
                strict=True,
            )
        )
        watched = np.sort(self._hashes[rows])
        state = UserState(train.users[user], 0, recent, watched)
        return Ask(state, now, self._ids[int(split.targets[at])])


class _Counted:
    """The popularity counters as they grew."""

    def __init__(self, train: Histories, ids: Sequence[VideoId], facts: Snapshot) -> None:
        order = np.argsort(train.times, kind="stable")
        self._times = train.times[order]
        self._rows = train.rows[order]
        with np.errstate(divide="ignore"):  # a weight of 0 adds nothing
            self._log2 = np.log2(train.weights[order].astype(np.float64))
        self._ids = ids
        self._watches = np.zeros(len(ids), dtype=np.int64)
        self._slow, self._fast = np.full((2, len(ids)), -np.inf)
        self._read = 0
        self._snapshot = facts

    def until(self, day: float) -> Snapshot:
        """The catalogue with all that was watched up to then; days never fall."""
        end = int(np.searchsorted(self._times, day, side="right"))
        new = slice(self._read, end)
        self._read = end
        rows, times, log2 = self._rows[new], self._times[new], self._log2[new]
        np.add.at(self._watches, rows, 1)
        np.logaddexp2.at(self._slow, rows, log2 + times / SLOW_HALF_LIFE_DAYS)
        np.logaddexp2.at(self._fast, rows, log2 + times / FAST_HALF_LIFE_DAYS)
        moved = np.unique(rows)
        counters = zip(
            (self._ids[row] for row in moved.tolist()),
            self._watches[moved].tolist(),
            self._slow[moved].tolist(),
            self._fast[moved].tolist(),
            strict=True,
        )
        self._snapshot = with_counters(self._snapshot, (PopularityRow(*row) for row in counters))
        return self._snapshot


def _moment(day: float) -> datetime:
    return EPOCH + timedelta(days=day)

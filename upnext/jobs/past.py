"""Users and catalogue as they were at moments of the past."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from core.clock import EPOCH
from core.types import PopularityRow, UserState, VideoId, Watch
from embeddings.dataset import Histories
from embeddings.items import ItemVectors
from retrieval.build import with_counters
from retrieval.snapshot import Snapshot
from storage.counters import FAST_HALF_LIFE_DAYS, SLOW_HALF_LIFE_DAYS

MOMENTS = 24  # states of the popularity counters; each has to be sorted anew


@dataclass(frozen=True, slots=True)
class Ask:
    """Who of those that were asked for, `at`, and what was known of them then."""

    at: int
    state: UserState
    now: datetime


class Past:
    """What a service would have known at moments of the past, and nothing later."""

    def __init__(
        self,
        facts: Snapshot,
        known: Histories,
        items: ItemVectors,
        *,
        recent: int,
        cut: float | None = None,
    ) -> None:
        """Look back.

        Args:
            facts: the catalogue, without popularity counters.
            known: what users had watched; its rows are rows of `items`.
            items: names the videos.
            recent: how many recent watches a state has.
            cut: everybody's moment, in days; None: each user's last watch in `known`.
        """
        self._facts = facts
        self._known = known
        self._hashes = items.hashes
        self._ids = [VideoId(id_.decode()) for id_ in items.ids.tolist()]
        self._recent = recent
        self._cut = cut

    def moments(self, users: NDArray[np.int64]) -> Iterator[tuple[Snapshot, list[Ask]]]:
        """Some of these users, (n,), at a time, by time, and the catalogue as it was before them.

        Somebody without a history is met when all of it had happened.
        """
        last = self._moments_of(users)
        in_time = np.argsort(last, kind="stable")
        counted = _Counted(self._known, self._ids, self._facts)
        size = max(1, -(-len(in_time) // MOMENTS))
        for start in range(0, len(in_time), size):
            part = in_time[start : start + size]
            snapshot = counted.until(float(last[part[0]]))
            asked = zip(part.tolist(), users[part].tolist(), last[part].tolist(), strict=True)
            yield snapshot, [Ask(at, self._state(user), _moment(day)) for at, user, day in asked]

    def _moments_of(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """When each user is met, days since the epoch, (n,)."""
        if self._cut is not None:
            return np.full(len(users), self._cut)
        times, ends = self._known.times, self._known.offsets[users + 1]
        last = np.full(len(users), times.max() if len(times) else 0.0)
        there = self._known.offsets[users] < ends
        last[there] = times[ends[there] - 1]
        return last

    def _state(self, user: int) -> UserState:
        known, own = self._known, self._known.of(user)
        newest = np.arange(own.start, own.stop)[::-1][: self._recent]
        recent = tuple(
            Watch(self._ids[row], _moment(day), weight)
            for row, day, weight in zip(
                known.rows[newest].tolist(),
                known.times[newest].tolist(),
                known.weights[newest].tolist(),
                strict=True,
            )
        )
        return UserState(known.users[user], 0, recent, np.sort(self._hashes[known.rows[own]]))


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

"""Histories, users and popularity in memory: the twin of the PostgreSQL adapters."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import numpy as np

from core.clock import Clock, utc_now
from core.hashing import hash64_many
from core.types import (
    AddCounts,
    Interaction,
    PopularityRow,
    UserId,
    UserState,
    VideoId,
    Watch,
)
from storage.counters import tally


class MemoryHistory:
    """Interactions by key, with the users and counters they move; never unavailable."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._rows: dict[UUID, Interaction] = {}
        self._revisions: dict[UserId, int] = {}
        self._moved: dict[str, datetime] = {}
        self._erased: set[UserId] = set()

    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts:
        """Write interactions, each key at most once ever."""
        given, new = len(interactions), dict[UUID, Interaction]()
        interactions = [row for row in interactions if row.user_id not in self._erased]
        for row in interactions:
            if row.key not in self._rows:
                new.setdefault(row.key, row)
        self._rows |= new
        now = int(self._clock().timestamp() * 1e6)
        for user_id in {row.user_id for row in new.values()}:
            self._revisions[user_id] = max(self._revisions.get(user_id, 0) + 1, now)
        self._moved |= {row.video_id: self._clock() for row in new.values()}
        users = {row.user_id for row in interactions} & self._revisions.keys()
        revisions = {user_id: self._revisions[user_id] for user_id in users}
        duplicates = len(interactions) - len(new)
        return AddCounts(len(new), duplicates, revisions, given - len(interactions))

    def erase(self, user_id: UserId) -> None:
        """Forget a user's interactions, and take none any more."""
        self._erased.add(user_id)
        self._rows = {key: row for key, row in self._rows.items() if row.user_id != user_id}
        self._revisions.pop(user_id, None)

    async def find(self, key: UUID) -> Interaction | None:
        """The interaction of that key."""
        return self._rows.get(key)

    async def stream(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> AsyncIterator[Sequence[Interaction]]:
        """Those with start <= occurred_at < end, by user and time, in one page."""
        rows = [
            row
            for row in self._rows.values()
            if (start is None or row.occurred_at >= start)
            and (end is None or row.occurred_at < end)
        ]
        if rows:
            yield sorted(rows, key=lambda row: (row.user_id.encode(), row.occurred_at, row.key))

    async def state(self, user_id: UserId, recent: int) -> UserState | None:
        """A user's state with at most `recent` recent watches; None: never heard of."""
        if user_id not in self._revisions:
            return None
        rows = [row for row in self._rows.values() if row.user_id == user_id]
        rows.sort(key=lambda row: (-row.occurred_at.timestamp(), row.video_id, -row.weight))
        newest: dict[VideoId, Watch] = {}
        for row in rows:
            newest.setdefault(row.video_id, Watch(row.video_id, row.occurred_at, row.weight))
        watched = np.sort(hash64_many(newest))
        return UserState(
            user_id, self._revisions[user_id], tuple(newest.values())[:recent], watched
        )

    async def states_of(self, user_ids: Sequence[UserId], recent: int) -> dict[UserId, UserState]:
        """As `state`, of those of `user_ids` that are known."""
        found = {user_id: await self.state(user_id, recent) for user_id in user_ids}
        return {user_id: state for user_id, state in found.items() if state is not None}

    async def after(self, user_id: str, skip: int, most: int) -> list[UserId]:
        """Of the users after `user_id` in byte order, `most` after the first `skip`."""
        later = sorted(user for user in self._revisions if user.encode() > user_id.encode())
        return later[skip : skip + most]

    async def count(self) -> int:
        """How many users there are."""
        return len(self._revisions)

    async def seen_since(self, since: datetime) -> list[UserId]:
        """Users whose newest event is not older, the latest first."""
        latest: dict[UserId, datetime] = {}
        for row in self._rows.values():
            latest[row.user_id] = max(row.occurred_at, latest.get(row.user_id, row.occurred_at))
        recent = sorted((-at.timestamp(), user) for user, at in latest.items() if at >= since)
        return [user for _, user in recent]

    async def popularity(self, since: datetime | None) -> list[PopularityRow]:
        """Counters that changed at or after `since` (None: all)."""
        added = tally(list(self._rows.values()))
        columns = (added.watches.tolist(), added.slow.tolist(), added.fast.tolist())
        return [
            PopularityRow(VideoId(video_id), *numbers)
            for video_id, *numbers in zip(added.video_ids, *columns, strict=True)
            if since is None or self._moved[video_id] >= since
        ]

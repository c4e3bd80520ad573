"""States and finished lists of users in memory (`api.ports.UserCache`)."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.clock import Clock, utc_now
from core.notices import Hearer
from core.types import UserId, UserState


@dataclass(slots=True)
class _Kept:
    """What is kept of one user; lists are dropped together at `lists_until`."""

    floor: int
    state: UserState | None = None
    lists: dict[str, bytes] = field(default_factory=dict)
    lists_until: datetime | None = None


class MemoryNotices:
    """`api.ports.Notices` of one process; nothing is ever missed."""

    def __init__(self) -> None:
        self._hearers: list[Hearer] = []

    async def run(self, hearer: Hearer) -> None:
        """Tell the hearer until cancelled."""
        self._hearers.append(hearer)
        hearer.follow()
        try:
            await asyncio.Event().wait()
        finally:
            self._hearers.remove(hearer)

    def tell(self, user_ids: Iterable[UserId]) -> None:
        """Tell all that these users' lists were dropped."""
        for hearer in self._hearers:
            hearer.drop(user_ids)


class MemoryUserCache:
    """`UserCache` in a dict; never unavailable."""

    def __init__(self, clock: Clock = utc_now, notices: "MemoryNotices | None" = None) -> None:
        self._clock = clock
        self._notices = notices
        self._users: dict[UserId, _Kept] = {}

    async def state(self, user_id: UserId) -> UserState | None:
        """The kept state."""
        kept = self._users.get(user_id)
        return kept.state if kept else None

    async def put_state(self, state: UserState) -> None:
        """Keep a state unless a newer revision is known."""
        kept = self._at(state.user_id, state.revision)
        if kept is not None:
            kept.state = state

    async def get_list(self, user_id: UserId, field: str) -> bytes | None:
        """The kept list of that field."""
        kept = self._users.get(user_id)
        if kept is None or kept.lists_until is None or self._clock() >= kept.lists_until:
            return None
        return kept.lists.get(field)

    async def put_list(
        self, user_id: UserId, field: str, revision: int, entry: bytes, ttl_seconds: int
    ) -> None:
        """Keep a list; the user's lists expire together, `ttl_seconds` after the last one."""
        kept = self._at(user_id, revision)
        if kept is not None:
            kept.lists[field] = entry
            kept.lists_until = self._clock() + timedelta(seconds=ttl_seconds)

    async def erase(self, user_id: UserId) -> bool:
        """Drop all of a user; whether anything was kept."""
        return self._users.pop(user_id, None) is not None

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        """Drop these users' states and lists and refuse older ones."""
        for user_id, revision in revisions.items():
            kept = self._at(user_id, revision)
            if kept is not None:
                self._users[user_id] = _Kept(floor=revision)
        if self._notices is not None:
            self._notices.tell(revisions)

    def _at(self, user_id: UserId, revision: int) -> _Kept | None:
        """The user's entry with its floor raised to `revision`; None if that is an older one."""
        kept = self._users.get(user_id)
        if kept is not None and revision < kept.floor:
            return None
        if kept is None or revision > kept.floor:
            kept = self._users[user_id] = _Kept(floor=revision)
        return kept

"""Drops the kept lists of users whose history changed, later if the cache is away now."""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import islice

import structlog

from api.ports import UserCache
from core.errors import PartlyAway, Unavailable
from core.notices import Hearer
from core.types import UserId

MOST_OWED = 100_000  # users; about 20 MB
CHUNK = 500
PAUSE_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Forgetting:
    """What could not be dropped is owed, and dropped by `run` soon after the cache is back.

    The debt lives in this process: when it ends first, those lists stay until they expire.
    """

    def __init__(
        self,
        cache: UserCache,
        *,
        local: Hearer | None = None,
        most_owed: int = MOST_OWED,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._cache = cache
        self._local = local
        self._most_owed = most_owed
        self._pause_seconds = pause_seconds
        self._owed: dict[UserId, int] = {}

    def owes(self, user_id: UserId) -> bool:
        """Whether the cache may still have what is older than this user's history."""
        return user_id in self._owed

    async def forget(self, revisions: Mapping[UserId, int]) -> None:
        """Drop these users' states and lists, now or later; never raises `Unavailable`.

        What this process keeps of them is dropped at once: whoever is told that it is done asks
        here first, perhaps. And once more at the end: until the cache had dropped them, the old
        ones could still be read there.
        """
        self._drop(revisions)
        try:
            await self._cache.forget_many(revisions)
        except Unavailable as error:
            given_up = self._owe(_left(revisions, error))
            log.warning(
                "lists_not_dropped", owed=len(self._owed), given_up=given_up, reason=str(error)
            )
        self._drop(revisions)

    async def pay(self) -> None:
        """Drop what is owed. Raises `Unavailable`; what was dropped by then is owed no more."""
        while chunk := dict(islice(self._owed.items(), CHUNK)):
            try:
                await self._cache.forget_many(chunk)
            except PartlyAway as error:
                self._settle({user_id: chunk[user_id] for user_id in error.done})
                raise
            self._settle(chunk)

    async def run(self) -> None:
        """Pay as soon as the cache answers, until cancelled."""
        while True:
            await asyncio.sleep(self._pause_seconds)
            owed = len(self._owed)
            try:
                await self.pay()
            except Unavailable:
                continue
            except Exception:
                log.exception("lists_not_dropped")  # whatever it is, the next round tries again
                continue
            if owed:
                log.info("lists_dropped_late", users=owed)

    def _settle(self, paid: Mapping[UserId, int]) -> None:
        for user_id, revision in paid.items():
            if self._owed.get(user_id) == revision:  # else more is owed by now
                del self._owed[user_id]

    def _drop(self, user_ids: Iterable[UserId]) -> None:
        if self._local is not None:
            self._local.drop(user_ids)

    def _owe(self, revisions: Mapping[UserId, int]) -> int:
        """Add to the debt, a user's newest revision; returns how many of the oldest had to go."""
        for user_id, revision in revisions.items():
            self._owed[user_id] = max(revision, self._owed.get(user_id, revision))
        oldest = list(islice(self._owed, max(0, len(self._owed) - self._most_owed)))
        for user_id in oldest:
            del self._owed[user_id]
        return len(oldest)


def _left(revisions: Mapping[UserId, int], error: Unavailable) -> Mapping[UserId, int]:
    """Those of whom the cache has not said that they are dropped."""
    done = error.done if isinstance(error, PartlyAway) else {}
    return {user_id: revision for user_id, revision in revisions.items() if user_id not in done}

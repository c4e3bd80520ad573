"""Drops the kept lists of users whose history changed; while the cache is away, owes it.

The debt is in the database before an event counts as done, so that it outlives the process: any
worker pays it when the cache is back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Final

import structlog

from core.errors import PartlyAway, Unavailable
from core.types import UserId
from ingest.ports import OwedDrops, StateCache

CHUNK: Final = 500
PAUSE_SECONDS: Final = 0.5
LOOK_EVERY: Final = 20
"""Pauses between two looks at what somebody else, who may be gone, has left owing."""

log = structlog.get_logger(__name__)


class Dropping:
    """`ingest.ports.Drops`."""

    def __init__(self, cache: StateCache, owed: OwedDrops) -> None:
        self._cache = cache
        self._owed = owed
        self._look = True  # soon: something may be owed
        self._said = False

    async def drop(self, revisions: Mapping[UserId, int]) -> bool:
        """Drop, or owe. Raises `Unavailable` when neither cache nor database answers."""
        if not revisions:
            return True
        try:
            await self._cache.forget_many(revisions)
        except Unavailable as error:
            done = error.done if isinstance(error, PartlyAway) else {}
            await self._owed.owe({one: at for one, at in revisions.items() if one not in done})
            self._look = True
            if not self._said:
                log.warning("lists_not_dropped", users=len(revisions), reason=str(error))
            self._said = True
            return False
        return True

    async def pay(self) -> int:
        """Drop what is owed, by anybody; how many users' lists.

        Raises:
            Unavailable: of the cache or the database; what was not dropped is still owed.
        """
        paid = 0
        while chunk := await self._owed.owed(CHUNK):
            try:
                await self._cache.forget_many(chunk)
            except PartlyAway as error:
                await self._owed.settle({user_id: chunk[user_id] for user_id in error.done})
                raise
            await self._owed.settle(chunk)
            paid += len(chunk)
        return paid

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Pay at once what was left, and soon after the cache is back, until cancelled."""
        for pauses in count():
            if self._look or pauses % LOOK_EVERY == 0:
                await self._try_to_pay()
            await sleep(PAUSE_SECONDS)

    async def _try_to_pay(self) -> None:
        self._look = False
        try:
            paid = await self.pay()
        except Unavailable:  # that it is away was said by whoever needed it
            self._look = True
        except Exception:
            log.exception("drops_not_paid")
            self._look = True
        else:
            self._said = False
            if paid:
                log.info("lists_dropped_late", users=paid)

"""All users in pages by number, without counting to the page each time."""

import time
from bisect import bisect_right, insort
from collections.abc import Callable
from typing import Protocol

from core.types import UserId

KEPT_SECONDS = 60.0  # how old the number of users, and where pages begin, may be
MOST_MARKS = 10_000


class UserDirectory(Protocol):
    """Who the users are."""

    async def count(self) -> int:
        """How many there are. Raises `Unavailable`."""
        ...

    async def after(self, user_id: str, skip: int, most: int) -> list[UserId]:
        """Of those whose ids come after `user_id` in byte order, `most` after the first `skip`.

        Raises:
            Unavailable: PostgreSQL did not answer.
        """
        ...


class UserPages:
    """The users in byte order of their ids; how many there are is a minute old at most.

    Where a page ended is remembered for as long, and the next one begins there: a walk reads each
    user once, however many there are, and someone who is added behind it does not move it.
    """

    def __init__(
        self, directory: UserDirectory, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._total = 0
        self._marks: list[tuple[int, UserId]] = []  # so many users up to and with this one
        self._since = -KEPT_SECONDS  # of all that is kept

    async def page(self, number: int, size: int) -> tuple[int, list[UserId]]:
        """How many users there are, and those of page `number`, from 1 on; none past the end.

        Raises:
            Unavailable: PostgreSQL did not answer.
        """
        if self._clock() - self._since >= KEPT_SECONDS:
            total = await self._directory.count()
            self._total, self._marks, self._since = total, [], self._clock()
        start = (number - 1) * size
        if start >= self._total:
            return self._total, []
        passed, last = self._nearest(start)
        found = await self._directory.after(last, start - passed, size)
        self._mark(start, found)
        return self._total, found

    def _nearest(self, start: int) -> tuple[int, str]:
        """The last place that is known before `start`."""
        at = bisect_right(self._marks, start, key=lambda mark: mark[0])
        return self._marks[at - 1] if at else (0, "")

    def _mark(self, start: int, found: list[UserId]) -> None:
        end = start + len(found)
        if found and self._nearest(end)[0] != end and len(self._marks) < MOST_MARKS:
            insort(self._marks, (end, found[-1]))

"""Pages of users: each user once, in byte order, and no counting from the start."""

import pytest

from api.user_pages import KEPT_SECONDS, UserPages
from core.types import UserId

pytestmark = pytest.mark.unit


class Directory:
    """Users in a list; remembers what it was asked."""

    def __init__(self, count: int) -> None:
        self.users = sorted(UserId(f"u{number:03}") for number in range(count))
        self.counts = 0
        self.skipped: list[int] = []

    async def count(self) -> int:
        self.counts += 1
        return len(self.users)

    async def after(self, user_id: str, skip: int, most: int) -> list[UserId]:
        self.skipped.append(skip)
        return [user for user in self.users if user > user_id][skip : skip + most]


class Clock:
    """A clock that goes when it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_walk_meets_everybody_once_and_skips_nobody_twice() -> None:
    directory = Directory(95)
    pages = UserPages(directory, clock=Clock())
    met: list[UserId] = []
    for number in range(1, 11):
        total, found = await pages.page(number, 10)
        assert total == 95
        met += found
    assert met == directory.users
    assert directory.skipped == [0] * 10
    assert directory.counts == 1


async def test_a_page_in_the_middle_begins_at_the_nearest_known_place() -> None:
    directory = Directory(95)
    pages = UserPages(directory, clock=Clock())
    await pages.page(4, 10)
    assert (await pages.page(6, 10))[1] == directory.users[50:60]
    assert (await pages.page(2, 20))[1] == directory.users[20:40]
    assert directory.skipped == [30, 10, 20]


async def test_past_the_end_there_is_nobody_and_nothing_is_read() -> None:
    directory = Directory(30)
    pages = UserPages(directory, clock=Clock())
    assert await pages.page(4, 10) == (30, [])
    assert await pages.page(10**9, 100) == (30, [])
    assert directory.skipped == []


async def test_somebody_new_is_counted_within_a_minute() -> None:
    directory, clock = Directory(20), Clock()
    pages = UserPages(directory, clock=clock)
    await pages.page(1, 10)
    directory.users.insert(0, UserId("a"))
    assert (await pages.page(2, 10))[1] == directory.users[11:]  # where the first page ended
    clock.now += KEPT_SECONDS
    assert await pages.page(1, 10) == (21, directory.users[:10])

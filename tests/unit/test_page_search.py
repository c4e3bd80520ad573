"""Many searches at once are the searches of each alone, and go to the index together."""

import asyncio
from typing import Any

import numpy as np
import pytest

from api.page_search import PageSearch
from api.remembering import of_a_moment
from core.errors import Unavailable
from tests.catalogues import DIM, random_vectors
from tests.counted_search import TEXTS, VIDEOS, Counted

pytestmark = pytest.mark.unit


async def test_what_is_asked_at_once_goes_together_and_each_gets_their_own() -> None:
    counted = Counted()
    search = PageSearch(counted)
    users = random_vectors(40, seed=9)
    found = await asyncio.gather(
        *(search.search(VIDEOS, users[at : at + 1], 10 + at % 3) for at in range(40)),
        *(search.search(TEXTS, users[at : at + 5], 7) for at in range(0, 40, 5)),
    )
    assert sorted(counted.asked) == [(TEXTS, 40, 64), (VIDEOS, 40, 64)]
    for at in range(40):
        [alone] = await counted.alone.search(VIDEOS, users[at : at + 1], 10 + at % 3)
        assert found[at][0].ids == alone.ids
        assert found[at][0].scores == pytest.approx(alone.scores)
    fives = [hits.ids for five in found[40:] for hits in five]
    assert fives == [hits.ids for hits in await counted.alone.search(TEXTS, users, 7)]


async def test_those_who_want_many_more_are_asked_for_apart() -> None:
    counted = Counted()
    search = PageSearch(counted)
    users = random_vectors(3)
    await asyncio.gather(
        *(search.search(VIDEOS, users[at : at + 1], k) for at, k in enumerate((60, 64, 150)))
    )
    assert sorted(counted.asked) == [(VIDEOS, 1, 192), (VIDEOS, 2, 64)]


async def test_a_vector_that_several_ask_for_is_searched_once_and_may_be_remembered() -> None:
    counted = Counted()
    search = of_a_moment(PageSearch(counted))
    same = random_vectors(1)
    for _ in range(2):
        await asyncio.gather(*(search.search(TEXTS, same, 20) for _ in range(9)))
        await asyncio.gather(*(search.search(VIDEOS, same, 20) for _ in range(9)))
    assert counted.asked == [(TEXTS, 1, 64), (VIDEOS, 1, 64), (VIDEOS, 1, 64)]
    [more] = await search.search(TEXTS, same, 100)
    [alone] = await counted.alone.search(TEXTS, same, 100)
    assert more.ids == alone.ids  # what was remembered was not enough
    assert len(counted.asked) == 4


async def test_only_so_many_are_remembered_the_last_ones() -> None:
    counted = Counted()
    search = of_a_moment(PageSearch(counted), most_kept=2)
    a, b, c = (row[np.newaxis] for row in random_vectors(3))
    for vector in (a, b, c, c, b, a):
        await search.search(TEXTS, vector, 5)
    assert len(counted.asked) == 4  # a was forgotten for c


async def test_what_is_let_go_while_others_are_searched_for_is_told_all_the_same() -> None:
    counted = Counted()
    search = of_a_moment(PageSearch(counted), most_kept=2)
    users = random_vectors(6)
    await search.search(TEXTS, users[:2], 5)
    found = await search.search(TEXTS, users, 5)  # the four new ones drive the first two out
    assert [hits.ids for hits in found] == [
        hits.ids for hits in await counted.alone.search(TEXTS, users, 5)
    ]


async def test_all_who_ask_hear_that_the_index_is_away_and_the_next_find_it_back() -> None:
    counted = Counted()
    search = of_a_moment(PageSearch(counted))
    counted.away = True
    calls = [search.search(VIDEOS, random_vectors(3), 5) for _ in range(4)]
    heard = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in heard] == [Unavailable] * 4
    counted.away = False
    assert len(await search.search(VIDEOS, random_vectors(3), 5)) == 3


async def test_an_index_that_answers_too_little_leaves_nobody_waiting() -> None:
    counted = Counted()
    whole = counted.search

    async def short(*args: Any) -> Any:
        return (await whole(*args))[:-1]

    counted.search = short  # type: ignore[assignment]
    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="shorter"):
            await PageSearch(counted).search(VIDEOS, random_vectors(3), 5)


async def test_who_goes_takes_nothing_from_those_who_ask_the_same() -> None:
    search = PageSearch(Counted())
    going = asyncio.create_task(search.search(VIDEOS, random_vectors(1), 5))
    staying = asyncio.create_task(search.search(VIDEOS, random_vectors(1), 5))
    await asyncio.sleep(0)
    going.cancel()
    [hits] = await staying
    assert len(hits.ids) == 5


async def test_nothing_asked_is_nothing_found() -> None:
    counted = Counted()
    assert await PageSearch(counted).search(VIDEOS, np.zeros((0, DIM), np.float32), 5) == []
    assert counted.asked == []

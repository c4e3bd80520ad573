"""Filters act on the search: what comes is what they let through, as near as anything else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.types import Filters, Hits, Video, VideoId
from retrieval import narrow
from retrieval.narrow import Vectors, search_allowed
from retrieval.query import Query
from retrieval.retriever import LONGEST_LIST
from storage.memory.index import MemorySearch
from tests.catalogues import NOW, catalogue_of, indexed, random_vectors, user, video

pytestmark = pytest.mark.unit

MANY = [f"v{number:05}" for number in range(narrow.FEW + 4_000)]
VERSION, INDEX = indexed(MANY, random_vectors(len(MANY), dim=4))
RARE = MANY[7 :: len(MANY) // 20][:20]


def _facts(row: int, name: str) -> Video:
    rare = name in RARE
    return video(
        name,
        *(["Rare"] if rare else ["Common"]),
        regions=["DE"] if rare else [],
        maturity=0 if rare else 16 if row % 2 else 6,
    )


CATALOGUE = catalogue_of([_facts(row, name) for row, name in enumerate(MANY)])
PROBE = np.array([[1.0, 0.2, 0.0, 0.0]], dtype=np.float32)


class Asked:
    """A search that notes how much it was asked for, and by how much it is shorter than asked."""

    def __init__(self, *, brings: int | None = None) -> None:
        self._search = MemorySearch(INDEX)
        self._brings = brings
        self.asked: list[int] = []

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self.asked.append(k)
        return await self._search.search(collection, vectors, min(k, self._brings or k))


async def best(search: Asked, filters: Filters, k: int = 10) -> list[VideoId]:
    query = Query(CATALOGUE.snapshot, NOW, live=VERSION, filters=filters, state=user(MANY[3]))
    where = Vectors(f"videos_{VERSION.version}", VERSION.items)
    [hits] = await search_allowed(search, query, where, PROBE, k=k, surplus=query.barred)
    rows = query.snapshot.rows(hits.ids)
    return [id_ for id_, may in zip(hits.ids, query.allows(rows), strict=True) if may][:k]


def expected(filters: Filters, k: int = 10) -> list[str]:
    """The allowed videos nearest to the probe, all of them compared."""
    query = Query(CATALOGUE.snapshot, NOW, filters=filters, state=user(MANY[3]))
    names = [MANY[row] for row in np.flatnonzero(query.allowed)]
    vectors, _ = VERSION.items.take([VideoId(name) for name in names])
    order = np.argsort(-(vectors @ PROBE[0]), kind="stable")[:k]
    return [names[at] for at in order]


async def test_without_filters_it_is_the_one_search_it_was() -> None:
    search = Asked()
    excluded = Filters(exclude=frozenset({VideoId(MANY[0])}))
    assert await best(search, excluded) == expected(excluded)
    assert search.asked == [10 + 2]


@pytest.mark.parametrize(
    "filters",
    [
        Filters(genres=frozenset({"rare", "unheard of"})),
        Filters(max_maturity=0),
        Filters(max_maturity=6),
        Filters(genres=frozenset({"RARE"}), region="de"),
    ],
)
async def test_few_allowed_videos_are_compared_without_the_index(filters: Filters) -> None:
    search = Asked()
    assert await best(search, filters) == expected(filters)
    assert search.asked == []


async def test_of_twenty_videos_in_many_all_come() -> None:
    found = await best(Asked(), Filters(genres=frozenset({"Rare"})), k=300)
    assert set(found) == set(RARE)


async def test_of_many_allowed_videos_the_index_is_asked_for_more() -> None:
    search = Asked()
    most = Filters(genres=frozenset({"Common"}))
    assert await best(search, most) == expected(most)
    [asked] = search.asked
    assert 10 * narrow.SURPLUS < asked < 30


async def test_when_too_few_of_the_hits_are_allowed_all_are_compared() -> None:
    search = Asked(brings=3)
    most = Filters(genres=frozenset({"Common"}))
    assert await best(search, most) == expected(most)
    assert len(search.asked) == 1


async def test_nothing_allowed_is_nothing_found() -> None:
    assert await best(Asked(), Filters(genres=frozenset({"unheard of"}))) == []


def passing(filters: Filters) -> set[str]:
    videos = [
        video("everywhere", "drama"),
        video("german", "Crime", "drama", regions=["DE", "at"], maturity=16),
        video("french", "comedy", regions=["fr"], maturity=12),
        video("without genres", maturity=6),
    ]
    snapshot = catalogue_of(videos).snapshot
    return {snapshot.ids[row] for row in np.flatnonzero(snapshot.passing(filters))}


EVERYTHING = {"everywhere", "german", "french", "without genres"}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (Filters(), EVERYTHING),
        (Filters(genres=frozenset({"DRAMA"})), {"everywhere", "german"}),
        (Filters(genres=frozenset({"crime", "comedy"})), {"german", "french"}),
        (Filters(genres=frozenset({"western"})), set()),
        (Filters(region="de"), {"everywhere", "german", "without genres"}),
        (Filters(region="AT"), {"everywhere", "german", "without genres"}),
        (Filters(region="us"), {"everywhere", "without genres"}),
        (Filters(max_maturity=0), {"everywhere"}),
        (Filters(max_maturity=12), EVERYTHING - {"german"}),
        (Filters(genres=frozenset({"comedy"}), region="de"), set()),
        (Filters(exclude=frozenset({VideoId("german")})), EVERYTHING),
    ],
)
def test_which_videos_pass(filters: Filters, names: set[str]) -> None:
    assert passing(filters) == names


def test_an_older_snapshot_knows_nothing_of_later_genres_and_regions() -> None:
    catalogue = catalogue_of([video("first", "drama", regions=["de"])])
    before = catalogue.snapshot
    catalogue.apply([video("second", "crime", regions=["fr"])])
    both = Filters(genres=frozenset({"crime", "drama"}), region="de")
    assert before.passing(both).tolist() == [True]
    assert catalogue.snapshot.passing(both).tolist() == [True, False]
    assert not before.passing(Filters(genres=frozenset({"crime"}))).any()


def test_a_longest_list_fits_what_is_asked_of_the_index() -> None:
    assert LONGEST_LIST * narrow.SURPLUS < narrow.MOST_HITS

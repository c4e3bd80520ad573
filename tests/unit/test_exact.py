import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import Hits, VideoId
from embeddings.items import ItemVectors, item_vectors
from retrieval.exact import ExactSearch, nearest
from storage.memory.index import MemoryIndex
from tests.catalogues import ids, random_vectors, version_of

pytestmark = pytest.mark.unit

NAMES = [f"v{number:03}" for number in range(200)]
ITEMS = item_vectors(ids(*NAMES), random_vectors(200, 16))


def same(found: list[Hits], expected: list[Hits]) -> None:
    assert [hits.ids for hits in found] == [hits.ids for hits in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-5, atol=1e-6)


def twin(names: list[str], vectors: NDArray[np.float32]) -> MemoryIndex:
    index = MemoryIndex()
    index.create("all", vectors.shape[1])
    list(index.upsert("all", names, vectors))
    return index


# Whole numbers, so that many products are exactly equal.
@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 60), k=st.integers(1, 70), seed=st.integers(0, 99))
def test_it_finds_what_the_twin_finds_and_settles_equal_products_by_id(
    count: int, k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    names = [f"{at:x}" for at in rng.permutation(count)]
    vectors = rng.integers(-1, 2, size=(count, 3)).astype(np.float32)
    queries = rng.integers(-1, 2, size=(4, 3)).astype(np.float32)
    found = nearest(item_vectors([VideoId(name) for name in names], vectors), queries, k)
    same(found, twin(names, vectors).search("all", queries, k))


def with_tail(base: ItemVectors, **vectors: NDArray[np.float32]) -> ItemVectors:
    return replace(base, tail=item_vectors(ids(*vectors), np.stack(list(vectors.values()))))


def test_the_tail_is_searched_and_wins_over_what_was_there() -> None:
    query = random_vectors(1, 16, seed=9)
    best, second = nearest(ITEMS, query, 2)[0].ids
    items = with_tail(ITEMS, **{best: -query[0], "new": 9 * query[0]})
    [hits] = nearest(items, query, 3)
    assert hits.ids[:2] == ("new", second)
    [every] = nearest(items, query, 1000)
    assert len(every.ids) == len(set(every.ids)) == 201
    assert every.ids[-1] == best
    np.testing.assert_allclose(every.scores[-1], -(query[0] @ query[0]), rtol=1e-6)


def test_an_answer_does_not_depend_on_the_queries_beside_it() -> None:
    copies = item_vectors(ids(*NAMES), np.repeat(random_vectors(5, 33), 40, axis=0))
    queries = random_vectors(64, 33, seed=3)
    together = nearest(copies, queries, 50)
    for query, hits in zip(queries, together, strict=True):
        [alone] = nearest(copies, query[np.newaxis], 50)
        assert alone.ids == hits.ids
        assert alone.scores.tolist() == hits.scores.tolist()


def test_many_queries_are_answered_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = random_vectors(11, 16, seed=4)
    expected = nearest(ITEMS, queries, 7)
    monkeypatch.setattr("retrieval.exact.MOST_PRODUCTS", 3 * len(ITEMS))
    same(nearest(ITEMS, queries, 7), expected)


async def test_collections_are_those_of_the_open_versions() -> None:
    other = item_vectors(ids("x"), random_vectors(1, 4))
    first = version_of(ITEMS, "content_1")
    second = replace(version_of(other, "als_2"), content=ITEMS)
    versions = [first]
    search = ExactSearch(lambda: versions, most_bytes=1_000_000)
    with pytest.raises(Unavailable, match="videos_als_2"):
        await search.search("videos_als_2", random_vectors(1, 4), 1)
    versions.append(second)
    [hits] = await search.search("videos_als_2", random_vectors(1, 4), 5)
    assert hits.ids == ("x",)
    [hits] = await search.search("content_r1", random_vectors(1, 16), 5)
    assert len(hits.ids) == 5


async def test_more_bytes_than_allowed_are_refused_with_the_reason() -> None:
    tailed = version_of(with_tail(ITEMS, new=random_vectors(1, 16)[0]))
    search = ExactSearch(lambda: [tailed], most_bytes=ITEMS.vectors.nbytes)
    with pytest.raises(Unavailable, match=r"12,864 bytes.*12,800 \(UPNEXT_EXACT_BYTES\)") as raised:
        await search.search("videos_content_1", random_vectors(1, 16), 5)
    assert raised.value.dependency == "exact"


async def test_a_long_search_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave = threading.Event(), threading.Event()

    def waiting(items: ItemVectors, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        entered.set()
        assert leave.wait(10)
        return nearest(items, vectors, k)

    monkeypatch.setattr("retrieval.exact.nearest", waiting)
    monkeypatch.setattr("retrieval.exact.AT_ONCE", 1)
    search = ExactSearch(lambda: [version_of(ITEMS)], most_bytes=ITEMS.vectors.nbytes)
    searching = asyncio.create_task(search.search("videos_content_1", random_vectors(1, 16), 5))
    assert await asyncio.to_thread(entered.wait, 10)
    assert not searching.done()  # and yet this runs
    leave.set()
    [hits] = await searching
    assert len(hits.ids) == 5

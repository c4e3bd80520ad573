"""What searches do, over Milvus, its twin in memory and exact search; what writers do, over two."""

from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import VideoId
from embeddings.items import item_vectors
from retrieval.exact import ExactSearch
from retrieval.ports import VectorSearch
from storage.memory.index import MemoryIndex, MemorySearch
from storage.milvus import MilvusSearch
from storage.milvus_writer import MilvusWriter
from tests.catalogues import version_of
from upnext.jobs.ports import VectorWriter

pytestmark = pytest.mark.contract

DIM = 16
COUNT = 300
IDS = [f"video:{n}|{'é' if n == 0 else 'x'}" for n in range(COUNT)]


# An empty collection of this name with these rows, to be searched.
Hold = Callable[[str, list[str], NDArray[np.float32]], VectorSearch]


class Index:
    def __init__(self, writer: VectorWriter, search: VectorSearch) -> None:
        self.writer = writer
        self.search = search

    def hold(self, name: str, ids: list[str], vectors: NDArray[np.float32]) -> VectorSearch:
        list(fill(self.writer, name, ids, vectors))
        return self.search


@pytest.fixture(params=["memory", "milvus"])
async def index(request: pytest.FixtureRequest) -> AsyncIterator[Index]:
    if request.param == "memory":
        memory = MemoryIndex()
        yield Index(memory, MemorySearch(memory))
        return
    uri = request.getfixturevalue("milvus_uri")
    writer, search = MilvusWriter(uri), MilvusSearch(uri, timeout_seconds=20)
    for name in writer.collections():
        writer.drop(name)
    yield Index(writer, search)
    await search.close()
    writer.close()


def exactly(name: str, ids: list[str], vectors: NDArray[np.float32]) -> ExactSearch:
    """Exact search in an open version whose collection of videos has this name."""
    items = item_vectors([VideoId(id_) for id_ in ids], vectors)
    version = version_of(items, name.removeprefix("videos_"))
    return ExactSearch(lambda: [version], most_bytes=vectors.nbytes)


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    drawn = np.random.default_rng(7).normal(size=(COUNT, DIM)).astype(np.float32)
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def fill(
    writer: VectorWriter, name: str, ids: list[str], vectors: NDArray[np.float32]
) -> Iterator[int]:
    writer.create(name, vectors.shape[1])
    yield from writer.insert(name, ids, vectors)
    writer.seal(name)


class SearchSuite:
    """What every search does."""

    async def test_every_vector_finds_itself_first_with_its_inner_product(
        self, hold: Hold, vectors: NDArray[np.float32]
    ) -> None:
        found = await hold("videos_a", IDS, vectors).search("videos_a", vectors[:8] * 2, 10)
        assert [hits.ids[0] for hits in found] == IDS[:8]
        for hits, query in zip(found, vectors[:8] * 2, strict=True):
            assert len(hits.ids) == len(set(hits.ids)) == 10
            assert hits.scores.dtype == np.float32
            assert hits.without is None
            assert np.all(np.diff(hits.scores) <= 1e-6)
            rows = [IDS.index(id_) for id_ in hits.ids]
            np.testing.assert_allclose(hits.scores, vectors[rows] @ query, atol=1e-5)

    async def test_longer_vectors_have_greater_products(
        self, hold: Hold, vectors: NDArray[np.float32]
    ) -> None:
        lengths = np.array([[1.0], [3.0], [-2.0]], dtype=np.float32)
        search = hold("videos_raw", IDS[:3], vectors[[0, 0, 0]] * lengths)
        [hits] = await search.search("videos_raw", vectors[:1], 3)
        assert hits.ids == (IDS[1], IDS[0], IDS[2])
        np.testing.assert_allclose(hits.scores, [3, 1, -2], atol=1e-5)

    async def test_a_small_collection_gives_all_it_has(
        self, hold: Hold, vectors: NDArray[np.float32]
    ) -> None:
        search = hold("videos_small", IDS[:3], vectors[:3])
        (hits,) = await search.search("videos_small", vectors[:1], 100)
        assert sorted(hits.ids) == sorted(IDS[:3])

    async def test_a_collection_may_be_empty(
        self, hold: Hold, vectors: NDArray[np.float32]
    ) -> None:
        [hits] = await hold("videos_none", [], vectors[:0]).search("videos_none", vectors[:1], 5)
        assert hits.ids == ()

    async def test_no_query_gives_no_answer(self, hold: Hold, vectors: NDArray[np.float32]) -> None:
        search = hold("videos_none", IDS[:3], vectors[:3])
        assert await search.search("videos_none", vectors[:0], 5) == []

    async def test_a_collection_that_is_not_there_is_unavailable(
        self, hold: Hold, vectors: NDArray[np.float32]
    ) -> None:
        search = hold("videos_there", IDS[:3], vectors[:3])
        with pytest.raises(Unavailable):
            await search.search("videos_gone", vectors[:1], 5)

    async def test_an_id_of_128_characters_is_kept_whole(
        self, hold: Hold, vectors: NDArray[np.float32]
    ) -> None:
        long = ["a" * 127 + end for end in "xy"]
        found = await hold("videos_long", long, vectors[:2]).search("videos_long", vectors[:2], 1)
        assert [hits.ids[0] for hits in found] == long


class TestIndexes(SearchSuite):
    @pytest.fixture
    def hold(self, index: Index) -> Hold:
        return index.hold


class TestExactSearch(SearchSuite):
    @pytest.fixture
    def hold(self) -> Hold:
        return exactly


async def test_an_upsert_after_the_seal_is_seen_once_sealed_again(
    index: Index, vectors: NDArray[np.float32]
) -> None:
    list(fill(index.writer, "content_a", IDS[:100], vectors[:100]))
    list(index.writer.upsert("content_a", [IDS[0], IDS[200]], vectors[[250, 200]]))
    index.writer.seal("content_a")
    assert index.writer.count("content_a") == 101
    found = await index.search.search("content_a", vectors[[250, 200, 0]], 1)
    assert [hits.ids for hits in found[:2]] == [(IDS[0],), (IDS[200],)]
    assert found[2].ids != (IDS[0],)


def test_what_a_collection_lacks_is_told_in_order(
    index: Index, vectors: NDArray[np.float32]
) -> None:
    list(fill(index.writer, "content_c", IDS[:3], vectors[:3]))
    asked = ["none:1", IDS[2], "none|2", IDS[0]]
    assert index.writer.lacking("content_c", asked) == ["none:1", "none|2"]
    assert index.writer.lacking("content_c", []) == []
    list(index.writer.upsert("content_c", asked[:1], vectors[3:4]))
    index.writer.seal("content_c")
    assert index.writer.lacking("content_c", asked) == ["none|2"]
    with pytest.raises(Unavailable):
        index.writer.lacking("content_gone", IDS[:1])


async def test_a_scan_gives_every_row_back(index: Index, vectors: NDArray[np.float32]) -> None:
    list(fill(index.writer, "content_b", IDS, vectors))
    rows = {
        id_: vector
        for ids, page in index.writer.scan("content_b")
        for id_, vector in zip(ids, page, strict=True)
    }
    assert sorted(rows) == sorted(IDS)
    np.testing.assert_allclose(np.stack([rows[id_] for id_ in IDS]), vectors, atol=1e-6)


def test_rows_are_deleted(index: Index, vectors: NDArray[np.float32]) -> None:
    list(fill(index.writer, "users_a", IDS[:3], vectors[:3]))
    index.writer.delete("users_a", [IDS[1], "not there"])
    assert index.writer.lacking("users_a", IDS[:3]) == [IDS[1]]


async def test_collections_are_named_made_anew_and_dropped(
    index: Index, vectors: NDArray[np.float32]
) -> None:
    list(fill(index.writer, "videos_b", IDS[:5], vectors[:5]))
    list(fill(index.writer, "videos_c", IDS[:5], vectors[:5]))
    assert index.writer.collections() == ["videos_b", "videos_c"]
    list(fill(index.writer, "videos_b", IDS[5:7], vectors[5:7]))
    assert index.writer.count("videos_b") == 2
    index.writer.drop("videos_c")
    index.writer.drop("videos_c")
    assert index.writer.collections() == ["videos_b"]


def test_writing_tells_how_far_it_is(index: Index, vectors: NDArray[np.float32]) -> None:
    assert list(fill(index.writer, "videos_a", IDS, vectors))[-1] == COUNT
    assert index.writer.count("videos_a") == COUNT


def test_nothing_may_be_written(index: Index, vectors: NDArray[np.float32]) -> None:
    assert list(fill(index.writer, "users_none", [], vectors[:0])) == []
    assert index.writer.count("users_none") == 0
    assert list(index.writer.scan("users_none")) == []


def test_a_collection_that_is_not_there_cannot_be_counted(index: Index) -> None:
    with pytest.raises(Unavailable):
        index.writer.count("videos_gone")

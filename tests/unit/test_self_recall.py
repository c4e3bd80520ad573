"""The share of the true best that an index finds."""

import numpy as np
import pytest

from core.types import VideoId
from embeddings.items import item_vectors
from embeddings.version import Version
from storage.memory.index import MemoryIndex, MemorySearch
from tests.catalogues import version_of
from upnext.jobs.self_recall import DEPTH, SAMPLE, self_recall

pytestmark = pytest.mark.unit

COLLECTION = "videos_als_1"
COUNT, DIM = 600, 8


@pytest.fixture
def version() -> Version:
    vectors = np.random.default_rng(3).normal(size=(COUNT, DIM)).astype(np.float32)
    return version_of(item_vectors([VideoId(f"v{n}") for n in range(COUNT)], vectors), "als_1")


def holding(version: Version) -> MemoryIndex:
    index = MemoryIndex()
    index.create(COLLECTION, DIM)
    ids = [id_.decode() for id_ in version.items.ids.tolist()]
    list(index.insert(COLLECTION, ids, version.items.vectors))
    return index


async def test_an_index_that_has_all_finds_all(version: Version) -> None:
    assert await self_recall(MemorySearch(holding(version)), version) == 1.0


async def test_videos_that_it_lacks_are_missed(version: Version) -> None:
    index = holding(version)
    index.delete(COLLECTION, [f"v{n}" for n in range(COUNT // 2)])
    assert 0.4 < await self_recall(MemorySearch(index), version) < 0.6


async def test_videos_whose_vectors_are_others_are_missed(version: Version) -> None:
    index = holding(version)
    half = [f"v{n}" for n in range(COUNT // 2)]
    list(index.upsert(COLLECTION, half, np.zeros((len(half), DIM), dtype=np.float32)))
    assert await self_recall(MemorySearch(index), version) < 0.7


async def test_any_of_those_as_near_will_do() -> None:
    vectors = np.ones((3 * DEPTH, DIM), dtype=np.float32)
    version = version_of(
        item_vectors([VideoId(f"v{n}") for n in range(len(vectors))], vectors), "als_1"
    )
    index = holding(version)
    index.delete(COLLECTION, [f"v{n}" for n in range(DEPTH)])
    assert await self_recall(MemorySearch(index), version) == 1.0


async def test_fewer_videos_than_are_asked_for_are_no_loss() -> None:
    few = SAMPLE // 2
    vectors = np.random.default_rng(3).normal(size=(few, DIM)).astype(np.float32)
    for count in (few, 0):
        ids = [VideoId(f"v{n}") for n in range(count)]
        version = version_of(item_vectors(ids, vectors[:count]), "als_1")
        assert await self_recall(MemorySearch(holding(version)), version) == 1.0

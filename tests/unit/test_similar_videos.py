import asyncio
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.hashing import hash64_many
from core.types import Hits, VideoId
from embeddings.fold_in import FoldIn, FoldInConfig
from embeddings.items import item_vectors
from embeddings.version import Version
from retrieval.query import Query
from retrieval.similar_videos import SimilarVideos
from storage.memory.index import MemoryIndex, MemorySearch
from tests.catalogues import (
    NOW,
    catalogue_of,
    counted,
    ids,
    indexed,
    user,
    version_of,
    video,
    without,
)

pytestmark = pytest.mark.unit

PLACES = {
    "toy": [1.0, 0.0, 0.0],
    "bug": [0.9, 0.1, 0.0],
    "lion": [0.7, 0.5, 0.0],
    "heist": [0.0, 0.2, 1.0],
}
VIDEOS = [
    video("toy", "animation", "family", creator_id="p", language="en"),
    video("bug", "animation", "family", creator_id="p", language="en"),
    video("lion", "animation", "musical", creator_id="d", language="en"),
    video("heist", "crime", creator_id="w", language="fr"),
    video("just in", "animation", "family", creator_id="d", language="en"),
]
SNAPSHOT = catalogue_of(VIDEOS, [counted("heist", 99), counted("lion", 3)]).snapshot
VERSION, INDEX = indexed(list(PLACES), np.array(list(PLACES.values()), dtype=np.float32))


def _query(name: str, **more: object) -> Query:
    plain = {"snapshot": SNAPSHOT, "now": NOW, "live": VERSION, "filters": without(name)}
    return Query(**(plain | more))  # type: ignore[arg-type]


async def _names(name: str, query: Query, index: MemoryIndex = INDEX) -> tuple[list[str], object]:
    finder = SimilarVideos(MemorySearch(index), deadline_seconds=5)
    found = await finder.find(VideoId(name), query)
    return [candidate.video_id for candidate in found.candidates], found.left_out


async def test_by_content_vector_the_nearest_come_first_and_never_the_video_itself() -> None:
    names, left_out = await _names("toy", _query("toy"))
    assert names[:3] == ["bug", "lion", "heist"]
    assert "toy" not in names
    assert left_out == {}


async def test_what_the_index_lacks_follows_by_its_facts() -> None:
    names, _ = await _names("toy", _query("toy"))
    assert names == ["bug", "lion", "heist", "just in"]


async def test_a_video_without_a_vector_is_met_by_genre_creator_and_language() -> None:
    names, left_out = await _names("just in", _query("just in"))
    # Likeness: toy and bug 0.7 + 0.1; lion 0.7 / 3 + 0.2 + 0.1; heist nothing, it is popular.
    assert set(names[:2]) == {"toy", "bug"}
    assert names[2:] == ["lion", "heist"]
    assert left_out == {"content_vector": "none"}


async def test_before_the_first_version_facts_serve() -> None:
    names, left_out = await _names("toy", _query("toy", live=None))
    assert set(names[:2]) == {"bug", "just in"}
    assert left_out == {"content_vector": "none"}


async def test_without_the_index_facts_serve_and_the_dependency_is_named() -> None:
    names, left_out = await _names("toy", _query("toy"), MemoryIndex())
    assert set(names[:2]) == {"bug", "just in"}
    assert left_out == {"similar": "milvus"}


async def test_what_the_user_has_watched_is_dropped() -> None:
    names, _ = await _names("toy", _query("toy", state=user("bug")))
    assert names == ["lion", "heist", "just in"]


async def test_likeness_by_facts_adds_up() -> None:
    finder = SimilarVideos(MemorySearch(INDEX), deadline_seconds=5)
    found = await finder.find(VideoId("just in"), _query("just in"))
    likeness = {str(entry.video_id): entry.similarity for entry in found.candidates}
    assert likeness["toy"] == pytest.approx(0.7 + 0.1)
    assert likeness["lion"] == pytest.approx(0.7 / 3 + 0.2 + 0.1)
    assert likeness["heist"] == 0


# People who watch `toy` watch `heist`; `just in` is new, `lion` is little watched.
TASTES = np.array([[2, 0, 1], [0, 2, 0], [0, 1, 1], [2.5, 0, 0], [1, 0, 3]], dtype=np.float32)
TEXTS = np.array(
    [[1, 0, 0], [0.9, 0.1, 0], [0.7, 0.5, 0], [0, 0.2, 1], [0.8, 0.3, 0]], dtype=np.float32
)
NAMES = ["toy", "bug", "lion", "heist", "just in"]
WATCHES = [100, 40, 19, 60, 0]


def _learnt(watches: list[int] = WATCHES) -> tuple[Version, MemoryIndex]:
    """An als version of `VIDEOS`, and an index that has its collections."""
    items, content = item_vectors(ids(*NAMES), TASTES), item_vectors(ids(*NAMES), TEXTS)
    folding = FoldInConfig(
        videos=5, unobserved=0.01, regularisation=0.1, exponent=1.0, half_life=None
    )
    version = replace(
        version_of(content, "als_1"),
        model_type="als",
        items=items,
        watches=np.array(watches, dtype=np.int32)[np.argsort(hash64_many(NAMES))],
        encoder=FoldIn(folding, TASTES.T @ TASTES),
    )
    index = MemoryIndex()
    for collection, vectors in (("videos_als_1", TASTES), ("content_r1", TEXTS)):
        index.create(collection, 3)
        list(index.upsert(collection, NAMES, vectors))
    return version, index


async def test_behaviour_leads_for_a_video_that_many_watched() -> None:
    version, index = _learnt()
    names, left_out = await _names("toy", _query("toy", live=version), index)
    assert names[0] == "heist"
    assert "toy" not in names
    assert left_out == {}


async def test_likeness_is_the_shares_of_both_spaces_whichever_found_it() -> None:
    version, index = _learnt()
    finder = SimilarVideos(MemorySearch(index), deadline_seconds=5)
    found = await finder.find(VideoId("toy"), _query("toy", live=version))
    likeness = {str(entry.video_id): entry.similarity for entry in found.candidates}
    taste = version.encoder.encode(TASTES[:1], np.ones(1, dtype=np.float32))
    assert taste is not None
    behaviour, content = TASTES @ taste, TEXTS @ TEXTS[0]
    behaviour, content = behaviour / behaviour[1:].max(), content / content[1:].max()
    share = 100 / 105
    expected = share * behaviour + (1 - share) * content
    assert likeness == pytest.approx(dict(zip(NAMES[1:], expected[1:].tolist(), strict=True)))


@pytest.mark.parametrize("watches", [[19, 40, 19, 60, 0], [0, 40, 19, 60, 0]])
async def test_a_video_that_few_watched_is_met_by_its_text(watches: list[int]) -> None:
    version, index = _learnt(watches)
    index.drop("videos_als_1")  # behaviour space is not even asked
    names, left_out = await _names("toy", _query("toy", live=version), index)
    assert names == ["bug", "just in", "lion", "heist"]
    assert left_out == {}


async def test_the_content_model_has_no_behaviour_space() -> None:
    version, index = _learnt()
    index.drop("videos_als_1")
    live = replace(version, model_type="content")
    names, left_out = await _names("toy", _query("toy", live=live), index)
    assert names == ["bug", "just in", "lion", "heist"]
    assert left_out == {}


@pytest.mark.parametrize(("missing", "first"), [("content_r1", "heist"), ("videos_als_1", "bug")])
async def test_one_space_answers_while_the_other_is_away(missing: str, first: str) -> None:
    version, index = _learnt()
    index.drop(missing)
    names, left_out = await _names("toy", _query("toy", live=version), index)
    assert names[0] == first
    assert len(names) == 4
    assert left_out == {"similar": "milvus"}


async def test_both_spaces_are_searched_at_once() -> None:
    version, index = _learnt()
    both = asyncio.Barrier(2)

    class Waiting(MemorySearch):
        async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
            await both.wait()
            return await super().search(collection, vectors, k)

    finder = SimilarVideos(Waiting(index), deadline_seconds=1)
    found = await finder.find(VideoId("toy"), _query("toy", live=version))
    assert found.left_out == {}


async def test_what_was_watched_is_dropped_from_both_spaces() -> None:
    version, index = _learnt()
    state = user("heist", "bug")
    names, _ = await _names("toy", _query("toy", live=version, state=state), index)
    assert sorted(names) == ["just in", "lion"]

import numpy as np
import pytest

from core.types import VideoId
from retrieval.query import Query
from retrieval.similar_videos import SimilarVideos
from storage.memory.index import MemoryIndex, MemorySearch
from tests.catalogues import NOW, catalogue_of, counted, ids, indexed, user, video

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
    plain = {"snapshot": SNAPSHOT, "now": NOW, "live": VERSION, "exclude": frozenset(ids(name))}
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

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import Hits
from storage.memory.index import MemoryIndex
from upnext.jobs.publish import Publication, Rows, publish, verify

pytestmark = pytest.mark.unit

LIVE = ["content_r1", "users_old", "videos_old"]


def rows(prefix: str, count: int, dim: int, seed: int = 0) -> Rows:
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return Rows([f"{prefix}{n}" for n in range(count)], unit)


def publication(version: str, videos: int = 60) -> Publication:
    return Publication(version, "r1", rows("v", videos, 8), rows("u", 20, 8), rows("v", videos, 16))


class Breaking(MemoryIndex):
    """Fails at one step, for one collection."""

    step = ""
    collection = ""

    def _break(self, step: str, collection: str) -> None:
        if (step, collection) == (self.step, self.collection):
            raise Unavailable("milvus", f"{step} of {collection} failed")

    def create(self, collection: str, dim: int) -> None:
        self._break("create", collection)
        super().create(collection, dim)

    def insert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        yield from super().insert(collection, ids[:10], vectors[:10])
        self._break("insert", collection)
        yield from super().insert(collection, ids[10:], vectors[10:])

    def seal(self, collection: str) -> None:
        self._break("seal", collection)
        super().seal(collection)

    def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self._break("search", collection)
        found = super().search(collection, vectors, k)
        if (self.step, self.collection) != ("scramble", collection):
            return found
        return [Hits(hits.ids[::-1], hits.scores) for hits in found]


@pytest.fixture
def index() -> Breaking:
    """An index with a published version."""
    made = Breaking()
    publish(made, publication("old"), [], ignore)
    return made


def ignore(_share: float, _message: str) -> None:
    pass


def test_a_publication_makes_three_collections_that_find_their_rows(index: Breaking) -> None:
    assert index.collections() == LIVE
    what = publication("new", videos=70)
    publish(index, what, [], ignore)
    assert index.collections() == sorted([*LIVE, "users_new", "videos_new"])
    assert index.count("content_r1") == index.count("videos_new") == 70
    assert index.count("videos_old") == 60
    [hits] = index.search("videos_new", what.videos.vectors[69:], 1)
    assert hits.ids == ("v69",)


def test_content_is_completed_and_changed_and_keeps_what_came_meanwhile(index: Breaking) -> None:
    what = publication("new")
    came = rows("later", 1, 16, seed=3)
    list(index.upsert("content_r1", came.ids, came.vectors))
    changed = what.content.vectors.copy()
    changed[5] = -changed[5]
    content = Rows([*what.content.ids[:-1], "added"], changed)
    publish(index, Publication("new", "r1", what.videos, what.users, content), [], ignore)
    [(ids, vectors)] = list(index.scan("content_r1"))
    assert sorted(ids) == sorted([*what.content.ids, "added", "later0"])
    np.testing.assert_array_equal(vectors[ids.index("v5")], changed[5])
    np.testing.assert_array_equal(vectors[ids.index("later0")], came.vectors[0])


@pytest.mark.parametrize("collection", ["videos_new", "users_new"])
@pytest.mark.parametrize("step", ["create", "insert", "seal", "search", "scramble"])
def test_a_failure_leaves_what_is_live_alone_and_nothing_else(
    index: Breaking, step: str, collection: str
) -> None:
    index.step, index.collection = step, collection
    with pytest.raises(Unavailable):
        publish(index, publication("new"), [], ignore)
    assert index.collections() == LIVE
    assert [index.count(name) for name in LIVE] == [60, 20, 60]
    index.step = ""
    publish(index, publication("new"), [], ignore)
    assert index.count("videos_new") == 60


def test_a_failure_of_the_first_publication_leaves_nothing() -> None:
    index = Breaking()
    index.step, index.collection = "search", "users_new"
    with pytest.raises(Unavailable):
        publish(index, publication("new"), [], ignore)
    assert index.collections() == []


def test_a_stop_signal_drops_what_was_made(index: Breaking) -> None:
    def stop(share: float, _message: str) -> None:
        if share > 0.7:
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        publish(index, publication("new"), [], stop)
    assert index.collections() == LIVE


def test_what_dead_runs_left_is_dropped_first_and_nothing_else(index: Breaking) -> None:
    publish(index, publication("dead"), [], ignore)
    for name in ("videos_unknown", "users_killed"):
        index.create(name, 8)
    dead = ["dead", "killed", "never_published"]
    index.step, index.collection = "create", "videos_new"
    with pytest.raises(Unavailable):
        publish(index, publication("new"), dead, ignore)
    assert index.collections() == sorted([*LIVE, "videos_unknown"])


@pytest.mark.parametrize("written", [0, 10])
def test_content_that_a_killed_publish_left_half_made_is_completed(
    index: Breaking, written: int
) -> None:
    index.create("content_r1", 16)
    what = publication("new")
    list(index.insert("content_r1", what.content.ids[:written], what.content.vectors[:written]))
    publish(index, what, [], ignore)
    assert index.count("content_r1") == 60


def test_missing_rows_are_seen() -> None:
    index = MemoryIndex()
    index.create("videos_a", 8)
    whole = rows("v", 30, 8)
    list(index.insert("videos_a", whole.ids[:-1], whole.vectors[:-1]))
    with pytest.raises(Unavailable, match="holds 29 rows, 30 were written"):
        verify(index, "videos_a", whole)


def test_many_equal_rows_are_no_lack_of_recall() -> None:
    index = MemoryIndex()
    same = Rows([f"v{n}" for n in range(50)], np.tile(rows("v", 1, 8).vectors, (50, 1)))
    index.create("videos_a", 8)
    list(index.insert("videos_a", same.ids, same.vectors))
    verify(index, "videos_a", same)


def test_no_users_are_published_as_an_empty_collection() -> None:
    index = MemoryIndex()
    none = Rows([], np.zeros((0, 8), dtype=np.float32))
    what = Publication("new", "r1", rows("v", 20, 8), none, rows("v", 20, 16))
    publish(index, what, [], ignore)
    assert index.count("users_new") == 0

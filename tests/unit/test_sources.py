from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import Unavailable
from core.hashing import hash64_many
from core.types import Hits, Video, VideoId
from embeddings.fold_in import FoldIn, FoldInConfig
from embeddings.items import item_vectors
from embeddings.user_encoder import user_vector
from retrieval.nearest import Nearest
from retrieval.new import New
from retrieval.popular import Popular
from retrieval.query import CandidateSource, Query
from retrieval.similar import LAST_WATCHED, Similar
from retrieval.trending import Trending
from storage.memory.index import MemoryIndex, MemorySearch
from tests.catalogues import (
    NOW,
    catalogue_of,
    counted,
    indexed,
    random_vectors,
    user,
    video,
    without,
)

pytestmark = pytest.mark.unit

NAMES = [f"v{number:02}" for number in range(30)]
IDS = [VideoId(name) for name in NAMES]
VECTORS = random_vectors(len(NAMES))
VERSION, INDEX = indexed([*NAMES, "not in the catalogue"], random_vectors(len(NAMES) + 1))


def _catalogue() -> list[Video]:
    videos = {name: video(name, age_days=age) for age, name in enumerate(NAMES)}
    videos["v03"] = video("v03", age_days=3, available=False)
    videos["v04"] = video("v04", age_days=4, available_from=NOW + timedelta(hours=1))
    return list(videos.values())


def _query(wanted: int = 10) -> Query:
    counters = [counted(name, 5 + place) for place, name in enumerate(NAMES)]
    state = user("v00", "v01", watched=["v02"])
    return Query(
        snapshot=catalogue_of(_catalogue(), counters).snapshot,
        now=NOW,
        wanted=wanted,
        state=state,
        user_vector=user_vector(VERSION.encoder, state.recent, VERSION.items),
        live=VERSION,
        filters=without("v05", "nobody"),
    )


def _fold_in() -> FoldIn:
    config = FoldInConfig(
        videos=len(NAMES), unobserved=0.1, regularisation=0.1, exponent=1.0, half_life=None
    )
    return FoldIn(config, VERSION.items.vectors.T @ VERSION.items.vectors)


class SourceSuite:
    """What every source must do."""

    barred = frozenset({"v00", "v01", "v02", "v03", "v04", "v05", "not in the catalogue"})

    def source(self) -> CandidateSource:
        raise NotImplementedError

    async def test_brings_only_allowed_videos_and_each_once(self) -> None:
        found = await self.source().find(_query(wanted=100))
        names = [candidate.video_id for candidate in found]
        assert names
        assert not self.barred.intersection(names)
        assert len(names) == len(set(names))

    async def test_brings_as_many_as_wanted_under_its_own_name(self) -> None:
        source = self.source()
        found = await source.find(_query(wanted=10))
        assert len(found) == 10
        assert {candidate.source for candidate in found} == {source.name}

    async def test_brings_nothing_from_an_empty_catalogue(self) -> None:
        state = user("v00")
        query = Query(
            snapshot=catalogue_of([]).snapshot,
            now=NOW,
            state=state,
            user_vector=user_vector(VERSION.encoder, state.recent, VERSION.items),
            live=VERSION,
        )
        assert await self.source().find(query) == []


class TestNearest(SourceSuite):
    def source(self) -> CandidateSource:
        return Nearest(MemorySearch(INDEX))


class TestSimilar(SourceSuite):
    def source(self) -> CandidateSource:
        return Similar(MemorySearch(INDEX))


class TestTrending(SourceSuite):
    def source(self) -> CandidateSource:
        return Trending()


class TestPopular(SourceSuite):
    def source(self) -> CandidateSource:
        return Popular()


class TestNew(SourceSuite):
    def source(self) -> CandidateSource:
        return New()


class AskedSearch:
    """A search that notes what it was asked."""

    def __init__(self, index: MemoryIndex) -> None:
        self._search = MemorySearch(index)
        self.asked: list[tuple[str, int, int]] = []

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self.asked.append((collection, len(vectors), k))
        return await self._search.search(collection, vectors, k)


async def test_nearest_gives_a_stranger_what_is_near_to_what_everybody_watches() -> None:
    watches = np.zeros(len(VERSION.items), dtype=np.int32)
    watches[:3] = 7, 2, 1
    version = replace(VERSION, encoder=_fold_in(), watches=watches)
    search = AskedSearch(INDEX)
    query = replace(_query(wanted=5), user_vector=None, live=version)
    found = await Nearest(search).find(query)
    everybody = watches @ version.items.vectors / 10
    allowed, _ = version.items.at(hash64_many(NAMES))
    scores = np.where(query.allows(query.snapshot.rows(IDS)), allowed @ everybody, -np.inf)
    best = np.argsort(-scores)[:5]
    assert [entry.video_id for entry in found] == [NAMES[at] for at in best]
    assert [entry.similarity for entry in found] == pytest.approx(scores[best], rel=1e-5)
    assert not search.asked


async def test_nearest_gives_a_stranger_nothing_where_nobody_watched_anything() -> None:
    version = replace(VERSION, encoder=_fold_in())
    assert not version.watches.any()
    query = replace(_query(), user_vector=None, live=version)
    assert await Nearest(MemorySearch(INDEX)).find(query) == []


def test_a_strangers_favourites_are_of_the_tail_too() -> None:
    far = np.full((2, VERSION.items.dim), 100, dtype=np.float32)
    tail = item_vectors([VideoId("new"), VideoId("v00")], far)
    watches = np.ones(len(VERSION.items), dtype=np.int32)
    version = replace(
        VERSION, encoder=_fold_in(), items=replace(VERSION.items, tail=tail), watches=watches
    )
    hashes, scores = version.favourites
    everybody = version.items.vectors.mean(axis=0)
    [new, known] = hash64_many(["new", "v00"])
    kept, _ = version.items.at(hashes)
    assert {new, known} <= set(hashes.tolist())
    assert len(np.unique(hashes)) == len(hashes)
    assert scores == pytest.approx(kept @ everybody, rel=1e-4)
    assert (np.diff(scores) <= 0).all()


async def test_nearest_gives_a_heavy_user_as_many_as_a_light_one() -> None:
    names = [str(number) for number in range(9_125)]
    version, index = indexed(names, random_vectors(len(names), dim=4))
    watched = names[:2_391]
    state = user(*watched[:200], watched=watched)
    search = AskedSearch(index)
    query = Query(
        snapshot=catalogue_of([video(name) for name in names]).snapshot,
        now=NOW,
        wanted=300,
        state=state,
        # Straight at what was watched: nearly all that is near has been seen.
        user_vector=user_vector(version.encoder, state.recent, version.items),
        live=version,
    )
    found = await Nearest(search).find(query)
    assert search.asked == [("videos_content_1", 1, 300 + 2_391)]
    assert len(found) == 300
    assert not {candidate.video_id for candidate in found} & set(watched)


@pytest.mark.parametrize("source", [Nearest(MemorySearch(INDEX)), Similar(MemorySearch(INDEX))])
async def test_personal_sources_need_a_version_and_a_history(source: CandidateSource) -> None:
    snapshot = catalogue_of(_catalogue()).snapshot
    assert await source.find(Query(snapshot, NOW)) == []
    assert await source.find(Query(snapshot, NOW, live=VERSION)) == []
    assert await source.find(Query(snapshot, NOW, live=VERSION, state=user("unheard of"))) == []


async def test_personal_sources_say_when_the_index_is_away() -> None:
    nothing = MemorySearch(MemoryIndex())
    for source in (Nearest(nothing), Similar(nothing)):
        with pytest.raises(Unavailable):
            await source.find(_query())


async def test_similar_asks_once_for_the_last_few_watched() -> None:
    search = AskedSearch(INDEX)
    snapshot = catalogue_of(_catalogue()).snapshot
    query = Query(snapshot, NOW, wanted=10, state=user(*NAMES[:9]), live=VERSION)
    await Similar(search).find(query)
    assert search.asked == [("content_r1", LAST_WATCHED, 2 * 10 // LAST_WATCHED)]


async def test_similar_does_not_ask_what_is_like_a_video_without_a_text() -> None:
    vectors = random_vectors(len(NAMES))
    vectors[:2] = 0
    version, index = indexed(NAMES, vectors)
    search, snapshot = AskedSearch(index), catalogue_of(_catalogue()).snapshot
    query = Query(snapshot, NOW, wanted=10, state=user("v00", "v01"), live=version)
    assert await Similar(search).find(query) == []
    query = Query(snapshot, NOW, wanted=10, state=user("v00", "v07"), live=version)
    assert await Similar(search).find(query)
    assert [asked for _, asked, _ in search.asked] == [1]


async def test_similar_lets_each_watched_video_have_its_say() -> None:
    # Two kinds: the vectors of one lie close together, those of the other far apart.
    tight = {f"tight{n}": [1.0, 0.01 * n, 0.0] for n in range(6)}
    loose = {f"loose{n}": [0.0, 0.5 * n, 1.0] for n in range(6)}
    both = tight | loose
    version, index = indexed(list(both), np.array(list(both.values()), dtype=np.float32))
    snapshot = catalogue_of([video(name) for name in both]).snapshot
    query = Query(snapshot, NOW, wanted=4, state=user("tight0", "loose0"), live=version)
    found = await Similar(MemorySearch(index)).find(query)
    assert [candidate.video_id for candidate in found] == ["tight1", "loose1", "tight2", "loose2"]


async def test_similar_keeps_the_best_similarity_of_several_hits() -> None:
    class TwoAnswers:
        async def search(
            self, _collection: str, vectors: NDArray[np.float32], _k: int
        ) -> list[Hits]:
            assert len(vectors) == 2
            return [_hits(("v10", 0.9), ("v11", 0.2)), _hits(("v11", 0.8), ("v10", 0.1))]

    query = Query(catalogue_of(_catalogue()).snapshot, NOW, state=user("v00", "v01"), live=VERSION)
    found = await Similar(TwoAnswers()).find(query)
    told = [(candidate.video_id, round(candidate.similarity, 6)) for candidate in found]
    assert told == [("v10", 0.9), ("v11", 0.8)]


def _hits(*pairs: tuple[str, float]) -> Hits:
    scores = np.array([score for _, score in pairs], dtype=np.float32)
    return Hits(tuple(VideoId(name) for name, _ in pairs), scores)


async def test_new_leaves_out_what_is_still_to_come() -> None:
    videos = [video("tomorrow", age_days=-1), video("today", age_days=0), video("old")]
    found = await New().find(Query(catalogue_of(videos).snapshot, NOW))
    assert [candidate.video_id for candidate in found] == ["today", "old"]


@pytest.mark.parametrize("watched_of_the_most_popular", [0, 7, 29])
async def test_popular_goes_on_below_what_the_user_has_watched(
    watched_of_the_most_popular: int,
) -> None:
    by_popularity = NAMES[::-1]
    counters = [counted(name, 5 + place) for place, name in enumerate(NAMES)]
    snapshot = catalogue_of([video(name) for name in NAMES], counters).snapshot
    state = user(*by_popularity[:watched_of_the_most_popular])
    found = await Popular().find(Query(snapshot, NOW, wanted=3, state=state))
    expected = by_popularity[watched_of_the_most_popular:][:3]
    assert [candidate.video_id for candidate in found] == expected

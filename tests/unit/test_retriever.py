import asyncio
from collections.abc import Mapping, Sequence
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.errors import Unavailable
from core.types import Candidate, Source, VideoId
from embeddings.user_encoder import user_vector
from retrieval.merge import merge, top_up
from retrieval.nearest import Nearest
from retrieval.new import New
from retrieval.popular import Popular
from retrieval.query import CandidateSource, Query
from retrieval.retriever import LONGEST_LIST, Retriever
from retrieval.similar import Similar
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

NAMES = [f"v{number:03}" for number in range(150)]
SNAPSHOT = catalogue_of(
    [video(name, age_days=age, available=age % 10 != 0) for age, name in enumerate(NAMES)],
    [counted(name, 1 + place % 7) for place, name in enumerate(NAMES)],
).snapshot
VERSION, INDEX = indexed(NAMES, random_vectors(len(NAMES)))
PLENTY: Mapping[Source, int] = dict.fromkeys(get_args(Source), 1000)


class Fixed:
    """A source that brings what it was given, or fails."""

    def __init__(self, name: Source, *brings: str, error: Exception | None = None) -> None:
        self.name: Source = name
        self._brings = brings
        self._error = error

    async def find(self, query: Query) -> list[Candidate]:
        assert query.snapshot is SNAPSHOT
        if self._error is not None:
            raise self._error
        return [Candidate(VideoId(name), self.name, 0.5) for name in self._brings]


class Late(Fixed):
    """A source that never answers, and tells when it began and when it was stopped."""

    def __init__(self, name: Source) -> None:
        super().__init__(name)
        self.began = asyncio.Event()
        self.stopped = asyncio.Event()

    async def find(self, query: Query) -> list[Candidate]:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()
        return await super().find(query)


def names_of(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.video_id for candidate in candidates]


def test_merge_gives_credit_to_the_first() -> None:
    found: dict[Source, list[Candidate]] = {
        "nearest": [Candidate(VideoId("v001"), "nearest", 0.3)],
        "similar": [
            Candidate(VideoId("v001"), "similar", 0.9),
            Candidate(VideoId("v002"), "similar", 0.2),
        ],
        "popular": [Candidate(VideoId("v002"), "popular", 0.0)],
    }
    assert merge(found, Query(SNAPSHOT, NOW), PLENTY) == [
        Candidate(VideoId("v001"), "nearest", 0.3),
        Candidate(VideoId("v002"), "similar", 0.2),
    ]


def test_merge_keeps_to_the_quotas() -> None:
    found: dict[Source, list[Candidate]] = {
        "nearest": [Candidate(VideoId(name), "nearest") for name in ("v001", "v002", "v003")],
        "new": [Candidate(VideoId(name), "new") for name in ("v001", "v003", "v004", "v005")],
    }
    merged = merge(found, Query(SNAPSHOT, NOW), {"nearest": 2, "new": 1})
    assert [(entry.video_id, entry.source) for entry in merged] == [
        ("v001", "nearest"),
        ("v002", "nearest"),
        ("v003", "new"),
    ]


_any_name = st.sampled_from([*NAMES, "nobody", "nothing"])
_found = st.dictionaries(
    st.sampled_from(get_args(Source)), st.lists(_any_name, max_size=60), max_size=5
)


@settings(max_examples=80, deadline=None)
@given(
    found=_found,
    watched=st.lists(_any_name, max_size=140),
    excluded=st.frozensets(_any_name, max_size=20),
)
def test_candidates_are_never_watched_barred_or_repeated_and_always_enough(
    found: dict[Source, list[str]], watched: list[str], excluded: frozenset[str]
) -> None:
    query = Query(
        SNAPSHOT, NOW, state=user(*watched[:5], watched=watched), filters=without(*excluded)
    )
    given_ = {
        source: [Candidate(VideoId(name), source) for name in names]
        for source, names in found.items()
    }
    names = names_of(top_up(merge(given_, query, PLENTY), query, LONGEST_LIST))
    may = {name for age, name in enumerate(NAMES) if age % 10} - set(watched) - excluded
    assert set(names) <= may
    assert len(names) == len(set(names))
    assert len(names) >= min(LONGEST_LIST, len(may))


async def test_all_sources_together_fill_a_list_for_a_known_user() -> None:
    search = MemorySearch(INDEX)
    sources: list[CandidateSource] = [
        Nearest(search),
        Similar(search),
        Trending(),
        Popular(),
        New(),
    ]
    state = user(*NAMES[1:4])
    query = Query(
        SNAPSHOT,
        NOW,
        wanted=60,
        state=state,
        user_vector=user_vector(VERSION.encoder, state.recent, VERSION.items),
        live=VERSION,
    )
    found = await Retriever(sources, deadline_seconds=5).find(query)
    assert found.left_out == {}
    assert {candidate.source for candidate in found.candidates} >= {"nearest", "popular", "new"}
    assert len(found.candidates) >= LONGEST_LIST


async def test_without_an_index_the_list_is_popular_and_says_why() -> None:
    nothing = MemorySearch(MemoryIndex())
    sources: list[CandidateSource] = [Nearest(nothing), Similar(nothing), Popular()]
    state = user(*NAMES[1:4])
    query = Query(
        SNAPSHOT,
        NOW,
        state=state,
        user_vector=user_vector(VERSION.encoder, state.recent, VERSION.items),
        live=VERSION,
    )
    found = await Retriever(sources, deadline_seconds=5).find(query)
    assert found.left_out == {"nearest": "milvus", "similar": "milvus"}
    assert len(found.candidates) == LONGEST_LIST
    assert {candidate.source for candidate in found.candidates} == {"popular"}


async def test_a_late_source_is_stopped_and_left_out() -> None:
    late = Late("nearest")
    retriever = Retriever([late, Fixed("similar", "v001")], deadline_seconds=0.01)
    found = await retriever.find(Query(SNAPSHOT, NOW))
    assert found.left_out == {"nearest": "deadline"}
    assert found.candidates[0] == Candidate(VideoId("v001"), "similar", 0.5)
    await asyncio.wait_for(late.stopped.wait(), 5)


async def test_a_broken_source_is_left_out_and_logged() -> None:
    broken = Fixed("similar", error=ValueError("a fault of ours"))
    with capture_logs() as logs:
        found = await Retriever([broken], deadline_seconds=5).find(Query(SNAPSHOT, NOW))
    assert found.left_out == {"similar": "internal"}
    assert len(found.candidates) == LONGEST_LIST
    assert [line["source"] for line in logs if line["log_level"] == "error"] == ["similar"]


async def test_a_dependency_that_is_away_is_named_without_a_log_line_a_request() -> None:
    away = Fixed("nearest", error=Unavailable("milvus"))
    with capture_logs() as logs:
        found = await Retriever([away], deadline_seconds=5).find(Query(SNAPSHOT, NOW))
    assert found.left_out == {"nearest": "milvus"}
    assert logs == []


async def test_a_caller_who_goes_takes_the_sources_along() -> None:
    late = Late("nearest")
    finding = asyncio.create_task(Retriever([late], deadline_seconds=60).find(Query(SNAPSHOT, NOW)))
    await late.began.wait()
    finding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finding
    await asyncio.wait_for(late.stopped.wait(), 5)


@pytest.mark.parametrize("name", ["trending", "popular", "new"])
async def test_a_listing_is_the_source_first_and_full(name: Source) -> None:
    retriever = Retriever([Trending(), Popular(), New()], deadline_seconds=5)
    query = Query(SNAPSHOT, NOW, wanted=5, state=user("v001"))
    found = (await retriever.listing(name, query)).candidates
    assert len(found) == LONGEST_LIST
    assert found[0].source == name
    assert "v001" not in names_of(found)
    assert len(set(names_of(found))) == LONGEST_LIST

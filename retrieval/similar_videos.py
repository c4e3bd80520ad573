"""Videos like a given one: by its vectors, by what is known of it while it has none."""

import numpy as np
from numpy.typing import NDArray

from core.types import Candidate, Hits, VideoId
from retrieval.merge import filled, top_up
from retrieval.narrow import search_allowed
from retrieval.ports import VectorSearch
from retrieval.query import Query, candidates
from retrieval.retriever import LONGEST_LIST, Retrieved
from retrieval.similar_spaces import Space, nearest_in, spaces_of
from retrieval.snapshot import Snapshot
from retrieval.together import together
from retrieval.vocabulary import NONE

GENRE, CREATOR, LANGUAGE = 0.7, 0.2, 0.1  # shares of likeness by facts; they add up to 1


class SimilarVideos:
    """Candidates for `GET /videos/{id}/similar`, credited to `similar`."""

    def __init__(self, search: VectorSearch, *, deadline_seconds: float) -> None:
        self._search = search
        self._deadline_seconds = deadline_seconds

    async def find(self, video_id: VideoId, query: Query) -> Retrieved:
        """Up to 100 candidates, most alike first; `query.filters` must exclude the video itself.

        Args:
            video_id: a video of the snapshot.
            query: `live` is what gives the vectors; `state` drops what that user has watched.

        Returns:
            `left_out` has `content_vector` when the video has no vector yet, `similar` when a
            search failed; without any, the candidates are alike in genre, creator and language.
        """
        spaces = spaces_of(video_id, query.live)
        if not spaces:
            alike = top_up(by_facts(video_id, query), query, LONGEST_LIST)
            return Retrieved(alike, {"content_vector": "none"})
        named = {space.where.collection: space for space in spaces}
        calls = {name: self._search_in(space, query) for name, space in named.items()}
        answers, missing = await together(calls, self._deadline_seconds)
        found = [(space, answers[name]) for name, space in named.items() if name in answers]
        near = nearest_in(found, query) if found else []
        if len(near) < LONGEST_LIST:
            near = filled(near, by_facts(video_id, query), LONGEST_LIST)
        left_out = {"similar": next(iter(missing.values()))} if missing else {}
        return Retrieved(top_up(near, query, LONGEST_LIST), left_out, frozenset(query.without))

    async def _search_in(self, space: Space, query: Query) -> Hits:
        [hits] = await search_allowed(
            self._search, query, space.where, space.probe, k=LONGEST_LIST, surplus=query.barred
        )
        return hits


def by_facts(video_id: VideoId, query: Query) -> list[Candidate]:
    """The 100 allowed videos most alike in genres, creator and language, the popular ones first.

    Likeness is 0.7 times the share of genres in common (Jaccard), 0.2 for the same creator and
    0.1 for the same language; videos with nothing in common are left out.
    """
    snapshot = query.snapshot
    likeness = _likeness(snapshot, int(snapshot.rows([video_id])[0]))
    popular = snapshot.popular_rows[likeness[snapshot.popular_rows] > 0]
    order = popular[np.argsort(-likeness[popular], kind="stable")]
    rows = query.first(order, LONGEST_LIST)
    return candidates(query, rows, "similar", likeness[rows].tolist())


def _likeness(snapshot: Snapshot, row: int) -> NDArray[np.float64]:
    facts, table = snapshot.facts, snapshot.genre_table
    own = facts[row]
    genres = table[own["genre_set"]]
    common = (table & genres).sum(axis=1) / np.maximum((table | genres).sum(axis=1), 1)
    creator = (facts["creator"] == own["creator"]) & (own["creator"] != NONE)
    language = (facts["language"] == own["language"]) & (own["language"] != NONE)
    likeness = GENRE * common[facts["genre_set"]] + CREATOR * creator + LANGUAGE * language
    return np.asarray(likeness, dtype=np.float64)

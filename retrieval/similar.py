"""Videos whose texts are like those of what the user watched last."""

import numpy as np
from numpy.typing import NDArray

from core.types import Candidate, Hits, Source
from retrieval.narrow import Vectors, search_allowed
from retrieval.ports import VectorSearch
from retrieval.query import Query, candidates
from retrieval.snapshot import Snapshot

LAST_WATCHED = 5
# The vectors share the wanted, and asking for twice that makes up for what they find in common
# and what was watched. A hit costs more than a distance does, so asking each for all is slow.
SURPLUS = 2


class Similar:
    """One search with the content vectors of the last few watched videos as query vectors."""

    name: Source = "similar"

    def __init__(self, search: VectorSearch) -> None:
        self._search = search

    async def find(self, query: Query) -> list[Candidate]:
        """See `CandidateSource.find`; nothing when no watched video has a content vector.

        One of zeros, of a video without a text, is none: everything would be as near to it.
        """
        if query.live is None or query.state is None:
            return []
        recent = [watch.video_id for watch in query.state.recent[:LAST_WATCHED]]
        vectors, _ = query.live.content.take(recent)
        vectors = vectors[vectors.any(axis=1)]
        if not len(vectors):
            return []
        where = Vectors(f"content_{query.live.content_revision}", query.live.content)
        each = min(query.wanted, SURPLUS * query.wanted // len(vectors))
        found = await search_allowed(self._search, query, where, vectors, k=each, surplus=0)
        rows, scores = interleaved(found, query.snapshot)
        keep = np.flatnonzero(query.allows(rows))[: query.wanted]
        return candidates(query, rows[keep], self.name, scores[keep].tolist())


def interleaved(
    found: list[Hits], snapshot: Snapshot
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows of all hits, the best of each query vector first, then the second best ...

    So each watched video has its say, however tight the company of another one. A row that
    several vectors hit comes once, with its highest score.
    """
    rows = np.concatenate([snapshot.rows(hits.ids) for hits in found])
    scores = np.concatenate([hits.scores for hits in found])
    places = np.concatenate([np.arange(len(hits.ids)) for hits in found])
    best_first = np.lexsort((-scores, rows))
    once, first_at = np.unique(rows[best_first], return_index=True)
    best = scores[best_first][first_at]
    place = np.full(len(once), np.iinfo(np.int64).max)
    np.minimum.at(place, np.searchsorted(once, rows), places)
    order = np.lexsort((once, -best, place))
    return once[order], best[order]

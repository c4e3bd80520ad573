"""Videos near the user's vector, or near a stranger's, in the space of the live version."""

import numpy as np
from numpy.typing import NDArray

from core.types import Candidate, Source
from retrieval.narrow import Vectors, search_allowed
from retrieval.ports import VectorSearch
from retrieval.query import Query, candidates


class Nearest:
    """One search. Asks for watched videos on top, so that a heavy user still gets enough.

    A long `not in` filter would be slow in Milvus; dropping them here is not.
    """

    name: Source = "nearest"

    def __init__(self, search: VectorSearch) -> None:
        self._search = search

    async def find(self, query: Query) -> list[Candidate]:
        """See `CandidateSource.find`; for a user without a vector from memory, without a search."""
        if query.live is None:
            return []
        if query.user_vector is None:
            return self._of_strangers(query, *query.live.favourites)
        where = Vectors(f"videos_{query.live.version}", query.live.items)
        vectors = query.user_vector[np.newaxis]
        [hits] = await search_allowed(
            self._search, query, where, vectors, k=query.wanted, surplus=query.barred
        )
        rows = query.snapshot.rows(hits.ids)
        keep = np.flatnonzero(query.allows(rows))[: query.wanted]
        return candidates(query, rows[keep], self.name, hits.scores[keep].tolist())

    def _of_strangers(
        self, query: Query, hashes: NDArray[np.uint64], scores: NDArray[np.float32]
    ) -> list[Candidate]:
        rows = query.snapshot.rows_of_hashes(hashes)
        keep = np.flatnonzero(query.allows(rows))[: query.wanted]
        return candidates(query, rows[keep], self.name, scores[keep].tolist())

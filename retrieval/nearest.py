"""Videos near the user's vector, in the space of the live version."""

import numpy as np

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
        """See `CandidateSource.find`; nothing for a user without a vector."""
        if query.live is None or query.user_vector is None:
            return []
        where = Vectors(f"videos_{query.live.version}", query.live.items)
        vectors = query.user_vector[np.newaxis]
        [hits] = await search_allowed(
            self._search, query, where, vectors, k=query.wanted, surplus=query.barred
        )
        rows = query.snapshot.rows(hits.ids)
        keep = np.flatnonzero(query.allows(rows))[: query.wanted]
        return candidates(query, rows[keep], self.name, hits.scores[keep].tolist())

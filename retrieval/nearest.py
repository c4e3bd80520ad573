"""Videos near the user's vector, in the space of the live version."""

import numpy as np

from core.types import Candidate, Source
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
        k = query.wanted + query.barred
        vectors = query.user_vector[np.newaxis]
        [hits] = await self._search.search(f"videos_{query.live.version}", vectors, k)
        query.note([hits])
        rows = query.snapshot.rows(hits.ids)
        keep = np.flatnonzero(query.allows(rows))[: query.wanted]
        return candidates(query, rows[keep], self.name, hits.scores[keep].tolist())

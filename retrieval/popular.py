"""Videos that many watch."""

from core.types import Candidate, Source
from retrieval.query import Query, candidates


class Popular:
    """Those most watched of late; in the end, all of the catalogue."""

    name: Source = "popular"

    async def find(self, query: Query) -> list[Candidate]:
        """See `CandidateSource.find`; from memory, so it never fails."""
        rows = query.first(query.snapshot.popular_rows, query.wanted)
        return candidates(query, rows, self.name)

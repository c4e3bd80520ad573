"""Videos whose watches rise."""

from core.types import Candidate, Source
from retrieval.query import Query, candidates


class Trending:
    """Those with the most of their recent watches in the last day."""

    name: Source = "trending"

    async def find(self, query: Query) -> list[Candidate]:
        """See `CandidateSource.find`; from memory, so it never fails."""
        rows = query.first(query.snapshot.trending_rows, query.wanted)
        return candidates(query, rows, self.name)

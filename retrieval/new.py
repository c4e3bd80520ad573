"""Videos published last."""

from bisect import bisect_left

from core.clock import days
from core.types import Candidate, Source
from retrieval.query import Query, candidates


class New:
    """Those published last; a date to come does not count until it has come."""

    name: Source = "new"

    async def find(self, query: Query) -> list[Candidate]:
        """See `CandidateSource.find`; from memory, so it never fails."""
        order = query.snapshot.new_rows
        published = query.snapshot.facts["published_day"]
        out = bisect_left(order, -days(query.now), key=lambda row: -published[row])
        return candidates(query, query.first(order[out:], query.wanted), self.name)

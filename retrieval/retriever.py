"""Who might the user like: all sources together, under one deadline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.tracing import stage
from core.types import Candidate, Source
from retrieval.merge import merge, top_up
from retrieval.query import CandidateSource, Query
from retrieval.together import together

LONGEST_LIST = 100
# Shares of `Query.wanted` that each source may fill.
SHARES: Mapping[Source, float] = {
    "nearest": 1.0,
    "similar": 1 / 2,
    "trending": 1 / 6,
    "popular": 1 / 6,
    "new": 1 / 6,
}


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates, and for each source that was left out, why.

    `left_out` maps the source's name to the dependency that failed (`milvus`), `deadline` or
    `internal`. `without` names the dependencies that a stand-in answered for: nothing is missing.
    """

    candidates: list[Candidate]
    left_out: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


class Retriever:
    """Runs the sources; the order they are given in is the order of credit."""

    def __init__(self, sources: Sequence[CandidateSource], *, deadline_seconds: float) -> None:
        self._sources = {source.name: source for source in sources}
        self._deadline_seconds = deadline_seconds

    async def find(self, query: Query) -> Retrieved:
        """Merged candidates of all sources that answered in time.

        At least 100 when the catalogue has as many allowed videos, whatever failed: what is
        missing is filled with popular ones from memory. Never raises `Unavailable`.
        """
        calls = {name: self._found(name, query) for name in self._sources}
        answers, missing = await together(calls, self._deadline_seconds)
        found = {name: answers[name] for name in self._sources if name in answers}
        quotas = {name: max(1, round(share * query.wanted)) for name, share in SHARES.items()}
        left_out = {str(name): why for name, why in missing.items()}
        with stage("merge"):
            full = top_up(merge(found, query, quotas), query, LONGEST_LIST)
        return Retrieved(full, left_out, frozenset(query.without))

    async def listing(self, name: Source, query: Query) -> Retrieved:
        """The first 100 of one source (`trending`, `popular`, `new`), in its own order.

        Filled with popular ones while the catalogue has allowed videos.
        """
        own = await self._found(name, replace(query, wanted=LONGEST_LIST))
        return Retrieved(top_up(own, query, LONGEST_LIST))

    async def _found(self, name: Source, query: Query) -> Sequence[Candidate]:
        with stage(name) as step:
            found = await self._sources[name].find(query)
            step.set("upnext.candidates", len(found))
            return found

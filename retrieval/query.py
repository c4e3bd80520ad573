"""What the candidate sources are asked, and what they may answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.types import NO_FILTERS, Candidate, Filters, Hits, Source, UserState
from retrieval.hash_index import UNKNOWN
from retrieval.live import LiveHandle
from retrieval.snapshot import Snapshot


@dataclass(frozen=True)
class Query:
    """One request for candidates.

    `user_vector` float32 (d,) in the space of `live.items` · `wanted` is how many each search
    is to bring · `filters` are the caller's. None: there is no such thing.
    """

    snapshot: Snapshot
    now: datetime
    wanted: int = 300
    state: UserState | None = None
    user_vector: NDArray[np.float32] | None = None
    live: LiveHandle | None = None
    filters: Filters = NO_FILTERS
    without: set[str] = field(default_factory=set, init=False, compare=False)
    """Dependencies that a stand-in answered for, gathered by `note` while it is being answered."""

    def note(self, found: Sequence[Hits]) -> None:
        """Every searcher tells here what it found, so that the answer can say what was away."""
        self.without.update(hits.without for hits in found if hits.without is not None)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Which rows may be proposed: eligible, through the filters, not watched; bool (n,)."""
        allowed = self.snapshot.eligible(self.now) & self.snapshot.passing(self.filters)
        barred = [self.snapshot.rows(list(self.filters.exclude))]
        if self.state is not None:
            barred.append(self.snapshot.rows_of_hashes(self.state.watched))
        rows = np.concatenate(barred)
        allowed[rows[rows != UNKNOWN]] = False
        return allowed

    @property
    def barred(self) -> int:
        """How many videos a search may bring in vain: the watched and the excluded ones."""
        return len(self.filters.exclude) + (0 if self.state is None else len(self.state.watched))

    def allows(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of `rows` may be proposed, bool (m,); unknown ones (-1) may not."""
        known = rows != UNKNOWN
        may: NDArray[np.bool_] = np.zeros(len(rows), dtype=np.bool_)
        may[known] = self.allowed[rows[known]]
        return may

    def first(self, order: NDArray[np.int32], k: int) -> NDArray[np.int32]:
        """The first `k` rows of `order` that may be proposed; fewer if there are no more."""
        head = 2 * k + self.barred  # nearly always enough, and spares a walk of the catalogue
        rows = order[:head]
        rows = rows[self.allowed[rows]]
        if len(rows) < k and head < len(order):
            rows = order[self.allowed[order]]
        return rows[:k]


class CandidateSource(Protocol):
    """Proposes videos. Every source obeys the same suite of tests."""

    @property
    def name(self) -> Source:
        """Its name in answers."""
        ...

    async def find(self, query: Query) -> list[Candidate]:
        """Candidates, best first, each video once and only allowed ones; empty if none apply.

        Raises:
            Unavailable: what it asks did not answer.
        """
        ...


def candidates(
    query: Query,
    rows: NDArray[np.integer],
    source: Source,
    similarity: Sequence[float] | None = None,
) -> list[Candidate]:
    """Candidates for these rows of the query's snapshot, in their order."""
    ids = query.snapshot.ids
    values = [0.0] * len(rows) if similarity is None else similarity
    return [
        Candidate(ids[row], source, value) for row, value in zip(rows.tolist(), values, strict=True)
    ]

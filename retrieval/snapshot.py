"""The catalogue as it is at one moment, in memory: what a request reads instead of a store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import count, repeat
from math import inf

import numpy as np
from numpy.typing import NDArray

from core.types import Filters, VideoColumns, VideoId
from retrieval.facts import Facts, Titles
from retrieval.hash_index import UNKNOWN, HashIndex
from retrieval.popularity import Popularity
from retrieval.vocabulary import Words

_EDITIONS = count(1)


@dataclass(frozen=True, slots=True)
class _Eligible:
    """`mask` holds from `since` to `until`, seconds since the epoch."""

    since: float
    until: float
    mask: NDArray[np.bool_]


class Snapshot:
    """n videos by row number, 0 ... n-1. A row number means nothing outside its snapshot.

    Never changes once it is swapped in.
    """

    def __init__(
        self,
        *,
        ids: list[VideoId],
        titles: Titles,
        facts: Facts,
        row_of: dict[VideoId, int],
        index: HashIndex,
        words: Words,
        genre_table: NDArray[np.bool_],
        popularity: Popularity,
        edition: int | None = None,
    ) -> None:
        # ids, row_of and words are shared with younger snapshots, which only append to them: ask
        # `rows`, which knows where this one ends.
        self.ids = ids
        self.titles = titles
        self.facts = facts
        self.row_of = row_of
        self.index = index
        self.words = words
        self.genre_table = genre_table
        self.popularity = popularity
        # The same as long as only popularity changes; it rises with every other change.
        self.edition = next(_EDITIONS) if edition is None else edition
        self._eligible: _Eligible | None = None

    def __len__(self) -> int:
        return len(self.facts)

    def rows(self, ids: Sequence[VideoId]) -> NDArray[np.int64]:
        """Row of each id, int64 (m,), -1 for an unknown one."""
        rows = np.fromiter(map(self.row_of.get, ids, repeat(UNKNOWN)), np.int64, len(ids))
        rows[rows >= len(self)] = UNKNOWN
        return rows

    def rows_of_hashes(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each `hash64` of an id, int64 (m,), -1 for an unknown one."""
        return self.index.rows(hashes)

    def columns(self, rows: NDArray[np.int64]) -> VideoColumns:
        """Facts of these rows, each of which must exist, in their order."""
        facts = self.facts[rows]
        return VideoColumns(
            popularity=self.popularity.score[rows],
            genres=self.genre_table[facts["genre_set"]],
            published_day=facts["published_day"],
            creator=facts["creator"],
            hashes=facts["hash"],
        )

    def eligible(self, now: datetime) -> NDArray[np.bool_]:
        """Which videos are available and inside their window, bool (n,); read-only.

        Kept until the next window opens or closes, so it is exact and costs next to nothing.
        """
        return self._eligible_now(now).mask

    def eligible_until(self, now: datetime) -> float:
        """When the next window opens or closes, seconds since the epoch; inf: never."""
        return self._eligible_now(now).until

    def passing(self, filters: Filters) -> NDArray[np.bool_]:
        """Which videos have the genre, the region and the maturity asked for, bool (n,).

        Genres and regions are compared without regard to case; a video without regions is shown
        everywhere, one without genres has none of those asked for. `exclude` is not looked at.
        """
        facts = self.facts
        passing = np.ones(len(self), dtype=np.bool_)
        if filters.genres:
            wanted = {genre.casefold() for genre in filters.genres}
            codes = [code for code, genre in enumerate(self._genres()) if genre in wanted]
            have_one = np.asarray(self.genre_table[:, codes].any(axis=1))
            passing &= have_one[facts["genre_set"]]
        if filters.region is not None:
            passing &= self.words.regions_with(filters.region)[facts["region_set"]]
        if filters.max_maturity is not None:
            passing &= facts["maturity"] <= filters.max_maturity
        return passing

    def _genres(self) -> Iterator[str]:
        """This snapshot's genres in the order of the table's columns, in lower case."""
        return map(str.casefold, self.words.genres.words[: self.genre_table.shape[1]])

    def title(self, row: int) -> str:
        """The title of a row."""
        return str(self.titles[row])

    def genres(self, row: int) -> tuple[str, ...]:
        """The genres of a row, the main one first."""
        return self.words.genre_sets.words[int(self.facts["genre_set"][row])]

    def popularity_of(self, row: int) -> float:
        """Popularity of a row, 0..1, as `Popularity.score`: what users are shown."""
        return float(self.popularity.score[row])

    @property
    def popular_rows(self) -> NDArray[np.int32]:
        """All rows, most popular first, int32 (n,)."""
        return self.popularity.popular_rows

    @property
    def trending_rows(self) -> NDArray[np.int32]:
        """Rows with at least 5 watches, steepest rise first."""
        return self.popularity.trending_rows

    @cached_property
    def new_rows(self) -> NDArray[np.int32]:
        """Rows with a date of publication, latest first, dates to come included."""
        by_hash = self.index.order
        published: NDArray[np.float32] = self.facts["published_day"][by_hash]
        latest = np.argsort(-published, kind="stable")  # unknown ones, nan, come last
        return by_hash[latest[: np.count_nonzero(~np.isnan(published))]]

    def precompute(self) -> None:
        """Make the orders now, in the caller's thread, rather than in the first request."""
        _ = self.popular_rows, self.trending_rows, self.new_rows

    def _eligible_now(self, now: datetime) -> _Eligible:
        at = now.timestamp()
        kept = self._eligible
        if kept is None or not kept.since <= at < kept.until:
            kept = self._eligible = self._eligible_at(at)
        return kept

    def _eligible_at(self, at: float) -> _Eligible:
        opens, closes = self.facts["available_from"], self.facts["available_until"]
        mask = self.facts["available"] & (opens <= at) & (at < closes)
        mask.flags.writeable = False
        until = min(_next(opens, at), _next(closes, at))
        return _Eligible(at, until, mask)


def _next(edges: NDArray[np.float64], at: float) -> float:
    return float(np.min(edges, initial=inf, where=edges > at))

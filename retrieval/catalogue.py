"""The in-memory catalogue: a snapshot that is replaced, never changed.

Row numbers grow and are never given to another video, so ids and words can be shared by all
snapshots of a build; columns are copied when they change. One writer at a time; readers at any.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from core.types import PopularityRow, Video
from retrieval.facts import facts_of
from retrieval.hash_index import UNKNOWN, HashIndex
from retrieval.popularity import COUNTERS, Counters, Popularity, no_counters
from retrieval.snapshot import Snapshot
from retrieval.vocabulary import Words


class Catalogue:
    """Holds the current `snapshot`; readers take it once and keep it for their request."""

    def __init__(self) -> None:
        self.snapshot = empty()

    def replace(self, pages: Iterable[Sequence[Video]], counters: Iterable[PopularityRow]) -> None:
        """Build anew from all videos, in pages, each once, and all counters."""
        made = with_videos(empty(), [video for page in pages for video in page])
        self._swap(with_counters(made, counters))

    def apply(self, videos: Sequence[Video]) -> None:
        """Change or add these videos; of several with one id the last counts."""
        self._swap(with_videos(self.snapshot, videos))

    def apply_popularity(self, counters: Iterable[PopularityRow]) -> None:
        """Set counters; those of videos that the catalogue does not have are left out."""
        self._swap(with_counters(self.snapshot, counters))

    def _swap(self, made: Snapshot) -> None:
        made.revision = self.snapshot.revision + 1
        made.precompute()  # the writer pays for the sorting, not the next request
        self.snapshot = made


def empty() -> Snapshot:
    """A snapshot without videos."""
    words = Words()
    facts = facts_of([], words)
    index = HashIndex.of(facts["hash"])
    return Snapshot(
        revision=0,
        ids=[],
        titles=[],
        facts=facts,
        row_of={},
        index=index,
        words=words,
        genre_table=words.genre_table(),
        popularity=Popularity(no_counters(0), index.order),
    )


def with_videos(old: Snapshot, videos: Sequence[Video]) -> Snapshot:
    """The snapshot after these videos were changed or added; `old` reads as before."""
    last = {video.id: video for video in videos}
    facts = facts_of(list(last.values()), old.words)
    rows = old.rows(list(last))
    known = rows != UNKNOWN

    changed, added = facts[known], facts[~known]
    all_facts = np.concatenate([old.facts, added])
    all_facts[rows[known]] = changed
    rows[~known] = len(old) + np.arange(len(added))

    titles = [*old.titles, *("" for _ in added)]
    for row, video in zip(rows.tolist(), last.values(), strict=True):
        titles[row] = video.title
    new_ids = [id_ for id_, was_known in zip(last, known.tolist(), strict=True) if not was_known]
    old.ids.extend(new_ids)
    old.row_of.update(zip(new_ids, range(len(old), len(titles)), strict=True))
    index = old.index.extended(added["hash"]) if len(added) else old.index
    return Snapshot(
        revision=old.revision,
        ids=old.ids,
        titles=titles,
        facts=all_facts,
        row_of=old.row_of,
        index=index,
        words=old.words,
        genre_table=old.words.genre_table(old.genre_table),
        popularity=_longer(old.popularity, len(added), index),
    )


def with_counters(old: Snapshot, counters: Iterable[PopularityRow]) -> Snapshot:
    """The snapshot with these counters; `old` reads as before."""
    given = list(counters)
    rows = old.rows([row.video_id for row in given])
    values = np.array([(row.watches, row.log2_slow, row.log2_fast) for row in given], COUNTERS)
    known = rows != UNKNOWN
    table: Counters = old.popularity.counters.copy()
    table[rows[known]] = values[known]
    return Snapshot(
        revision=old.revision,
        ids=old.ids,
        titles=old.titles,
        facts=old.facts,
        row_of=old.row_of,
        index=old.index,
        words=old.words,
        genre_table=old.genre_table,
        popularity=Popularity(table, old.index.order),
    )


def _longer(popularity: Popularity, added: int, index: HashIndex) -> Popularity:
    if not added:  # keeps the orders that were computed
        return popularity
    return Popularity(np.concatenate([popularity.counters, no_counters(added)]), index.order)

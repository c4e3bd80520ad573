"""How snapshots are made: from all videos, or from the snapshot before."""

from collections.abc import Iterable, Sequence

import numpy as np

from core.types import PopularityRow, Video, VideoId
from retrieval.facts import Facts, Titles, facts_of, titles_of
from retrieval.hash_index import UNKNOWN, HashIndex
from retrieval.popularity import COUNTERS, Counters, Popularity, no_counters
from retrieval.snapshot import Snapshot
from retrieval.vocabulary import Words


class Build:
    """A snapshot in the making, page by page; each video comes once."""

    def __init__(self) -> None:
        self._words = Words()
        self._ids: list[VideoId] = []
        self._titles: list[Titles] = [titles_of([])]
        self._facts: list[Facts] = [facts_of([], self._words)]

    def add(self, page: Sequence[Video]) -> None:
        """Take in a page of videos; nothing of the page itself is kept."""
        self._ids.extend(video.id for video in page)
        self._titles.append(titles_of(page))
        self._facts.append(facts_of(page, self._words))

    def snapshot(self, counters: Iterable[PopularityRow] = ()) -> Snapshot:
        """All videos that were added, with these counters."""
        facts = np.concatenate(self._facts)
        index = HashIndex.of(facts["hash"])
        made = Snapshot(
            ids=self._ids,
            titles=np.concatenate(self._titles),
            facts=facts,
            row_of={id_: row for row, id_ in enumerate(self._ids)},
            index=index,
            words=self._words,
            genre_table=self._words.genre_table(),
            popularity=Popularity(no_counters(len(facts)), index.order),
        )
        return with_counters(made, counters)


def with_videos(old: Snapshot, videos: Sequence[Video]) -> Snapshot:
    """The snapshot after these videos, of one id the last, were changed or added.

    `old` reads as before: columns are copied, and what is shared only grows.
    """
    last = {video.id: video for video in videos}
    facts = facts_of(list(last.values()), old.words)
    rows = old.rows(list(last))
    known = rows != UNKNOWN
    added = facts[~known]
    new_ids = [id_ for id_, is_known in zip(last, known.tolist(), strict=True) if not is_known]
    rows[~known] = np.arange(len(old), len(old) + len(added))

    all_facts = np.concatenate([old.facts, added])
    all_facts[rows] = facts
    new_titles = titles_of(list(last.values()))
    titles = np.concatenate([old.titles, new_titles[~known]])
    titles[rows] = new_titles
    index = old.index.extended(added["hash"]) if len(added) else old.index
    old.ids.extend(new_ids)
    old.row_of.update(zip(new_ids, range(len(old), len(titles)), strict=True))
    made = Snapshot(
        ids=old.ids,
        titles=titles,
        facts=all_facts,
        row_of=old.row_of,
        index=index,
        words=old.words,
        genre_table=old.words.genre_table(old.genre_table),
        popularity=_longer(old.popularity, len(added), index),
    )
    if np.array_equal(old.facts["published_day"], all_facts["published_day"], equal_nan=True):
        made.new_rows = old.new_rows  # sorting is the dearest part of a change
    return made


def with_counters(old: Snapshot, counters: Iterable[PopularityRow]) -> Snapshot:
    """The snapshot with these counters set; those of unknown videos are left out."""
    given = list(counters)
    rows = old.rows([row.video_id for row in given])
    values = np.array([(row.watches, row.log2_slow, row.log2_fast) for row in given], COUNTERS)
    known = rows != UNKNOWN
    table: Counters = old.popularity.counters.copy()
    table[rows[known]] = values[known]
    made = Snapshot(
        ids=old.ids,
        titles=old.titles,
        facts=old.facts,
        row_of=old.row_of,
        index=old.index,
        words=old.words,
        genre_table=old.genre_table,
        popularity=Popularity(table, old.index.order),
        edition=old.edition,
    )
    made.new_rows = old.new_rows
    return made


def _longer(popularity: Popularity, added: int, index: HashIndex) -> Popularity:
    if not added:  # keeps the orders that were computed
        return popularity
    return Popularity(np.concatenate([popularity.counters, no_counters(added)]), index.order)

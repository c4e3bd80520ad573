"""Counts what is served, off the request path, so that a watch can be traced to its list.

A request pays one increment in memory. Every few seconds each process writes how much it has
served by minute, and what the lists showed that it had not written before. Counts are written as
totals of this process and minute, never as differences: writing them again changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

import structlog

from core.clock import Clock, utc_now
from core.errors import Unavailable
from core.impressions import ImpressionCount, ServedList
from core.types import Source, VideoId

FLUSH_SECONDS = 2.0
MOST_LISTS = 50_000  # that wait to be written; about 60 MB of lists of ten
LISTS_AT_ONCE = 250  # in a statement, and in one go of the event loop
COUNTED_AT_ONCE = 200  # before others may run: about a millisecond
COUNTS_KEPT = timedelta(hours=25)  # nobody asks for older ones

_Key = tuple[datetime, str | None, int, Source | None]

log = structlog.get_logger(__name__)


class ImpressionStore(Protocol):
    """Where counts are added up, and lists found again."""

    async def record(
        self, writer: str, counts: Sequence[ImpressionCount], lists: Sequence[ServedList]
    ) -> None:
        """Set the counts of `writer` and keep the lists, in one transaction.

        Repeating it changes nothing. Raises `Unavailable`: nothing was written.
        """
        ...


@dataclass(slots=True, eq=False)
class Shown:
    """What one written answer shows: made once, and counted each time the answer is sent.

    `entries` are the videos that stand in the answer. Two are never equal: an answer is counted
    by its own.
    """

    recommendation_id: str
    model_version: str | None
    config_version: int
    entries: tuple[tuple[VideoId, Source], ...]
    by_source: tuple[tuple[Source, int], ...] = field(init=False)
    noted: bool = field(init=False, default=False)
    """Whether its entries are written, or wait to be."""

    def __post_init__(self) -> None:
        self.by_source = tuple(Counter(source for _, source in self.entries).items())


class Impressions:
    """What this process has served. `count` never waits; `run` writes until it is cancelled.

    While PostgreSQL is away counts are kept for a day; of the lists that wait, the oldest go first.
    """

    def __init__(
        self,
        store: ImpressionStore,
        *,
        writer: str,
        clock: Clock = utc_now,
        flush_seconds: float = FLUSH_SECONDS,
        most_lists: int = MOST_LISTS,
    ) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._flush_seconds = flush_seconds
        self._most_lists = most_lists
        self._served: dict[Shown, int] = {}
        self._totals: dict[_Key, list[int]] = {}  # lists, videos
        self._changed: set[_Key] = set()
        self._lists: dict[Shown, None] = {}  # in the order in which they came
        self._minute = _minute(clock())
        self._away = False

    def count(self, shown: Shown) -> None:
        """An answer that shows this was sent."""
        self._served[shown] = self._served.get(shown, 0) + 1

    async def run(self) -> None:
        """Write every few seconds; whatever fails is written in a later round."""
        while True:
            await asyncio.sleep(self._flush_seconds)
            try:
                await self.flush()
            except Unavailable as error:
                if not self._away:
                    log.warning("impressions_wait", reason=str(error))
                self._away = True
            except Exception:
                log.exception("impressions_not_written")
            else:
                if self._away:
                    log.info("impressions_written_late")
                self._away = False

    async def flush(self) -> None:
        """Write what was counted. Raises `Unavailable`; what is not written yet waits."""
        await self._add_up()
        while self._changed or self._lists:
            keys, lists = list(self._changed), list(islice(self._lists, LISTS_AT_ONCE))
            await self._store.record(
                self._writer, [self._total(key) for key in keys], [_list(shown) for shown in lists]
            )
            self._changed.difference_update(keys)
            for shown in lists:
                del self._lists[shown]
        self._forget(before=self._minute)

    async def _add_up(self) -> None:
        """Take what was counted into the totals of this minute."""
        # Never back: a minute whose totals were forgotten must not begin at nothing.
        self._minute = minute = max(self._minute, _minute(self._clock()))
        served, self._served = list(self._served.items()), {}
        added = 0
        try:
            for shown, times in served:
                self._add(minute, shown, times)
                added += 1
                if added % COUNTED_AT_ONCE == 0:
                    await asyncio.sleep(0)
        finally:  # cancelled: the last flush takes the others
            for shown, times in served[added:]:
                self._served[shown] = self._served.get(shown, 0) + times
        self._forget(before=minute - COUNTS_KEPT)
        if given_up := len(self._lists) - self._most_lists:
            self._give_up(given_up)

    def _add(self, minute: datetime, shown: Shown, times: int) -> None:
        everything: tuple[Source | None, int] = (None, len(shown.entries))
        for source, videos in (everything, *shown.by_source):
            key = (minute, shown.model_version, shown.config_version, source)
            total = self._totals.setdefault(key, [0, 0])
            total[0] += times
            total[1] += times * videos
            self._changed.add(key)
        if not shown.noted:
            shown.noted = True
            self._lists[shown] = None

    def _give_up(self, count: int) -> None:
        """Forget the oldest lists that wait; watches that follow from them are not counted."""
        oldest = list(islice(self._lists, max(0, count)))
        for shown in oldest:
            del self._lists[shown]
        if oldest:
            log.warning("impressions_given_up", lists=len(oldest))

    def _forget(self, before: datetime) -> None:
        """Forget totals of minutes that are over: written, or too old to matter."""
        for key in [key for key in self._totals if key[0] < before]:
            del self._totals[key]
            self._changed.discard(key)

    def _total(self, key: _Key) -> ImpressionCount:
        lists, videos = self._totals[key]
        return ImpressionCount(
            minute=key[0],
            model_version=key[1],
            config_version=key[2],
            source=key[3],
            lists=lists,
            videos=videos,
        )


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _list(shown: Shown) -> ServedList:
    return ServedList(
        recommendation_id=shown.recommendation_id,
        model_version=shown.model_version,
        config_version=shown.config_version,
        entries=shown.entries,
    )

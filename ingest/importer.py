"""Writes feeds to the stores in batches and keeps account."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import structlog

from core.errors import Unavailable
from core.types import Interaction, Progress, UserId, Video
from ingest.feed import Feed, Item
from ingest.ports import InteractionStore, StateCache, VideoStore
from ingest.report import Counts, Reject, Report

BATCH = 5_000
STALE_WARNING = (
    "Redis did not answer, so lists of users whose history changed may be old for up to an hour. "
    "The data is complete. Run the same import again once Redis is back to drop them now."
)
log = structlog.get_logger(__name__)


def ignore(_: object) -> None:
    """Nobody is watching."""


class Importer:
    """Reads feeds, writes them batch by batch, and reports.

    Each batch is one transaction: an import that is cut short keeps what was written, and running
    it again adds only what is missing. At most one batch of rows is held in memory.
    """

    def __init__(
        self,
        videos: VideoStore,
        interactions: InteractionStore,
        cache: StateCache,
        *,
        on_progress: Callable[[Progress], None] = ignore,
        on_reject: Callable[[Reject], None] = ignore,
        batch: int = BATCH,
    ) -> None:
        self.report = Report()
        self._videos = videos
        self._interactions = interactions
        self._cache = cache
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._batch = batch

    async def videos(self, feed: Feed[Video]) -> None:
        """Write every video of `feed`; unchanged ones count as duplicates.

        Raises:
            Unavailable: PostgreSQL went away; the batches before stay written.
        """
        for batch in self._batches(feed, self.report.videos):
            counts = await self._videos.upsert_many(batch)
            accepted = counts.inserted + counts.changed
            self.report.add(self.report.videos, accepted, len(batch) - accepted)

    async def interactions(self, feed: Feed[Interaction]) -> None:
        """Write every interaction of `feed`, and drop what was cached for its users.

        Raises:
            Unavailable: PostgreSQL went away; the batches before stay written.
        """
        for batch in self._batches(feed, self.report.interactions):
            counts = await self._interactions.add_many(batch)
            self.report.add(self.report.interactions, counts.accepted, counts.duplicates)
            self.report.leave_out(self.report.interactions, counts.erased)
            await self._forget(counts.revisions)

    async def _forget(self, revisions: Mapping[UserId, int]) -> None:
        # Repeats are forgotten too: that is how a second run mends what a lost Redis left stale.
        try:
            await self._cache.forget_many(revisions)
        except Unavailable as error:
            log.warning("import.cache_unavailable", users=len(revisions), reason=str(error))
            self.report.warn(STALE_WARNING)

    def _batches(self, feed: Feed[Item], part: Counts) -> Iterator[list[Item]]:
        good = self._good(feed, part)
        self._on_progress(Progress(feed.file, 0.0))
        while batch := list(islice(good, self._batch)):
            yield batch
            self._on_progress(Progress(feed.file, feed.fraction(), _tally(part)))
        self._on_progress(Progress(feed.file, 1.0, _tally(part)))

    def _good(self, feed: Feed[Item], part: Counts) -> Iterator[Item]:
        for item in feed.items:
            if isinstance(item, Reject):
                self.report.reject(part, item)
                self._on_reject(item)
            else:
                yield item


def _tally(part: Counts) -> str:
    return f"{part.accepted:,} accepted, {part.duplicates:,} duplicates, {part.rejected:,} rejected"

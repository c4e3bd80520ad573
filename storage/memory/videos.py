"""The catalogue in memory: the twin of `storage.postgres.videos`."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from core.types import Change, PopularityRow, UpsertCounts, Video, VideoId
from storage.memory.history import MemoryHistory


class MemoryVideos:
    """Videos by id; never unavailable. `changes` holds what replicas would hear, oldest first."""

    def __init__(self, history: MemoryHistory | None = None) -> None:
        self._history = history or MemoryHistory()
        self._videos: dict[VideoId, Video] = {}
        self.changes: list[Change] = []

    async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts:
        """Write videos; the last of equal ids wins."""
        latest = {video.id: video for video in videos}
        inserted = latest.keys() - self._videos.keys()
        written = {key for key, video in latest.items() if self._videos.get(key) != video}
        self._videos |= latest
        if written:
            self.changes.append(Change("video", tuple(sorted(written))))
        return UpsertCounts(len(inserted), len(written - inserted))

    async def get_many(self, ids: Sequence[VideoId]) -> list[Video]:
        """Those of `ids` that exist."""
        return [self._videos[key] for key in dict.fromkeys(ids) if key in self._videos]

    async def stream(self) -> AsyncIterator[Sequence[Video]]:
        """All videos by id, in one page."""
        if self._videos:
            yield [self._videos[key] for key in sorted(self._videos)]

    async def count(self) -> int:
        """How many videos there are."""
        return len(self._videos)

    async def popularity(self, since: datetime | None) -> list[PopularityRow]:
        """Counters of the history, as it keeps them."""
        return await self._history.popularity(since)

    async def popularity_of(self, ids: Sequence[VideoId]) -> list[PopularityRow]:
        """Counters of those of `ids` that have any."""
        return [row for row in await self.popularity(None) if row.video_id in ids]

"""The catalogue in memory: the twin of `storage.postgres.videos`."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from core.clock import Clock, utc_now
from core.types import Change, PopularityRow, StoredVideo, UpsertCounts, Video, VideoId
from storage.memory.history import MemoryHistory


class MemoryVideos:
    """Videos by id; never unavailable. `changes` holds what replicas would hear, oldest first."""

    def __init__(self, history: MemoryHistory | None = None, *, clock: Clock = utc_now) -> None:
        self._history = history or MemoryHistory()
        self._clock = clock
        self._videos: dict[VideoId, Video] = {}
        self._updated: dict[VideoId, datetime] = {}
        self.changes: list[Change] = []

    async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts:
        """Write videos; the last of equal ids wins."""
        latest = {video.id: video for video in videos}
        inserted = latest.keys() - self._videos.keys()
        written = {key for key, video in latest.items() if self._videos.get(key) != video}
        self._videos |= latest
        self._updated |= dict.fromkeys(written, self._clock())
        if written:
            self.changes.append(Change("video", tuple(sorted(written))))
        return UpsertCounts(len(inserted), len(written - inserted))

    async def get_many(self, ids: Sequence[VideoId]) -> list[Video]:
        """Those of `ids` that exist."""
        return [self._videos[key] for key in dict.fromkeys(ids) if key in self._videos]

    async def find(self, video_id: VideoId) -> StoredVideo | None:
        """The video as it is now, taken down or not."""
        video = self._videos.get(video_id)
        return None if video is None else StoredVideo(video, self._updated[video_id])

    async def take_down(self, video_id: VideoId) -> bool:
        """Make a video unavailable. Whether there is such a video."""
        video = self._videos.get(video_id)
        if video is not None and video.available:
            await self.upsert_many([replace(video, available=False)])
        return video is not None

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

"""The use case of one video: read it, put it, take it down."""

from collections.abc import Callable, Sequence
from typing import Protocol

from api.moment import Moment
from core.errors import VideoNotFound
from core.types import StoredVideo, UpsertCounts, Video, VideoId
from retrieval.hash_index import UNKNOWN


class VideoStore(Protocol):
    """The catalogue's truth, for one video at a time."""

    async def upsert_many(self, videos: Sequence[Video]) -> UpsertCounts:
        """Write videos in one transaction; replicas hear of it. Raises `Unavailable`."""
        ...

    async def find(self, video_id: VideoId) -> StoredVideo | None:
        """The video as it is now, taken down or not. Raises `Unavailable`."""
        ...

    async def take_down(self, video_id: VideoId) -> bool:
        """Make a video unavailable; replicas hear of it. Whether there is such a video.

        Raises:
            Unavailable: nothing was written.
        """
        ...


class VideoCatalogue:
    """The catalogue as its owners see it: the truth, not the copy that lists are made from."""

    def __init__(self, videos: VideoStore, *, moment: Callable[[], Moment]) -> None:
        self._videos = videos
        self._moment = moment

    async def get(self, video_id: VideoId) -> StoredVideo:
        """A video, taken down or not. Raises `VideoNotFound`, `Unavailable`."""
        stored = await self._videos.find(video_id)
        if stored is None:
            raise VideoNotFound(f"The catalogue has no video {video_id}.")
        return stored

    async def put(self, video: Video) -> tuple[StoredVideo, bool]:
        """Replace a video wholly or add it; the second is whether it was added.

        Raises:
            InvalidInput: a text holds a character that cannot be kept.
            Unavailable: PostgreSQL did not answer.
        """
        counts = await self._videos.upsert_many([video])
        return await self.get(video.id), counts.inserted > 0

    async def take_down(self, video_id: VideoId) -> None:
        """Take a video off every list; again is fine. Raises `VideoNotFound`, `Unavailable`."""
        if not await self._videos.take_down(video_id):
            raise VideoNotFound(f"The catalogue has no video {video_id}.")

    def popularity_of(self, video_id: VideoId) -> float:
        """The score that lists show, 0..1; 0 for a video that has just come."""
        snapshot = self._moment().snapshot
        row = int(snapshot.rows([video_id])[0])
        return 0.0 if row == UNKNOWN else round(snapshot.popularity_of(row), 4)

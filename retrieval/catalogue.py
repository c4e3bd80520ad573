"""The in-memory catalogue: a snapshot that is replaced, never changed.

Row numbers grow and are never given to another video, so ids and words can be shared by all
snapshots of a build; columns are copied when they change. One writer at a time, in any thread;
readers at any time.
"""

from collections.abc import Iterable, Sequence

from core.types import PopularityRow, Video
from retrieval.build import Build, with_counters, with_videos
from retrieval.snapshot import Snapshot


class Catalogue:
    """Holds the current `snapshot`; readers take it once and keep it for their request."""

    def __init__(self) -> None:
        self.snapshot = Build().snapshot()

    def replace(self, build: Build, counters: Iterable[PopularityRow] = ()) -> None:
        """Start anew with all videos of a build and their counters."""
        self._swap(build.snapshot(counters))

    def apply(self, videos: Sequence[Video], counters: Sequence[PopularityRow] = ()) -> None:
        """Change or add these videos, then set counters; of several with one id the last counts."""
        made = with_videos(self.snapshot, videos)
        self._swap(with_counters(made, counters) if counters else made)

    def apply_popularity(self, counters: Iterable[PopularityRow]) -> None:
        """Set counters; those of videos that the catalogue does not have are left out."""
        self._swap(with_counters(self.snapshot, counters))

    def _swap(self, made: Snapshot) -> None:
        made.precompute()  # the writer pays for the sorting, not the next request
        self.snapshot = made

"""What was served, in memory: the twin of `storage.postgres.impressions`."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from core.impressions import ImpressionCount, Outcome, ServedList
from core.types import Source, VideoId
from storage.memory.history import MemoryHistory

_Group = tuple[str | None, int, Source | None]


class MemoryImpressions:
    """Counts by writer and minute, lists by their id; never unavailable."""

    def __init__(self, history: MemoryHistory | None = None) -> None:
        self._history = history or MemoryHistory()
        self._counts: dict[tuple[str, datetime, _Group], ImpressionCount] = {}
        self._lists: dict[str, list[ServedList]] = defaultdict(list)

    async def record(
        self, writer: str, counts: Sequence[ImpressionCount], lists: Sequence[ServedList]
    ) -> None:
        """Set the counts of `writer` and keep the lists."""
        self._counts |= {(writer, count.minute, _group(count)): count for count in counts}
        for served in lists:
            if served not in self._lists[served.recommendation_id]:
                self._lists[served.recommendation_id].append(served)

    async def since(self, start: datetime) -> list[Outcome]:
        """What was served and watched since `start`, a whole minute."""
        found: dict[_Group, list[int]] = defaultdict(lambda: [0, 0, 0])
        for (_, minute, group), count in self._counts.items():
            if minute >= start:
                found[group][0] += count.lists
                found[group][1] += count.videos
        watched = {
            (row.user_id, row.recommendation_id, row.video_id)
            async for page in self._history.stream(start)
            for row in page
        }
        for _, recommendation_id, video_id in watched:
            for group in self._followed(recommendation_id, video_id):
                found[group][2] += 1
        return [
            Outcome(
                model_version=group[0],
                config_version=group[1],
                source=group[2],
                lists=lists,
                videos=videos,
                watches=watches,
            )
            for group, (lists, videos, watches) in found.items()
        ]

    def _followed(self, recommendation_id: str | None, video_id: VideoId) -> list[_Group]:
        """The groups to which a watch belongs: its list's, and that of the video's source."""
        for served in self._lists.get(recommendation_id or "", []):
            source = dict(served.entries).get(video_id)
            if source is not None:
                whole = (served.model_version, served.config_version)
                return [(*whole, None), (*whole, source)]
        return []


def _group(count: ImpressionCount) -> _Group:
    return count.model_version, count.config_version, count.source

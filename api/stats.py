"""What was served of late, and what came of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from core.clock import Clock, utc_now
from core.impressions import Outcome
from core.types import Source

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class OutcomeReader(Protocol):
    """What was served, and the watches that followed."""

    async def since(self, start: datetime) -> list[Outcome]:
        """What was served and watched since `start`, a whole minute. Raises `Unavailable`."""
        ...


class SourceStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of one source: lists that had videos of it, those videos, and watches of them."""

    source: Source
    lists: int
    videos: int
    watches: int


class VersionStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model version (null before the first is live) under one configuration."""

    model_version: str | None
    config_version: int
    lists: int
    videos: int
    watches: int
    sources: tuple[SourceStats, ...]


class WindowStats(msgspec.Struct, frozen=True, kw_only=True):
    """Lists served, videos shown in them and watches that followed, since a whole minute."""

    since: datetime
    lists: int
    videos: int
    watches: int
    versions: tuple[VersionStats, ...]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The last hour and the last day."""

    generated_at: datetime
    last_hour: WindowStats
    last_day: WindowStats


class Statistics:
    """Adds up what was served."""

    def __init__(self, outcomes: OutcomeReader, *, clock: Clock = utc_now) -> None:
        self._outcomes = outcomes
        self._clock = clock

    async def read(self) -> Stats:
        """The last hour and day, a few seconds old at most. Raises `Unavailable`."""
        now = self._clock()
        return Stats(
            generated_at=now,
            last_hour=await self._window(now - HOUR),
            last_day=await self._window(now - DAY),
        )

    async def _window(self, start: datetime) -> WindowStats:
        since = start.replace(second=0, microsecond=0)
        outcomes = await self._outcomes.since(since)
        groups = sorted(
            {(row.model_version, row.config_version) for row in outcomes},
            key=lambda group: (group[0] or "", group[1]),
        )
        versions = tuple(_version(group, outcomes) for group in groups)
        return WindowStats(
            since=since,
            lists=sum(version.lists for version in versions),
            videos=sum(version.videos for version in versions),
            watches=sum(version.watches for version in versions),
            versions=versions,
        )


def _version(group: tuple[str | None, int], outcomes: Sequence[Outcome]) -> VersionStats:
    rows = [row for row in outcomes if (row.model_version, row.config_version) == group]
    whole = [row for row in rows if row.source is None]
    return VersionStats(
        model_version=group[0],
        config_version=group[1],
        lists=sum(row.lists for row in whole),
        videos=sum(row.videos for row in whole),
        watches=sum(row.watches for row in whole),
        sources=tuple(
            SourceStats(source=row.source, lists=row.lists, videos=row.videos, watches=row.watches)
            for row in sorted(rows, key=lambda row: row.source or "")
            if row.source is not None
        ),
    )

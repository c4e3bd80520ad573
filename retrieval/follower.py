"""Keeps what a replica serves from memory current: catalogue, popularity, versions, configuration.

Each is followed by a loop of its own, so that a version that takes long to open does not hold up
a take-down. Whatever is away, what is known is served on and each loop tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import numpy as np
import structlog

from core.clock import Clock, utc_now
from core.metrics import CATALOGUE_VIDEOS
from core.types import Change, ChangeCursor, RankingConfig, VideoId
from retrieval.build import Build
from retrieval.catalogue import Catalogue
from retrieval.hash_index import UNKNOWN
from retrieval.live import LiveConfig
from retrieval.outages import Outages
from retrieval.ports import CatalogueReader, ChangeReader
from retrieval.version_keeper import VersionKeeper

LoadConfig = Callable[[], Awaitable[RankingConfig]]

LONGEST_PAUSE_SECONDS = 5.0
MOST_VIDEOS_AT_ONCE = 1000
# Counters are dated by the start of their transaction and by the database's clock.
POPULARITY_OVERLAP = timedelta(minutes=2)

_log = structlog.get_logger(__name__)


class Follower:
    """Fills and renews `catalogue`, `config` and the `versions` until `run` is cancelled.

    `loaded` is set when the catalogue has been read for the first time; `settled` as the keeper's.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        config: LiveConfig,
        reader: CatalogueReader,
        changes: ChangeReader,
        versions: VersionKeeper,
        load_config: LoadConfig,
        poll_seconds: float,
        popularity_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self.loaded = asyncio.Event()
        self.settled = versions.settled
        self._catalogue = catalogue
        self._config = config
        self._reader = reader
        self._changes = changes
        self._versions = versions
        self._load_config = load_config
        self._poll_seconds = poll_seconds
        self._popularity_seconds = popularity_seconds
        self._clock = clock
        self._outages = Outages()
        self._writing = asyncio.Lock()  # the catalogue takes one writer at a time
        self._cursor: ChangeCursor | None = None
        self._counted_at = clock()
        self._config_due = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled; never ends by itself, whatever is away."""
        self._config_due.set()
        poll = self._poll_seconds
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._repeat("catalogue", self._follow_changes, poll))
            loops.create_task(
                self._repeat("popularity", self._follow_popularity, self._popularity_seconds)
            )
            loops.create_task(self._repeat("live version", self._versions.look, poll))
            loops.create_task(self._repeat("open versions", self._versions.open_wanted, poll))
            loops.create_task(self._repeat("report", self._versions.report, poll))
            loops.create_task(self._repeat("ranking configuration", self._follow_config, poll))

    async def _repeat(self, work: str, step: Callable[[], Awaitable[None]], seconds: float) -> None:
        longest = max(seconds, LONGEST_PAUSE_SECONDS)
        pause = seconds
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001  (whatever it is, serving goes on)
                self._outages.failed(work, error)
                pause = min(pause * 2, longest)
            else:
                self._outages.succeeded(work)
                pause = seconds
            await asyncio.sleep(pause)

    async def _follow_changes(self) -> None:
        if self._cursor is None:
            await self._load()
            return
        changes, cursor = await self._changes.read(self._cursor)
        await self._take_in([change for change in changes if change.kind == "video"])
        kinds = {change.kind for change in changes}
        if "model" in kinds:
            self._versions.renew()
        if "config" in kinds:
            self._config_due.set()
        self._cursor = cursor  # last: what failed half-way is read again

    async def _load(self) -> None:
        cursor = await self._changes.end()  # first: what changes while loading is read again
        started = self._clock()
        build = Build()
        async for page in self._reader.stream():
            await asyncio.to_thread(build.add, page)
        counters = await self._reader.popularity(None)
        async with self._writing:
            await asyncio.to_thread(self._catalogue.replace, build, counters)
        CATALOGUE_VIDEOS.set(len(self._catalogue.snapshot))
        self._counted_at = started
        self._cursor = cursor
        self.loaded.set()

    async def _take_in(self, changes: Sequence[Change]) -> None:
        if any(not change.keys for change in changes):
            await self._load()
            return
        ids = list(dict.fromkeys(VideoId(key) for change in changes for key in change.keys))
        for start in range(0, len(ids), MOST_VIDEOS_AT_ONCE):
            await self._take_in_page(ids[start : start + MOST_VIDEOS_AT_ONCE])

    async def _take_in_page(self, ids: Sequence[VideoId]) -> None:
        videos = await self._reader.get_many(ids)
        rows = self._catalogue.snapshot.rows([video.id for video in videos])
        added = [videos[at].id for at in np.flatnonzero(rows == UNKNOWN)]
        # Events may come before their video: such counters moved before the last time we asked.
        counters = await self._reader.popularity_of(added) if added else []
        async with self._writing:
            await asyncio.to_thread(self._catalogue.apply, videos, counters)
        CATALOGUE_VIDEOS.set(len(self._catalogue.snapshot))

    async def _follow_popularity(self) -> None:
        await self.loaded.wait()
        asked_at = self._clock()
        counters = await self._reader.popularity(self._counted_at - POPULARITY_OVERLAP)
        if counters:
            async with self._writing:
                await asyncio.to_thread(self._catalogue.apply_popularity, counters)
        self._counted_at = asked_at

    async def _follow_config(self) -> None:
        await self._config_due.wait()
        self._config_due.clear()  # first, so that news which comes meanwhile is not lost
        try:
            self._config.current = await self._load_config()
        except Exception:
            self._config_due.set()
            raise

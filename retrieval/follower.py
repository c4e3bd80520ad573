"""Keeps what a replica serves from memory current: catalogue, popularity, version, configuration.

Each is followed by a loop of its own, so that a version that takes long to open does not hold up
a take-down. Whatever is away, what is known is served on and each loop tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta

import numpy as np
import structlog

from core.clock import Clock, utc_now
from core.types import Change, ChangeCursor, Model, RankingConfig, VideoId
from retrieval.build import Build
from retrieval.catalogue import Catalogue
from retrieval.hash_index import UNKNOWN
from retrieval.live import LiveConfig, LiveHandle, LiveModel
from retrieval.outages import Outages
from retrieval.ports import CatalogueReader, ChangeReader, ModelReader

OpenVersion = Callable[[Model], LiveHandle]  # blocking: it is called in a thread
KeepVersions = Callable[[Collection[str]], None]  # blocking too: the others are deleted
LoadConfig = Callable[[], Awaitable[RankingConfig]]

LONGEST_PAUSE_SECONDS = 5.0
MOST_VIDEOS_AT_ONCE = 1000
# Counters are dated by the start of their transaction and by the database's clock.
POPULARITY_OVERLAP = timedelta(minutes=2)

_log = structlog.get_logger(__name__)


class Follower:
    """Fills and renews `catalogue`, `live` and `config` until `run` is cancelled.

    `loaded` is set when the catalogue has been read for the first time, `settled` when it has
    been found out which version is live and that one, if any, is open.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        live: LiveModel,
        config: LiveConfig,
        reader: CatalogueReader,
        changes: ChangeReader,
        models: ModelReader,
        open_version: OpenVersion,
        keep_versions: KeepVersions,
        load_config: LoadConfig,
        poll_seconds: float,
        popularity_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self.loaded = asyncio.Event()
        self.settled = asyncio.Event()
        self._catalogue = catalogue
        self._live = live
        self._config = config
        self._reader = reader
        self._changes = changes
        self._models = models
        self._open_version = open_version
        self._keep_versions = keep_versions
        self._load_config = load_config
        self._poll_seconds = poll_seconds
        self._popularity_seconds = popularity_seconds
        self._clock = clock
        self._outages = Outages()
        self._writing = asyncio.Lock()  # the catalogue takes one writer at a time
        self._cursor: ChangeCursor | None = None
        self._counted_at = clock()
        self._model_due = asyncio.Event()
        self._config_due = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled; never ends by itself, whatever is away."""
        self._model_due.set()
        self._config_due.set()
        poll = self._poll_seconds
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._repeat("catalogue", self._follow_changes, poll))
            loops.create_task(
                self._repeat("popularity", self._follow_popularity, self._popularity_seconds)
            )
            loops.create_task(self._repeat("live version", self._follow_live, poll))
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
            self._model_due.set()
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

    async def _follow_popularity(self) -> None:
        await self.loaded.wait()
        asked_at = self._clock()
        counters = await self._reader.popularity(self._counted_at - POPULARITY_OVERLAP)
        if counters:
            async with self._writing:
                await asyncio.to_thread(self._catalogue.apply_popularity, counters)
        self._counted_at = asked_at

    async def _follow_live(self) -> None:
        await _when(self._model_due, self._renew_live)

    async def _renew_live(self) -> None:
        model = await self._models.live()
        if model is None:
            self._live.swap(None)
        elif self._live.current is None or self._live.current.version != model.version:
            await self._swap(model)
        self.settled.set()

    async def _swap(self, model: Model) -> None:
        current = await self._opened(model)
        self._live.swap(current)
        self.settled.set()
        _log.info("Serving a version.", version=model.version)
        # None after a start: which one a rollback would want is not known then.
        if (previous := self._live.previous) is not None:
            kept = (current.version, previous.version)
            await asyncio.to_thread(self._keep_versions, kept)

    async def _opened(self, model: Model) -> LiveHandle:
        before = self._live.previous
        if before is not None and before.version == model.version:
            return before
        return await asyncio.to_thread(self._open_version, model)

    async def _follow_config(self) -> None:
        await _when(self._config_due, self._renew_config)

    async def _renew_config(self) -> None:
        self._config.current = await self._load_config()


async def _when(due: asyncio.Event, renew: Callable[[], Awaitable[None]]) -> None:
    """Renew when it is due; it stays due when that fails."""
    await due.wait()
    due.clear()  # first, so that news which comes meanwhile is not lost
    try:
        await renew()
    except Exception:
        due.set()
        raise

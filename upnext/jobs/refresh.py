"""Lists made by the live model before they are asked for: after a flip, and by schedule."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from api.list_cache import ListCache
from api.moment import Moment
from api.page_search import for_pages
from api.warming import Warmed, Warmer
from core.clock import Clock, utc_now
from core.errors import UpnextError
from core.settings import Settings
from core.types import Model, PopularityRow
from embeddings.version import Version
from retrieval.build import with_counters
from retrieval.ports import VectorSearch
from retrieval.snapshot import Snapshot
from storage.milvus import MilvusSearch
from storage.postgres.configs import PostgresConfigs
from storage.postgres.models import PostgresModels
from storage.postgres.read_replica import reads_of
from storage.postgres.refreshes import PostgresRefreshes
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from storage.redis.client import client_of as redis_of
from storage.redis.client import ping
from storage.redis.users import RedisUserCache
from upnext.jobs.local_copies import open_copy
from upnext.jobs.snapshots import snapshot_of

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LONGEST = timedelta(minutes=10)  # of a refresh by schedule: who was here last comes first
PAGE = 16  # users whose lists are made in one go; what else the worker does waits for it
REDIS_SECONDS = 5.0  # nobody is waiting

# Lists are renewed after ten minutes: none may look half as old as that when it is made.
MOMENT_LASTS = timedelta(minutes=3)


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh did; `unknown` users were forgotten meanwhile."""

    version: str
    users: int
    unknown: int


class ListsFailed(UpnextError):
    """Some lists could not be made, so the refresh is still due: do it again after a while."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Lists of whom, by which version; asked again and again whether they `still` are."""

    version: str
    seen_since: datetime
    still: Callable[[], Awaitable[bool]]


async def refresh(
    settings: Settings, engine: AsyncEngine, clock: Clock = utc_now
) -> Refreshed | None:
    """Do what the last flip asks for, if it was not done; None where there was nothing to do.

    One process at a time does it. Killed at any point, the next one goes on: lists that are there
    are not made again. Another flip ends it.

    Raises:
        ListsFailed: some lists could not be made; the others are kept, and it is still due.
        Unavailable: a store did not answer; what was made is kept.
        SetupError: a setting is missing.
    """
    refreshes = PostgresRefreshes(engine)
    if await refreshes.due() is None:
        return None
    async with refreshes.lease() as mine:
        due = await refreshes.due() if mine else None
        if due is None:
            return None

        async def still() -> bool:
            return await refreshes.due() == due

        made = await _make(settings, engine, Wanted(due.version, clock() - DAY, still), clock)
        if made.failed and await refreshes.due() == due:
            raise ListsFailed(
                f"{made.failed:,} lists of {due.version} could not be made, {made.there:,} are "
                "there: the lines above say why."
            )
        done = await refreshes.done(due, made.there)
    return Refreshed(version=due.version, users=made.there, unknown=made.unknown) if done else None


async def refresh_active(
    settings: Settings, engine: AsyncEngine, clock: Clock = utc_now
) -> tuple[Model, Warmed] | None:
    """Lists of the last hour's users that are missing or past their soft age, made anew.

    Ends when another model goes live, and after ten minutes. None where there is nothing to do:
    no model, nobody here, or the lists after a flip are being made.

    Raises:
        Unavailable: a store did not answer; what was made is kept.
        SetupError: a setting is missing.
    """
    registry, since, until = PostgresModels(engine, clock), clock() - HOUR, clock() + LONGEST
    model = await registry.live()
    if model is None or not await PostgresUsers(engine).seen_since(since):
        return None
    version = model.version

    async def still() -> bool:
        live = await registry.live()
        return live is not None and live.version == version and clock() < until

    async with PostgresRefreshes(engine).lease() as mine:
        if not mine:
            return None
        return model, await _make(settings, engine, Wanted(version, since, still), clock)


async def _make(settings: Settings, engine: AsyncEngine, wanted: Wanted, clock: Clock) -> Warmed:
    # Redis first: to open the version and to read the catalogue for nothing is dear.
    async with (
        _lists(settings) as lists,
        reads_of(settings, engine) as reads,
        AsyncExitStack() as opened,
    ):
        users = PostgresUsers(reads)

        def index() -> VectorSearch:
            made = MilvusSearch.of(settings)
            opened.push_async_callback(made.close)
            return made

        version = await asyncio.to_thread(open_copy, settings, wanted.version)
        moments = await _Moments.of(engine, reads, wanted, version, clock)
        search = for_pages(version, index, most_bytes=settings.exact_bytes)
        warmer = Warmer(users, lists, search, recent=settings.state_recent)
        lately = await users.seen_since(wanted.seen_since)
        return await warmer.warm(lately, moments.next, page=PAGE)


class _Moments:
    """Moments of a refresh: a new one every few minutes, none once it is not wanted any more."""

    def __init__(self, videos: PostgresVideos, wanted: Wanted, first: Moment, clock: Clock) -> None:
        self._videos = videos
        self._wanted = wanted
        self._moment = first
        self._clock = clock

    @classmethod
    async def of(
        cls,
        engine: AsyncEngine,
        reads: AsyncEngine,
        wanted: Wanted,
        version: Version,
        clock: Clock,
    ) -> Self:
        """Read the catalogue. Raises `Unavailable`."""
        config = await PostgresConfigs(engine).current()
        began = clock()
        videos = PostgresVideos(reads)
        snapshot = await snapshot_of(videos)
        first = Moment(live=version, config=config, snapshot=snapshot, now=began, loaded=True)
        return cls(videos, wanted, first, clock)

    async def next(self) -> Moment | None:
        """See `api.warming.Moments`. Raises `Unavailable`."""
        if not await self._wanted.still():
            return None
        now = self._clock()
        if now - self._moment.now >= MOMENT_LASTS:
            counters = await self._videos.popularity(None)
            snapshot = await asyncio.to_thread(_recounted, self._moment.snapshot, counters)
            self._moment = msgspec.structs.replace(self._moment, snapshot=snapshot, now=now)
        return self._moment


def _recounted(snapshot: Snapshot, counters: Sequence[PopularityRow]) -> Snapshot:
    made = with_counters(snapshot, counters)
    made.precompute()
    return made


@asynccontextmanager
async def _lists(settings: Settings) -> AsyncIterator[ListCache]:
    async with aclosing(redis_of(settings, REDIS_SECONDS)) as redis:
        await ping(redis)
        yield ListCache(RedisUserCache(redis))

"""After a flip: the lists of all who were here lately, made by the model that is live now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from api.list_cache import ListCache
from api.moment import Moment
from api.page_search import for_pages
from api.warming import Warmer
from core.clock import Clock, utc_now
from core.errors import SetupError
from core.settings import Settings
from embeddings.version import Version, open_version
from retrieval.ports import VectorSearch
from storage.artifacts import artifact_store
from storage.milvus import MilvusSearch
from storage.postgres.configs import PostgresConfigs
from storage.postgres.refreshes import Due, PostgresRefreshes
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from storage.redis.client import connect as connect_redis
from storage.redis.users import RedisUserCache
from upnext.jobs.snapshots import snapshot_of

LATELY = timedelta(days=1)
PAGE = 16  # users whose lists are made in one go; what else the worker does waits for it
REDIS_SECONDS = 5.0  # nobody is waiting

_log = structlog.get_logger(__name__)


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh did."""

    version: str
    users: int
    failed: int


async def refresh(
    settings: Settings, engine: AsyncEngine, clock: Clock = utc_now
) -> Refreshed | None:
    """Do what the last flip asks for, if it was not done; None where there was nothing to do.

    One process at a time does it. Killed at any point, the next one goes on: lists that are there
    are not made again. Another flip ends it.

    Raises:
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
        made = await _make(settings, engine, due, clock)
        return made if await refreshes.done(due, made.users) else None


async def _make(settings: Settings, engine: AsyncEngine, due: Due, clock: Clock) -> Refreshed:
    refreshes, users = PostgresRefreshes(engine), PostgresUsers(engine)
    version = await asyncio.to_thread(_opened, settings, due.version)

    async def still() -> bool:
        return await refreshes.due() == due

    async with _lists(settings) as lists, AsyncExitStack() as opened:

        def index() -> VectorSearch:
            made = MilvusSearch.of(settings)
            opened.push_async_callback(made.close)
            return made

        moment = Moment(
            live=version,
            config=await PostgresConfigs(engine).current(),
            snapshot=await snapshot_of(PostgresVideos(engine)),
            now=clock(),
            loaded=True,
        )
        search = for_pages(version, index, most_bytes=settings.exact_bytes)
        warmer = Warmer(users, lists, search, recent=settings.state_recent)
        lately = await users.seen_since(moment.now - LATELY)
        warmed = await warmer.warm(lately, moment, page=PAGE, go_on=still)
    return Refreshed(version=due.version, users=warmed.there, failed=warmed.failed)


def _opened(settings: Settings, version: str) -> Version:
    store = artifact_store(settings.artifacts_url or "")
    return open_version(store, version, settings.home / "versions")


@asynccontextmanager
async def _lists(settings: Settings) -> AsyncIterator[ListCache]:
    if settings.redis_url is None:
        raise SetupError("UPNEXT_REDIS_URL is not set: finished lists are kept there.")
    async with aclosing(connect_redis(settings.redis_url, REDIS_SECONDS)) as redis:
        yield ListCache(RedisUserCache(redis))

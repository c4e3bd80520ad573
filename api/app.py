"""The wiring of a serving process: the only place in `api` that chooses adapters."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from litestar import Litestar
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth import verifier
from api.health import HealthCheck
from api.http import application
from api.list_cache import ListCache
from api.maker import Maker
from api.moment import Moment
from api.recommender import Recommender
from api.services import Services
from api.states import States
from api.watching import Watching
from core import logging
from core.clock import utc_now
from core.errors import SetupError
from core.settings import Settings, load
from core.types import Model
from embeddings.version import Version, open_version
from retrieval.catalogue import Catalogue
from retrieval.follower import Follower
from retrieval.live import LiveConfig, LiveModel
from retrieval.nearest import Nearest
from retrieval.new import New
from retrieval.popular import Popular
from retrieval.query import CandidateSource
from retrieval.retriever import Retriever
from retrieval.similar import Similar
from retrieval.similar_videos import SimilarVideos
from retrieval.trending import Trending
from storage import bus
from storage.artifacts import Artifacts, artifact_store
from storage.milvus import MilvusSearch
from storage.postgres import engine as postgres
from storage.postgres.changes import PostgresChanges
from storage.postgres.configs import PostgresConfigs
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.models import PostgresModels
from storage.postgres.ping import ping as ping_postgres
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from storage.redis.client import connect as connect_redis
from storage.redis.client import ping as ping_redis
from storage.redis.users import RedisUserCache

# A replica whose version cannot be opened (the object store is away) serves without one.
SETTLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stores:
    """Connections of one process; nothing is opened before the first use."""

    engine: AsyncEngine
    redis: Redis
    search: MilvusSearch
    bus: bus.Bus
    artifacts: Artifacts


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served from memory, and what keeps it current."""

    catalogue: Catalogue
    live: LiveModel
    config: LiveConfig
    follower: Follower


def create_app() -> Litestar:
    """The application of one worker process, from the settings in the environment.

    Raises:
        SetupError: a setting is missing or cannot be used.
    """
    settings = load()
    logging.configure(settings.log_level)
    return application(lambda: services(settings), verifier(settings))


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """The use cases over the stores of these settings, following the catalogue until the end.

    Raises:
        SetupError: a setting is missing or cannot be used.
    """
    async with AsyncExitStack() as stack:
        stores = await _stores(settings, stack)
        serving = _serving(settings, stores)
        following = asyncio.create_task(serving.follower.run())
        stack.push_async_callback(_end, following)
        yield _services(settings, stores, serving)


async def _stores(settings: Settings, stack: AsyncExitStack) -> Stores:
    engine = postgres.connect(settings)
    stack.push_async_callback(engine.dispose)
    redis = connect_redis(_given(settings, "redis_url"), settings.redis_timeout_seconds)
    stack.push_async_callback(redis.aclose)
    _given(settings, "milvus_uri")
    search = MilvusSearch.of(settings)
    stack.push_async_callback(search.close)
    messages = bus.connect(_given(settings, "bus_url"))
    stack.push_async_callback(messages.close)
    artifacts = artifact_store(_given(settings, "artifacts_url"))
    return Stores(engine, redis, search, messages, artifacts)


def _serving(settings: Settings, stores: Stores) -> Serving:
    catalogue, live, config = Catalogue(), LiveModel(), LiveConfig()
    versions = settings.home / "versions"

    def opened(model: Model) -> Version:
        return open_version(stores.artifacts, model.version, versions)

    follower = Follower(
        catalogue=catalogue,
        live=live,
        config=config,
        reader=PostgresVideos(stores.engine),
        changes=PostgresChanges(stores.engine),
        models=PostgresModels(stores.engine, utc_now),
        open_version=opened,
        load_config=PostgresConfigs(stores.engine).current,
        poll_seconds=settings.changes_poll_seconds,
        popularity_seconds=settings.popularity_refresh_seconds,
    )
    return Serving(catalogue, live, config, follower)


def _services(settings: Settings, stores: Stores, serving: Serving) -> Services:
    cache = RedisUserCache(stores.redis)
    follower = serving.follower
    began = time.monotonic()

    def moment() -> Moment:
        return Moment(
            live=serving.live.current,
            config=serving.config.current,
            snapshot=serving.catalogue.snapshot,
            now=utc_now(),
            loaded=follower.loaded.is_set(),
        )

    def ready() -> bool:
        waited = time.monotonic() - began > SETTLE_SECONDS
        return follower.loaded.is_set() and (follower.settled.is_set() or waited)

    return Services(
        recommender=Recommender(
            lists=ListCache(cache),
            states=States(
                store=PostgresUsers(stores.engine), cache=cache, recent=settings.state_recent
            ),
            maker=_maker(settings, stores.search),
            moment=moment,
        ),
        watching=Watching(
            interactions=PostgresInteractions(stores.engine),
            videos=PostgresVideos(stores.engine),
            cache=cache,
        ),
        models=PostgresModels(stores.engine, utc_now),
        health=_health(stores),
        live=serving.live,
        ready=ready,
        settled=follower.settled,
    )


def _maker(settings: Settings, search: MilvusSearch) -> Maker:
    deadline = settings.milvus_timeout_seconds
    sources: list[CandidateSource] = [
        Nearest(search),
        Similar(search),
        Trending(),
        Popular(),
        New(),
    ]
    return Maker(
        retriever=Retriever(sources, deadline_seconds=deadline),
        similar=SimilarVideos(search, deadline_seconds=deadline),
    )


def _health(stores: Stores) -> HealthCheck:
    async def artifacts() -> None:
        await asyncio.to_thread(stores.artifacts.keys, "models/none/")

    return HealthCheck(
        {
            "postgres": lambda: ping_postgres(stores.engine),
            "redis": lambda: ping_redis(stores.redis),
            "milvus": stores.search.ping,
            "bus": stores.bus.ping,
            "artifacts": artifacts,
        }
    )


def _given(settings: Settings, field: str) -> str:
    """A URL that must be set by now. Raises `SetupError`."""
    value: str | None = getattr(settings, field)
    if value is None:
        raise SetupError(f"UPNEXT_{field.upper()} is not set: set it, or start with `upnext up`.")
    return value


async def _end(following: asyncio.Task[None]) -> None:
    following.cancel()
    await asyncio.wait([following])

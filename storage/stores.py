"""All adapters of a serving process, connected as its settings say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from core.access import access
from core.clock import utc_now
from core.settings import Settings, given
from storage import bus
from storage.artifacts import Artifacts, artifact_store
from storage.breaker import Breaker
from storage.milvus import MilvusSearch
from storage.postgres import engine as postgres
from storage.postgres.changes import PostgresChanges
from storage.postgres.configs import PostgresConfigs
from storage.postgres.engine import reads_by
from storage.postgres.erasure import PostgresErasures
from storage.postgres.impressions import PostgresImpressions
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.jobs import PostgresJobs
from storage.postgres.models import PostgresModels
from storage.postgres.ping import ping as ping_postgres
from storage.postgres.read_replica import NAME as REPLICA
from storage.postgres.read_replica import ReadReplica, standby
from storage.postgres.replicas import PostgresReplicas
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from storage.postgres.watch_shares import PostgresWatchShares
from storage.redis import client as redis
from storage.redis.limits import RedisLedger
from storage.redis.notices import RedisNotices
from storage.redis.users import RedisUserCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One adapter each, behind its dependency's breaker.

    `users` and `catalogue` are for what reads much: a read replica answers them where there is one.
    `states` are those users' states that a list waits for: given up sooner than anything else.
    `probes` ask each dependency itself for a sign of life (`Unavailable` if none).
    """

    users: PostgresUsers
    states: PostgresUsers
    videos: PostgresVideos
    catalogue: PostgresVideos
    interactions: PostgresInteractions
    impressions: PostgresImpressions
    models: PostgresModels
    configs: PostgresConfigs
    changes: PostgresChanges
    replicas: PostgresReplicas
    cache: RedisUserCache
    notices: RedisNotices
    limits: RedisLedger
    search: MilvusSearch
    artifacts: Artifacts
    jobs: PostgresJobs
    erasures: PostgresErasures
    watch_shares: PostgresWatchShares
    probes: Mapping[str, Callable[[], Awaitable[None]]]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Stores]:
    """The stores for the time of the block. Nothing is asked before its first use.

    Raises:
        SetupError: a URL is missing or cannot be used.
    """
    async with AsyncExitStack() as stack:
        connections = postgres.connect(settings)
        stack.push_async_callback(connections.dispose)
        breaker = Breaker("postgres", lambda: ping_postgres(connections))
        stack.push_async_callback(breaker.close)
        engine = postgres.guarded(connections, breaker)
        hurried = postgres.guarded(
            connections, breaker, seconds=settings.postgres_read_timeout_seconds
        )
        replica = await stack.enter_async_context(standby(settings))
        reads = engine if replica is None else reads_by(engine, ReadReplica(engine, replica))
        client = redis.client_of(settings, settings.redis_timeout_seconds)
        stack.push_async_callback(client.aclose)
        search = MilvusSearch(
            given(settings, "milvus_uri"),
            access(settings, "milvus"),
            timeout_seconds=settings.milvus_timeout_seconds / 2,  # what stands in needs time too
        )
        stack.push_async_callback(search.close)
        messages = bus.bus_of(settings)
        stack.push_async_callback(messages.close)
        artifacts = artifact_store(settings)
        # A thread of its own: a store that hangs must not take those that others need.
        probing = ThreadPoolExecutor(1, "artifacts-probe")
        stack.callback(probing.shutdown, wait=False, cancel_futures=True)
        yield Stores(
            users=PostgresUsers(reads),
            states=PostgresUsers(hurried),
            videos=PostgresVideos(engine),
            catalogue=PostgresVideos(reads),
            interactions=PostgresInteractions(engine),
            impressions=PostgresImpressions(engine),
            models=PostgresModels(engine, utc_now),
            configs=PostgresConfigs(engine),
            changes=PostgresChanges(engine),
            replicas=PostgresReplicas(engine),
            cache=RedisUserCache(client),
            notices=RedisNotices(client),
            limits=RedisLedger(client, uuid4().hex[:12]),
            search=search,
            artifacts=artifacts,
            jobs=PostgresJobs(engine, utc_now),
            erasures=PostgresErasures(engine, utc_now),
            watch_shares=PostgresWatchShares(engine),
            probes={
                "postgres": lambda: ping_postgres(connections),
                **({} if replica is None else {REPLICA: replica.ping}),
                "redis": lambda: redis.ping(client),
                "milvus": search.ping,
                "bus": messages.ping,
                "artifacts": lambda: _in(probing, artifacts.probe),
            },
        )


async def _in(executor: ThreadPoolExecutor, ask: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(executor, ask)

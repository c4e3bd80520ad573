"""The consumer of events over the real stores: what `upnext worker` runs for its part `events`."""

import asyncio
from contextlib import AsyncExitStack

from sqlalchemy.ext.asyncio import AsyncEngine

from core.settings import Settings
from ingest.consumer import Consumer
from ingest.dropping import Dropping
from ingest.handling import Handler
from ingest.kept_weights import KeptWeights
from storage import bus
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.owed_drops import PostgresOwedDrops
from storage.postgres.watch_shares import PostgresWatchShares
from storage.redis.client import client_of as redis_of
from storage.redis.users import RedisUserCache


async def consume(settings: Settings, engine: AsyncEngine) -> None:
    """Consume events until cancelled, beside any other workers that do.

    Raises:
        SetupError: the URL of the bus or of Redis is missing, or cannot be used.
    """
    weights = KeptWeights()
    async with AsyncExitStack() as open_:
        source = bus.events_of(settings)
        open_.push_async_callback(source.close)
        redis = redis_of(settings, settings.redis_timeout_seconds)
        open_.push_async_callback(redis.aclose)
        drops = Dropping(RedisUserCache(redis), PostgresOwedDrops(engine))
        handler = Handler(
            PostgresInteractions(engine),
            PostgresDeadLetters(engine),
            drops,
            weights=weights.current,
        )
        consumer = Consumer(source, handler, settings.events_batch)
        async with asyncio.TaskGroup() as group:
            group.create_task(weights.run(PostgresWatchShares(engine)))
            await weights.asked.wait()  # so that the first events are weighed like the later ones
            group.create_task(drops.run())
            group.create_task(consumer.follow_lag())
            group.create_task(consumer.run())

"""The importer joined to the stores: what the command line, `up` and tests call."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from core.settings import Settings
from core.types import Interaction, Progress, Video
from ingest.feed import Feed
from ingest.importer import Importer, ignore
from ingest.kept_weights import KeptWeights
from ingest.report import Reject, Report
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.videos import PostgresVideos
from storage.postgres.watch_shares import PostgresWatchShares
from storage.redis.client import client_of as redis_of
from storage.redis.users import RedisUserCache

REDIS_SECONDS = 5.0  # a batch drops thousands of users' lists at once, and nobody is waiting


async def import_feeds(
    settings: Settings,
    *,
    videos: Feed[Video] | None = None,
    interactions: Feed[Interaction] | None = None,
    weights: KeptWeights | None = None,
    on_progress: Callable[[Progress], None] = ignore,
    on_reject: Callable[[Reject], None] = ignore,
) -> Report:
    """Write videos, then interactions, to the stores that `settings` name.

    Needs `postgres_url` (migrated) and `redis_url`. Writing the same again adds nothing. Redis
    being away is a warning in the report. `weights`, if given, are read before the first row.

    Raises:
        Unavailable: PostgreSQL went away; the batches before stay written.
    """
    async with _importer(settings, weights, on_progress, on_reject) as importer:
        if videos is not None:
            await importer.videos(videos)
        if interactions is not None:
            await importer.interactions(interactions)
        return importer.report


@asynccontextmanager
async def _importer(
    settings: Settings,
    weights: KeptWeights | None,
    on_progress: Callable[[Progress], None],
    on_reject: Callable[[Reject], None],
) -> AsyncIterator[Importer]:
    redis = redis_of(settings, REDIS_SECONDS)
    async with pool(settings, patient=True) as engine, aclosing(redis):
        if weights is not None:
            await weights.renew(PostgresWatchShares(engine))
        yield Importer(
            PostgresVideos(engine),
            PostgresInteractions(engine),
            RedisUserCache(redis),
            on_progress=on_progress,
            on_reject=on_reject,
        )

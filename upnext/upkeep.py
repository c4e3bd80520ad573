"""What keeps a service in order by itself: lists after a flip, sweeping, forgetting."""

from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.settings import Settings
from storage.postgres.changes import PostgresChanges
from storage.postgres.impressions import PostgresImpressions
from storage.postgres.outbox import PostgresOutbox
from upnext.jobs.old_jobs import forget_old_jobs
from upnext.jobs.refresh import refresh
from upnext.jobs.sweep import sweep
from upnext.repeating import repeat

REFRESH_SECONDS = 1.0
SWEEP_SECONDS = 60.0
NEWS_KEPT = timedelta(days=7)
SERVED_KEPT = timedelta(days=2)

_log = structlog.get_logger(__name__)


def upkeep(settings: Settings, engine: AsyncEngine) -> Iterator[Coroutine[Any, Any, None]]:
    """The loops, each for ever."""
    changes, outbox = PostgresChanges(engine), PostgresOutbox(engine)
    impressions = PostgresImpressions(engine)

    async def sweep_versions() -> None:
        swept = await sweep(settings)
        if swept.versions:
            _log.info("Swept old versions.", **msgspec.structs.asdict(swept))

    async def refresh_lists() -> None:
        refreshed = await refresh(settings, engine)
        if refreshed is not None:
            _log.info("Lists are made by the live version.", **msgspec.structs.asdict(refreshed))

    async def prune() -> None:
        before = utc_now() - NEWS_KEPT
        await changes.prune(before)
        await outbox.prune(before)
        await impressions.prune(utc_now() - SERVED_KEPT)
        await forget_old_jobs(settings, engine)

    yield repeat("sweep", sweep_versions, SWEEP_SECONDS)
    yield repeat("refreshing lists", refresh_lists, REFRESH_SECONDS)
    yield repeat("pruning", prune, SWEEP_SECONDS)

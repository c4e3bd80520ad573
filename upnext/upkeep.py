"""What a worker does without being asked: by schedule, and what cannot wait for one."""

import math
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, cast

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.cron import OFF
from core.jobs import UPKEEP, UpkeepKind
from core.metrics import TRAININGS
from core.settings import Settings
from storage.postgres.jobs import PostgresJobs
from storage.postgres.models import PostgresModels
from storage.queue import Task
from upnext.jobs.local_copies import forget_old_copies
from upnext.jobs.refresh import refresh
from upnext.jobs.self_recall import watch_recall
from upnext.measuring import measuring
from upnext.repeating import repeat

REFRESH_SECONDS = 1.0
COPIES_SECONDS = 60.0
STALE_SECONDS = 5.0
SCHEDULE = "schedule"
"""Who asks for the jobs of schedules."""

_log = structlog.get_logger(__name__)


def schedules(settings: Settings) -> Mapping[str, str]:
    """Cron expressions by kind of job, of those that are not off."""
    crons = {kind: str(getattr(settings, f"schedule_{kind}")) for kind in UPKEEP}
    return {kind: cron for kind, cron in crons.items() if cron != OFF}


def tick(engine: AsyncEngine) -> Task:
    """What a schedule does at its time: it asks for a job, unless one is queued or running."""
    jobs = PostgresJobs(engine, utc_now)

    async def put(kind: str) -> None:
        await jobs.put(cast("UpkeepKind", kind), SCHEDULE)

    return put


def upkeep(settings: Settings, engine: AsyncEngine) -> Iterator[Coroutine[Any, Any, None]]:
    """What is looked after all the time, each for ever."""
    watch = _Watch(settings, engine)
    yield repeat("refreshing lists", watch.refresh_lists, REFRESH_SECONDS)
    yield repeat("looking for runs that were left", watch.fail_stale, STALE_SECONDS)
    yield from measuring(engine)
    yield watch_recall(settings, engine)


def local_upkeep(settings: Settings, engine: AsyncEngine) -> Coroutine[Any, Any, None]:
    """What each machine looks after, for ever: its copies of versions that nobody needs."""
    models = PostgresModels(engine, utc_now)

    async def forget() -> None:
        await forget_old_copies(settings, await models.openable())

    return repeat("forgetting copies", forget, COPIES_SECONDS)


class _Watch:
    """The steps that are repeated."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._models = PostgresModels(engine, utc_now)
        self._looked = -math.inf

    async def refresh_lists(self) -> None:
        refreshed = await refresh(self._settings, self._engine)
        if refreshed is not None:
            _log.info("Lists are made by the live version.", **msgspec.structs.asdict(refreshed))

    async def fail_stale(self) -> None:
        await self._models.live()
        before, self._looked = self._looked, time.monotonic()
        if self._looked - before > 3 * STALE_SECONDS:
            return  # PostgreSQL was away: runs that could not say so live may say it now
        for model in await self._models.fail_stale():
            TRAININGS.labels(model.model_type, "failed").inc()
            _log.warning("A run has failed.", model=model.id, reason=model.error)

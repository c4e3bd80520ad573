"""A training that a worker does, followed by who asked for it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import structlog

from core.clock import utc_now
from core.errors import Conflict, Unavailable
from core.settings import Settings
from core.types import Model, ModelType, Progress
from storage.model_status import STEPS
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.jobs.train import fail_orphans

LOOK_SECONDS = 0.25
WAITING = Progress("queued", 0.0, "it begins when a worker is free")

log = structlog.get_logger(__name__)


async def train_by_worker(
    settings: Settings,
    model_type: ModelType,
    start: datetime | None,
    end: datetime | None,
    on_progress: Callable[[Progress], None],
) -> Model:
    """As `upnext.jobs.train.train`, through the queue. Who stops following cancels the run.

    Returns:
        The model as its run left it; `live` when the worker made it so.

    Raises:
        Conflict: a run of that type is queued or going on.
        Unavailable: PostgreSQL did not answer, so that nothing was queued.
    """
    async with pool(settings) as engine:
        registry = PostgresModels(engine, utc_now)
        await fail_orphans(registry)
        model = await registry.queue(model_type, {"start": start, "end": end})
        try:
            return await _followed(registry, model, on_progress)
        except asyncio.CancelledError:
            with suppress(Conflict):  # it has ended
                await registry.cancel(model.id)
            raise


async def _followed(
    registry: PostgresModels, model: Model, on_progress: Callable[[Progress], None]
) -> Model:
    """Tell what is new of a run until it has ended."""
    shown: Progress | None = None
    while model.status in STEPS:
        now = model.progress or WAITING
        if now != shown:
            on_progress(now)
            shown = now
        await asyncio.sleep(LOOK_SECONDS)
        try:
            model = await registry.get(model.id)
        except Unavailable as error:  # the worker goes on, or waits, whether we look or not
            log.debug("a run could not be looked at", model=model.id, reason=str(error))
    return model

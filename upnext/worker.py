"""Background work: events to the bus, lists after a flip, sweeping what is no longer needed."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import SetupError, Unavailable
from core.settings import Settings
from storage import bus
from storage.postgres.changes import PostgresChanges
from storage.postgres.engine import pool
from storage.postgres.impressions import PostgresImpressions
from storage.postgres.jobs import TASK
from storage.postgres.outbox import PostgresOutbox
from storage.postgres.runs import TRAIN
from storage.queue import Queue
from upnext.jobs.old_jobs import forget_old_jobs
from upnext.jobs.queue_handlers import HANDLERS
from upnext.jobs.queued import JobRunner
from upnext.jobs.refresh import refresh
from upnext.jobs.sweep import sweep
from upnext.jobs.train import train_queued

RELAY_SECONDS = 0.5
REFRESH_SECONDS = 1.0
SWEEP_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 300.0
RELAY_AWAY_SECONDS = 1.0  # others wait for what is on its way, and to ask again costs little
STOP_SECONDS = 1.5
NEWS_KEPT = timedelta(days=7)
SERVED_KEPT = timedelta(days=2)

_log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then stop within 2 s. Outages are waited for.

    Raises:
        SetupError: a URL is missing or cannot be read.
    """
    asyncio.run(_until_told(settings))


async def _until_told(settings: Settings) -> None:
    if settings.bus_url is None:
        raise SetupError("UPNEXT_BUS_URL is not set: set it, or start with `upnext up`.")
    publisher = bus.connect(settings.bus_url)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with pool(settings) as engine:
        working = asyncio.create_task(work(settings, engine, publisher))
        told = asyncio.create_task(stop.wait())
        _log.info("The worker is running.")
        try:
            await asyncio.wait((working, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            _leave_within(STOP_SECONDS, code=int(working.done()))  # it ends only by a fault
            await _end(told)
            await _end(working)
            await publisher.close()
            _log.info("The worker has stopped.")


async def work(settings: Settings, engine: AsyncEngine, publisher: bus.Bus) -> None:
    """Relay, refresh, sweep, prune and do what is queued until cancelled."""
    outbox, changes = PostgresOutbox(engine), PostgresChanges(engine)
    impressions, jobs = PostgresImpressions(engine), JobRunner(settings, engine, HANDLERS)
    queue = Queue(settings, {TASK: jobs.run, TRAIN: partial(train_queued, settings)})

    async def relay() -> None:
        while await outbox.relay(publisher):
            pass

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

    async with asyncio.TaskGroup() as group:
        group.create_task(
            repeat("outbox relay", relay, RELAY_SECONDS, away_seconds=RELAY_AWAY_SECONDS)
        )
        group.create_task(repeat("sweep", sweep_versions, SWEEP_SECONDS))
        group.create_task(repeat("refreshing lists", refresh_lists, REFRESH_SECONDS))
        group.create_task(repeat("pruning", prune, SWEEP_SECONDS))
        group.create_task(queue.work())


def _leave_within(seconds: float, *, code: int) -> None:
    """Bound the stop: a deletion may wait for Milvus in a thread, the next sweep redoes it."""
    last_resort = threading.Timer(seconds, os._exit, (code,))
    last_resort.daemon = True
    last_resort.start()


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for it; an error of its own is raised."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def repeat(
    name: str,
    step: Callable[[], Awaitable[None]],
    seconds: float,
    *,
    away_seconds: float = LONGEST_PAUSE_SECONDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Do `step` every so many seconds, for ever.

    After a failure the pauses grow, up to `away_seconds` while a dependency is away and up to
    `LONGEST_PAUSE_SECONDS` after any other, until it succeeds; other steps go on. A dependency
    that is away is one log line when it goes and one when it is back; any other failure is logged
    each time.
    """
    away, pause = False, seconds
    while True:
        try:
            await step()
        except Unavailable as error:
            pause = _longer(pause, seconds, away_seconds)
            if not away:
                _log.warning("Waiting for a dependency.", work=name, reason=str(error))
            away = True
        except Exception as error:  # noqa: BLE001  (whatever it is, the rest of the work goes on)
            pause = _longer(pause, seconds, LONGEST_PAUSE_SECONDS)
            _log.error("A step failed.", work=name, again_in=pause, exc_info=error)
        else:
            if away:
                _log.info("The dependency is back.", work=name)
            away, pause = False, seconds
        await sleep(pause)


def _longer(pause: float, seconds: float, longest: float) -> float:
    return min(pause * 2, max(seconds, longest))

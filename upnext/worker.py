"""Background work in three parts: events, jobs, training. A worker does all, or some of them."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Collection, Coroutine, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core import logging, tracing
from core.errors import SetupError
from core.measures import begin
from core.metrics import LOG_LINES_DROPPED
from core.settings import Settings, keep_from_children, strays
from storage import bus
from storage.postgres.engine import pool
from storage.postgres.jobs import TASK
from storage.postgres.outbox import PostgresOutbox
from storage.postgres.queueing import QUEUES
from storage.postgres.runs import TRAIN
from storage.queue import TICK, Queue, Task
from upnext.consuming import consume
from upnext.exposing import FOLDER_VARIABLE, exposed
from upnext.jobs.queue_handlers import HANDLERS
from upnext.jobs.queued import JobRunner
from upnext.jobs.train import train_queued
from upnext.repeating import repeat
from upnext.upkeep import local_upkeep, schedules, tick, upkeep

Part = Literal["events", "jobs", "training"]
PARTS: Final[tuple[Part, ...]] = ("events", "jobs", "training")

RELAY_SECONDS = 0.5
RELAY_AWAY_SECONDS = 1.0  # others wait for what is on its way, and to ask again costs little
STOP_SECONDS = 1.5
STUCK_SECONDS = 30.0

Work = Coroutine[Any, Any, None]
_log = structlog.get_logger(__name__)


def run(settings: Settings, parts: Collection[Part] = PARTS) -> None:
    """Work until SIGTERM or SIGINT, then stop within 2 s. Outages are waited for.

    Args:
        settings: with the URLs of all stores.
        parts: `events` is the bus in both directions, `jobs` what is queued but for what needs
            torch, and `training` that.

    Raises:
        SetupError: a URL is missing or cannot be read.
    """
    # What it starts measures for itself: else each child would leave files where the API looks.
    folder = keep_from_children(FOLDER_VARIABLE)
    begin("worker")
    heart = Heart()
    logging.take_over(settings)
    with (
        logging.written_by_a_thread(LOG_LINES_DROPPED.inc),
        exposed(settings, folder, heart.beats),
        tracing.traced("upnext-worker"),
    ):
        for stray in strays():
            _log.warning(stray)
        asyncio.run(_until_told(settings, parts, heart))


class Heart:
    """Whether the event loop goes round."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    async def beat(self) -> None:
        """Be seen every second, for ever."""
        while True:
            self._last = time.monotonic()
            await asyncio.sleep(1)

    def beats(self) -> bool:
        """Whether it was seen lately."""
        return time.monotonic() - self._last < STUCK_SECONDS


async def _until_told(settings: Settings, parts: Collection[Part], heart: Heart) -> None:
    publisher = bus.bus_of(settings) if "events" in parts else None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with pool(settings) as engine:
        doing = _work(settings, engine, publisher, parts)
        working = asyncio.create_task(work([heart.beat(), *doing]))
        told = asyncio.create_task(stop.wait())
        _log.info("The worker is running.", parts=[part for part in PARTS if part in parts])
        try:
            await asyncio.wait((working, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            _leave_within(STOP_SECONDS, code=int(working.done()))  # it ends only by a fault
            await _end(told)
            await _end(working)
            if publisher is not None:
                await publisher.close()
            _log.info("The worker has stopped.")


async def work(parts: Iterable[Work]) -> None:
    """Do all of it side by side until cancelled. Raises `SetupError`, which ends all of it."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except* SetupError as failed:
        raise failed.exceptions[0] from failed


def _work(
    settings: Settings, engine: AsyncEngine, publisher: bus.Bus | None, parts: Collection[Part]
) -> Iterator[Work]:
    if publisher is not None:
        yield _relay(engine, publisher)
        yield consume(settings, engine)
    if "jobs" in parts:
        yield from upkeep(settings, engine)
    if queues := [queue for queue in QUEUES if queue in parts]:
        yield local_upkeep(settings, engine)
        jobs = JobRunner(settings, engine, HANDLERS)
        tasks: dict[str, Task] = {
            TASK: jobs.run,
            TRAIN: partial(train_queued, settings),
            TICK: tick(engine),
        }
        yield Queue(settings, tasks, queues, schedules(settings) if "jobs" in parts else {}).work()


async def _relay(engine: AsyncEngine, publisher: bus.Bus) -> None:
    """Bring what is in the outbox to the bus, for ever."""
    outbox = PostgresOutbox(engine)

    async def relay() -> None:
        while await outbox.relay(publisher):
            pass

    await repeat("outbox relay", relay, RELAY_SECONDS, away_seconds=RELAY_AWAY_SECONDS)


def _leave_within(seconds: float, *, code: int) -> None:
    """Bound the stop: a deletion may wait for Milvus in a thread, the next sweep redoes it."""
    last_resort = threading.Timer(seconds, _leave, (code,))
    last_resort.daemon = True
    last_resort.start()


def _leave(code: int) -> None:
    said = "The worker leaves before all of its work has stopped: that is done again."
    logging.last_words(partial(_log.warning, said))
    os._exit(code)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for it; an error of its own is raised."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

"""The side of the queue that takes work out of it: procrastinate on PostgreSQL, by psycopg.

`storage.postgres.queueing` puts work in.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import psycopg
import structlog
from croniter import croniter
from procrastinate import App, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy

from core.access import access
from core.errors import Unavailable
from core.settings import Settings
from storage.postgres.queueing import QUEUES, SCHEMA
from storage.postgres.reaching import for_libpq, libpq_url, parsed

ASIDE = 8
"""How much a worker does at a time; what has the same lock takes turns."""
CONNECTIONS = 4
POLL_SECONDS = 5.0  # news of work comes by notice; this is for notices that were lost
HEARTBEAT_SECONDS = 3.0
AGAIN_SECONDS = 1.0
STALLED_SECONDS = 12.0
"""A worker without a sign of life for so long has ended: others take up its work."""
CONNECT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 60
_OPTIONS = {
    "options": f"-c search_path={SCHEMA} -c jit=off",
    "application_name": "upnext queue",
    "connect_timeout": str(round(CONNECT_SECONDS)),
}
TICK = "tick"
"""The name of the task of whatever is done by schedule."""

Task = Callable[[str], Awaitable[None]]
"""Does the work for the thing of this id. `Unavailable`: it will be done again after a while."""

# One that was never there begins with its next time: the last one is nobody's who was down.
_BEGIN_SCHEDULE = f"""
INSERT INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
SELECT '{TICK}', %(name)s::text, %(before)s::bigint WHERE NOT EXISTS (
    SELECT FROM procrastinate_periodic_defers
    WHERE task_name = '{TICK}' AND periodic_id = %(name)s::text
)
ON CONFLICT DO NOTHING
"""  # noqa: S608 (a constant)

_log = structlog.get_logger(__name__)

# Its lines say in many words what ours say in few, each outage with a traceback.
logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class Queue:
    """Takes work out of the queue and has it done.

    Work whose worker ends before it does is done again; so is what raises `Unavailable`, after
    pauses that grow to a minute. Anything else that a task raises ends its work. `away` says
    whether PostgreSQL is waited for.
    """

    def __init__(
        self,
        settings: Settings,
        tasks: Mapping[str, Task],
        queues: Sequence[str] = QUEUES,
        schedules: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is opened before `work`. Raises `SetupError`: the URL cannot be used.

        Args:
            settings: say where PostgreSQL is.
            tasks: what does the work, by the name it is queued with.
            queues: those that work is taken from.
            schedules: cron expressions by the id that the task `TICK` is given at their times:
                once by all workers that have them. Of the times that passed while none was there
                the last one is made up for.
        """
        self._queues = list(queues)
        parts, how = parsed(settings.postgres_url), access(settings, "postgres")
        self._connector = PsycopgConnector(
            conninfo=libpq_url(parts),
            kwargs=lambda: _OPTIONS | for_libpq(parts, how),  # asked for each connection
            min_size=1,
            max_size=CONNECTIONS,
            timeout=CONNECT_SECONDS,
        )
        self.away = False
        self._app = App(connector=self._connector, periodic_defaults={"max_delay": math.inf})
        for name, task in tasks.items():
            self._app.task(name=name, retry=_Again())(_named(task))
        # A schedule that is changed is another one: its own last time was never missed.
        self._schedules = {f"{id_} {cron}": cron for id_, cron in (schedules or {}).items()}
        for id_, cron in (schedules or {}).items():
            self._app.periodic(
                cron=cron,
                periodic_id=f"{id_} {cron}",
                queue="jobs",
                queueing_lock=f"{TICK} {id_}",
                task_kwargs={"id": id_},
            )(self._app.tasks[TICK])

    async def work(self) -> None:
        """Do what is queued until cancelled, waiting for PostgreSQL whenever that is away.

        What is under way at the end, or when PostgreSQL goes, is put back and done again.
        """
        while True:
            try:
                async with self._app.open_async():
                    await self._connected()
            except (ConnectorException, psycopg.Error) as error:
                self._note_away(error)
                await self._connector.close_async()  # one that could not be opened counts as open
            else:  # the worker returns by itself when a connection of its own was lost
                self._note_away(None)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _connected(self) -> None:
        """Work until a connection is lost. Raises `ConnectorException`."""
        await self._begin_schedules()
        watching = asyncio.create_task(self._watch())
        try:
            await self._app.run_worker_async(
                queues=self._queues,
                concurrency=ASIDE,
                install_signal_handlers=False,
                fetch_job_polling_interval=POLL_SECONDS,
                update_heartbeat_interval=HEARTBEAT_SECONDS,
                stalled_worker_timeout=STALLED_SECONDS,
                shutdown_graceful_timeout=0,
                delete_jobs="always",
            )
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _begin_schedules(self) -> None:
        for name, cron in self._schedules.items():
            before = round(croniter(cron, time.time()).get_prev(float))
            await self._connector.execute_query_async(_BEGIN_SCHEDULE, name=name, before=before)

    async def _watch(self) -> None:
        """Put back the work of workers that have ended, every few seconds."""
        while True:
            try:
                await self._recover()
            except ConnectorException as error:
                self._note_away(error)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _recover(self) -> None:
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
            try:
                await manager.retry_job(job)
            except UniqueViolation:
                continue  # a tick, where the next of its schedule waits already
            except ConnectorException as error:
                if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                    raise
                continue  # another worker was faster
            _log.warning("Work is done again: its worker has ended.", work=job.task_kwargs)
        await manager.prune_stalled_workers(STALLED_SECONDS)
        if self.away:
            _log.info("The dependency is back.", work="queue")
        self.away = False

    def _note_away(self, error: Exception | None) -> None:
        if not self.away:
            _log.warning("Waiting for a dependency.", work="queue", reason=str(error or "lost"))
        self.away = True


class _Again(BaseRetryStrategy):
    """What is done again, and when."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """See the base class: None ends the work."""
        if isinstance(exception, asyncio.CancelledError):  # this worker is being stopped
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, Unavailable):
            seconds = min(2 ** min(job.attempts, 10), LONGEST_WAIT_SECONDS)
            return RetryDecision(retry_in={"seconds": seconds})
        return None


def _named(task: Task) -> Callable[..., Awaitable[None]]:
    """The task as the library calls it: with what was queued, by name."""

    # `timestamp` is the time of the schedule, where there is one.
    async def call(*, id: str, timestamp: int | None = None) -> None:  # noqa: A002, ARG001
        await task(id)

    return call

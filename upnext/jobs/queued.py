"""A job from the queue, from its beginning to its end, however that comes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import Clock, utc_now
from core.errors import Unavailable, UpnextError
from core.jobs import JobKind, JobProgress
from core.metrics import JOB_SECONDS, JOBS
from core.settings import Settings
from core.tracing import Span, aside, root
from storage.artifacts import artifact_store
from storage.job_status import GivenUp
from storage.postgres.jobs import Begun, PostgresJobs
from storage.postgres.traces import trace_of

TELL_SECONDS = 1.0
DONE = "done"
GIVE_UP = timedelta(days=1)
"""A job that was first begun so long ago fails when a dependency is still away."""

log = structlog.get_logger(__name__)


@dataclass
class Work:
    """An attempt that is under way: what it works with, and what it says of itself meanwhile.

    `result` is the artifact that is of use only if the job ends well: it goes when the job fails.
    """

    settings: Settings
    engine: AsyncEngine
    jobs: PostgresJobs
    begun: Begun
    progress: JobProgress = field(default_factory=lambda: JobProgress(0.0, "beginning"))
    counts: dict[str, Any] = field(default_factory=dict)
    result: str | None = None

    def tell(self, fraction: float, message: str, **counts: Any) -> None:  # noqa: ANN401 - JSON
        """Let those who look know how far it is."""
        self.progress = JobProgress(fraction, message)
        self.counts |= counts


Handler = Callable[[Work], Awaitable[None]]
"""Does a job and says that it is done (`PostgresJobs.finish`).

`Unavailable`: it will be done again. Another `UpnextError`: it has failed, the message says why.
"""


class JobRunner:
    """Runs jobs of these kinds."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        handlers: Mapping[JobKind, Handler],
        clock: Clock = utc_now,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._jobs = PostgresJobs(engine, clock)
        self._handlers = handlers
        self._clock = clock
        self._owed: set[asyncio.Task[None]] = set()

    async def run(self, job_id: str) -> None:
        """One attempt at a job.

        Raises:
            Unavailable: a dependency is away: try again after a while.
        """
        trace = await trace_of(self._engine, job_id)
        begun = await self._jobs.begin(job_id)
        if begun is None:  # it has ended, by another attempt or for good
            return
        with root(f"job {begun.job.kind}", kind="consumer", caused_by=trace) as span:
            span.set("upnext.job.id", job_id)
            await self._attempt(begun, span)

    async def _attempt(self, begun: Begun, span: Span) -> None:
        """As `run`, of what was begun."""
        said = log.bind(job=begun.job.id, kind=begun.job.kind)
        counts = dict(begun.job.counts)
        work = Work(self._settings, self._engine, self._jobs, begun, counts=counts)
        with _measured(begun.job.kind, span) as ends:
            try:
                await self._through(work)
                said.info("A job is done.")
                ends(DONE)
            except GivenUp as error:
                said.warning("An attempt was given up.", reason=str(error))
            except Unavailable as error:
                ends("waiting")
                await self._wait_for(work, error)
            except UpnextError as error:
                said.warning("A job has failed.", reason=str(error))
                ends("failed")
                await self._fail(work, str(error))
            except Exception as error:  # noqa: BLE001  (whatever it is, the job must end)
                said.error("A job has failed.", exc_info=error)
                ends("failed")
                await self._fail(work, "It failed for a reason it does not know: see the log.")

    async def _through(self, work: Work) -> None:
        """Do the work, telling every second how far it is."""
        working = asyncio.ensure_future(self._handlers[work.begun.job.kind](work))
        try:
            while not (await asyncio.wait({working}, timeout=TELL_SECONDS))[0]:
                await self._tell(work)
            await working
        except asyncio.CancelledError:
            # The worker is being stopped, which is not the job's fault. Before the work has ended:
            # who stops us may not wait for as long as that takes.
            with suppress(GivenUp, Unavailable):
                await self._put_back(work, "waiting for a worker")
            raise
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError, Exception):  # raised above, or not waited for
                await working

    async def _tell(self, work: Work) -> None:
        try:
            with aside():
                await self._jobs.report(work.begun, work.progress, work.counts)
        except Unavailable as error:  # the next one tells it; the work need not end for it
            log.warning("progress was not written", job=work.begun.job.id, reason=str(error))
        except GivenUp as error:
            if not error.done:  # else its own end came before this, and its answer will
                raise

    async def _wait_for(self, work: Work, error: Unavailable) -> None:
        """Have it begun again later, unless it has waited too long. Raises `error` again."""
        begun = work.begun
        # Not since it was asked for: no worker may have been there, or it may be a retry.
        tried_since = begun.job.started_at or begun.job.created_at
        if self._clock() - tried_since > GIVE_UP:
            await self._fail(work, f"It was tried for a day: {error}")
            return
        log.warning("A job waits for a dependency.", job=begun.job.id, reason=str(error))
        await self._put_back(work, f"waiting for {error.dependency}")
        raise error

    async def _put_back(self, work: Work, message: str) -> None:
        """As `PostgresJobs.put_back`; when that cannot be written, the attempt counts for nothing.

        It looks like one whose worker has ended, and after a few of these a job is given up.
        """
        try:
            await self._jobs.put_back(work.begun, message, work.counts)
        except Unavailable:
            owed = asyncio.create_task(self._forgive(work.begun.job.id))
            self._owed.add(owed)
            owed.add_done_callback(self._owed.discard)
            raise

    async def _forgive(self, job_id: str) -> None:
        """Take an attempt back as soon as PostgreSQL answers."""
        while True:
            try:
                return await self._jobs.forgive(job_id)
            except Unavailable:
                await asyncio.sleep(TELL_SECONDS)

    async def _fail(self, work: Work, reason: str) -> None:
        """End the job badly, and leave nothing of what it had stored."""
        await self._jobs.fail(work.begun, reason)  # from now on nobody else stores it
        if work.result is None:
            return
        store = artifact_store(work.settings)
        try:
            await asyncio.to_thread(store.delete, work.result)
        except Unavailable as error:  # whoever prunes finds it
            log.warning("A result was not deleted.", key=work.result, reason=str(error))


@contextmanager
def _measured(kind: JobKind, span: Span) -> Iterator[Callable[[str], None]]:
    """Counts an attempt by how it is said to end: given up if nobody says it."""
    began, outcome = time.monotonic(), "given_up"

    def ends(how: str) -> None:
        nonlocal outcome
        outcome = how

    try:
        yield ends
    finally:
        if outcome != DONE:
            span.failed(outcome)
        JOBS.labels(kind, outcome).inc()
        JOB_SECONDS.labels(kind).observe(time.monotonic() - began)

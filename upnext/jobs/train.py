"""Training: the registry's row, one child process that does the work, and the row's end."""

import asyncio
import os
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import Conflict, Unavailable, UpnextError
from core.settings import Settings
from core.tracing import aside, root
from core.types import Model, ModelStatus, ModelType, Progress
from storage.model_status import STEPS, unblamed
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.traces import trace_of
from upnext.jobs.children import output_of, start_child, stop_child
from upnext.jobs.measured import measured
from upnext.jobs.messages import Failure, Message, Outcome, Rejected, Report, Request
from upnext.jobs.params import owner_has_ended, params
from upnext.jobs.preflight import preflight
from upnext.jobs.promote import promote_passed
from upnext.jobs.unfinished import forget
from upnext.jobs.watched_child import MemoryWatch, memory_bound

HEARTBEAT_SECONDS = 1.0  # and so soon a run that is cancelled hears of it
THROTTLE_SECONDS = 1.0
LAST_WORD_SECONDS = 60.0
STOPPED_WORD_SECONDS = 2.0  # who stops us may not wait for long
CHILD = "upnext.jobs.child"
FAILED = "failed"

OnProgress = Callable[[Progress], None]
log = structlog.get_logger(__name__)


async def train(
    settings: Settings,
    model_type: ModelType,
    start: datetime | None,
    end: datetime | None,
    on_progress: OnProgress,
) -> Model:
    """Make a model from interactions with start <= occurred_at < end.

    Returns:
        The model, `ready`, or `rejected`, `failed` or `cancelled` with its reason in `error`.

    Raises:
        Conflict: a run of that type is going on.
        Unavailable: PostgreSQL did not answer, so that nothing could be begun or ended.
    """
    async with pool(settings) as engine:
        registry = PostgresModels(engine, utc_now)
        await fail_orphans(registry)
        model, token = await registry.create(model_type, params(start, end))
        request = _request(model, token, start, end)
        run = _Run(registry, model, token, on_progress)
        try:
            return await run.through(settings, engine, request)
        finally:
            await forget(settings, model.id)


async def train_queued(settings: Settings, model_id: str) -> None:
    """Train the model of a queued run, if it has not ended.

    The first of all goes live, and each that passes where `UPNEXT_PROMOTE` says so.

    Stopped, it stays in the queue: whoever claims it next begins it anew, or goes on from what its
    fits kept on this machine.

    Raises:
        Unavailable: PostgreSQL did not answer, and nothing was begun; or what going live takes,
            and then that is all that is left to do.
    """
    async with pool(settings) as engine:
        caused_by = await trace_of(engine, model_id)
        with root("job training", kind="consumer", caused_by=caused_by) as seen:
            seen.set("upnext.model.id", model_id)
            model = await _trained(settings, engine, model_id)
            seen.set("upnext.model.status", model.status)
            if model.status == FAILED:
                seen.failed(FAILED)
            if model.status not in STEPS:
                await forget(settings, model.id)
            log.info(
                "a queued run has ended", model=model.id, status=model.status, error=model.error
            )
            if model.status == "ready":
                await _promote(settings, model)


async def _trained(settings: Settings, engine: AsyncEngine, model_id: str) -> Model:
    """The model of a queued run, which has ended unless another has it."""
    registry = PostgresModels(engine, utc_now)
    asked = (await registry.get(model_id)).params
    span = msgspec.convert(asked, Span)
    claimed = await registry.claim(model_id, params(span.start, span.end))
    if claimed is None:  # it has ended; who trained it may have ended before it went live
        return await registry.get(model_id)
    model, token = claimed
    request = _request(model, token, span.start, span.end)
    with measured(model.model_type) as training:
        run = _Run(registry, model, token, training.at, stays_queued=True)
        model = await run.through(settings, engine, request)
        training.ends(model.status)
        return model


class Span(msgspec.Struct, frozen=True):
    """Which interactions a queued run is to learn from: start <= occurred_at < end."""

    start: datetime | None = None
    end: datetime | None = None


async def _promote(settings: Settings, model: Model) -> None:
    try:
        await promote_passed(settings, model)
    except Unavailable as error:
        log.warning("a model waits to be made live", model=model.id, reason=str(error))
        raise
    except UpnextError as error:  # somebody has decided otherwise, or it is gone
        log.warning("a model was not made live", model=model.id, reason=str(error))


def _request(model: Model, token: UUID, start: datetime | None, end: datetime | None) -> Request:
    return Request(
        model_id=model.id,
        attempt=token,
        model_type=model.model_type,
        version=model.version,
        parent=os.getpid(),
        start=start,
        end=end,
    )


class _Run:
    """Follows one child process and keeps the registry's row in step with it."""

    def __init__(
        self,
        registry: PostgresModels,
        model: Model,
        token: UUID,
        on_progress: OnProgress,
        *,
        stays_queued: bool = False,
    ) -> None:
        self._stays_queued = stays_queued
        self._registry = registry
        self._model = model
        self._token = token
        self._on_progress = on_progress
        self._written = 0.0
        self._at: Report | None = None  # what is not written yet
        self._shown: Progress | None = None
        self._end: Outcome | Rejected | Failure | None = None

    async def through(self, settings: Settings, engine: AsyncEngine, request: Request) -> Model:
        """From the look at what there is to the row's end, however it ends."""
        try:
            return await self._to_the_end(settings, engine, request)
        except Conflict as error:  # it was cancelled, or another attempt has taken over
            log.info("a run was given up", model=self._model.id, reason=str(error))
            return await self._registry.get(self._model.id)

    async def _to_the_end(self, settings: Settings, engine: AsyncEngine, request: Request) -> Model:
        watch = MemoryWatch(memory_bound(settings))
        try:
            code = await self._worked(settings, engine, request, watch)
        except Conflict:
            raise
        except UpnextError as error:
            return await self._fail(str(error))
        except OSError as error:
            return await self._fail(f"The training process could not be started: {error}")
        if watch.exceeded:
            return await self._fail(watch.sentence())
        return await self._finish(code)

    async def _worked(
        self, settings: Settings, engine: AsyncEngine, request: Request, watch: MemoryWatch
    ) -> int:
        """The exit code of the child, if it comes to one."""
        process: Process | None = None
        try:
            await preflight(engine, request)
            asked = msgspec.json.encode(request).decode()
            process = await start_child(settings, CHILD, asked)
            await self._follow(process, watch)
            return await process.wait()
        except asyncio.CancelledError:
            # Before the child has ended: who stops us may not wait as long as that takes. It may
            # have been cancelled too; and while PostgreSQL is away its missing beats tell.
            with suppress(Conflict, Unavailable):
                await self._leave()
            raise
        finally:
            if process is not None:
                await stop_child(process)

    async def _leave(self) -> None:
        """Say of a run that is stopped that it has ended, or that it was no fault of its own."""
        if self._stays_queued:
            params = unblamed(self._model.params)
            update = partial(self._registry.update, self._model.id, self._token, params=params)
            await _insist(update, STOPPED_WORD_SECONDS)
        else:
            await self._fail("It was stopped before it had ended.", STOPPED_WORD_SECONDS)

    async def _follow(self, process: Process, watch: MemoryWatch) -> None:
        watching = asyncio.create_task(watch.follow(process.pid))
        try:
            await self._listen(output_of(process))
        finally:
            watching.cancel()

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await asyncio.wait_for(stdout.readline(), HEARTBEAT_SECONDS)
            except TimeoutError:
                await self._beat(None)
                continue
            if not line:
                return
            message: Message = msgspec.json.decode(line, type=Message)
            if isinstance(message, Report):
                await self._beat(self._forward(message))
            else:
                self._end = message

    def _forward(self, report: Report) -> Report:
        """The report, its share no less than what was told of the same stage before."""
        at, before = report.progress, self._shown
        if before is not None and before.stage == at.stage and before.fraction > at.fraction:
            at = msgspec.structs.replace(at, fraction=before.fraction)
        self._shown = at
        self._on_progress(at)
        return msgspec.structs.replace(report, progress=at)

    async def _beat(self, report: Report | None) -> None:
        """Tell the registry, at most once a second unless the status changes.

        What is not written is kept: the beats of a stage that is silent then tell where it is.
        """
        self._at = report or self._at
        news = report is not None and report.status != self._model.status
        if not news and report and time.monotonic() - self._written < THROTTLE_SECONDS:
            return
        self._written = time.monotonic()
        try:
            with aside():
                await self._tell()
        except Unavailable as error:  # the next beat tells it; the run need not end for it
            log.warning("progress was not written", model=self._model.id, reason=str(error))

    async def _tell(self) -> None:
        if self._at is None:
            await self._registry.update(self._model.id, self._token)
            return
        await self._reach(self._at.status)
        progress = self._at.progress
        await self._registry.update(self._model.id, self._token, progress=progress)
        self._at = None

    async def _reach(self, status: ModelStatus) -> None:
        """Take every step up to `status`: one may have been lost while PostgreSQL was away."""
        for step in STEPS[STEPS.index(self._model.status) + 1 : STEPS.index(status) + 1]:
            self._model = await self._registry.update(self._model.id, self._token, status=step)

    async def _finish(self, code: int) -> Model:
        if isinstance(self._end, Outcome) and code == 0:
            return await _insist(partial(self._succeed, self._end), LAST_WORD_SECONDS)
        if isinstance(self._end, Rejected) and code == 0:
            return await _insist(partial(self._reject, self._end), LAST_WORD_SECONDS)
        if isinstance(self._end, Failure):
            return await self._fail(self._end.error)
        if code < 0:
            return await self._fail(
                f"The training process was killed (signal {-code}). If memory ran out, give the "
                "machine more or train on a shorter span; then start it again."
            )
        return await self._fail(f"The training process ended with code {code}: see the log.")

    async def _succeed(self, outcome: Outcome) -> Model:
        await self._reach("publishing")
        ready = Progress("ready", 1.0, f"published and verified; {outcome.verdict}")
        self._on_progress(ready)
        return await self._registry.update(
            self._model.id,
            self._token,
            status="ready",
            progress=ready,
            data=outcome.data,
            params=outcome.params,
            metrics=outcome.metrics,
            baseline=outcome.baseline,
            artifact_uri=outcome.artifact_uri,
        )

    async def _reject(self, rejected: Rejected) -> Model:
        await self._reach("evaluating")
        return await self._registry.update(
            self._model.id,
            self._token,
            status="rejected",
            progress=Progress("judging", 1.0, "rejected"),
            data=rejected.data,
            params=rejected.params,
            metrics=rejected.metrics,
            baseline=rejected.baseline,
            error=rejected.verdict,
        )

    async def _fail(self, reason: str, seconds: float = LAST_WORD_SECONDS) -> Model:
        update = partial(self._registry.update, self._model.id, self._token)
        return await _insist(partial(update, status="failed", error=reason), seconds)


async def fail_orphans(registry: PostgresModels) -> None:
    """End stale runs, and those of killed commands of this machine without waiting for them."""
    running = [model for step in STEPS for model in await registry.find(status=step)]
    await registry.fail_stale([model.id for model in running if owner_has_ended(model)])


async def _insist(write: Callable[[], Awaitable[Model]], seconds: float) -> Model:
    """A run's last word, tried for `seconds`: without it the row looks like a running one."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await write()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1)

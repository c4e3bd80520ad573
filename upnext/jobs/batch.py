"""Everybody's list in one file, made by as many processes as there are cores."""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import aclosing, contextmanager
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import Clock, utc_now
from core.errors import Conflict, SetupError, UpnextError
from core.settings import Settings
from core.types import UserId
from storage.postgres.configs import PostgresConfigs
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.read_replica import reads_of
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from upnext.jobs import batch_worker
from upnext.jobs.batch_worker import Done, Ground
from upnext.jobs.local_copies import forget_old_copies, open_copy
from upnext.jobs.snapshots import snapshot_of

PAGE = 256  # users; their vectors are searched for together
AHEAD = 3  # pages a process may be ahead of the file

OnProgress = Callable[[int, int], None]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch made; `failed` says of each user without a list why."""

    model_version: str
    users: int
    lists: int
    videos: int
    seconds: float
    failed: dict[UserId, str]


async def batch(
    settings: Settings,
    output: Path,
    *,
    limit: int,
    users: Sequence[UserId] | None = None,
    processes: int | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
    clock: Clock = utc_now,
) -> Summary:
    """Write the first `limit` of each user's list to `output`, one line of NDJSON a user.

    The lists are those that the service gives at one moment, by the live model. The file is
    written aside and takes its name when it is complete; what was there before stays till then.

    Args:
        settings: where the stores are.
        output: the file, in a folder that is there.
        limit: 1 to 100.
        users: whose lists, in that order; None: everybody's, by id.
        processes: how many make lists; None: as many as there are cores.
        on_progress: hears how many users are done, and of how many.
        clock: tells the moment of the lists.

    Raises:
        Conflict: no model is live.
        SetupError: `output` cannot be written.
        Unavailable: a store did not answer.
    """
    began = time.monotonic()
    async with (
        pool(settings, patient=True) as engine,
        reads_of(settings, engine, patient=True) as reads,
    ):
        ground = await _ground(settings, engine, reads, limit, clock())
        total = await PostgresUsers(reads).count() if users is None else len(users)
        pages = _everybody(reads) if users is None else _of(users)
        lists, videos, failed = 0, set[str](), dict[UserId, str]()
        made = _made(ground, pages, processes or os.cpu_count() or 1)
        with _aside(output) as file:
            async with aclosing(made):
                async for done in made:
                    file.write(done.lines)
                    lists += done.lists
                    videos |= done.videos
                    failed |= done.failed
                    on_progress(lists + len(failed), total)
    return Summary(
        model_version=ground.version,
        users=lists + len(failed),
        lists=lists,
        videos=len(videos),
        seconds=round(time.monotonic() - began, 1),
        failed=failed,
    )


async def _ground(
    settings: Settings, engine: AsyncEngine, reads: AsyncEngine, limit: int, now: datetime
) -> Ground:
    registry = PostgresModels(engine, utc_now)
    model = await registry.live()
    if model is None:
        raise Conflict("No model is live: `upnext models promote` makes one live.")
    await forget_old_copies(settings, await registry.openable())
    # Here, so that the version is on this machine before several processes open it.
    await asyncio.to_thread(open_copy, settings, model.version)
    return Ground(
        settings=settings,
        version=model.version,
        config=await PostgresConfigs(engine).current(),
        snapshot=await snapshot_of(PostgresVideos(reads)),
        now=now,
        limit=limit,
        parent=os.getpid(),
    )


async def _everybody(engine: AsyncEngine) -> AsyncIterator[Sequence[UserId]]:
    async for part in PostgresUsers(engine).stream():
        for start in range(0, len(part), PAGE):
            yield part[start : start + PAGE]


async def _of(users: Sequence[UserId]) -> AsyncIterator[Sequence[UserId]]:
    for start in range(0, len(users), PAGE):
        yield users[start : start + PAGE]


async def _made(
    ground: Ground, pages: AsyncIterator[Sequence[UserId]], processes: int
) -> AsyncGenerator[Done, None]:
    """Each page's lists, in the order of the pages."""
    # Not forked: neither the drivers' threads nor every BLAS bear it.
    workers = ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=batch_worker.start, initargs=(ground,)
    )
    loop = asyncio.get_running_loop()
    waiting: deque[asyncio.Future[Done]] = deque()
    try:
        async for page in pages:
            waiting.append(loop.run_in_executor(workers, batch_worker.page, page))
            if len(waiting) > AHEAD * processes:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    except BrokenProcessPool as error:
        raise UpnextError(
            "A process of the batch was ended. If memory ran out, use fewer: --processes 1."
        ) from error
    finally:
        # In a thread: a page that is under way takes its time, and others use this event loop.
        await asyncio.to_thread(workers.shutdown, cancel_futures=True)


@contextmanager
def _aside(output: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `output` when the block has ended well."""
    part = output.with_name(f".{output.name}.{uuid4().hex}.part")
    try:
        file = part.open("wb")
    except OSError as error:
        raise SetupError(f"{output} cannot be written: {error.strerror}.") from error
    try:
        with file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)

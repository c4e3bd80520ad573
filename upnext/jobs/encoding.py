"""The job that brings new videos into the versions that serve; torch is in a child process."""

import asyncio
import os
from asyncio.subprocess import Process
from typing import Any

import msgspec

from core.clock import utc_now
from core.errors import Unavailable, UpnextError
from core.types import ChangeCursor
from embeddings.text import REVISION
from storage.postgres.changes import PostgresChanges
from storage.postgres.models import PostgresModels
from upnext.jobs.children import output_of, start_child, stop_child
from upnext.jobs.encoding_messages import Away, Done, Failed, Said, Telling
from upnext.jobs.queued import Work
from upnext.jobs.watched_child import MemoryWatch, memory_bound

CHILD = "upnext.jobs.encoding_child"


class Seen(msgspec.Struct, frozen=True):
    """What there was when a job looked: it, and the jobs before it, took in all of that.

    `cursor` is its place in the news of the catalogue, `versions` those that could be opened, the
    live one first. News that were forgotten before somebody read them are news of everything.
    """

    cursor: ChangeCursor
    versions: list[str]
    revision: str = REVISION


async def encode(work: Work) -> None:
    """Encode and add what is new, if anything is: to see that there is not costs milliseconds.

    Raises:
        Unavailable: a store is away, or a version is being published.
        UpnextError: the child has failed.
    """
    last = await work.jobs.left_by("encoding")
    seen, news = await _look(work, None if not last else msgspec.convert(last, Seen))
    done = await _in_child(work) if news else Done(0, {})
    counts: dict[str, Any] = {"encoded": done.encoded, **done.added}
    await work.jobs.finish(work.begun, counts, leaves=msgspec.to_builtins(seen))


async def _look(work: Work, last: Seen | None) -> tuple[Seen, bool]:
    """What there is now, and whether anything in it is new since `last`."""
    changes = PostgresChanges(work.engine)
    versions = [one.version for one in await PostgresModels(work.engine, utc_now).openable()]
    if last is None or last.revision != REVISION:
        return Seen(await changes.end(), versions), bool(versions)
    videos, cursor = False, last.cursor
    while True:
        news, cursor = await changes.read(cursor)
        videos = videos or any(change.kind == "video" for change in news)
        if not news:
            break
    # A version that could not be added to was passed over, unless it was the live one: the first.
    other = versions[:1] != last.versions[:1] or not {*versions} <= {*last.versions}
    return Seen(cursor, versions), bool(versions) and (videos or other)


async def _in_child(work: Work) -> Done:
    process = await start_child(work.settings, CHILD, str(os.getpid()))
    watch = MemoryWatch(memory_bound(work.settings))
    watching = asyncio.create_task(watch.follow(process.pid))
    try:
        last = await _follow(work, process)
        code = await process.wait()
    finally:
        watching.cancel()
        await stop_child(process)
    if isinstance(last, Done) and code == 0:
        return last
    if isinstance(last, Away):
        raise Unavailable(last.dependency, last.message)
    if watch.exceeded:
        raise UpnextError(watch.sentence())
    if isinstance(last, Failed):
        raise UpnextError(last.error)
    raise UpnextError(f"The encoding process ended with code {code}: see the log.")


async def _follow(work: Work, process: Process) -> Said | None:
    """Pass on how far the child is; the last that it said."""
    last: Said | None = None
    async for line in output_of(process):
        last = msgspec.json.decode(line, type=Said)
        if isinstance(last, Telling):
            work.tell(last.progress.fraction, f"{last.progress.stage}: {last.progress.message}")
    return last

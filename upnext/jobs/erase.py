"""Erasing a user, store by store. Killed anywhere it is done again: what is gone stays gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.dead_letters import tells_of
from core.errors import Conflict, Unavailable
from core.events import SUBJECTS, DeadLetter
from core.settings import Settings
from core.types import UserId
from storage.artifacts import artifact_store
from storage.bus import bus_of
from storage.milvus_writer import MilvusWriter
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.engine import pool
from storage.postgres.erasure import PostgresErasures
from storage.postgres.models import PostgresModels
from storage.postgres.publishing import publishing
from storage.postgres.rewriting import rewriting
from storage.redis.client import client_of as redis_of
from storage.redis.users import RedisUserCache
from upnext.jobs.erased_files import drop_from_results, drop_from_snapshots
from upnext.jobs.ports import LetterStore, MessageStore, VectorWriter
from upnext.jobs.publish import drop_left
from upnext.jobs.queued import Work

REDIS_SECONDS = 5.0
TURN_SECONDS = 30.0
"""The longest wait for who publishes: the queue waits better, and has other work for the worker."""
STEPS = 6
USERS = "users_"
"""How the collections of users' vectors begin."""

NOT_REACHED = (
    "events of other services on the bus, until its retention ends",
    "backups of the stores",
    "logs",
    "files that `upnext batch` wrote, and results that were fetched",
)

NOT_REACHED_ON_KAFKA = ("announced dead letters on the bus, until its retention ends",)

DEAD_LETTERS = SUBJECTS[DeadLetter.__name__]


async def erase(work: Work) -> None:
    """Erase the user of the job; its counts say what was there. Raises `Unavailable`."""
    user = UserId(work.begun.params["user_id"])
    async with pool(work.settings, patient=True) as engine:
        work.tell(0, "deleting the history")
        work.counts = await PostgresErasures(engine, utc_now).delete_history(work.begun, user)
        work.tell(1 / STEPS, "dropping lists and state")
        _add(work, "cached", int(await _cached(work.settings, user)))
        work.tell(2 / STEPS, "deleting dead letters")
        on_the_bus = await _letters(work, engine, user)
        work.tell(3 / STEPS, "waiting until no version is being published")
        async with _nobody_publishes(work.settings) as dead:
            work.tell(4 / STEPS, "deleting vectors and from snapshots")
            vectors = partial(_vectors, dead=dead)
            _add(work, "vectors", await _in_thread(vectors, work.settings, user))
            async with rewriting(engine):
                _add(work, "snapshots", await _in_thread(_snapshots, work.settings, user))
        work.tell(5 / STEPS, "leaving the user out of results")
        async with rewriting(engine):
            _add(work, "batch_results", await _in_thread(_results, work.settings, user))
    work.counts["not_reached"] = [*NOT_REACHED, *on_the_bus]
    await work.jobs.finish(work.begun, work.counts)


def _add(work: Work, name: str, count: int) -> None:
    """Count on: an attempt before this one may have found some."""
    work.counts[name] = work.counts.get(name, 0) + count


async def _in_thread(
    step: Callable[[Settings, UserId], int], settings: Settings, user: UserId
) -> int:
    return await asyncio.to_thread(step, settings, user)


@asynccontextmanager
async def _nobody_publishes(settings: Settings) -> AsyncIterator[list[str]]:
    """So that no vectors are written of whom the publisher still knows; it looks when it begins.

    Yields:
        The versions of which killed publishes may have left collections.

    Raises:
        Unavailable: a version was being published all the while.
    """
    async with pool(settings, patient=True) as engine:
        try:
            async with publishing(engine, turn_seconds=TURN_SECONDS):
                left = await PostgresModels(engine, utc_now).leftovers("")
                yield [model.version for model in left]
        except Conflict as error:
            raise Unavailable("milvus", str(error)) from error


async def _cached(settings: Settings, user: UserId) -> bool:
    async with aclosing(redis_of(settings, REDIS_SECONDS)) as redis:
        return await RedisUserCache(redis).erase(user)


async def _letters(work: Work, engine: AsyncEngine, user: UserId) -> Sequence[str]:
    """Count the letters that are dropped; what of them cannot be reached."""
    bus = bus_of(work.settings)
    try:
        count, left = await drop_letters(PostgresDeadLetters(engine), bus, user)
    finally:
        await bus.close()
    _add(work, "dead_letters", count)
    return left


async def drop_letters(
    letters: LetterStore, bus: MessageStore, user: UserId
) -> tuple[int, Sequence[str]]:
    """Delete a user's dead letters where they are kept and, if that can be, where announced.

    Returns:
        How many letters there were, and in words what stays.

    Raises:
        Unavailable: a store did not answer; what is deleted stays so.
    """
    kept = await letters.erase(user)
    announced = await bus.forget(DEAD_LETTERS, lambda message: tells_of(message, user))
    if announced is None:
        return kept, NOT_REACHED_ON_KAFKA
    return max(kept, announced), ()  # the one or the other may have been pruned


def _vectors(settings: Settings, user: UserId, *, dead: Sequence[str]) -> int:
    with closing(MilvusWriter.of(settings)) as writer:
        return drop_vectors(writer, user, dead)


def drop_vectors(writer: VectorWriter, user: UserId, dead: Sequence[str]) -> int:
    """Delete a user's vectors from all versions; how many there were.

    For whoever keeps others from publishing. What killed publishes left of the versions `dead` is
    dropped whole: it may not be sealed, and then nobody can say who is in it.

    Raises:
        Unavailable: the index did not answer, or still has what was deleted.
    """
    drop_left(writer, dead)
    names = [name for name in writer.collections() if name.startswith(USERS)]
    return sum(_drop_vector(writer, name, user) for name in names)


def _drop_vector(writer: VectorWriter, collection: str, user: UserId) -> bool:
    if writer.lacking(collection, [user]):
        return False
    writer.delete(collection, [user])
    if not writer.lacking(collection, [user]):
        raise Unavailable("milvus", f"{collection} still has a row that was deleted.")
    return True


def _snapshots(settings: Settings, user: UserId) -> int:
    return drop_from_snapshots(artifact_store(settings), {user})


def _results(settings: Settings, user: UserId) -> int:
    return drop_from_results(artifact_store(settings), {user})

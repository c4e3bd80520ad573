"""What is derived, made anew from the truth: collections of the index, and the cache."""

import asyncio
from contextlib import closing
from functools import partial

import msgspec
import numpy as np

from core.settings import Settings
from core.types import VideoId
from embeddings.dataset import Histories
from embeddings.history_reader import HistoryReader
from embeddings.items import ItemVectors
from embeddings.version import Version
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.history_columns import copy_history
from storage.postgres.refreshes import PostgresRefreshes
from storage.redis.client import client_of as redis_of
from storage.redis.users import RedisUserCache
from upnext.jobs.add import sparing
from upnext.jobs.local_copies import open_copy
from upnext.jobs.publish import Publication, Rows, Tell, make_good, users_of
from upnext.jobs.publisher import rebuilder

REDIS_SECONDS = 30.0  # nobody is waiting


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """Versions whose collections are right now, those that were made anew, and what was dropped.

    `users` counts those of whom Redis kept a state or lists.
    """

    versions: list[str]
    collections: list[str]
    users: int


def rebuild(settings: Settings, tell: Tell) -> Rebuilt:
    """Make the index and the cache what PostgreSQL and the artifacts say.

    Of every version that replicas keep open, collections that are whole stay; what is missing or
    answers wrongly is made anew, while exact search stands in for it. Then all users' states and
    lists are dropped from Redis, and the worker makes lists anew. Blocking; killed anywhere, run
    it again.

    Raises:
        Conflict: another process is publishing, and did not end.
        NotFound: the live version is not in the artifact store.
        Unavailable: a store did not answer.
    """
    versions: list[str] = []
    made: list[str] = []
    with rebuilder(settings) as models, closing(MilvusWriter.of(settings)) as writer:
        for at, model in enumerate(models):
            with sparing(model):
                told = partial(_tell, tell, model.version, at, len(models))
                told(0.0, "opening")
                what = _publication(settings, open_copy(settings, model.version))
                made += make_good(writer, what, told)
                versions.append(model.version)
    users = asyncio.run(_forget(settings))
    tell(1.0, "lists are dropped")
    return Rebuilt(versions=versions, collections=made, users=users)


def _tell(tell: Tell, version: str, at: int, of: int, share: float, message: str) -> None:  # noqa: PLR0917 - the last two are a Tell's
    """Tell of the version number `at` of so many."""
    tell((at + share) / of, f"{version}: {message}")


def _publication(settings: Settings, version: Version) -> Publication:
    """A version's collections with all that came into its tail, and its users as they are now."""
    items = _rows(version.items)
    row_of = {VideoId(id_): row for row, id_ in enumerate(items.ids)}
    histories = asyncio.run(_histories(settings, row_of))
    return Publication(
        version=version.version,
        content_revision=version.content_revision,
        videos=items,
        users=users_of(histories, items.vectors, version.encoder, settings.state_recent),
        content=_rows(version.content),
    )


def _rows(vectors: ItemVectors) -> Rows:
    """Each video once, as the tail has it where it is in both."""
    ids = [id_.decode() for part in vectors.parts for id_ in part.ids.tolist()]
    last = {id_: row for row, id_ in enumerate(ids)}
    together = np.concatenate([part.vectors for part in vectors.parts])
    return Rows(list(last), together[list(last.values())])


async def _histories(settings: Settings, row_of: dict[VideoId, int]) -> Histories:
    async with pool(settings, patient=True) as engine:
        with HistoryReader(row_of) as reader:
            await copy_history(engine, None, None, reader.take)
            return reader.histories()


async def _forget(settings: Settings) -> int:
    client = redis_of(settings, REDIS_SECONDS)
    try:
        dropped = await RedisUserCache(client).clear()
    finally:
        await client.aclose()
    async with pool(settings) as engine:
        await PostgresRefreshes(engine).owe()
    return dropped

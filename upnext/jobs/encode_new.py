"""Videos that came after training: into the index, and into the versions that are open."""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing

import msgspec

from core.clock import utc_now
from core.settings import Settings
from core.types import Change, Model, Progress, VideoId
from embeddings.additions import additions
from embeddings.dataset import Catalogue, read_catalogue
from embeddings.ports import ArtifactStore
from embeddings.text import REVISION, genres_of, text_of
from embeddings.version import Version, open_version, renewed
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.changes import note
from storage.postgres.engine import pool, transaction
from storage.postgres.models import PostgresModels
from storage.postgres.read_replica import read_pool
from storage.postgres.videos import PostgresVideos
from upnext.jobs.add import add, sparing
from upnext.jobs.local_copies import copies
from upnext.jobs.publisher import adder
from upnext.jobs.texts import encoded

OnProgress = Callable[[Progress], None]
Tried = dict[str, Version | None]
PAGE = 1_000  # videos read at a time


class Updated(msgspec.Struct, frozen=True):
    """What an update did: texts that were encoded, and by version the videos that it took in."""

    encoded: int
    added: dict[str, int]


def encode_new_videos(settings: Settings, on_progress: OnProgress) -> Updated:
    """Encode texts that are new or changed, and add them to the versions that replicas keep open.

    A version's own map takes a text vector into the space of its items. One that cannot be added
    to is left out, with a line in the log, unless it is the live one; so is a video whose text
    has changed meanwhile, which is for the next update. Blocking; killed at any point, the next
    one goes on from there.

    Raises:
        Conflict: another process is publishing or adding.
        Unavailable: a store did not answer, or the live version cannot be added to.
    """
    store = artifact_store(settings)
    on_progress(Progress("reading", 0.0, "reading the catalogue"))
    catalogue = asyncio.run(_catalogue(settings))
    texts = encoded(store, catalogue, lambda *at: on_progress(Progress("encoding", *at)))
    on_progress(Progress("adding", 0.0, "comparing versions with the catalogue"))
    tried: Tried = {}
    _open(settings, store, asyncio.run(_openable(settings)), tried)  # it may take its time here
    with adder(settings) as models, closing(MilvusWriter.of(settings)) as writer:
        versions = _open(settings, store, models, tried)
        new = {each.version: additions(each, catalogue.ids, texts.vectors) for each in versions}
        ids = {id_ for added in new.values() for id_ in added.ids}
        # Another may have read the catalogue later and been here before: its texts stay.
        changed = asyncio.run(_changed(settings, catalogue, ids))
        new = {version: added.without(changed) for version, added in new.items()}
        done = add(writer, store, models, versions, new)
        if done:  # though nothing is new: an earlier one may have been killed before this
            asyncio.run(_announce(settings, list(done)))
    return Updated(texts.fresh, done)


async def _catalogue(settings: Settings) -> Catalogue:
    async with read_pool(settings, patient=True) as engine:
        return await read_catalogue(PostgresVideos(engine).stream())


async def _openable(settings: Settings) -> list[Model]:
    async with pool(settings, patient=True) as engine:
        return await PostgresModels(engine, utc_now).openable()


def _open(
    settings: Settings, store: ArtifactStore, models: Sequence[Model], tried: Tried
) -> list[Version]:
    """Those of `models` that can be added to, with the tails that they have now.

    Versions of another encoder's texts cannot be added to. `tried` keeps what was opened, None for
    what could not be.
    """
    cache = copies(settings)
    for model in models:
        with sparing(model):
            if model.version not in tried:
                tried[model.version] = None
                tried[model.version] = open_version(store, model.version, cache)
            elif (version := tried[model.version]) is not None:
                tried[model.version] = None
                tried[model.version] = renewed(store, version, cache) or version
    found = [tried[model.version] for model in models]
    return [each for each in found if each is not None and each.content_revision == REVISION]


async def _changed(
    settings: Settings, catalogue: Catalogue, ids: AbstractSet[VideoId]
) -> AbstractSet[VideoId]:
    """Those of `ids` whose text is another by now than in `catalogue`."""
    rows = zip(catalogue.ids, catalogue.texts, catalogue.genres, strict=True)
    was = {id_: (text, genres) for id_, text, genres in rows if id_ in ids}
    asked, same = list(was), set()
    async with pool(settings, patient=True) as engine:
        reader = PostgresVideos(engine)
        for start in range(0, len(asked), PAGE):
            for video in await reader.get_many(asked[start : start + PAGE]):
                if was[video.id] == (text_of(video), genres_of(video)):
                    same.add(video.id)
    return ids - same


async def _announce(settings: Settings, versions: Sequence[str]) -> None:
    """Have the replicas look at the tails of these versions."""
    async with pool(settings) as engine, transaction(engine) as connection:
        await note(connection, Change("model", tuple(versions)))

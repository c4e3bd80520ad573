"""Videos that came after training: into the index, and into the versions that are open."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import Unavailable
from core.settings import Settings
from core.types import Change, Model, Progress
from embeddings.additions import Additions, additions
from embeddings.content_store import ContentStore
from embeddings.dataset import Catalogue, read_catalogue
from embeddings.encode import Encoded, TextEncoder, encode_new
from embeddings.items import ItemVectors
from embeddings.ports import ArtifactStore
from embeddings.tail import append, segment
from embeddings.text import REVISION
from embeddings.version import Version, open_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.changes import note
from storage.postgres.engine import pool, transaction
from storage.postgres.videos import PostgresVideos
from upnext.jobs.ports import VectorWriter
from upnext.jobs.publisher import adder

Vector = NDArray[np.float32]
OnProgress = Callable[[Progress], None]


class Updated(msgspec.Struct, frozen=True):
    """What an update did: texts that were encoded, and by version the videos that it took in."""

    encoded: int
    added: dict[str, int]


def encode_new_videos(settings: Settings, on_progress: OnProgress) -> Updated:
    """Encode texts that are new or changed, and add them to the versions that replicas keep open.

    A version's own map takes a text vector into the space of its items. Blocking; killed at any
    point, the next one goes on from there.

    Raises:
        Conflict: another process is publishing or adding.
        Unavailable: a store did not answer.
    """
    store = artifact_store(settings.artifacts_url or "")
    on_progress(Progress("reading", 0.0, "reading the catalogue"))
    catalogue = asyncio.run(_catalogue(settings))
    encoded = _encoded(store, catalogue, on_progress)
    on_progress(Progress("adding", 0.0, "comparing versions with the catalogue"))
    with adder(settings) as models, closing(MilvusWriter.of(settings)) as writer:
        versions = _opened(settings, store, models)
        new = {each.version: additions(each, catalogue.ids, encoded.vectors) for each in versions}
        _write(writer, store, versions, new)
        if versions:  # though nothing is new: an earlier one may have been killed before this
            asyncio.run(_announce(settings, [each.version for each in versions]))
    return Updated(encoded.fresh, {version: len(added.ids) for version, added in new.items()})


async def _catalogue(settings: Settings) -> Catalogue:
    async with pool(settings, patient=True) as engine:
        return await read_catalogue(PostgresVideos(engine).stream())


def _encoded(store: ArtifactStore, catalogue: Catalogue, on_progress: OnProgress) -> Encoded:
    def encoder() -> TextEncoder:
        # torch takes seconds and memory: only when a text is new.
        from embeddings.text_encoder import MiniLM  # noqa: PLC0415

        return MiniLM(threads=os.cpu_count() or 1)

    def tell(share: float, message: str) -> None:
        on_progress(Progress("encoding", share, message))

    return encode_new(catalogue, ContentStore(store, REVISION), encoder, tell)


def _opened(settings: Settings, store: ArtifactStore, models: Sequence[Model]) -> list[Version]:
    """Versions whose text vectors are of the encoder's revision; the others cannot be added to."""
    cache = settings.home / "versions"
    opened = (open_version(store, model.version, cache) for model in models)
    return [version for version in opened if version.content_revision == REVISION]


def _write(
    writer: VectorWriter,
    store: ArtifactStore,
    versions: Sequence[Version],
    new: dict[str, Additions],
) -> None:
    """To the index first: what a version's tail has is what the index was given."""
    texts = {id_: text for added in new.values() for id_, text in _pairs(added.ids, added.content)}
    for version in versions:
        texts = _kept(version.content) | texts
    _hold(writer, f"content_{REVISION}", texts, {id_ for one in new.values() for id_ in one.ids})
    for version in versions:
        added = new[version.version]
        items = _kept(version.items) | dict(_pairs(added.ids, added.items))
        _hold(writer, f"videos_{version.version}", items, set(added.ids))
        if added.ids:
            append(store, version.version, segment(added.ids, added.items, added.content))


def _kept(items: ItemVectors) -> dict[str, Vector]:
    """The tail, which the collection should have already."""
    if items.tail is None:
        return {}
    return dict(_pairs([id_.decode() for id_ in items.tail.ids.tolist()], items.tail.vectors))


def _pairs(ids: Sequence[str], vectors: Vector) -> Iterator[tuple[str, Vector]]:
    return zip(ids, vectors, strict=True)


def _hold(
    writer: VectorWriter, collection: str, rows: dict[str, Vector], fresh: Collection[str]
) -> None:
    """Have a collection hold `rows`: those that are `fresh`, and those that it has lost.

    Raises:
        Unavailable: there is no such collection, or it does not hold what was written.
    """
    if not rows:
        return
    due = {*fresh, *writer.lacking(collection, list(rows))}
    wanted = [id_ for id_ in rows if id_ in due]
    if not wanted:
        return
    for _ in writer.upsert(collection, wanted, np.stack([rows[id_] for id_ in wanted])):
        pass
    writer.seal(collection)
    if missing := writer.lacking(collection, wanted):
        raise Unavailable(
            "milvus", f"{collection} lacks {len(missing):,} of {len(wanted):,} rows written."
        )


async def _announce(settings: Settings, versions: Sequence[str]) -> None:
    """Have the replicas look at the tails of these versions."""
    async with pool(settings) as engine, transaction(engine) as connection:
        await note(connection, Change("model", tuple(versions)))

"""Adding to versions that are published: to the index, then to their tails."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import structlog
from numpy.typing import NDArray

from core.errors import NotFound, Unavailable
from core.types import Model
from embeddings.additions import Additions
from embeddings.items import ItemVectors
from embeddings.ports import ArtifactStore
from embeddings.tail import append, segment
from embeddings.text import REVISION
from embeddings.version import Version
from upnext.jobs.ports import VectorWriter

Vector = NDArray[np.float32]

_log = structlog.get_logger(__name__)


@contextmanager
def sparing(model: Model) -> Iterator[None]:
    """What is wrong with one version keeps no other from its new videos; the live one must work.

    Raises:
        NotFound: the live version is not in the artifact store.
        Unavailable: the live version cannot be had, or its collection.
    """
    try:
        yield
    except (NotFound, Unavailable) as error:
        if model.status == "live":
            raise
        _log.warning("A version gets no new videos.", version=model.version, reason=str(error))


def add(
    writer: VectorWriter,
    store: ArtifactStore,
    models: Sequence[Model],
    versions: Sequence[Version],
    new: Mapping[str, Additions],
) -> dict[str, int]:
    """Add what is `new` of each version, and to the index also what it has lost of their tails.

    To the index first: what a version's tail has is what the index was given.

    Returns:
        How many videos each version took in; one that is not live and could not is missing.

    Raises:
        Unavailable: a store did not answer, or lacks a collection.
    """
    model_of = {model.version: model for model in models}
    texts = {id_: text for added in new.values() for id_, text in _pairs(added.ids, added.content)}
    for version in versions:
        texts = _kept(version.content) | texts
    _hold(writer, f"content_{REVISION}", texts, {id_ for one in new.values() for id_ in one.ids})
    done: dict[str, int] = {}
    for version in versions:
        with sparing(model_of[version.version]):
            _add_one(writer, store, version, new[version.version])
            done[version.version] = len(new[version.version].ids)
    return done


def _add_one(
    writer: VectorWriter, store: ArtifactStore, version: Version, added: Additions
) -> None:
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

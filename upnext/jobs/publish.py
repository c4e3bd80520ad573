"""Publishing a version: its collections made aside, sealed, verified; live ones are not touched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from core.errors import Unavailable
from embeddings.dataset import Histories
from embeddings.encode_users import user_vectors
from embeddings.user_encoder import UserEncoder
from upnext.jobs.ports import VectorWriter

KINDS = ("videos", "users")
"""A version's own collections: `videos_<version>` and `users_<version>`."""

UNKNOWN = -1
SAMPLE = 32
DEPTH = 10
MIN_RECALL = 0.95
TOLERANCE = 1e-3  # of an inner product: servers compute in another order than numpy

Tell = Callable[[float, str], None]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a collection is to hold: n ids and their vectors, float32 (n, d)."""

    ids: Sequence[str]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Publication:
    """A version's collections. `content` goes to the collection of its revision."""

    version: str
    content_revision: str
    videos: Rows
    users: Rows
    content: Rows


def users_of(
    histories: Histories, items: NDArray[np.float32], encoder: UserEncoder, recent: int
) -> Rows:
    """The users who have a vector, as `user_vectors` makes it."""
    vectors, has = user_vectors(histories, items, encoder, recent)
    return Rows([histories.users[user] for user in has.tolist()], vectors)


def publish(writer: VectorWriter, what: Publication, dead: Sequence[str], tell: Tell) -> None:
    """Build `videos_<version>` and `users_<version>`, and complete `content_<revision>`.

    First what killed publishes left is dropped. On any failure what was made is dropped; a
    collection of content that was there before keeps what it had, for its rows mean the same to
    every version.

    Args:
        writer: the index; nobody else writes to it now (`upnext.jobs.publisher`).
        what: the rows, as the version's artifacts have them.
        dead: versions that can never go live; their collections, if any, are dropped.
        tell: hears the share done, 0..1, and what is being done.

    Raises:
        Unavailable: the index did not answer, or did not hold what was written.
    """
    drop_left(writer, dead)
    made: list[str] = []
    try:
        _publish(writer, what, made, tell)
    except BaseException:  # a stop signal included
        _drop(writer, made)  # before another publish may complete what was made here
        raise


def make_good(writer: VectorWriter, what: Publication, tell: Tell) -> list[str]:
    """Have a version's collections hold what they must; those that do are not touched.

    What is missing, or does not hold or find its rows, is built in place of what is there. On any
    failure what was made is dropped.

    Args:
        writer: the index; nobody else writes to it now (`upnext.jobs.publisher`).
        what: the rows, as the version's artifacts have them.
        tell: hears the share done, 0..1, and what is being done.

    Returns:
        The collections that were made anew.

    Raises:
        Unavailable: the index did not answer, or does not hold what was written.
    """
    made: list[str] = []
    try:
        _make_good_texts(writer, what, made, lambda share: tell(share * 0.3, "texts"))
        for name, rows, share in (
            (f"videos_{what.version}", what.videos, 0.3),
            (f"users_{what.version}", what.users, 0.6),
        ):
            tell(share, name)
            if name not in writer.collections() or not _is_good(writer, name, rows):
                _build(writer, name, rows, made, lambda _share: None)
                verify(writer, name, rows)
    except BaseException:  # a stop signal included
        _drop(writer, made)
        raise
    return made


def _make_good_texts(
    writer: VectorWriter, what: Publication, made: list[str], tell: Callable[[float], None]
) -> None:
    """Rows that others brought stay: they mean the same to every version."""
    name, rows = f"content_{what.content_revision}", what.content
    if name in writer.collections():
        rows = _complete(writer, name, rows, tell)
        if _is_good(writer, name, rows):
            return
    _build(writer, name, rows, made, tell)
    verify(writer, name, rows)


def _is_good(writer: VectorWriter, name: str, rows: Rows) -> bool:
    """Whether a collection that is there has and finds what it must."""
    writer.seal(name)
    try:
        verify(writer, name, rows)
    except Unavailable as error:
        log.info("A collection is made anew.", collection=name, reason=str(error))
        return False
    return True


def drop_left(writer: VectorWriter, dead: Sequence[str]) -> None:
    """Drop the collections of versions that can never go live; see `publish`.

    Raises:
        Unavailable: the index did not answer.
    """
    left = {f"{kind}_{version}" for version in dead for kind in KINDS}
    for name in sorted(left & set(writer.collections())):
        writer.drop(name)
        log.info("Dropped what a killed publish left.", collection=name)


def _publish(writer: VectorWriter, what: Publication, made: list[str], tell: Tell) -> None:
    content, rows = f"content_{what.content_revision}", what.content
    if content in writer.collections():
        rows = _complete(writer, content, rows, lambda share: tell(share * 0.3, "texts"))
    else:
        _build(writer, content, rows, made, lambda share: tell(share * 0.3, "texts"))
    videos, users = f"videos_{what.version}", f"users_{what.version}"
    _build(writer, videos, what.videos, made, lambda share: tell(0.3 + share * 0.3, "videos"))
    _build(writer, users, what.users, made, lambda share: tell(0.6 + share * 0.3, "users"))
    tell(0.9, "verifying")
    for name, written in ((content, rows), (videos, what.videos), (users, what.users)):
        verify(writer, name, written)
    tell(1.0, "verified")


def _build(
    writer: VectorWriter,
    name: str,
    rows: Rows,
    made: list[str],
    tell: Callable[[float], None],
) -> None:
    made.append(name)  # before it is there: dropping none is no error
    writer.create(name, rows.vectors.shape[1])
    for done in writer.insert(name, rows.ids, rows.vectors):
        tell(done / len(rows.ids))
    writer.seal(name)


def _complete(writer: VectorWriter, name: str, rows: Rows, tell: Callable[[float], None]) -> Rows:
    """Make a collection that may be live hold `rows`, writing only what differs.

    It may have others: of videos that came after `rows` were read. Returns all that it holds.
    """
    writer.seal(name)  # an earlier publish may have been killed before it did
    row_of = {id_: row for row, id_ in enumerate(rows.ids)}
    differs = np.ones(len(rows.ids), dtype=np.bool_)
    held_ids, held_vectors = list(rows.ids), [rows.vectors]
    for ids, vectors in writer.scan(name):
        known = np.array([row_of.get(id_, UNKNOWN) for id_ in ids])
        there, others = np.flatnonzero(known != UNKNOWN), np.flatnonzero(known == UNKNOWN)
        row = known[there]
        differs[row] = np.abs(vectors[there] - rows.vectors[row]).max(axis=1) > TOLERANCE
        held_ids.extend(ids[at] for at in others.tolist())
        held_vectors.append(vectors[others])
    changed = np.flatnonzero(differs)
    new = [rows.ids[row] for row in changed.tolist()]
    for done in writer.upsert(name, new, rows.vectors[changed]):
        tell(done / len(changed))
    if len(changed):
        writer.seal(name)
    return Rows(held_ids, np.concatenate(held_vectors))


def verify(writer: VectorWriter, name: str, rows: Rows) -> None:
    """See that a collection holds `rows` and finds them.

    A sample is searched for, and its answers are held against exact search: 95 of 100 must be
    among the true best 10 (or as near as the tenth), with their true inner products.

    Raises:
        Unavailable: it does not; the message says in which way.
    """
    count = writer.count(name)
    if count != len(rows.ids):
        raise Unavailable("milvus", f"{name} holds {count} rows, {len(rows.ids)} were written.")
    if count == 0:
        return
    depth = min(DEPTH, count)
    drawn = np.random.default_rng(0).choice(count, min(SAMPLE, count), replace=False)
    exact = rows.vectors[drawn] @ rows.vectors.T
    worst_of_best = -np.partition(-exact, depth - 1, axis=1)[:, depth - 1]
    row_of = {id_: row for row, id_ in enumerate(rows.ids)}
    good = 0
    for hits, products, least in zip(
        writer.search(name, rows.vectors[drawn], depth), exact, worst_of_best, strict=True
    ):
        true = products[[row_of[id_] for id_ in hits.ids]]
        right = np.abs(true - hits.scores) <= TOLERANCE
        good += int((right & (true >= least - TOLERANCE)).sum())
    recall = good / (depth * len(drawn))
    if recall < MIN_RECALL:
        raise Unavailable("milvus", f"{name} finds {recall:.0%} of what exact search finds.")


def _drop(writer: VectorWriter, names: Sequence[str]) -> None:
    """Best effort: what cannot be dropped now is found by the sweep."""
    for name in names:
        try:
            writer.drop(name)
        except Unavailable as error:
            log.warning("collection left for the sweep", collection=name, reason=str(error))

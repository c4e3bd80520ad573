"""The spaces in which a video has neighbours: what texts say, and what people watch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.hashing import hash64_many
from core.types import Candidate, Hits, VideoId
from embeddings.items import UNKNOWN
from retrieval.live import LiveHandle
from retrieval.narrow import Vectors
from retrieval.query import Query, candidates
from retrieval.retriever import LONGEST_LIST

WATCHES_NEEDED = 20  # below, a video's behaviour vector says little that its text does not
WATCHES_HALF = 5.0  # watches at which behaviour would have half the say


@dataclass(frozen=True, slots=True)
class Space:
    """Where to look for a video's neighbours.

    `where` is searched with `probe`, float32 (1, d), by inner product; `share` 0..1 is the say of
    this space beside others.
    """

    where: Vectors
    probe: NDArray[np.float32]
    share: float


def spaces_of(video_id: VideoId, live: LiveHandle | None) -> list[Space]:
    """Content first, then behaviour for what is watched enough; none for an unknown video.

    In behaviour space the question is what someone likes of whom only this one watch is known:
    it finds better than the video's own vector, which mostly finds what everyone watches.
    """
    if live is None:
        return []
    content, known = live.content.take([video_id])
    if not known.all():
        return []
    taste, share = _taste(video_id, live), _share(video_id, live)
    behaviour = []
    if taste is not None and share > 0:
        watched = Vectors(f"videos_{live.version}", live.items)
        behaviour = [Space(watched, taste[np.newaxis], share)]
    return [
        Space(Vectors(f"content_{live.content_revision}", live.content), content, 1 - share),
        *behaviour,
    ]


def _share(video_id: VideoId, live: LiveHandle) -> float:
    row = int(live.items.rows(hash64_many([video_id]))[0])
    watches = 0 if row == UNKNOWN else int(live.watches[row])
    if live.model_type == "content" or watches < WATCHES_NEEDED:
        return 0.0
    return watches / (watches + WATCHES_HALF)


def _taste(video_id: VideoId, live: LiveHandle) -> NDArray[np.float32] | None:
    vectors, known = live.items.take([video_id])
    return live.encoder.encode(vectors, np.ones(1, dtype=np.float32)) if known.all() else None


def nearest_in(found: Sequence[tuple[Space, Hits]], query: Query) -> list[Candidate]:
    """Up to 100 candidates that may be proposed out of these hits, most alike first.

    Likeness in one space is its inner product. In two, each is scored in both, whichever found
    it, as a share of the best there, and the shares of the spaces weigh the sum.
    """
    rows = query.snapshot.rows([id_ for _, hits in found for id_ in hits.ids])
    if len(found) == 1:
        keep = np.flatnonzero(query.allows(rows))[:LONGEST_LIST]
        return candidates(query, rows[keep], "similar", found[0][1].scores[keep].tolist())
    rows = np.unique(rows[query.allows(rows)])
    hashes = query.snapshot.facts["hash"][rows]
    likeness = np.zeros(len(rows), dtype=np.float32)
    for space, _ in found:
        products = space.where.items.at(hashes)[0] @ space.probe[0]
        likeness += np.float32(space.share) * _of_best(products)
    order = np.lexsort((hashes, -likeness))[:LONGEST_LIST]
    return candidates(query, rows[order], "similar", likeness[order].tolist())


def _of_best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    best = scores.max(initial=0)
    return scores / best if best > 0 else np.zeros_like(scores)

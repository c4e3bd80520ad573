"""Candidates for a user's list, with all that ranking reads of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from api.moment import Moment
from core.tracing import stage
from core.types import Candidate, UserId, UserState, VideoColumns
from embeddings.user_encoder import user_vector
from ranking.features import Asker
from retrieval.hash_index import UNKNOWN


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates for a user's own list and all that ranking reads of them.

    `columns` and `vectors`, float32 (n, d), are in the order of the n `candidates`.
    """

    candidates: Sequence[Candidate]
    columns: VideoColumns
    vectors: NDArray[np.float32]
    asker: Asker
    left_out: frozenset[str]


def asker_of(
    user_id: UserId,
    state: UserState | None,
    moment: Moment,
    own: NDArray[np.float32] | None,
) -> Asker:
    """Whose list it is, with what the catalogue says of the user's watches.

    `own` is their `own_vector`; whoever has none is ranked for as a stranger.
    """
    snapshot = moment.snapshot
    watched = snapshot.rows([watch.video_id for watch in state.recent] if state else [])
    return Asker(
        user_id=user_id,
        vector=_stranger(moment) if own is None else own,
        watched_genres=snapshot.columns(watched[watched != UNKNOWN]).genres,
        version=moment.version,
        now=moment.now,
    )


def gathered(
    candidates: Sequence[Candidate],
    asker: Asker,
    moment: Moment,
    left_out: frozenset[str] = frozenset(),
) -> Gathered:
    """Candidates of the catalogue, each once, with their facts and vectors."""
    snapshot = moment.snapshot
    columns = snapshot.columns(snapshot.rows([entry.video_id for entry in candidates]))
    return Gathered(candidates, columns, _vectors(columns.hashes, moment), asker, left_out)


def _stranger(moment: Moment) -> NDArray[np.float32] | None:
    return None if moment.live is None else moment.live.stranger


def own_vector(state: UserState | None, moment: Moment) -> NDArray[np.float32] | None:
    """The vector of what a user watched, None when the live version can say nothing of that."""
    if state is None or moment.live is None or not state.recent:
        return None
    with stage("encode", **{"upnext.model.version": moment.live.version}):
        return user_vector(moment.live.encoder, state.recent, moment.live.items)


def _vectors(hashes: NDArray[np.uint64], moment: Moment) -> NDArray[np.float32]:
    """Vectors of the candidates, float32 (n, d), zeros for those without one.

    Taken from the mapped files for all of them alike, so that a score does not depend on which
    source found the video.
    """
    if moment.live is None:
        return np.zeros((len(hashes), 1), dtype=np.float32)
    return moment.live.items.at(hashes)[0]

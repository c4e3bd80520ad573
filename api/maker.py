"""How a list is made: candidates from all sources, then the re-ranker."""

from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from api.moment import Moment
from core.types import (
    Candidate,
    Filters,
    ListType,
    Ranked,
    UserId,
    UserState,
    VideoColumns,
    VideoId,
)
from embeddings.user_encoder import user_vector
from ranking.features import Asker
from ranking.rank import rank
from retrieval.hash_index import UNKNOWN
from retrieval.nearest import Nearest
from retrieval.new import New
from retrieval.popular import Popular
from retrieval.ports import VectorSearch
from retrieval.query import Query
from retrieval.retriever import LONGEST_LIST, Retrieved, Retriever
from retrieval.similar import Similar
from retrieval.similar_videos import SimilarVideos
from retrieval.trending import Trending

_DEPENDENCIES = frozenset({"milvus", "postgres", "redis", "artifacts", "bus"})


@dataclass(frozen=True, slots=True)
class Made:
    """The top 100 and what was left out: sources, and the dependencies that did not answer.

    `recommendation_id` names this list wherever it is shown, from now until it is made anew.
    """

    items: tuple[Ranked, ...]
    left_out: frozenset[str] = frozenset()
    recommendation_id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates for a user's own list and all that ranking reads of them.

    `columns` and `vectors`, float32 (n, d), are in the order of the n `candidates`.
    """

    candidates: list[Candidate]
    columns: VideoColumns
    vectors: NDArray[np.float32]
    asker: Asker
    left_out: frozenset[str]


class Maker:
    """Makes lists; never raises `Unavailable`."""

    def __init__(self, *, retriever: Retriever, similar: SimilarVideos) -> None:
        self._retriever = retriever
        self._similar = similar

    async def personal(
        self,
        user_id: UserId,
        state: UserState | None,
        moment: Moment,
        limit: int = LONGEST_LIST,
    ) -> Made:
        """A user's own list; for one without history the cold-start list.

        The first of 100 are the same whatever the `limit`.
        """
        found = await self.gather(user_id, state, moment)
        ranked = rank(
            found.candidates,
            found.columns,
            vectors=found.vectors,
            asker=found.asker,
            config=moment.config,
            model_weights=moment.live.weights if moment.live else None,
            limit=limit,
        )
        return Made(tuple(ranked), found.left_out)

    async def gather(self, user_id: UserId, state: UserState | None, moment: Moment) -> Gathered:
        """Candidates for a user's own list, not ranked yet."""
        vector = _user_vector(state, moment)
        found = await self._retriever.find(_query(state, moment, vector))
        snapshot = moment.snapshot
        columns = snapshot.columns(snapshot.rows([entry.video_id for entry in found.candidates]))
        watched = snapshot.rows([watch.video_id for watch in state.recent] if state else [])
        return Gathered(
            candidates=found.candidates,
            columns=columns,
            vectors=_vectors(columns.hashes, moment),
            asker=Asker(
                user_id=user_id,
                vector=vector,
                watched_genres=snapshot.columns(watched[watched != UNKNOWN]).genres,
                version=moment.version,
                now=moment.now,
            ),
            left_out=_left_out(found),
        )

    async def listing(self, list_type: ListType, state: UserState | None, moment: Moment) -> Made:
        """`trending`, `popular` or `new` as they are, less what the user has watched.

        The score of such an entry is the video's popularity.
        """
        name = "popular" if list_type == "personalized" else list_type
        found = await self._retriever.listing(name, _query(state, moment, None))
        first = found.candidates[:LONGEST_LIST]
        rows = moment.snapshot.rows([entry.video_id for entry in first])
        ranked = [
            Ranked(entry.video_id, entry.source, moment.snapshot.popularity_of(row))
            for entry, row in zip(first, rows.tolist(), strict=True)
        ]
        return Made(tuple(ranked), _left_out(found))

    async def like(self, video_id: VideoId, moment: Moment) -> Made:
        """Videos like one of the snapshot; the score is the likeness that `SimilarVideos` gives."""
        query = Query(
            snapshot=moment.snapshot,
            now=moment.now,
            live=moment.live,
            filters=Filters(exclude=frozenset({video_id})),
        )
        found: Retrieved = await self._similar.find(video_id, query)
        ranked = [
            Ranked(entry.video_id, entry.source, entry.similarity) for entry in found.candidates
        ]
        return Made(tuple(ranked), _left_out(found))


def maker_over(search: VectorSearch, *, deadline_seconds: float) -> Maker:
    """The maker of this service, with all its sources.

    They are in the order of credit: a video that several find is credited to the first.
    """
    sources = Nearest(search), Similar(search), Trending(), Popular(), New()
    return Maker(
        retriever=Retriever(sources, deadline_seconds=deadline_seconds),
        similar=SimilarVideos(search, deadline_seconds=deadline_seconds),
    )


def _user_vector(state: UserState | None, moment: Moment) -> NDArray[np.float32] | None:
    if state is None or moment.live is None or not state.recent:
        return None
    return user_vector(moment.live.encoder, state.recent, moment.live.items)


def _query(state: UserState | None, moment: Moment, vector: NDArray[np.float32] | None) -> Query:
    return Query(
        snapshot=moment.snapshot,
        now=moment.now,
        wanted=moment.config.candidates,
        state=state,
        user_vector=vector,
        live=moment.live,
    )


def _vectors(hashes: NDArray[np.uint64], moment: Moment) -> NDArray[np.float32]:
    """Vectors of the candidates, float32 (n, d), zeros for those without one.

    Taken from the mapped files for all of them alike, so that a score does not depend on which
    source found the video.
    """
    if moment.live is None:
        return np.zeros((len(hashes), 1), dtype=np.float32)
    return moment.live.items.at(hashes)[0]


def _left_out(found: Retrieved) -> frozenset[str]:
    """The names of what is missing: each source, and every dependency that did not answer."""
    sources = found.left_out
    return frozenset(sources) | (_DEPENDENCIES & frozenset(sources.values())) | found.without

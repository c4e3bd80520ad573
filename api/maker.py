"""How a list is made: candidates from all sources, then the re-ranker."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from uuid import uuid4

from msgspec import structs

from api.explaining import Explanations, explained, explained_popularity
from api.gathered import Gathered, asker_of, gathered, own_vector
from api.moment import NOTHING_EXPLAINED, Moment
from core.tracing import stage
from core.types import (
    NO_FILTERS,
    Candidate,
    Filters,
    ListType,
    Ranked,
    Source,
    UserId,
    UserState,
    VideoId,
)
from ranking.rank import rank
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
    explanations: Explanations = field(default_factory=lambda: NOTHING_EXPLAINED)


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
        *,
        filters: Filters = NO_FILTERS,
        explain: bool = False,
    ) -> Made:
        """A user's own list; for one without history the cold-start list.

        The first of 100 are the same whatever the `limit`.
        """
        found = await self.gather(user_id, state, moment, filters)
        return _ranked(found, state, moment, limit=limit, explain=explain)

    async def gather(
        self,
        user_id: UserId,
        state: UserState | None,
        moment: Moment,
        filters: Filters = NO_FILTERS,
    ) -> Gathered:
        """Candidates for a user's own list, not ranked yet."""
        own = own_vector(state, moment)
        asker = asker_of(user_id, state, moment, own)
        query = Query(
            snapshot=moment.snapshot,
            now=moment.now,
            wanted=moment.config.candidates,
            state=state,
            user_vector=own,
            live=moment.live,
            filters=filters,
        )
        found = await self._retriever.find(query)
        return gathered(found.candidates, asker, moment, _left_out(found))

    async def listing(
        self,
        list_type: ListType,
        state: UserState | None,
        moment: Moment,
        *,
        filters: Filters = NO_FILTERS,
        explain: bool = False,
    ) -> Made:
        """`trending`, `popular` or `new` as they are, less what the user has watched.

        The score of such an entry is the video's popularity.
        """
        name = "popular" if list_type == "personalized" else list_type
        query = Query(moment.snapshot, moment.now, state=state, filters=filters)
        found = await self._retriever.listing(name, query)
        ranked = _by_popularity(found.candidates[:LONGEST_LIST], moment)
        told = explained_popularity(ranked, state, moment) if explain else NOTHING_EXPLAINED
        return Made(ranked, _left_out(found), explanations=told)

    async def like(
        self,
        video_id: VideoId,
        moment: Moment,
        *,
        state: UserState | None = None,
        filters: Filters = NO_FILTERS,
    ) -> Made:
        """Videos like one of the snapshot; the score is the likeness that `SimilarVideos` gives.

        None that `state` says was watched.
        """
        query = Query(
            snapshot=moment.snapshot,
            now=moment.now,
            state=state,
            live=moment.live,
            filters=structs.replace(filters, exclude=filters.exclude | {video_id}),
        )
        found: Retrieved = await self._similar.find(video_id, query)
        ranked = [
            Ranked(entry.video_id, entry.source, entry.similarity) for entry in found.candidates
        ]
        return Made(tuple(ranked), _left_out(found))

    def ordered(
        self,
        user_id: UserId,
        state: UserState | None,
        moment: Moment,
        candidates: Sequence[VideoId],
        *,
        explain: bool = False,
    ) -> Made:
        """The caller's own candidates, each once, in the order of a user's own list.

        What is unknown, watched or not eligible is left out. A video is credited to `nearest` when
        the live version has it and the user a vector, else to `popular`: by that it is placed.
        """
        allowed = _allowed(candidates, state, moment)
        found = gathered(
            [Candidate(id_, "popular") for id_ in allowed],
            asker_of(user_id, state, moment, own_vector(state, moment)),
            moment,
        )
        if found.asker.vector is not None:
            with_vector = (found.vectors != 0).any(axis=1)
            sources: list[Source] = ["nearest" if has else "popular" for has in with_vector]
            found = replace(found, candidates=list(map(Candidate, allowed, sources)))
        return _ranked(found, state, moment, limit=LONGEST_LIST, explain=explain)

    def by_popularity(
        self,
        state: UserState | None,
        moment: Moment,
        candidates: Sequence[VideoId],
        *,
        explain: bool = False,
    ) -> Made:
        """The caller's own candidates, the most popular first: `ordered` in a hurry."""
        allowed = [Candidate(id_, "popular") for id_ in _allowed(candidates, state, moment)]
        first = sorted(_by_popularity(allowed, moment), key=lambda entry: -entry.score)
        ranked = tuple(first[:LONGEST_LIST])
        told = explained_popularity(ranked, state, moment) if explain else NOTHING_EXPLAINED
        return Made(ranked, explanations=told)


def maker_over(search: VectorSearch, *, deadline_seconds: float) -> Maker:
    """The maker of this service, with all its sources.

    They are in the order of credit: a video that several find is credited to the first.
    """
    sources = Nearest(search), Similar(search), Trending(), Popular(), New()
    return Maker(
        retriever=Retriever(sources, deadline_seconds=deadline_seconds),
        similar=SimilarVideos(search, deadline_seconds=deadline_seconds),
    )


def _ranked(
    found: Gathered, state: UserState | None, moment: Moment, *, limit: int, explain: bool
) -> Made:
    with stage("rank"):
        ranked = rank(
            found.candidates,
            found.columns,
            vectors=found.vectors,
            asker=found.asker,
            config=moment.config,
            model_weights=moment.model_weights,
            limit=limit,
        )
    told = explained(ranked, found, state, moment) if explain else NOTHING_EXPLAINED
    return Made(tuple(ranked), found.left_out, explanations=told)


def _allowed(
    candidates: Sequence[VideoId], state: UserState | None, moment: Moment
) -> list[VideoId]:
    """Those that are known, eligible and not watched."""
    query = Query(moment.snapshot, moment.now, state=state)
    return list(compress(candidates, query.allows(query.snapshot.rows(candidates)).tolist()))


def _by_popularity(entries: Sequence[Candidate], moment: Moment) -> tuple[Ranked, ...]:
    rows = moment.snapshot.rows([entry.video_id for entry in entries])
    return tuple(
        Ranked(entry.video_id, entry.source, moment.snapshot.popularity_of(row))
        for entry, row in zip(entries, rows.tolist(), strict=True)
    )


def _left_out(found: Retrieved) -> frozenset[str]:
    """The names of what is missing: each source, and every dependency that did not answer."""
    sources = found.left_out
    return frozenset(sources) | (_DEPENDENCIES & frozenset(sources.values())) | found.without

"""The use case of a list: what is kept, else what can be made now."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog

from api.list_cache import Hit, ListCache
from api.maker import Made, Maker
from api.moment import Moment
from api.schemas import ListMetadata, SimilarList, SimilarMetadata, UserList
from api.single_flight import SingleFlight
from api.states import Found, States
from core.errors import Unavailable, UserNotFound, VideoNotFound
from core.types import ListType, Ranked, UserId, UserState, VideoId
from retrieval.hash_index import UNKNOWN

log = structlog.get_logger(__name__)


class Recommender:
    """Lists for users and for videos.

    Nothing here raises `Unavailable`: what does not answer is done without and named in
    `metadata.degraded`.
    """

    def __init__(
        self,
        *,
        lists: ListCache,
        states: States,
        maker: Maker,
        moment: Callable[[], Moment],
    ) -> None:
        self._lists = lists
        self._states = states
        self._maker = maker
        self._moment = moment
        self._flights: SingleFlight[Made] = SingleFlight()

    async def recommend(
        self,
        user_id: UserId,
        limit: int = 10,
        list_type: ListType = "personalized",
        *,
        must_exist: bool = False,
    ) -> UserList:
        """The first `limit` (1 to 100) of a user's list.

        Raises:
            UserNotFound: with `must_exist`, the service has never heard of the user.
        """
        moment = self._moment()
        missing: frozenset[str] = frozenset()
        if list_type == "personalized":
            try:
                hit = await self._lists.get(user_id, moment, limit)
            except Unavailable as error:
                missing = frozenset({error.dependency})
            else:
                if hit is not None:
                    return self._kept(user_id, moment, hit)
        found = await self._states.find(user_id, missing)
        if must_exist and found.unheard_of:
            raise UserNotFound(f"The service has never heard of the user {user_id}.")
        made = await self._make(user_id, list_type, found, moment)
        return _user_list(
            user_id,
            moment,
            list_type,
            made.items[:limit],
            name=made.recommendation_id,
            cold=_cold(found),
            degraded=found.missing | made.left_out,
        )

    async def similar(self, video_id: VideoId, limit: int = 10) -> SimilarList:
        """The first `limit` (1 to 100) videos like this one. Raises `VideoNotFound`."""
        moment = self._moment()
        if not moment.loaded:
            made = Made(())
        elif moment.snapshot.rows([video_id])[0] == UNKNOWN:
            raise VideoNotFound(f"The catalogue has no video {video_id}.")
        else:
            made = await self._maker.like(video_id, moment)
        items = moment.shown(made.items[:limit])
        return SimilarList(
            content_id=video_id,
            recommendations=items,
            metadata=SimilarMetadata(
                recommendation_id=made.recommendation_id,
                model_version=moment.version,
                config_version=moment.config.version,
                degraded=tuple(sorted(made.left_out | moment.without)),
                generated_at=moment.now,
                total_count=len(items),
            ),
        )

    def _kept(self, user_id: UserId, moment: Moment, hit: Hit) -> UserList:
        """The answer from a kept list; past its soft age one renewal of it begins."""
        if hit.stale:
            renewal = self._flights.start(
                ("renew", user_id, moment.version, moment.config.version),
                lambda: self._renew(user_id, moment),
            )
            renewal.add_done_callback(_report)
        return _user_list(
            user_id,
            moment,
            "personalized",
            hit.items,
            name=hit.recommendation_id,
            made_at=hit.generated_at,
            hit=True,
        )

    async def _renew(self, user_id: UserId, moment: Moment) -> Made:
        found = await self._states.find(user_id)
        return await self._make(user_id, "personalized", found, moment)

    async def _make(
        self, user_id: UserId, list_type: ListType, found: Found, moment: Moment
    ) -> Made:
        """The top 100, made now.

        Of a known user's own list, one for all who ask at the same time. The revision is part of
        the key: a request after a new event never joins an older computation.
        """
        state = found.state
        if list_type != "personalized" or "postgres" in found.missing:
            return await self._maker.listing(list_type, state, moment)
        if state is None or not state.recent:
            return await self._maker.personal(user_id, state, moment)
        return await self._flights.do(
            (state.user_id, state.revision, moment.version, moment.config.version),
            lambda: self._make_and_keep(state, moment, keep="redis" not in found.missing),
        )

    async def _make_and_keep(self, state: UserState, moment: Moment, *, keep: bool) -> Made:
        """A known user's list. One that something was missing from is not kept."""
        made = await self._maker.personal(state.user_id, state, moment)
        if keep and not made.left_out and moment.loaded:
            await self._lists.put(state.user_id, moment, state.revision, made)
        return made


def _report(renewal: asyncio.Task[Made]) -> None:
    if not renewal.cancelled() and (error := renewal.exception()):
        log.error("A list could not be renewed.", exc_info=error)


def _cold(found: Found) -> bool:
    """Whether nothing is known of the user's taste, as far as anyone could say."""
    if found.state is None:
        return found.unheard_of
    return not found.state.recent


def _user_list(
    user_id: UserId,
    moment: Moment,
    list_type: ListType,
    items: Sequence[Ranked],
    *,
    name: str,
    made_at: datetime | None = None,
    hit: bool = False,
    cold: bool = False,
    degraded: Iterable[str] = (),
) -> UserList:
    missing = {*degraded, *moment.without}
    return UserList(
        user_id=user_id,
        recommendations=moment.shown(items),
        metadata=ListMetadata(
            recommendation_id=name,
            type=list_type,
            model_version=moment.version,
            config_version=moment.config.version,
            cache_hit=hit,
            cold_start=cold,
            degraded=tuple(sorted(missing)),
            generated_at=made_at or moment.now,
            total_count=len(items),
        ),
    )

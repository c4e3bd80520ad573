"""The use case of a list: what is kept, else what can be made now."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import structs

from api import answers
from api.admission import Admission, Overloaded
from api.answers import Asked, Listed
from api.impressions import Impressions
from api.kept_list import KeptList
from api.list_cache import ListCache
from api.maker import Made, Maker
from api.moment import Moment
from api.own_lists import OwnLists
from api.schemas import SimilarList, UserList
from api.schemas_rank import RankedList
from api.states import Found, States
from core.errors import Unavailable, UserNotFound, VideoNotFound
from core.hashing import hash64_many
from core.metrics import DEGRADED, FAILED_INFERENCES, OVERLOADED
from core.types import NO_FILTERS, Filters, UserId, UserState, VideoId, Watch
from retrieval.hash_index import UNKNOWN

OVERLOAD = "overload"
STOOD_IN = frozenset({"redis", "milvus", "content_vector"})
"""What a list can do without and still be what the model makes of what is known."""
REHEARSED = 5  # watches
NOBODY = Found(None)


class Recommender:
    """Lists for users and for videos, and the order of a caller's own candidates.

    Nothing here raises `Unavailable` or `Overloaded`: what does not answer, or would take too
    long, is done without and named in `metadata.degraded`.
    """

    def __init__(
        self,
        *,
        own_lists: OwnLists,
        lists: ListCache,
        states: States,
        maker: Maker,
        moment: Callable[[], Moment],
        admission: Admission,
        impressions: Impressions,
    ) -> None:
        self._own_lists = own_lists
        self._lists = lists
        self._states = states
        self._maker = maker
        self._moment = moment
        self._admission = admission
        self._impressions = impressions

    async def recommend(self, asked: Asked, *, must_exist: bool = False) -> UserList:
        """What was asked for of a user's list.

        Raises:
            UserNotFound: with `must_exist`, the service has never heard of the user.
        """
        moment = self._moment()
        if asked.plain:
            return await self._own_list(asked, moment, must_exist=must_exist)
        try:
            async with self._admission.enter():
                found = await self._states.find(asked.user_id)
                _must_exist(asked, found, wanted=must_exist)
                made = await self._make(asked, found, moment)
        except Overloaded:
            kept = await self._states.kept(asked.user_id)
            return await self._hurried(asked, kept, moment, must_exist=must_exist)
        return self._answer(asked, answers.made_now(made, found, moment, asked.walk), moment)

    async def similar(
        self,
        video_id: VideoId,
        limit: int = 10,
        *,
        filters: Filters = NO_FILTERS,
        for_user: UserId | None = None,
    ) -> SimilarList:
        """The first `limit` (1 to 100) videos like this one, for a user without what they watched.

        Raises:
            VideoNotFound: the catalogue does not have the video.
        """
        moment = self._moment()
        if moment.loaded and moment.snapshot.rows([video_id])[0] == UNKNOWN:
            raise VideoNotFound(f"The catalogue has no video {video_id}.")
        try:
            async with self._admission.enter():
                found = NOBODY if for_user is None else await self._states.find(for_user)
                made = await self._like(video_id, found.state, filters, moment)
        except Overloaded:
            found = NOBODY if for_user is None else await self._states.hurried(for_user)
            others = structs.replace(filters, exclude=filters.exclude | {video_id})
            made = await self._maker.listing("popular", found.state, moment, filters=others)
            made = dataclasses.replace(made, left_out=made.left_out | {OVERLOAD})
        body = answers.similar_list(video_id, made, limit, moment, found.missing)
        self._count(body)
        return body

    async def rank(
        self, user_id: UserId, candidates: Sequence[VideoId], limit: int = 10, *, explain: bool
    ) -> RankedList:
        """The first `limit` (1 to 100) of the caller's own candidates, as the user would have them.

        One that comes twice counts once.
        """
        moment = self._moment()
        once = list(dict.fromkeys(candidates))
        known = moment.snapshot.rows(once) != UNKNOWN
        unknown = [id_ for id_, is_known in zip(once, known, strict=True) if not is_known]
        try:
            async with self._admission.enter():
                found = await self._states.find(user_id)
                made = self._maker.ordered(user_id, found.state, moment, once, explain=explain)
            listed = answers.made_now(made, found, moment)
        except Overloaded:
            found = await self._states.hurried(user_id)
            made = self._maker.by_popularity(found.state, moment, once, explain=explain)
            listed = answers.made_now(made, found, moment).without(OVERLOAD)
        told = unknown if moment.loaded else ()
        body = answers.ranked_list(user_id, listed, limit, moment, told)
        self._count(body)
        return body

    async def rehearse(self) -> None:
        """Make a list of somebody who watched what is popular, and show it to nobody.

        Whatever takes long the first time, connecting above all, is over then.
        """
        moment, nobody = self._moment(), UserId("")
        await self._states.find(nobody)
        popular = await self._maker.listing("popular", None, moment)
        recent = [Watch(entry.video_id, moment.now, 1.0) for entry in popular.items[:REHEARSED]]
        watched = np.sort(hash64_many([watch.video_id for watch in recent]))
        await self._maker.personal(nobody, UserState(nobody, 0, tuple(recent), watched), moment)

    async def _own_list(self, asked: Asked, moment: Moment, *, must_exist: bool) -> UserList:
        """Part of a user's own list, as it is kept or made for everyone who asks for it."""
        got = await self._own_lists.find(asked.user_id, moment)
        if isinstance(got, KeptList):
            listed = answers.kept(got, asked, moment)
            if listed is not None:
                return self._answer(asked, listed, moment)
            got = await self._own_lists.make(asked.user_id, moment)
        if got.made is None:
            return await self._hurried(asked, got.found, moment, must_exist=must_exist)
        _must_exist(asked, got.found, wanted=must_exist)
        listed = answers.made_now(got.made, got.found, moment, asked.walk)
        return self._answer(asked, listed, moment)

    async def _make(self, asked: Asked, found: Found, moment: Moment) -> Made:
        """The top 100 of what is not kept, made now."""
        state = found.state
        if asked.list_type != "personalized" or (state is None and "postgres" in found.missing):
            return await self._from_memory(asked, state, moment)
        return await self._maker.personal(
            asked.user_id, state, moment, filters=asked.filters, explain=asked.explain
        )

    async def _from_memory(self, asked: Asked, state: UserState | None, moment: Moment) -> Made:
        """A list that asks nobody; of a user's own the popular one."""
        return await self._maker.listing(
            asked.list_type, state, moment, filters=asked.filters, explain=asked.explain
        )

    async def _hurried(
        self, asked: Asked, kept: Found, moment: Moment, *, must_exist: bool
    ) -> UserList:
        """What is there without computing: the list of an earlier version, else the popular one."""
        if asked.plain and "redis" not in kept.missing:
            for version in moment.earlier:
                before = structs.replace(moment, live=version)
                old = await self._kept(asked, before)
                if old is not None:
                    return self._answer(asked, old.without(OVERLOAD), before)
        found = await self._states.hurried(asked.user_id, kept)
        _must_exist(asked, found, wanted=must_exist)
        made = await self._from_memory(asked, found.state, moment)
        listed = answers.made_now(made, found, moment, asked.walk)
        return self._answer(asked, listed.without(OVERLOAD), moment)

    async def _kept(self, asked: Asked, moment: Moment) -> Listed | None:
        """The kept list of this moment's version."""
        try:
            entry = await self._lists.read(asked.user_id, moment)
        except Unavailable:
            return None
        return None if entry is None else answers.kept(KeptList(entry), asked, moment)

    async def _like(
        self, video_id: VideoId, state: UserState | None, filters: Filters, moment: Moment
    ) -> Made:
        if not moment.loaded:
            return Made(())
        return await self._maker.like(video_id, moment, state=state, filters=filters)

    def _answer(self, asked: Asked, listed: Listed, moment: Moment) -> UserList:
        body = answers.user_list(asked, listed, moment)
        self._count(body)
        return body

    def _count(self, body: UserList | SimilarList | RankedList) -> None:
        self._impressions.count(answers.shown(body))
        for missing in body.metadata.degraded:
            DEGRADED.labels(missing).inc()
        if not STOOD_IN.issuperset(body.metadata.degraded):
            FAILED_INFERENCES.inc()
        if OVERLOAD in body.metadata.degraded:
            OVERLOADED.inc()


def _must_exist(asked: Asked, found: Found, *, wanted: bool) -> None:
    if wanted and found.unheard_of:
        raise UserNotFound(f"The service has never heard of the user {asked.user_id}.")

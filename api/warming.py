"""The use case of lists that are there before they are asked for."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from msgspec import structs

from api.batch import Batch, BulkStates
from api.list_cache import ListCache
from api.moment import Moment
from api.page_search import for_pages
from api.ports import UserCache
from core.errors import UserNotFound
from core.types import Model, UserId
from retrieval.live import LiveHandle, LiveModel
from retrieval.ports import VectorSearch
from retrieval.retriever import LONGEST_LIST

# Users of a page. Their lists are made in one go, for which whoever else uses the event loop waits.
PAGE = 4
LATELY = timedelta(hours=1)
AGAIN_SECONDS = 0.1

log = structlog.get_logger(__name__)


class SeenUsers(BulkStates, Protocol):
    """Users by when they were here last, and their states."""

    async def seen_since(self, since: datetime) -> list[UserId]:
        """Users whose newest event is not older, the latest first. Raises `Unavailable`."""
        ...


Moments = Callable[[], Awaitable[Moment | None]]
"""The moment to make the next page's lists for; None: no more are wanted."""


@dataclass(slots=True)
class Warmed:
    """How many users' lists are there now, `made` now or kept from before, and how many are not.

    `unknown` users have no list, `failed` are those whose list could not be made.
    """

    there: int = 0
    made: int = 0
    unknown: int = 0
    failed: int = 0


class Warmer:
    """Makes and keeps what the service would make and keep if these users asked now."""

    def __init__(
        self, users: BulkStates, lists: ListCache, search: VectorSearch, *, recent: int
    ) -> None:
        self._users = users
        self._lists = lists
        self._search = search
        self._recent = recent

    async def warm(
        self, user_ids: Sequence[UserId], moments: Moments, *, page: int = PAGE
    ) -> Warmed:
        """Make the lists that are not there.

        After each page the event loop is left to others for as long as the page held it up.

        Args:
            user_ids: whose lists, the most urgent first.
            moments: asked before each page for the version, catalogue and time it is made for;
                the version stays the same.
            page: how many are made together.

        Raises:
            Unavailable: the users' states could not be read, or lists not kept.
        """
        warmed, batch, last = Warmed(), self._batch(), None
        for start in range(0, len(user_ids), page):
            moment = await moments()
            if moment is None:
                break
            if moment is not last:
                batch, last = self._batch(), moment  # what it remembers is of one moment
            began = time.thread_time()
            await self._page(user_ids[start : start + page], moment, batch, warmed)
            await asyncio.sleep(time.thread_time() - began)
        return warmed

    def _batch(self) -> Batch:
        return Batch(self._users, self._search, recent=self._recent)

    async def _page(
        self, user_ids: Sequence[UserId], moment: Moment, batch: Batch, warmed: Warmed
    ) -> None:
        kept = await asyncio.gather(*(self._fresh(user_id, moment) for user_id in user_ids))
        missing = [user_id for user_id, is_kept in zip(user_ids, kept, strict=True) if not is_kept]
        warmed.there += sum(kept)
        if not missing:
            return
        made = await batch.page(missing, moment)
        await asyncio.gather(
            *(
                self._lists.keep(state.user_id, moment, state.revision, one)
                for state, one in made.lists
            )
        )
        unknown = sum(reason == UserNotFound.code for reason in made.failed.values())
        warmed.there += len(made.lists)
        warmed.made += len(made.lists)
        warmed.unknown += unknown
        warmed.failed += len(made.failed) - unknown

    async def _fresh(self, user_id: UserId, moment: Moment) -> bool:
        hit = await self._lists.get(user_id, moment, LONGEST_LIST)
        return hit is not None and not hit.stale


class Warming:
    """What is made ready for a model that is about to go live: `api.promotion.Prepare`."""

    def __init__(
        self,
        *,
        users: SeenUsers,
        cache: UserCache,
        live: LiveModel,
        index: VectorSearch,
        moment: Callable[[], Moment],
        recent: int,
        exact_bytes: int,
    ) -> None:
        self._users = users
        self._lists = ListCache(cache)
        self._live = live
        self._index = index
        self._moment = moment
        self._recent = recent
        self._exact_bytes = exact_bytes

    async def prepare(self, model: Model) -> None:
        """Keep the lists that it gives to the users of the last hour, the latest first.

        First waits until the version is open here and the catalogue read. May be cancelled at any
        time: what is made by then is kept.

        Raises:
            Unavailable: the users could not be read, or lists not kept.
        """
        moment, version = await self._opened(model)
        search = for_pages(version, lambda: self._index, most_bytes=self._exact_bytes)
        warmer = Warmer(self._users, self._lists, search, recent=self._recent)
        users = await self._users.seen_since(moment.now - LATELY)

        async def always() -> Moment:
            return moment

        warmed = await warmer.warm(users, always)
        log.info(
            "The latest users' lists are prepared.",
            version=model.version,
            lists=warmed.there,
            failed=warmed.failed,
        )

    async def _opened(self, model: Model) -> tuple[Moment, LiveHandle]:
        while (  # noqa: ASYNC110  (nobody tells)
            version := self._live.get(model.version)
        ) is None or not self._moment().loaded:
            await asyncio.sleep(AGAIN_SECONDS)
        return structs.replace(self._moment(), live=version, live_missing=None), version

"""The use case of many users' lists at once, made as each of them would be made alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from api.maker import Made, maker_over
from api.moment import Moment
from api.page_search import PageSearch
from api.remembering import of_a_moment
from api.schemas import Recommended
from core.types import UserId, UserState
from retrieval.ports import VectorSearch
from retrieval.retriever import LONGEST_LIST

# Nobody waits for one list of a page: what would be late for a request is worth waiting for here.
DEADLINE_SECONDS = 60.0

log = structlog.get_logger(__name__)


class BulkStates(Protocol):
    """User states from the truth, many at a time."""

    async def states_of(self, user_ids: Sequence[UserId], recent: int) -> dict[UserId, UserState]:
        """States with at most `recent` recent watches of those users that are known.

        Raises:
            Unavailable: PostgreSQL did not answer.
        """
        ...


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One user's list, a line of a batch's result."""

    user_id: str
    model_version: str | None
    recommendations: tuple[Recommended, ...]


@dataclass(frozen=True, slots=True)
class UserPage:
    """Lists of some users and the states they are made from; `failed` says why others have none."""

    lists: list[tuple[UserState, Made]]
    failed: dict[UserId, str]


class Batch:
    """Makes lists for pages of users.

    What several of them have in common is done once: the states are read together, the users'
    vectors searched together, and what is like a video is remembered from page to page, so one of
    these is for one moment of the catalogue.
    """

    def __init__(
        self, states: BulkStates, search: VectorSearch, *, recent: int, remember: bool = True
    ) -> None:
        """Make a batch.

        Args:
            states: what is known of users.
            search: what their vectors are searched with.
            recent: how many watches a state holds.
            remember: what is like a video, from page to page; not where `search` does.
        """
        self._states = states
        self._recent = recent
        together = PageSearch(search)
        lasting = of_a_moment(together) if remember else together
        self._maker = maker_over(lasting, deadline_seconds=DEADLINE_SECONDS)

    async def page(
        self, user_ids: Sequence[UserId], moment: Moment, limit: int = LONGEST_LIST
    ) -> UserPage:
        """The first `limit` of each user's list.

        A user nobody has heard of has no list, nor has one whose list something was missing from:
        it would not be the one that the service gives.

        Raises:
            Unavailable: the users' states could not be read.
        """
        found = await self._states.states_of(user_ids, self._recent)
        states = [found[user_id] for user_id in user_ids if user_id in found]
        page = UserPage([], {user: "user_not_found" for user in user_ids if user not in found})
        for state, one in zip(states, await self.made(states, moment, limit), strict=True):
            _sort_in(page, state, one)
        return page

    async def made(
        self, states: Sequence[UserState], moment: Moment, limit: int
    ) -> list[Made | Exception]:
        """The first `limit` of the list of each of these users, or why it could not be made."""
        made = await asyncio.gather(
            *(self._maker.personal(state.user_id, state, moment, limit) for state in states),
            return_exceptions=True,
        )
        return [_outcome(state, one) for state, one in zip(states, made, strict=True)]


def _outcome(state: UserState, made: Made | BaseException) -> Made | Exception:
    if isinstance(made, Exception):
        log.error("A list could not be made.", user=state.user_id, exc_info=made)
    elif isinstance(made, BaseException):
        raise made
    return made


def _sort_in(page: UserPage, state: UserState, made: Made | Exception) -> None:
    if isinstance(made, Exception):
        page.failed[state.user_id] = f"internal: {made!r}"
    elif made.left_out:
        page.failed[state.user_id] = f"made without {', '.join(sorted(made.left_out))}"
    else:
        page.lists.append((state, made))

"""The use case of batch pages: the lists of all users, a page of them at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence

from api.batch import Batch, BulkStates
from api.maker import Made
from api.moment import Moment
from api.schemas_batch import BatchPage, PageMetadata, PageSummary, UserResult
from api.user_pages import UserDirectory, UserPages
from core.errors import Unavailable, UpnextError, UserNotFound
from core.types import UserId, UserState
from retrieval.ports import VectorSearch
from retrieval.retriever import SHARES

LIST_LENGTH = 10  # videos of each user's list


class BatchPages:
    """Makes pages. Their users' states are read together, and their vectors searched together."""

    def __init__(
        self,
        *,
        directory: UserDirectory,
        states: BulkStates,
        search: VectorSearch,
        moment: Callable[[], Moment],
        recent: int,
        connections: int,
    ) -> None:
        """Make the use case.

        Args:
            directory: who the users are.
            states: what is known of them.
            search: what their vectors are searched with.
            moment: what is in force.
            recent: how many watches a state holds.
            connections: of PostgreSQL, that all pages of this process may use at a time.
        """
        self._users = UserPages(directory)
        self._states = states
        self._search = search
        self._moment = moment
        self._recent = recent
        self._connections = asyncio.Semaphore(connections)

    async def page(self, number: int, size: int) -> BatchPage:
        """Page `number`, from 1 on, of `size` users; one past the end is empty.

        Raises:
            Unavailable: PostgreSQL did not answer.
        """
        began, moment = time.perf_counter(), self._moment()
        async with self._connections:
            total, users = await self._users.page(number, size)
            states = await self._states.states_of(users, self._recent) if users else {}
        results = tuple(await self._results(users, states, moment))
        successes = sum(result.status == "success" for result in results)
        return BatchPage(
            page=number,
            limit=size,
            total_users=total,
            results=results,
            summary=PageSummary(
                success_count=successes,
                failed_count=len(results) - successes,
                processing_time_ms=round((time.perf_counter() - began) * 1000),
            ),
            metadata=PageMetadata(model_version=moment.version, generated_at=moment.now),
        )

    async def _results(
        self, users: Sequence[UserId], states: dict[UserId, UserState], moment: Moment
    ) -> list[UserResult]:
        batch = Batch(self._states, self._search, recent=self._recent, remember=False)
        made = await batch.made(list(states.values()), moment, LIST_LENGTH)
        by_user = dict(zip(states, made, strict=True))
        return [_result(user, by_user.get(user), moment) for user in users]


def _result(user_id: UserId, made: Made | Exception | None, moment: Moment) -> UserResult:
    match made:
        case None:  # erased since the page was read
            return _failed(user_id, UserNotFound("The service has forgotten this user."))
        case Made(left_out=left_out) if lost := sorted(left_out & SHARES.keys()):
            return _failed(user_id, Unavailable("", f"Made without {', '.join(lost)}: try again."))
        case Made():
            return UserResult(
                user_id=user_id, status="success", recommendations=moment.shown(made.items)
            )
        case _:
            return _failed(user_id, UpnextError("The list could not be made."))


def _failed(user_id: UserId, error: UpnextError) -> UserResult:
    return UserResult(user_id=user_id, status="failed", error=error.code, message=str(error))

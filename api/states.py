"""What is known of a user: from the cache, else from the truth."""

import asyncio
from dataclasses import dataclass

import structlog

from api.ports import StateStore, UserCache
from core.errors import Unavailable
from core.tracing import stage
from core.types import UserId, UserState

HURRIED = 4  # reads of PostgreSQL at a time, of a pool of ten: those let in need the others
PATIENCE_SECONDS = 0.1  # for a place among them

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A user's state and which stores did not answer.

    `state` None with `postgres` in `missing` or without `truth`, which is that PostgreSQL would
    have been asked, means that nobody could say; else that the service has never heard of the user.
    """

    state: UserState | None
    missing: frozenset[str] = frozenset()
    truth: bool = True

    @property
    def unheard_of(self) -> bool:
        """Whether it is certain that there is no such user."""
        return self.state is None and self.truth and "postgres" not in self.missing


class States:
    """Looks users up; never raises `Unavailable`."""

    def __init__(
        self,
        *,
        store: StateStore,
        cache: UserCache,
        recent: int,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._store = store
        self._cache = cache
        self._recent = recent
        self._patience_seconds = patience_seconds
        self._gate = asyncio.Semaphore(HURRIED)

    async def find(self, user_id: UserId, missing: frozenset[str] = frozenset()) -> Found:
        """The user's state; `missing` names what has just failed and is not asked again."""
        with stage("state"):
            kept = await self.kept(user_id, missing)
            if kept.state is not None:
                return kept
            return await self._from_store(user_id, kept.missing)

    async def kept(self, user_id: UserId, missing: frozenset[str] = frozenset()) -> Found:
        """As `find`, from the cache alone."""
        if "redis" in missing:
            return Found(None, missing, truth=False)
        try:
            state = await self._cache.state(user_id)
        except Unavailable as error:
            return Found(None, missing | {error.dependency}, truth=False)
        return Found(state, missing, truth=False)

    async def hurried(self, user_id: UserId, kept: Found | None = None) -> Found:
        """As `find`, for those whom admission turned away: a few at a time ask the truth.

        Args:
            user_id: whose state it is.
            kept: what `kept` has just said, if it was asked.
        """
        found = await self.kept(user_id) if kept is None else kept
        if found.state is not None or found.truth:
            return found
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._gate.acquire()
        except TimeoutError:
            return found
        try:
            return await self._from_store(user_id, found.missing)
        finally:
            self._gate.release()

    async def renew(self, user_id: UserId) -> None:
        """Have the cache keep the state as it is now in the truth; never fails.

        Whoever has no time to ask the truth knows then what was watched a moment ago.
        """
        try:
            await self._from_store(user_id, frozenset())
        except Exception:
            log.exception("state_not_renewed")

    async def _from_store(self, user_id: UserId, missing: frozenset[str]) -> Found:
        try:
            state = await self._store.state(user_id, self._recent)
        except Unavailable as error:
            return Found(None, missing | {error.dependency})
        if state is not None and "redis" not in missing:
            await self._keep(state)
        return Found(state, missing)

    async def _keep(self, state: UserState) -> None:
        try:
            await self._cache.put_state(state)
        except Unavailable as error:
            log.warning("state_not_kept", reason=str(error))

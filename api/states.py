"""What is known of a user: from the cache, else from the truth."""

from dataclasses import dataclass

import structlog

from api.ports import StateStore, UserCache
from core.errors import Unavailable
from core.types import UserId, UserState

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A user's state and which stores did not answer.

    `state` None with `postgres` in `missing` means that nobody could say; without, that the
    service has never heard of the user.
    """

    state: UserState | None
    missing: frozenset[str] = frozenset()

    @property
    def unheard_of(self) -> bool:
        """Whether it is certain that there is no such user."""
        return self.state is None and "postgres" not in self.missing


class States:
    """Looks users up; never raises `Unavailable`."""

    def __init__(self, *, store: StateStore, cache: UserCache, recent: int) -> None:
        self._store = store
        self._cache = cache
        self._recent = recent

    async def find(self, user_id: UserId, missing: frozenset[str] = frozenset()) -> Found:
        """The user's state; `missing` names what has just failed and is not asked again."""
        if "redis" not in missing:
            try:
                kept = await self._cache.state(user_id)
            except Unavailable as error:
                missing |= {error.dependency}
            else:
                if kept is not None:
                    return Found(kept)
        return await self._from_store(user_id, missing)

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

"""The shared cache, less what it has not been able to drop."""

from collections.abc import Callable, Mapping

from api.ports import UserCache
from core.errors import Unavailable
from core.types import UserId, UserState


class TrustedCache:
    """`api.ports.UserCache` which counts as away for users whose old lists it may still have."""

    def __init__(self, cache: UserCache, owes: Callable[[UserId], bool]) -> None:
        self._cache = cache
        self._owes = owes

    async def state(self, user_id: UserId) -> UserState | None:
        """The kept state. Raises `Unavailable`, also when a drop is owed."""
        self._check(user_id)
        return await self._cache.state(user_id)

    async def put_state(self, state: UserState) -> None:
        """Keep a state. Raises `Unavailable`, also when a drop is owed."""
        self._check(state.user_id)
        await self._cache.put_state(state)

    async def get_list(self, user_id: UserId, field: str) -> bytes | None:
        """The kept list. Raises `Unavailable`, also when a drop is owed."""
        self._check(user_id)
        return await self._cache.get_list(user_id, field)

    async def put_list(
        self, user_id: UserId, field: str, revision: int, entry: bytes, ttl_seconds: int
    ) -> None:
        """Keep a list. Raises `Unavailable`, also when a drop is owed."""
        self._check(user_id)
        await self._cache.put_list(user_id, field, revision, entry, ttl_seconds)

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        """Drop these users' states and lists. Raises `Unavailable`."""
        await self._cache.forget_many(revisions)

    def _check(self, user_id: UserId) -> None:
        if self._owes(user_id):
            raise Unavailable("redis", "what redis has of this user is still to be dropped")

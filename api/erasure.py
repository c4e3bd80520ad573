"""The use case of erasing a user."""

from typing import Protocol

from api.auth import Principal
from core.jobs import Job
from core.types import UserId


class ErasureStore(Protocol):
    """Who is erased."""

    async def ask(self, user_id: UserId, asked_by: str) -> Job:
        """Keep a user out from now on, and queue the job that erases what there is.

        Raises:
            Unavailable: neither was done.
        """
        ...


class Erasure:
    """Erases users, known or not: other stores may have what the history does not."""

    def __init__(self, store: ErasureStore) -> None:
        self._store = store

    async def ask(self, caller: Principal, user_id: UserId) -> Job:
        """Erase a user; asked again, it looks again. Raises `Unavailable`."""
        return await self._store.ask(user_id, caller.sub)

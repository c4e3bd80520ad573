"""What the use cases behind HTTP need of the stores."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from core.notices import Hearer
from core.quota import Report, Settled
from core.types import (
    AddCounts,
    Interaction,
    Model,
    ModelStatus,
    ModelType,
    UserId,
    UserState,
)


class StateStore(Protocol):
    """User states from the truth."""

    async def state(self, user_id: UserId, recent: int) -> UserState | None:
        """A user's state with at most `recent` recent watches; None: never heard of.

        Raises:
            Unavailable: PostgreSQL did not answer.
        """
        ...


class UserCache(Protocol):
    """States and finished lists of users; losing all of it costs only time.

    A write that is older than a `forget_many` of the same user is refused, so that a slow reader
    cannot bring back what an event has just dropped.
    """

    async def state(self, user_id: UserId) -> UserState | None:
        """The kept state, None if there is none; its times may lack what is below a second.

        Raises:
            Unavailable: the cache did not answer.
        """
        ...

    async def put_state(self, state: UserState) -> None:
        """Keep a state unless a newer revision is known. Raises `Unavailable`."""
        ...

    async def get_list(self, user_id: UserId, field: str) -> bytes | None:
        """The kept list of that field. Raises `Unavailable`."""
        ...

    async def put_list(
        self, user_id: UserId, field: str, revision: int, entry: bytes, ttl_seconds: int
    ) -> None:
        """Keep a list made from state `revision`, unless a newer one is known."""
        ...

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        """Drop these users' states and lists, refuse older ones, tell all who follow the notices.

        Raises:
            Unavailable: the cache did not answer; some may be dropped.
        """
        ...


class Notices(Protocol):
    """News of dropped lists from all processes that share a cache."""

    async def run(self, hearer: Hearer) -> None:
        """Tell the hearer until cancelled.

        Whatever is missed is noticed within a second, and told by `lose`; `follow` comes when news
        arrive again.
        """
        ...


class InteractionStore(Protocol):
    """The history's truth, for one watch at a time."""

    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts:
        """Write interactions, counters and users in one transaction. Raises `Unavailable`."""
        ...

    async def find(self, key: UUID) -> Interaction | None:
        """The interaction of that key. Raises `Unavailable`."""
        ...


class ModelRegistry(Protocol):
    """The versions and which one is live."""

    async def get(self, model_id: str) -> Model:
        """Raises `ModelNotFound`, `Unavailable`."""
        ...

    async def find(
        self, model_type: ModelType | None = None, status: ModelStatus | None = None
    ) -> list[Model]:
        """Models, newest first. Raises `Unavailable`."""
        ...

    async def previous(self) -> Model | None:
        """The model that `rollback` would make live, if there is one. Raises `Unavailable`."""
        ...

    async def promote(self, model_id: str) -> Model:
        """Make a `ready` or `retired` model live in one transaction.

        Raises:
            ModelNotFound: no such model.
            Conflict: it is in another state, or its collections are gone.
            Unavailable: nothing changed.
        """
        ...

    async def rollback(self) -> Model:
        """Make the model live that was live before. Raises `Conflict`, `Unavailable`."""
        ...


class Ledger(Protocol):
    """Counted answers, shared by all processes; each process has a ledger as its own borrower."""

    async def settle(self, reports: Sequence[Report]) -> list[Settled]:
        """Take reports and lend, one answer for each, as `core.quota.Window` does.

        A report that failed may have been taken all the same; stating it again counts its answers
        twice, never too few.

        Raises:
            PartlyAway: of some reports nothing can be said; `done` has the answers to the others,
                by their places.
            Unavailable: of none.
        """
        ...

    async def recall(self, key: str) -> None:
        """Ask all borrowers to settle what they hold of `key`. Raises `Unavailable`."""
        ...

    async def recalled(self) -> list[str]:
        """Keys recalled since the last call, by anyone; none at the first. Raises `Unavailable`."""
        ...


class KeySource(Protocol):
    """Where the issuer of tokens publishes its keys."""

    async def fetch(self) -> bytes:
        """The JWKS document as it is now. Raises `Unavailable`."""
        ...

    async def aclose(self) -> None:
        """Let go of its connections."""
        ...
